//! RabbitMQ or MySQL is down, emptied, slow or silent, or a worker stalls: some functions keep working, and all recover
//! without a restart of the processes.

#[path = "degrade/later.rs"]
mod later; // orders for later

use std::time::Duration;

use e2e::{
    Mood,
    chaos::{House, RATE, Shape, Table, Wire, answer, servers::Servers},
    text, until_within,
};
use futures_util::{FutureExt, future::join_all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use store::testing::environment;
use test_line::Traffic;
use tokio::time::{Instant, sleep};

/// Timeout of these tests.
const SOON: Duration = Duration::from_secs(40);
const ORDERS: usize = 20;
/// Real duration of a worker's lease of 15.5 s, given the speed of the clock.
const LEASE: Duration = Duration::from_millis(15_500 / RATE as u64);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rabbitmq_orders_come_to_their_end_and_its_return_brings_no_storm() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        set(house, Wire::Broker, Traffic::Refused);
        until_ready(house, "degraded", 200).await;
        let ids = place(house, &table, "away").await;
        until_all_are(house, &ids, "ready").await;
        assert_eq!(table.integrator.by_webhook_id().len(), ORDERS);
        let events = event_count(house, &table).await;
        let before = house.metric(PUBLISHED).await;

        set(house, Wire::Broker, Traffic::Open);
        until_ready(house, "ok", 200).await;
        until("the outbox to be empty", async || {
            house.metric("expediter_outbox_waiting").await == 0.0
        })
        .await;
        until("all hints to be taken", async || {
            house.waiting_hints().await == Some(0)
        })
        .await;
        let caught_up = house.metric(PUBLISHED).await - before;
        // Each event once, with at most one hint: nothing is published repeatedly because of the wait.
        eprintln!("after the outage: {caught_up} messages for {events} events");
        assert!(
            caught_up <= 2.0 * events as f64,
            "{caught_up} messages for {events} events"
        );
        sleep(Duration::from_secs(1)).await;
        let after = house.metric(PUBLISHED).await - before - caught_up;
        assert!(after <= 5.0, "{after} messages without any event");

        let ids = place(house, &table, "back").await;
        until_all_are(house, &ids, "ready").await;
        assert_eq!(table.integrator.by_webhook_id().len(), 2 * ORDERS);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_that_somebody_threw_away_are_found_by_the_sweep() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        // Stopped, so that no worker has noted the hints that are deleted.
        for process in workers(house) {
            process.stops().await;
        }
        let ids = place(house, &table, "emptied").await;
        until("hints to wait", async || {
            house
                .waiting_hints()
                .await
                .is_some_and(|waiting| waiting > 0)
        })
        .await;
        house.empty_queue().await;
        for process in workers(house) {
            process.resume().await;
        }
        until_all_are(house, &ids, "ready").await;

        house.delete_queue().await;
        let ids = place(house, &table, "deleted").await;
        until_all_are(house, &ids, "ready").await;
        until("the queue to be declared again", async || {
            house.waiting_hints().await == Some(0)
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_mysql_everybody_is_told_503_soon_and_its_return_needs_no_restart() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        let ids = place(house, &table, "before").await;
        set(house, Wire::Database, Traffic::Refused);
        until_ready(house, "down", 503).await;

        let began = Instant::now();
        let crowd =
            join_all((0..300).map(|n| refusal(order(house, &table, &format!("meanwhile-{n}")))))
                .await;
        let took = began.elapsed();
        for refused in &crowd {
            let Refusal {
                status,
                reason,
                retry_after,
            } = refused;
            assert_eq!(
                (*status, &**reason),
                (503, "database_unavailable"),
                "{refused:?}"
            );
            assert!(
                retry_after.parse::<u32>().is_ok_and(|seconds| seconds > 0),
                "{refused:?}"
            );
        }
        assert!(
            took < Duration::from_secs(15),
            "the last event arrived after {took:?}"
        );

        set(house, Wire::Database, Traffic::Open);
        until_ready(house, "ok", 200).await;
        until_all_are(house, &ids, "ready").await;
        let ids = place(house, &table, "after").await;
        until_all_are(house, &ids, "ready").await;
        let kept = house
            .read(&format!(
                "/api/v1/orders?store_id={}&limit=100",
                table.shop.store_id
            ))
            .await
            .unwrap();
        assert_eq!(
            kept["items"].as_array().unwrap().len(),
            2 * ORDERS,
            "a refused order was stored"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_died_while_nobody_used_them_refuse_nobody() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        let ids = place(house, &table, "before").await;
        until_all_are(house, &ids, "ready").await;
        for n in 0..5 {
            house
                .wires(Wire::Database)
                .iter()
                .for_each(|line| line.cut());
            let answered = answer(order(house, &table, &format!("after-{n}"))).await;
            assert_eq!(
                answered.map(|(status, _)| status),
                Some(201),
                "after cut {n}"
            );
            let orders = format!("/api/v1/orders?store_id={}", table.shop.store_id);
            let read = answer(house.by_operator(Method::GET, &orders)).await;
            assert_eq!(read.map(|(status, _)| status), Some(200), "after cut {n}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_mysql_makes_everything_slow_and_nothing_wrong() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        // Delays each statement both ways. Orders of one table are placed one after the other.
        set(
            house,
            Wire::Database,
            Traffic::Slow(Duration::from_millis(3)),
        );
        let ids = place(house, &table, "slow").await;
        until_all_are(house, &ids, "ready").await;
        set(house, Wire::Database, Traffic::Open);
        let repeated = table
            .integrator
            .by_webhook_id()
            .into_values()
            .filter(|requests| requests.len() > 1);
        for requests in repeated {
            let handoffs = handoffs(house, &requests[0].order_id).await;
            assert!(
                outcomes(&handoffs[0]).contains(&"unknown".to_owned()),
                "{handoffs:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mysql_that_falls_silent_is_told_of_in_bounded_time_and_a_repeated_order_is_kept_once() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        place(house, &table, "before").await;
        set(house, Wire::Database, Traffic::Frozen);
        let began = Instant::now();
        let silent = refusal(order(house, &table, "silent")).await;
        assert_eq!(
            (silent.status, &*silent.reason),
            (503, "database_unavailable"),
            "{silent:?}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "arrived after {:?}",
            began.elapsed()
        );
        until_ready(house, "down", 503).await;
        set(house, Wire::Database, Traffic::Open);
        until_ready(house, "ok", 200).await;
        let first = until_placed(house, &table, "silent").await;
        let again = until_placed(house, &table, "silent").await;
        assert_eq!(first, again);
        let kept = house
            .read(&format!(
                "/api/v1/orders?store_id={}&limit=100",
                table.shop.store_id
            ))
            .await
            .unwrap();
        assert_eq!(kept["items"].as_array().unwrap().len(), ORDERS + 1);
        until_all_are(house, &[first], "ready").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stalls_past_its_lease_is_taken_over_and_its_late_result_changes_nothing() {
    on_servers(Shape::Fleet, async |house| {
        let table = Table::set_up(house).await.unwrap();
        table.integrator.set_callback_statuses([]);
        let mut workers = workers(house);
        let (one, other) = (workers.next().unwrap(), workers.next().unwrap());
        other.stops().await;
        // Long enough to stop the worker meanwhile, short enough that the response has arrived when it resumes.
        table
            .integrator
            .next([Mood::Slow(Duration::from_millis(300))]);
        let id = until_placed(house, &table, "stalled").await;
        table.integrator.wait_for_requests(1).await;
        one.stops().await;
        sleep(LEASE).await;
        other.resume().await;
        let requests = table.integrator.wait_for_requests(2).await;
        until_all_are(house, std::slice::from_ref(&id), "accepted").await;
        let before = handoffs(house, &id).await;
        one.resume().await;
        until("the late result to be fenced off", async || {
            one.log().contains("it stays recorded as unknown")
        })
        .await;

        assert_eq!(requests[0].webhook_id, requests[1].webhook_id);
        assert_eq!(requests[0].body, requests[1].body);
        assert_eq!(
            (&*requests[0].attempt, &*requests[1].attempt),
            ("1/5", "2/5")
        );
        assert_eq!(outcomes(&before[0]), ["unknown", "acknowledged"]);
        assert_eq!(
            handoffs(house, &id).await,
            before,
            "the late result changed nothing"
        );
        let audit = house.audit().await;
        assert_eq!(audit.code, Some(0), "{}", audit.stdout);
    })
    .await;
}

const PUBLISHED: &str = r#"expediter_publishes_total{result="confirmed"}"#;

/// Runs a test on named servers. Drops the database afterwards, also if the test panics.
async fn on_servers(shape: Shape, story: impl AsyncFnOnce(&House)) {
    let Some(servers) = Servers::named()
        .await
        .expect("the named servers can be reached")
    else {
        assert!(
            !environment::in_ci(),
            "EXPEDITER_TEST_MYSQL_URL or EXPEDITER_TEST_AMQP_URL is not set, and CI must not skip these tests"
        );
        eprintln!(
            "SKIPPED: degradation on servers: EXPEDITER_TEST_MYSQL_URL or EXPEDITER_TEST_AMQP_URL is not set"
        );
        return;
    };
    let house = House::open(shape, Some(servers)).await;
    let told = std::panic::AssertUnwindSafe(story(&house))
        .catch_unwind()
        .await;
    let last_warnings = house.last_warnings(20);
    let servers = house.end().await.expect("it had servers");
    servers
        .end()
        .await
        .expect("the server drops a test's database");
    if let Err(panic) = told {
        eprintln!("{last_warnings}");
        std::panic::resume_unwind(panic);
    }
}

fn set(house: &House, wire: Wire, traffic: Traffic) {
    house.wires(wire).iter().for_each(|line| line.set(traffic));
}

fn workers(house: &House) -> impl Iterator<Item = &e2e::chaos::Process> {
    house
        .processes
        .iter()
        .filter(|process| process.name.starts_with("worker"))
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    until_within(SOON, what, || async { is_so().await.then_some(()) }).await;
}

/// Waits until `/readyz` of the first api process reports this status.
async fn until_ready(house: &House, status: &str, code: u16) {
    let is_so = async || {
        let readiness = house.processes[0].readiness().await;
        readiness.is_some_and(|(said, report)| said == code && report["status"] == status)
    };
    until(&format!("/readyz to say {status}"), is_so).await;
}

fn order(house: &House, table: &Table, key: &str) -> RequestBuilder {
    let body = json!({"items": [{"product_id": table.shop.espresso}]});
    house
        .request(Method::POST, &table.shop.guests_path())
        .header("Idempotency-Key", key)
        .timeout(SOON)
        .json(&body)
}

/// Places `ORDERS` orders concurrently; each must be answered with 201.
async fn place(house: &House, table: &Table, series: &str) -> Vec<String> {
    let placed =
        join_all((0..ORDERS).map(|n| answer(order(house, table, &format!("{series}-{n}"))))).await;
    let ids = placed.into_iter().map(|answered| match answered {
        Some((201, order)) => text(&order["id"]),
        other => panic!("{series}: {other:?}"),
    });
    ids.collect()
}

/// Retries an order with its key until it is answered with 201.
async fn until_placed(house: &House, table: &Table, key: &str) -> String {
    until_within(SOON, key, || async {
        match answer(order(house, table, key)).await {
            Some((201, order)) => Some(text(&order["id"])),
            _ => None,
        }
    })
    .await
}

async fn until_all_are(house: &House, ids: &[String], status: &str) {
    for id in ids {
        until(&format!("{id} to be {status}"), async || {
            let order = house.read(&format!("/api/v1/orders/{id}")).await.unwrap();
            order["status"] == status
        })
        .await;
    }
}

async fn handoffs(house: &House, order_id: &str) -> Vec<Value> {
    let handoffs = house
        .read(&format!("/api/v1/orders/{order_id}/handoffs"))
        .await
        .unwrap();
    handoffs.as_array().unwrap().clone()
}

fn outcomes(handoff: &Value) -> Vec<String> {
    let attempts = handoff["attempts"].as_array().unwrap().iter();
    attempts
        .map(|attempt| attempt["outcome"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Returns the number of events in the table's stream.
async fn event_count(house: &House, table: &Table) -> i64 {
    let mut channel = e2e::Channel::open(&house.channel_url(&table.shop.session_code)).await;
    let e2e::Frame::Message(hello) = channel.next().await else {
        panic!("a live channel begins with a snapshot")
    };
    hello["seq"].as_i64().expect("a snapshot has its number")
}

#[derive(Debug)]
struct Refusal {
    status: u16,
    reason: String,
    retry_after: String,
}

async fn refusal(request: RequestBuilder) -> Refusal {
    let answer = request.send().await.unwrap();
    let retry_after = answer
        .headers()
        .get("retry-after")
        .map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
    Refusal {
        status,
        reason: problem["reason"].as_str().unwrap_or_default().to_owned(),
        retry_after: retry_after.unwrap_or_default(),
    }
}
