//! Integrators that fail, are slow, repeat callbacks or forge them: checks requests, recorded attempts and screens.

use std::{net::TcpListener, time::Duration};

use chrono::{DateTime, Utc};
use e2e::{
    Expediter, Ground, Integrator, Launch, Mood, Received, Shop, SignedWith, Verification, text,
    until,
};
use reqwest::Method;
use serde_json::{Value, json};

const BUNS: u32 = 10;
/// Speed of the clock: retries after 2, 8, 32 and 128 s take a few seconds.
const RATE: u32 = 40;

e2e::each_ground! {
    async fn a_kitchen_that_fails_four_times_gets_the_order_at_the_fifth(ground: Ground) {
        let (expediter, integrator, shop) = open(fast(&ground), json!({})).await;
        integrator.next([Mood::Answers(503); 4]);
        let mut channel = expediter.channel(&shop.session_code, None).await;
        let order_id = place(&expediter, &shop, json!([{"product_id": shop.bun, "quantity": 3}])).await;
        channel.until_status(&order_id, "accepted").await;
        channel.until_status(&order_id, "ready").await;

        let requests = integrator.received_for(&order_id);
        assert_eq!(attempt_headers(&requests), ["1/5", "2/5", "3/5", "4/5", "5/5"]);
        assert_same_message(&requests);
        let attempts = attempts(&expediter.handoffs(&order_id).await[0]);
        assert_eq!(outcomes(&attempts), ["retry", "retry", "retry", "retry", "acknowledged"]);
        assert_never_earlier_than_the_schedule(&attempts);
        assert_eq!(shop.buns(&expediter).await, i64::from(BUNS) - 3);
        assert_audit_is_clean(&expediter).await;
    }

    async fn a_kitchen_that_fails_for_good_gets_exactly_five_requests_and_is_told_of_the_end(ground: Ground) {
        let (expediter, integrator, shop) = open(fast(&ground), json!({})).await;
        integrator.next([Mood::Answers(500); 5]);
        let mut channel = expediter.channel(&shop.session_code, None).await;
        let order_id = place(&expediter, &shop, json!([{"product_id": shop.bun, "quantity": 3}])).await;
        assert_eq!(shop.buns(&expediter).await, i64::from(BUNS) - 3);
        let told = channel.until_status(&order_id, "failed").await;
        assert_eq!(told["data"]["order"]["reason"], "integrator_unreachable");

        let order = expediter.read(&format!("/api/v1/orders/{order_id}")).await;
        assert_eq!((&order["status"], &order["reason"]), (&json!("failed"), &json!("integrator_unreachable")));
        assert_eq!(shop.buns(&expediter).await, i64::from(BUNS));
        // After a 500 the integrator may have stored the order all the same (ADR 5).
        let handoffs = until("the integrator to be notified of the end", || async {
            let handoffs = expediter.handoffs(&order_id).await;
            handoffs.iter().all(|handoff| !handoff["closed_at"].is_null()).then_some(handoffs)
        })
        .await;
        assert_eq!(words(&handoffs, "event"), ["order.placed", "order.cancelled"]);
        assert_eq!(words(&handoffs, "state"), ["failed", "acknowledged"]);
        let attempts = attempts(&handoffs[0]);
        assert_eq!(outcomes(&attempts), ["retry"; 5]);
        assert_never_earlier_than_the_schedule(&attempts);

        let by_id = integrator.by_webhook_id();
        let placed = &by_id[&text(&handoffs[0]["id"])];
        assert_eq!(attempt_headers(placed), ["1/5", "2/5", "3/5", "4/5", "5/5"]);
        assert_same_message(placed);
        assert_eq!(by_id[&text(&handoffs[1]["id"])].len(), 1);
        assert_audit_is_clean(&expediter).await;
    }

    async fn a_kitchen_that_is_off_hears_nothing_of_an_order_that_failed_meanwhile(ground: Ground) {
        let (expediter, _, shop) = open(fast(&ground), json!({"url": unreachable_address()})).await;
        let mut channel = expediter.channel(&shop.session_code, None).await;
        let order_id = place(&expediter, &shop, json!([{"product_id": shop.espresso}])).await;
        channel.until_status(&order_id, "failed").await;
        let handoffs = expediter.handoffs(&order_id).await;
        assert_eq!(words(&handoffs, "event"), ["order.placed"]);
        assert_eq!(outcomes(&attempts(&handoffs[0])), ["retry"; 5]);
        assert_audit_is_clean(&expediter).await;
    }

    async fn an_answer_that_comes_too_late_is_unknown_and_the_same_message_is_sent_again(ground: Ground) {
        let launch = fast(&ground).set("worker.attempt_timeout_ms", 300).set("worker.connect_timeout_ms", 300);
        let (expediter, integrator, shop) = open(launch, json!({})).await;
        integrator.next([Mood::Slow(Duration::from_secs(2)), Mood::Silent]);
        let mut channel = expediter.channel(&shop.session_code, None).await;
        let order_id = place(&expediter, &shop, json!([{"product_id": shop.espresso}])).await;
        channel.until_status(&order_id, "ready").await;
        let handoff = &expediter.handoffs(&order_id).await[0];
        let attempts = attempts(handoff);
        assert_eq!(outcomes(&attempts), ["unknown", "unknown", "acknowledged"]);
        assert_never_earlier_than_the_schedule(&attempts);
        let requests = &integrator.by_webhook_id()[&text(&handoff["id"])];
        assert_eq!(attempt_headers(requests), ["1/5", "2/5", "3/5"]);
        assert_same_message(requests);
        Verification { expediter: &expediter, shop: &shop, integrator: &integrator, buns: i64::from(BUNS) }
            .assert_audit_is_clean()
            .await;
    }

    async fn a_callback_that_comes_twice_counts_once(ground: Ground) {
        let (expediter, integrator, shop) = open(ground.launch(), json!({})).await;
        integrator.set_callback_copies(2);
        let mut channel = expediter.channel(&shop.session_code, None).await;
        let order_id = place(&expediter, &shop, json!([{"product_id": shop.espresso}])).await;
        channel.until_status(&order_id, "ready").await;
        let called = until("both copies of the last callback to be answered", || {
            let called = integrator.called();
            async move { (called.len() >= 4).then_some(called) }
        })
        .await;
        let results: Vec<_> = called.iter().map(|one| (one.status.as_str(), one.answered, one.answer["result"].clone())).collect();
        assert_eq!(results, [
            ("preparing", 202, json!("stored")),
            ("preparing", 202, json!("duplicate")),
            ("ready", 202, json!("stored")),
            ("ready", 202, json!("duplicate")),
        ]);
        assert_eq!(statuses(&expediter, &order_id).await, ["pending", "processing", "accepted", "preparing", "ready"]);
        assert_audit_is_clean(&expediter).await;
    }

    async fn a_forged_callback_is_refused_and_moves_nothing(ground: Ground) {
        let (expediter, integrator, shop) = open(ground.launch(), json!({})).await;
        integrator.set_callback_statuses([]);
        let mut channel = expediter.channel(&shop.session_code, None).await;
        let order_id = place(&expediter, &shop, json!([{"product_id": shop.espresso}])).await;
        channel.until_status(&order_id, "accepted").await;
        let url = format!("{}/api/v1/integrators/{}/callbacks", expediter.url, shop.integrator_id);
        let ready = json!({"order_id": order_id, "status": "ready"});
        for with in [SignedWith::SigningSecret, SignedWith::OldCallback, SignedWith::AnotherBody] {
            let (status, problem) = integrator.call(&url, "forged", &ready, with).await;
            assert_eq!(status, 401, "{with:?}: {problem}");
        }
        // Signed correctly, but about an order that this integrator never received.
        let others = json!({"order_id": shop.store_id, "status": "ready"});
        assert_eq!(integrator.call(&url, "others", &others, SignedWith::CallbackSecret).await.0, 404);
        // Nothing was stored: the same webhook-id is new, and the first to change the order.
        let (status, answer) = integrator.call(&url, "forged", &ready, SignedWith::CallbackSecret).await;
        assert_eq!((status, &answer["result"]), (202, &json!("stored")));
        channel.until_status(&order_id, "ready").await;
        assert_eq!(statuses(&expediter, &order_id).await, ["pending", "processing", "accepted", "ready"]);
        assert_audit_is_clean(&expediter).await;
    }
}

/// Speeds up the clock; leases are longer, because a debug build may pause for a while.
fn fast(ground: &Ground) -> Launch {
    ground
        .launch()
        .fast(RATE)
        .set("worker.lease_margin_s", 5 * RATE)
}

async fn open(launch: Launch, more: Value) -> (Expediter, Integrator, Shop) {
    let integrator = Integrator::start(launch.clock());
    let expediter = launch.start().await;
    let shop = Shop::open_like(&expediter, &integrator, BUNS, more).await;
    (expediter, integrator, shop)
}

async fn place(expediter: &Expediter, shop: &Shop, items: Value) -> String {
    let request = expediter.request(Method::POST, &shop.guests_path());
    let (status, order) = expediter
        .answer(request.json(&json!({"items": items})))
        .await;
    assert_eq!(status, 201, "{order}");
    text(&order["id"])
}

/// Returns an address on which nothing listens any more.
fn unreachable_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    format!(
        "http://{}/orders",
        listener.local_addr().expect("it is bound")
    )
}

fn attempts(handoff: &Value) -> Vec<Value> {
    handoff["attempts"]
        .as_array()
        .expect("a list of attempts")
        .clone()
}

fn outcomes(attempts: &[Value]) -> Vec<String> {
    words(attempts, "outcome")
}

fn words(values: &[Value], field: &str) -> Vec<String> {
    values.iter().map(|value| text(&value[field])).collect()
}

fn attempt_headers(requests: &[Received]) -> Vec<&str> {
    requests
        .iter()
        .map(|request| request.attempt.as_str())
        .collect()
}

fn assert_same_message(requests: &[Received]) {
    for request in requests {
        assert!(request.is_signed, "{request:?}");
        assert_eq!(request.webhook_id, requests[0].webhook_id);
        assert_eq!(request.idempotency_key, request.webhook_id);
        assert_eq!(request.body, requests[0].body);
    }
}

/// Asserts that the time from each attempt's end to the next one's start is at least the schedule's.
fn assert_never_earlier_than_the_schedule(attempts: &[Value]) {
    let at = |attempt: &Value, field: &str| -> DateTime<Utc> {
        text(&attempt[field]).parse().expect("a time")
    };
    for (pair, least_s) in attempts.windows(2).zip([2, 8, 32, 128]) {
        let waited = at(&pair[1], "started_at") - at(&pair[0], "ended_at");
        assert!(
            waited.num_milliseconds() >= least_s * 1000,
            "{waited} instead of {least_s} s: {pair:?}"
        );
    }
}

async fn statuses(expediter: &Expediter, order_id: &str) -> Vec<String> {
    let events = expediter
        .read(&format!("/api/v1/orders/{order_id}/events"))
        .await;
    let events = events.as_array().expect("a list of events").clone();
    events
        .iter()
        .map(|event| text(&event["data"]["order"]["status"]))
        .collect()
}

async fn assert_audit_is_clean(expediter: &Expediter) {
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}\n{}", audit.stdout, audit.stderr);
}
