//! Outcomes that share a commit, on both databases: each counts as if it were alone.

mod mixed;

use each_database::each_database;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{Conclusion, PendingOutcome, conclude_in_one_transaction};
use crate::{
    Failure,
    handoffs::{Claimed, Concluded, lock},
    scene::{LEASE, Scene},
    testing::TestLedger,
};
use domain::{
    handoff::{AttemptOutcome, HandoffState, SendResult, Verdict},
    status::OrderStatus,
};
use store::StoreError;

const ACKNOWLEDGED: Concluded = Concluded::Recorded {
    outcome: AttemptOutcome::Acknowledged,
    verdict: Verdict::Acknowledged,
};

fn fine() -> SendResult {
    SendResult::Answer {
        status: 200,
        retry_after: None,
    }
}

fn waiting(claimed: &Claimed) -> PendingOutcome {
    let (concluded, _) = oneshot::channel();
    PendingOutcome {
        claimed: claimed.clone(),
        heard: fine(),
        answer: Some(br#"{"reference":"R"}"#.to_vec()),
        used_cached_token: false,
        concluded,
    }
}

fn concluded(conclusion: Option<Conclusion>) -> Option<Concluded> {
    conclusion.map(|conclusion| conclusion.concluded)
}

#[each_database]
async fn acknowledged_at_once_by_two_integrators_each_order_is_accepted_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, till) = (scene.kitchen().await, scene.kitchen().await);
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.push(scene.order().await);
    }
    let mut claimed = scene.claims(&kitchen).await.claimed;
    claimed.extend(scene.claims(&till).await.claimed);
    assert_eq!(claimed.len(), 16);

    let heard = fine();
    let concluded = join_all(claimed.iter().map(|one| {
        house
            .ledger
            .conclude_attempt(one, &heard, Some(b"{}"), false)
    }));
    for one in concluded.await {
        assert_eq!(one.unwrap(), ACKNOWLEDGED);
    }
    for order in orders {
        assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
        let events = house
            .ledger
            .events_after(order.stream(), 0, 100)
            .await
            .unwrap();
        let told: Vec<&str> = events
            .iter()
            .filter_map(|event| event.data["order"]["status"].as_str())
            .collect();
        assert_eq!(told, ["pending", "processing", "accepted"]);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn one_of_a_batch_that_came_too_late_changes_nothing_and_holds_up_no_other(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (late, punctual) = (scene.order().await, scene.order().await);
    let claimed = scene.claims(&kitchen).await.claimed;
    house.clock.advance(LEASE);
    house.ledger.free_expired_leases(1).await.unwrap();
    let batch: Vec<PendingOutcome> = claimed.iter().map(waiting).collect();
    let mut outcomes = conclude_in_one_transaction(&house.ledger.inner, &batch)
        .await
        .unwrap();

    let mut next = || concluded(outcomes.swap_remove(0));
    let (first, second) = (next(), next());
    let freed_first =
        scene.handoff(claimed[0].handoff.id).await.state != HandoffState::Acknowledged;
    let (freed, other) = if freed_first {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(
        (freed, other),
        (Some(Concluded::Fenced), Some(ACKNOWLEDGED))
    );
    let mut now = [scene.status(late.id).await, scene.status(punctual.id).await];
    now.sort_by_key(|status| status.as_str());
    assert_eq!(now, [OrderStatus::Accepted, OrderStatus::Processing]);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_somebody_holds_is_left_out_of_the_batch_and_concluded_by_itself(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (held, free) = (scene.order().await, scene.order().await);
    let claimed = scene.claims(&kitchen).await.claimed;
    let heard = fine();
    let mut elsewhere = crate::Change::begin(&house.ledger.inner).await.unwrap();
    let of_held = claimed
        .iter()
        .find(|one| one.handoff.order_id == Some(held.id))
        .unwrap();
    lock(&mut elsewhere, Some(held.id), of_held.handoff.id)
        .await
        .unwrap();
    // SQLite has a single writer, for which everybody waits.
    if elsewhere.tx.pick("mysql", "sqlite") == "mysql" {
        let batch: Vec<PendingOutcome> = claimed.iter().map(waiting).collect();
        let outcomes = conclude_in_one_transaction(&house.ledger.inner, &batch)
            .await
            .unwrap();
        for (one, outcome) in claimed.iter().zip(outcomes) {
            let expected = (one.handoff.order_id == Some(free.id)).then_some(ACKNOWLEDGED);
            assert_eq!(concluded(outcome), expected);
        }
    }
    let concluding = house.ledger.conclude_attempt(of_held, &heard, None, false);
    let (concluded, ()) = tokio::join!(concluding, elsewhere.rollback());
    assert_eq!(concluded.unwrap(), ACKNOWLEDGED);
    assert_eq!(scene.status(held.id).await, OrderStatus::Accepted);
}

#[each_database]
async fn a_row_that_cannot_be_read_fails_only_its_own_acknowledgement(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (poisoned, sound) = (scene.order().await, scene.order().await);
    let claimed = scene.claims(&kitchen).await.claimed;
    scene
        .damage("UPDATE orders SET fulfilment = 'by owl' WHERE number = 1")
        .await;
    assert_eq!((poisoned.number, sound.number), (Some(1), Some(2)));

    let heard = fine();
    let concluded = join_all(
        claimed
            .iter()
            .map(|one| house.ledger.conclude_attempt(one, &heard, None, false)),
    );
    for (one, concluded) in claimed.iter().zip(concluded.await) {
        if one.order_number == Some(1) {
            let corrupt = matches!(concluded, Err(Failure::Store(StoreError::Corrupt { .. })));
            assert!(corrupt, "{concluded:?}");
        } else {
            assert_eq!(concluded.unwrap(), ACKNOWLEDGED);
        }
    }
    scene
        .damage("UPDATE orders SET fulfilment = 'pickup' WHERE number = 1")
        .await;
    assert_eq!(scene.status(sound.id).await, OrderStatus::Accepted);
}
