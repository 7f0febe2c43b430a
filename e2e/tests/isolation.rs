//! One bad integrator affects no other: four integrators of one store, served by two separate workers.

use std::collections::HashSet;

use e2e::{Fleet, Integrator, Kind, Launch, Member, Mood, Received, client, on_servers, until};
use platform::clock::Clock;
use reqwest::Method;
use serde_json::json;

const ORDERS: usize = 60;
const CAP: usize = 4;

/// Returns the value of one metric of a process.
async fn measured(member: &Member, name: &str) -> i64 {
    let answer = client().get(format!("{}/metrics", member.url)).send().await;
    let text = answer.expect("it answers").text().await.expect("in text");
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.parse().expect("a number"))
    });
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

async fn until_each(workers: &[Member; 2], name: &str, is_so: impl Fn(i64) -> bool) {
    until(name, || async {
        let each = [
            measured(&workers[0], name).await,
            measured(&workers[1], name).await,
        ];
        each.into_iter().all(&is_so).then_some(())
    })
    .await;
}

/// Asserts that any period of n seconds has at most n + 1 requests.
fn assert_one_a_second(received: &[Received]) {
    for (n, first) in received.iter().enumerate() {
        for (between, last) in received[n..].iter().enumerate() {
            let allowed = (last.at - first.at).as_seconds_f64() + 1.0;
            assert!(
                between as f64 <= allowed,
                "{} more within {}",
                between,
                last.at - first.at
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_integrator_harms_nobody() {
    on_servers(|ground| async move {
        let mut fleet = Fleet::found(&ground).await;
        let api = fleet.start(Kind::Api).await;
        // A long timeout, so that hanging requests are still first attempts on a busy machine.
        let patient = |launch: Launch| launch.set("worker.attempt_timeout_ms", 60_000);
        let workers = [
            fleet.start_with(Kind::Worker, patient).await,
            fleet.start_with(Kind::Worker, patient).await,
        ];
        until_each(&workers, "expediter_workers_live", |live| live == 2).await;

        let [fine, hanging, failing, limited] = [Mood::Fine, Mood::Silent, Mood::Answers(500), Mood::Fine].map(|mood| {
            let integrator = Integrator::start(Clock::system());
            integrator.always(mood);
            integrator.set_callback_statuses([]);
            integrator
        });
        let shop = fleet.open_shop(&fine).await;
        for (integrator, rate_per_s) in [(&hanging, None), (&failing, None), (&limited, Some(1))] {
            let wanted = json!({
                "store_id": shop.store_id, "name": "Another", "kind": "kitchen", "url": integrator.url,
                "concurrency": CAP, "rate_per_s": rate_per_s,
            });
            integrator.set_secrets(&fleet.create("/api/v1/integrators", &wanted).await);
        }
        for _ in 0..ORDERS {
            shop.place(fleet.request(Method::POST, &shop.guests_path())).await;
        }

        let received = fine.wait_for_requests(ORDERS).await;
        let orders: HashSet<&str> = received.iter().map(|one| one.order_id.as_str()).collect();
        assert_eq!((received.len(), orders.len()), (ORDERS, ORDERS));
        // Hanging requests are first attempts, as many as the cap allows.
        let open = hanging.wait_for_requests(CAP).await;
        assert_eq!(open.len(), CAP);
        assert!(open.iter().all(|one| one.attempt == "1/5"), "{open:?}");
        // Each worker uses half of the cap.
        until_each(&workers, "expediter_lanes_in_flight", |open| open >= CAP as i64 / 2).await;

        let at_its_pace = limited.wait_for_requests(4).await;
        assert_one_a_second(&at_its_pace);
        assert_eq!(hanging.peak(), CAP);
        assert!(!failing.received().is_empty() && failing.peak() <= CAP, "{}", failing.peak());
        assert!(limited.peak() <= CAP);
        assert!(fine.peak() <= 16, "{}", fine.peak());

        for member in workers.iter().chain([&api]) {
            let log = member.log();
            assert!(!log.contains("RabbitMQ connection failed"), "the broker was never down: {log}");
        }
        fleet.audit_is_clean().await;
    })
    .await;
}
