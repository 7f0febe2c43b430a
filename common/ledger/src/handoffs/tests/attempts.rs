//! Results of an attempt, and the time of the next one.

use each_database::each_database;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Acknowledged, Due, Failed, OrderCancelled, OrderPlaced, Sending, Waiting, attempts};
use crate::{
    ChangeError, NoWake,
    handoffs::{Concluded, RetryRefused},
    scene::{LEASE, QUANTITY, STOCK, Scene},
    testing::TestLedger,
};
use domain::{
    event::EventKind,
    handoff::{AttemptOutcome, FailReason, RetryAfter, SendResult, Verdict},
    hint::Hint,
    status::OrderStatus,
};

const LOST_OR_REFUSED: [u16; 3] = [500, 502, 503];

#[each_database]
async fn a_claim_puts_the_attempt_on_record_before_the_request_leaves(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;

    assert_eq!((claimed.n, claimed.order_number), (1, Some(1)));
    assert_eq!(claimed.leased_until, house.clock.now() + LEASE);
    assert_eq!(scene.handoff(claimed.handoff.id).await, claimed.handoff);
    assert_eq!(scene.status(order.id).await, OrderStatus::Processing);
    let body: serde_json::Value = serde_json::from_slice(&claimed.body).unwrap();
    assert_eq!(body["order"]["id"], order.id.to_string());
    assert_eq!(
        body["callback_url"],
        format!(
            "http://127.0.0.1:8080/api/v1/integrators/{}/callbacks",
            kitchen.id
        )
    );
    let open = attempts(&scene, &claimed).await;
    assert_eq!((open.len(), open[0].n, open[0].outcome), (1, 1, None));
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_acknowledgement_accepts_the_order_and_keeps_the_reference(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    let heard = SendResult::Answer {
        status: 201,
        retry_after: None,
    };
    let concluded = scene
        .heard(&claimed, heard.clone(), br#"{"reference":"K-7"}"#)
        .await;

    let recorded = Concluded::Recorded {
        outcome: AttemptOutcome::Acknowledged,
        verdict: Verdict::Acknowledged,
    };
    assert_eq!(concluded, recorded);
    let handoff = scene.handoff(claimed.handoff.id).await;
    assert_eq!(
        (handoff.state, handoff.reference.as_deref()),
        (Acknowledged, Some("K-7"))
    );
    assert_eq!(handoff.confirmed_at, Some(house.clock.now()));
    assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
    let kept = attempts(&scene, &claimed).await;
    assert_eq!(kept[0].response.as_deref(), Some(r#"{"reference":"K-7"}"#));
    assert_eq!(kept[0].http_status, Some(201));
    // A repeated conclusion counts once.
    let before = Concluded::AlreadyRecorded {
        outcome: AttemptOutcome::Acknowledged,
    };
    assert_eq!(scene.heard(&claimed, heard, b"").await, before);
    let otherwise = SendResult::NotConnected {
        error: "told by nobody".into(),
    };
    assert_eq!(scene.heard(&claimed, otherwise, b"").await, before);
    assert_eq!(attempts(&scene, &claimed).await, kept);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn after_exactly_five_attempts_the_order_fails_and_its_stock_is_back(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    assert_eq!(scene.stock().await, STOCK - i64::from(QUANTITY));
    let mut bodies = Vec::new();
    for (n, wait_s) in [(1, 0), (2, 2), (3, 8), (4, 32), (5, 128)] {
        if n > 1 {
            let before = house.clock.now();
            let next = scene.claims(&kitchen).await;
            assert!(next.claimed.is_empty(), "never earlier than the schedule");
            house.clock.set(next.next_due_at.unwrap());
            let waited = (house.clock.now() - before).num_milliseconds();
            assert!(
                (wait_s * 1000..=wait_s * 1200).contains(&waited),
                "{waited} ms before attempt {n}"
            );
        }
        let claimed = scene.claim(&kitchen).await;
        assert_eq!(claimed.n, n);
        scene
            .answers(&claimed, LOST_OR_REFUSED[usize::try_from(n).unwrap() % 3])
            .await;
        bodies.push(claimed.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the same bytes on every attempt");
    let ended = scene.now(order.id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (OrderStatus::Failed, Some("integrator_unreachable"))
    );
    assert_eq!(scene.stock().await, STOCK);
    let told: Vec<_> = house
        .woken
        .events()
        .into_iter()
        .filter(|event| event.kind == EventKind::HandoffFailed)
        .collect();
    assert_eq!(
        (told.len(), &told[0].data["handoff"]["reason"]),
        (1, &serde_json::json!("attempts_used_up"))
    );
    // An integrator that answered 5xx may have received the order all the same, so it is told of the end.
    let cancelled = scene.claim(&kitchen).await;
    assert_eq!(cancelled.handoff.event, OrderCancelled);
    scene.answers(&cancelled, 200).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_refusal_is_final_at_once_and_nobody_is_told_of_an_end_they_refused(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 422).await;
    let ended = scene.now(order.id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (OrderStatus::Failed, Some("integrator_refused"))
    );
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Failed)]
    );
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_lost_worker_leaves_an_unknown_outcome_and_the_same_bytes_go_again(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let first = scene.claim(&kitchen).await;
    house.clock.advance(LEASE - Duration::from_millis(1));
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 0);
    house.clock.advance(Duration::from_millis(1));
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 0);
    assert_eq!(
        attempts(&scene, &first).await[0].outcome,
        Some(AttemptOutcome::Unknown)
    );

    // The worker was only slow: its outcome comes too late.
    assert_eq!(scene.answers(&first, 200).await, Concluded::Fenced);
    assert_eq!(scene.handoff(first.handoff.id).await.state, Waiting);
    scene.advance_until_due(first.handoff.id).await;
    let second = scene.claim(&kitchen).await;
    assert_eq!(
        (second.handoff.id, second.n, &second.body),
        (first.handoff.id, 2, &first.body)
    );
    assert_eq!(scene.answers(&first, 200).await, Concluded::Fenced);
    scene.answers(&second, 200).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
    let outcomes: Vec<_> = attempts(&scene, &second)
        .await
        .into_iter()
        .map(|attempt| attempt.outcome.unwrap())
        .collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Unknown, AttemptOutcome::Acknowledged]
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn many_claimers_take_each_handoff_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..24 {
        scene.order().await;
    }
    let ledgers = [
        house.ledger.clone(),
        house.ledger_with_wake(std::sync::Arc::new(NoWake)),
    ];
    let claimers = (0..8).map(|at: usize| {
        let (ledger, id) = (ledgers[at % 2].clone(), kitchen.id);
        async move {
            let mut taken = Vec::new();
            loop {
                let claims = ledger.claim_handoffs(id, 3, LEASE).await.unwrap();
                let is_done = claims.claimed.is_empty() && !claims.retry_soon;
                taken.extend(claims.claimed.into_iter().map(|claimed| claimed.handoff.id));
                if is_done {
                    return taken;
                }
            }
        }
    });
    let mut taken: Vec<_> = join_all(claimers).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 24);
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 24);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn first_attempts_come_before_retries(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    let old = scene.claim(&kitchen).await;
    scene.answers(&old, 500).await;
    scene.advance_until_due(old.handoff.id).await;
    house.clock.advance(Duration::from_secs(1));
    scene.order().await;
    let claims = house
        .ledger
        .claim_handoffs(kitchen.id, 1, LEASE)
        .await
        .unwrap();
    assert_eq!(
        (claims.claimed[0].n, claims.claimed[0].order_number),
        (1, Some(2))
    );
    assert_eq!(scene.claim(&kitchen).await.n, 2);
}

#[each_database]
async fn what_was_deferred_uses_up_nothing_but_never_outlives_its_deadline(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    let until = house.clock.now() + Duration::from_secs(20);
    house
        .ledger
        .defer_attempt(&claimed, until, "the breaker is open")
        .await
        .unwrap();
    let handoff = scene.handoff(claimed.handoff.id).await;
    assert_eq!(
        (handoff.state, handoff.attempts, handoff.next_attempt_at),
        (Due, 0, Some(until))
    );
    assert_eq!(attempts(&scene, &claimed).await, []);
    assert_eq!(scene.claims(&kitchen).await.next_due_at, Some(until));
    scene.assert_audit_clean().await;

    house.clock.set(until);
    let again = scene.claim(&kitchen).await;
    assert_eq!(again.n, 1);
    assert_ne!(again.fence, claimed.fence);
    house
        .ledger
        .defer_attempt(&claimed, until, "an old fence")
        .await
        .unwrap();
    assert_eq!(scene.handoff(claimed.handoff.id).await.state, Sending);
    let much_later = house.clock.now() + Duration::from_secs(100_000);
    house
        .ledger
        .defer_attempt(&again, much_later, "no room")
        .await
        .unwrap();
    let accept_by = order.accept_by.unwrap();
    assert_eq!(
        scene.handoff(claimed.handoff.id).await.next_attempt_at,
        Some(accept_by)
    );

    house.clock.set(accept_by);
    scene.assert_nothing_due(&kitchen).await;
    let handoff = scene.handoff(claimed.handoff.id).await;
    assert_eq!(
        (handoff.state, handoff.reason.as_deref()),
        (Failed, Some("deadline"))
    );
    assert_eq!(scene.status(order.id).await, OrderStatus::Failed);
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_retry_after_past_accept_by_ends_the_handoff(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    let heard = SendResult::Answer {
        status: 500,
        retry_after: Some(RetryAfter::After(Duration::from_secs(601))),
    };
    let concluded = scene.heard(&claimed, heard, b"").await;
    let verdict = Verdict::Failed {
        reason: FailReason::Deadline,
    };
    assert_eq!(
        concluded,
        Concluded::Recorded {
            outcome: AttemptOutcome::Retry,
            verdict
        }
    );
    assert_eq!(scene.status(order.id).await, OrderStatus::Failed);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn only_the_first_16_kib_of_an_answer_are_kept(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    let heard = SendResult::Answer {
        status: 200,
        retry_after: None,
    };
    scene.heard(&claimed, heard, &vec![b'x'; 20_000]).await;
    assert_eq!(
        attempts(&scene, &claimed).await[0]
            .response
            .as_ref()
            .unwrap()
            .len(),
        16 * 1024
    );
}

#[each_database]
async fn a_retry_by_hand_is_a_new_round_of_five_with_the_same_bytes(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let first = scene.claim(&kitchen).await;
    scene.staff_move(order.id, OrderStatus::Accepted).await;
    let (id, person) = (first.handoff.id, house.chance.id(house.clock.now()));
    let not_yet = house.ledger.retry_handoff(id, person).await;
    assert!(matches!(
        not_yet,
        Err(ChangeError::Refused(RetryRefused::NotRetryable {
            state: Sending
        }))
    ));
    scene.answers(&first, 422).await;

    drop(house.woken.take());
    let opened = house.ledger.retry_handoff(id, person).await.unwrap();
    assert_eq!(
        house.woken.hints(),
        [Hint::Handoffs {
            integrator: kitchen.id
        }]
    );
    assert_eq!(scene.handoff(id).await, opened);
    for n in 1..=5 {
        scene.advance_until_due(id).await;
        let again = scene.claim(&kitchen).await;
        assert_eq!(
            (again.handoff.round, again.n, &again.body),
            (2, n, &first.body)
        );
        scene.answers(&again, 500).await;
    }
    assert_eq!(scene.handoff(id).await.state, Failed);
    let (_, attempts) = house.ledger.handoff(id).await.unwrap().unwrap();
    assert_eq!(attempts.len(), 6);
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    let ended = house.ledger.retry_handoff(id, person).await;
    assert!(matches!(
        ended,
        Err(ChangeError::Refused(RetryRefused::OrderEnded))
    ));
    scene.assert_audit_clean().await;
}

/// Covers a takeover by a database that lacks the last commit: the claim under which the request was sent.
#[each_database]
async fn a_claim_that_the_database_lost_does_not_answer_for_the_next_one(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let first = scene.claim(&kitchen).await;
    for lost in [
        "DELETE FROM attempts",
        "UPDATE handoffs SET state = 'due', attempts = 0, fence = 0, leased_until = NULL, body = NULL",
        "UPDATE orders SET status = 'pending'",
    ] {
        scene.damage(lost).await;
    }
    assert_eq!(scene.answers(&first, 422).await, Concluded::Forgotten);
    let second = scene.claim(&kitchen).await;
    assert_eq!((second.handoff.id, second.n), (first.handoff.id, first.n));
    // Late, or by a worker that knows nothing of the takeover: refused and acknowledged ones alike.
    assert_eq!(scene.answers(&first, 422).await, Concluded::Forgotten);
    assert_eq!(scene.answers(&first, 200).await, Concluded::Forgotten);
    assert_eq!(scene.status(order.id).await, OrderStatus::Processing);
    scene.answers(&second, 200).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
    assert_eq!(scene.answers(&first, 422).await, Concluded::Forgotten);
}
