//! Tests of the verification: contradictions that it finds, and data that it accepts.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::Mood;

fn request(body: &[u8]) -> Received {
    Received {
        headers: BTreeMap::new(),
        webhook_id: "handoff".to_owned(),
        attempt: "1/5".to_owned(),
        event: "order.placed".to_owned(),
        order_id: "order".to_owned(),
        body: body.to_vec(),
        idempotency_key: "handoff".to_owned(),
        timestamp: "1795608000".to_owned(),
        signature: "v1,AA==".to_owned(),
        is_signed: true,
        at: store::testing::noon(),
        met: Mood::Fine,
    }
}

#[test]
fn repeats_behind_what_may_not_have_arrived_are_right_and_others_are_not() {
    let requests = |count: usize| vec![request(b"same"); count];
    for (outcomes, count, is_right) in [
        (&["acknowledged"][..], 1, true),
        (&["unknown", "acknowledged"], 2, true),
        (&["unknown", "acknowledged"], 1, true),
        (&["retry", "unknown", "acknowledged"], 3, true),
        (&["acknowledged"], 2, false),
        (&[], 1, false),
        (&["acknowledged", "acknowledged"], 2, false),
        (&["refused", "acknowledged"], 2, false),
        (&["retry"; 6], 6, false),
        // An attempt without an outcome excuses no second request.
        (&["open", "acknowledged"], 2, false),
    ] {
        let wrong = find_contradiction(outcomes, outcomes.len(), &requests(count));
        assert_eq!(wrong.is_none(), is_right, "{outcomes:?} {count}: {wrong:?}");
    }
}

#[test]
fn requests_that_were_told_to_slow_down_are_none_of_the_five() {
    let requests = vec![request(b"same"); 9];
    assert_eq!(find_contradiction(&["retry"; 9], 5, &requests), None);
    assert!(find_contradiction(&["retry"; 9], 6, &requests).is_some());
}

#[test]
fn another_body_key_or_no_signature_is_noticed() {
    let outcomes = ["unknown", "acknowledged"];
    let other_key = Received {
        idempotency_key: "other".to_owned(),
        ..request(b"same")
    };
    let unsigned = Received {
        is_signed: false,
        ..request(b"same")
    };
    for second in [request(b"other"), other_key, unsigned] {
        assert!(find_contradiction(&outcomes, 2, &[request(b"same"), second]).is_some());
    }
}

#[test]
fn the_books_stay_open_while_an_attempt_has_no_outcome() {
    let handoff = |closed_at: Option<&str>, outcome: Option<&str>| {
        json!({
            "state": "acknowledged",
            "closed_at": closed_at,
            "attempts": [{"outcome": "unknown"}, {"outcome": outcome}],
        })
    };
    let noon = Some("2026-11-25T12:00:00Z");
    assert_eq!(
        unfinished_reason(&handoff(noon, Some("acknowledged"))),
        None
    );
    let unanswered = unfinished_reason(&handoff(noon, None)).unwrap();
    assert!(unanswered.contains("no outcome"), "{unanswered}");
    let unclosed = unfinished_reason(&handoff(None, Some("retry"))).unwrap();
    assert!(unclosed.contains("not closed"), "{unclosed}");
}
