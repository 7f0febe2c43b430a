//! The reconciler's steps on both databases: what each finds, what it leaves alone, and that it is idempotent.

mod deliver;
mod looked_at;
mod stuck;

use super::*;
use crate::{
    handoffs::Concluded,
    intake::Idempotency,
    integrators::IntegratorEdit,
    scene::{STOCK, Scene, word},
    testing::TestLedger,
};
use domain::{
    callback::Update,
    handoff::{AttemptOutcome, HandoffState},
    status::OrderStatus,
    stuck::StuckKind,
};
use each_database::each_database;
use store::sweep::stuck::OVERDUE_AFTER;

const ACCEPT_WITHIN: Duration = Duration::from_secs(600);

#[each_database]
async fn an_order_that_nobody_could_be_told_of_fails_at_accept_by(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    house
        .clock
        .advance(ACCEPT_WITHIN - Duration::from_millis(1));
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 0);
    house.clock.advance(Duration::from_millis(1));
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 1);
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 0);
    let ended = scene.now(order.id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (OrderStatus::Failed, Some("integrator_unreachable"))
    );
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_nobody_accepted_is_cancelled_at_accept_by_and_they_are_told(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    house.clock.advance(ACCEPT_WITHIN);
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 1);
    let ended = scene.now(order.id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (OrderStatus::Cancelled, Some(NOT_ACCEPTED_IN_TIME))
    );
    assert_eq!(
        scene.claim(&kitchen).await.handoff.event,
        HandoffEvent::OrderCancelled
    );
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_that_came_in_time_is_heard_before_the_order_ends(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    house.clock.advance(ACCEPT_WITHIN - Duration::from_secs(1));
    scene.send_callback(&kitchen, word(order, "accepted")).await;
    house.clock.advance(Duration::from_secs(10));
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 0);
    house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 0);
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_accepted_order_has_no_accept_by_to_fear(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await.id;
    assert_eq!(scene.settle_unsettled().await, 1);
    assert_eq!(scene.settle_unsettled().await, 0);
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    house.clock.advance(ACCEPT_WITHIN * 2);
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 0);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn what_waits_for_staff_or_for_a_callback_is_left_alone(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.settle_unsettled().await, 0);
    scene.disable(kitchen.id).await;
    let unhanded = scene.order().await.id;
    assert_eq!(scene.settle_unsettled().await, 0);
    let statuses = (scene.status(order).await, scene.status(unhanded).await);
    assert_eq!(statuses, (OrderStatus::Processing, OrderStatus::Pending));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_whose_last_word_was_lost_is_settled(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let accepted = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    scene
        .damage("UPDATE handoffs SET confirmed_at = closed_at")
        .await;
    let failed = scene.order().await.id;
    scene.claim(&kitchen).await;
    scene.damage("UPDATE handoffs SET state = 'failed', reason = 'refused', closed_at = created_at, leased_until = NULL WHERE state = 'sending'").await;
    assert_eq!(scene.settle_unsettled().await, 2);
    let statuses = (scene.status(accepted).await, scene.status(failed).await);
    assert_eq!(statuses, (OrderStatus::Accepted, OrderStatus::Failed));
}

#[each_database]
async fn whoever_has_due_work_is_found_page_by_page(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let mut kitchens = [
        scene.kitchen().await.id,
        scene.kitchen().await.id,
        scene.kitchen().await.id,
    ];
    kitchens.sort_unstable();
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        []
    );
    scene.order().await;
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 2)
            .await
            .unwrap()
            .integrators,
        kitchens[..2]
    );
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(Some(kitchens[1]), 2)
            .await
            .unwrap()
            .integrators,
        kitchens[2..]
    );
    let among = async |after, most, limit| {
        let mut tx = house.db.read().await.unwrap();
        store::sweep::due_work_among(&mut tx, house.clock.now(), after, most, limit)
            .await
            .unwrap()
    };
    let page = |integrators: &[IntegratorId], continue_after| DueWork {
        integrators: integrators.to_vec(),
        continue_after,
    };
    assert_eq!(
        among(None, 2, 10).await,
        page(&kitchens[..2], Some(kitchens[1]))
    );
    assert_eq!(
        among(None, 3, 1).await,
        page(&kitchens[..1], Some(kitchens[0])),
        "one per page"
    );
    assert_eq!(
        among(Some(kitchens[1]), 2, 10).await,
        page(&kitchens[2..], None)
    );
    scene.disable(kitchens[2]).await;
    assert_eq!(
        among(Some(kitchens[1]), 1, 10).await,
        page(&[], Some(kitchens[2])),
        "examined all the same"
    );
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        kitchens[..2]
    );
    let counts = house.ledger.handoff_counts().await.unwrap();
    assert!(counts.contains(&(HandoffState::Due, 3)), "{counts:?}");
}

#[each_database]
async fn keys_are_forgotten_after_a_day(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let idempotency = Some(Idempotency {
        owner: scene.store.uuid(),
        key: "k".into(),
        fingerprint: [7; 32],
        other_fingerprints: Vec::new(),
    });
    scene
        .order_with(|order| order.idempotency = idempotency)
        .await;
    house.clock.advance(KEY_RETENTION - Duration::from_secs(1));
    assert_eq!(house.ledger.prune().await.unwrap(), 0);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.ledger.prune().await.unwrap(), 1);
    assert_eq!(house.ledger.prune().await.unwrap(), 0);
}

#[each_database]
async fn a_sweep_that_is_late_is_listed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await;
    house
        .clock
        .advance(ACCEPT_WITHIN + OVERDUE_AFTER - Duration::from_secs(1));
    assert_eq!(scene.stuck().await, []);
    house.clock.advance(Duration::from_secs(1));
    let stuck = scene.stuck().await;
    assert_eq!(
        (stuck.len(), stuck[0].kind, stuck[0].order_id),
        (1, StuckKind::OrderOverdue, Some(order.id))
    );
    assert_eq!(Some(stuck[0].since), order.accept_by);
}

#[each_database]
async fn what_cannot_be_published_is_listed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.order().await;
    scene
        .damage("UPDATE outbox SET parked = TRUE, error = 'too large'")
        .await;
    let stuck = scene.stuck().await;
    assert!(
        !stuck.is_empty()
            && stuck
                .iter()
                .all(|stuck| stuck.kind == StuckKind::OutboxParked),
        "{stuck:?}"
    );
}

#[each_database]
async fn a_lease_that_cannot_be_freed_is_parked_at_the_fifth_failure_and_stops_no_other(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    scene.order().await;
    let claimed = scene.claims(&kitchen).await.claimed;
    assert_eq!(claimed.len(), 2);
    scene.damage("UPDATE handoffs SET event = 'order.eaten' WHERE order_id IN (SELECT id FROM orders WHERE number = 1)").await;
    house.clock.advance(crate::scene::LEASE);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    for _ in 1..5 {
        let counts = house.ledger.handoff_counts().await.unwrap();
        assert!(counts.contains(&(HandoffState::Parked, 0)), "{counts:?}");
        house.clock.advance(Duration::from_secs(30));
        assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 0);
    }
    let counts = house.ledger.handoff_counts().await.unwrap();
    assert!(counts.contains(&(HandoffState::Parked, 1)), "{counts:?}");
    let stuck = scene.stuck().await;
    assert!(
        stuck
            .iter()
            .any(|stuck| stuck.kind == StuckKind::HandoffParked),
        "{stuck:?}"
    );

    // With the cause removed, it has no open attempt, and a person may retry it.
    scene
        .damage("UPDATE handoffs SET event = 'order.placed'")
        .await;
    scene.assert_audit_clean().await;
    let parked = stuck.iter().find_map(|stuck| stuck.handoff_id).unwrap();
    let (handoff, attempts) = house.ledger.handoff(parked).await.unwrap().unwrap();
    assert_eq!(
        (handoff.state, attempts[0].outcome),
        (HandoffState::Parked, Some(AttemptOutcome::Unknown))
    );
    let late = claimed.iter().find(|one| one.handoff.id == parked).unwrap();
    assert_eq!(scene.answers(late, 200).await, Concluded::Fenced);
    let person = house.chance.id(house.clock.now());
    house.ledger.retry_handoff(parked, person).await.unwrap();
    let again = scene.claims(&kitchen).await.claimed;
    assert!(
        again
            .iter()
            .any(|one| one.handoff.id == parked && one.handoff.round == 2),
        "{again:?}"
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn what_a_callback_acknowledged_is_not_parked_where_its_lease_cannot_be_freed(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.says(&kitchen, order, word(order, "accepted")).await;
    scene
        .damage("UPDATE handoffs SET event = 'order.eaten'")
        .await;
    house.clock.advance(crate::scene::LEASE);
    for _ in 0..5 {
        assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 0);
        house.clock.advance(Duration::from_secs(30));
    }
    scene
        .damage("UPDATE handoffs SET event = 'order.placed'")
        .await;
    assert_eq!(
        scene.handoff(claimed.handoff.id).await.state,
        HandoffState::Acknowledged
    );
    scene.assert_audit_clean().await;
}
