//! A clock that is set an hour forward or back during a handoff: it is trusted, and nothing is lost by it.

use each_database::each_database;
use std::time::Duration;

use super::{Acknowledged, OrderPlaced, Waiting, attempts};
use crate::{
    handoffs::Concluded,
    scene::{LEASE, Scene},
    testing::TestLedger,
};
use domain::{handoff::AttemptOutcome, status::OrderStatus};

const HOUR: Duration = Duration::from_secs(3600);

/// Creates a scene with a store whose orders outlast the jumps.
async fn scene(house: &TestLedger) -> Scene {
    Scene::with_store(house, |store| store.accept_within_s = 6 * 3600).await
}

#[each_database]
async fn set_back_while_one_waits_it_is_sent_when_the_clock_says_so_and_once(house: TestLedger) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 503).await;
    let due_at = scene
        .handoff(claimed.handoff.id)
        .await
        .next_attempt_at
        .unwrap();
    for early in [due_at - HOUR, due_at - Duration::from_millis(1)] {
        house.clock.set(early);
        scene.assert_nothing_due(&kitchen).await;
        assert_eq!(scene.claims(&kitchen).await.next_due_at, Some(due_at));
        assert_eq!(
            house
                .ledger
                .integrators_with_due_work(None, 10)
                .await
                .unwrap()
                .integrators,
            []
        );
    }
    house.clock.set(due_at);
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        [kitchen.id]
    );
    let again = scene.claim(&kitchen).await;
    assert_eq!((again.handoff.id, again.n), (claimed.handoff.id, 2));
    scene.answers(&again, 200).await;
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn set_forward_and_back_while_one_is_on_the_wire_it_is_neither_sent_twice_nor_lost(
    house: TestLedger,
) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let first = scene.claim(&kitchen).await;
    scene.answers(&first, 503).await;
    // It is due at once by this clock.
    house.clock.advance(HOUR);
    let second = scene.claim(&kitchen).await;
    assert_eq!(second.n, 2);
    house.clock.set(house.clock.now() - HOUR);
    scene.assert_nothing_due(&kitchen).await;
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 0);
    let back_at = house.clock.now();
    scene.answers(&second, 503).await;
    let due_at = scene
        .handoff(first.handoff.id)
        .await
        .next_attempt_at
        .unwrap();
    assert!(
        due_at >= back_at + Duration::from_secs(8) && due_at < back_at + Duration::from_secs(10),
        "{due_at}"
    );
    scene.assert_nothing_due(&kitchen).await;
    scene.advance_until_due(first.handoff.id).await;
    let third = scene.claim(&kitchen).await;
    assert_eq!(third.n, 3);
    scene.answers(&third, 200).await;
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    assert_eq!(attempts(&scene, &third).await.len(), 3);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_lease_that_a_jump_has_ended_is_unknown_and_its_next_attempt_outlasts_the_way_back(
    house: TestLedger,
) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    house.clock.advance(HOUR);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    assert_eq!(scene.answers(&claimed, 200).await, Concluded::Fenced);
    assert_eq!(
        attempts(&scene, &claimed).await[0].outcome,
        Some(AttemptOutcome::Unknown)
    );
    house.clock.set(house.clock.now() - HOUR);
    scene.assert_nothing_due(&kitchen).await;
    assert_eq!(
        scene.states(order, &kitchen).await,
        [(OrderPlaced, Waiting)]
    );
    // It is delayed by the size of the jump, and no more.
    let due_at = scene
        .handoff(claimed.handoff.id)
        .await
        .next_attempt_at
        .unwrap();
    assert!(due_at < house.clock.now() + HOUR + LEASE, "{due_at}");
    house.clock.set(due_at);
    let again = scene.claim(&kitchen).await;
    assert_eq!((again.n, &again.body), (2, &claimed.body));
    scene.answers(&again, 200).await;
    assert_eq!(
        scene.states(order, &kitchen).await,
        [(OrderPlaced, Acknowledged)]
    );
    scene.assert_audit_clean().await;
}
