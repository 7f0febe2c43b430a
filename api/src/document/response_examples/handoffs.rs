//! Examples of handoffs: a kitchen display was off for five attempts, and a manager retried the handoff.

use serde_json::{Value, json};

use super::{
    super::request_examples::{FENCE, LISTENED_HANDOFF, ORDER, STORE},
    at, with_fields,
};

pub(super) const INTEGRATOR: &str = "01980000-0000-7000-8000-000000000006";
const HANDOFF: &str = "01980000-0000-7000-8000-000000000007";
const TEST: &str = "01980000-0000-7000-8000-000000000017";
const ENDED_ORDER: &str = "01980000-0000-7000-8000-000000000033";
const ENDED_HANDOFF: &str = "01980000-0000-7000-8000-000000000027";
const CALLBACK: &str = "01980000-0000-7000-8000-000000000009";
const RETRY: &str = "01980000-0000-7000-8000-00000000000a";
const MANAGER: &str = "01980000-0000-7000-8000-00000000000b";
const NAME: &str = "Kitchen display";
const PLACED: &str = "19:20:00.000000";
const GIVEN_UP: &str = "19:22:50.080000";
const RETRIED: &str = "19:25:00.000000";
const LISTENER: &str = "01980000-0000-7000-8000-000000000036";
/// The beginning of a body; the guide for integrators has a whole one.
const BODY: &str = r#"{"event":"order.placed"}"#;
const SECRET: &str = "whsec_b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM=";

/// Acknowledged at the first attempt of the second round.
pub(super) fn acknowledged() -> Value {
    let mut attempts = first_round();
    attempts.push(json!({
        "round": 2, "n": 1, "started_at": at("19:25:00.020000"), "ended_at": at("19:25:00.060000"),
        "outcome": "acknowledged", "counted": true, "status": 200, "error": null, "response": "{\"reference\":\"K-88\"}",
    }));
    let fields = json!({
        "state": "acknowledged", "next_attempt_at": null, "confirmed_at": at("19:30:00.100000"),
        "reference": "K-88", "not_retryable": "a handoff that is acknowledged can't be retried",
        "closed_at": at("19:25:00.060000"), "attempts": attempts,
    });
    with_fields(due_again(), fields)
}

pub(super) fn due_again() -> Value {
    let fields = json!({
        "state": "due", "round": 2, "next_attempt_at": at(RETRIED), "waiting_for": "concurrency",
        "deadline": "2026-11-21T19:25:00.000000Z", "reason": null, "not_retryable": "a handoff that is due can't be retried", "closed_at": null,
        "attempts": first_round(),
        "rounds": [{
            "round": 2, "retry_id": RETRY, "retried_by": manager(), "retried_at": at(RETRIED),
            "due_at": at(RETRIED),
        }],
        "body": null,
    });
    with_fields(failed(), fields)
}

/// Failed after five attempts. Staff had accepted the order by then, so the order stays open.
fn failed() -> Value {
    json!({
        "id": HANDOFF, "store_id": STORE, "order_id": ORDER, "order_number": 17, "integrator_id": INTEGRATOR,
        "integrator": NAME, "event": "order.placed", "state": "failed", "required": true, "round": 1,
        "max_attempts": 5, "next_attempt_at": null, "waiting_for": null, "waiting_until": null,
        "deadline": at("19:30:00.000000"), "confirmed_at": null, "reference": null, "reason": "attempts_used_up", "error": null, "not_retryable": null,
        "created_at": at(PLACED), "closed_at": at(GIVEN_UP),
    })
}

fn first_round() -> Vec<Value> {
    let begun = ["19:20:00", "19:20:02", "19:20:10", "19:20:42", "19:22:50"];
    let attempts = (1..).zip(begun).map(|(n, begun)| {
        with_fields(
            attempt(n, begun),
            json!({"response": "The display is off."}),
        )
    });
    attempts.collect()
}

fn attempt(n: u32, begun: &str) -> Value {
    json!({
        "round": 1, "n": n, "started_at": at(&format!("{begun}.040000")),
        "ended_at": at(&format!("{begun}.080000")), "outcome": "retry", "counted": true, "status": 503, "error": null,
    })
}

pub(super) fn listed() -> Value {
    let fields = json!({
        "attempts": 5, "attempts_in_all": 5, "last_attempt": attempt(5, "19:22:50"),
    });
    with_fields(failed(), fields)
}

pub(super) fn test() -> Value {
    let fields = json!({
        "id": TEST, "order_id": null, "order_number": null, "event": "test", "state": "due", "required": false,
        "next_attempt_at": at(PLACED), "deadline": "2026-11-21T19:20:00.000000Z", "reason": null,
        "not_retryable": "a handoff that is due can't be retried", "closed_at": null, "attempts": [], "rounds": [], "body": null,
    });
    with_fields(failed(), fields)
}

fn manager() -> Value {
    json!({"id": MANAGER, "username": "berta"})
}

/// Result of a dry run.
pub(super) fn retried() -> Value {
    let of_an_open_order = json!({
        "handoff_id": HANDOFF, "order_id": ORDER, "order_number": 17, "integrator_id": INTEGRATOR,
        "integrator": NAME, "event": "order.placed", "state": "failed", "reason": "attempts_used_up",
        "due_at": at(RETRIED), "refused": null,
    });
    let of_an_ended_order = with_fields(
        of_an_open_order.clone(),
        json!({
            "handoff_id": ENDED_HANDOFF, "order_id": ENDED_ORDER, "order_number": 12,
            "due_at": null, "refused": "order_ended",
        }),
    );
    json!({
        "id": null, "dry_run": true, "matched": 2, "retried": 1, "refused": refused(),
        "sample": [of_an_ended_order, of_an_open_order],
        "first_due_at": at(RETRIED), "last_due_at": at(RETRIED), "next_cursor": null,
    })
}

fn refused() -> Value {
    json!([{"reason": "order_ended", "count": 1}])
}

pub(super) fn retry() -> Value {
    json!({
        "id": RETRY, "retried_by": manager(), "store_id": STORE,
        "filter": {"stores": [STORE], "states": ["failed"]},
        "matched": 2, "retried": 1, "refused": refused(),
        "started_at": at(RETRIED), "finished_at": at(RETRIED),
    })
}

pub(super) fn stuck() -> Value {
    json!({
        "kind": "handoff_failed", "store_id": STORE, "order_id": ORDER, "order_number": 17,
        "integrator_id": INTEGRATOR, "integrator": NAME, "handoff_id": HANDOFF, "callback_id": null,
        "since": at(GIVEN_UP),
        "why": "The order requires it, but it failed permanently after the order was accepted: attempts_used_up.",
        "next": format!(
            "GET /handoffs/{HANDOFF} shows every attempt. After fixing the cause: POST /handoffs/{HANDOFF}/retry"
        ),
    })
}

pub(super) fn callback() -> Value {
    json!({
        "id": CALLBACK, "store_id": STORE, "integrator_id": INTEGRATOR, "integrator": NAME,
        "webhook_id": "K-88-3", "order_id": ORDER, "order_number": 17, "reference": null, "sequence": 3,
        "payload": {
            "order_id": ORDER, "status": "ready", "sequence": 3, "occurred_at": "2026-11-20T19:30:00Z",
        },
        "received_at": at("19:30:00.050000"), "applied_at": at("19:30:00.100000"), "result": "applied",
        "detail": null, "failures": 0,
    })
}

pub(super) fn integrator() -> Value {
    json!({
        "id": INTEGRATOR, "store_id": STORE, "store_ids": [STORE], "name": NAME, "kind": "kitchen", "format": "order",
        "events": ["order.placed", "order.cancelled"], "url": "https://kitchen.example/orders",
        "required": true, "confirms": "callback", "unknown_policy": "resend", "callback_auth": "signature",
        "auth_type": "none", "status_map": {"DONE": "ready"},
        "answers": {"token": null, "reference": "/ticket/id"}, "max_attempts": 5, "concurrency": 8,
        "rate_per_s": null, "enabled": true, "disabled_reason": null, "listens_until": null, "version": 1,
        "created_at": at("08:00:00.000000"),
    })
}

pub(super) fn integrator_with_health() -> Value {
    let failure = json!({"at": at(GIVEN_UP), "status": 503, "error": null});
    let health = json!({
        "breaker": {"state": "closed", "until": null}, "pace": {"paused_until": null, "rate_per_s": null},
        "failures_in_a_row": 0, "failing_since": null,
        "success_rate": 0.95, "last_success_at": at("19:25:00.060000"), "last_failure": failure,
    });
    with_fields(integrator(), json!({"health": health}))
}

pub(super) fn connected() -> Value {
    let integrator = with_fields(integrator(), json!({"status_map": {}}));
    json!({"integrator": integrator, "signing_secret": SECRET, "callback_secret": SECRET})
}

pub(super) fn rotated_secret() -> Value {
    json!({"secret": "signing", "value": SECRET})
}

pub(super) fn listener() -> Value {
    json!({
        "id": LISTENER, "store_id": STORE, "name": "ada's laptop", "format": "order", "events": ["order.placed"],
        "signing_secret": SECRET, "listens_until": at("19:25:00.000000"),
    })
}

pub(super) fn claimed_messages() -> Value {
    let message = json!({
        "handoff_id": LISTENED_HANDOFF, "event": "order.placed", "order_id": ORDER, "order_number": 17, "round": 1,
        "n": 1, "fence": FENCE, "leased_until": at("19:20:25.000000"), "headers": headers(LISTENED_HANDOFF, "1/5"),
        "body": BODY,
    });
    json!({"messages": [message], "attempt_timeout_ms": 10_000, "listens_until": at("19:25:00.000000")})
}

pub(super) fn recorded_outcome() -> Value {
    json!({"result": "recorded", "outcome": "acknowledged", "next_attempt_at": null})
}

pub(super) fn message() -> Value {
    let mut headers = headers(HANDOFF, "1/5");
    headers.push(json!({"name": "expediter-replay", "value": "true"}));
    json!({"handoff_id": HANDOFF, "event": "order.placed", "headers": headers, "body": BODY})
}

fn headers(handoff: &str, attempt: &str) -> Vec<Value> {
    let trace = handoff.replace('-', "");
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", handoff.to_owned()),
        ("webhook-timestamp", "1795202400".to_owned()),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned(),
        ),
        ("idempotency-key", handoff.to_owned()),
        ("expediter-attempt", attempt.to_owned()),
        ("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")),
    ];
    headers
        .map(|(name, value)| json!({"name": name, "value": value}))
        .to_vec()
}
