//! The breaker on both databases: when it opens, how it probes, and what closes it.

mod probes;

use each_database::each_database;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::{
    handoffs::Concluded,
    scene::{LEASE, Scene},
    testing::TestLedger,
};
use domain::{
    handoff::HandoffState, ids::IntegratorId, integrator::Integrator, status::OrderStatus,
};

async fn breaker(scene: &Scene, of: IntegratorId) -> Breaker {
    let mut tx = scene.house.db.read().await.unwrap();
    let known = store::integrators::breakers(&mut tx, &[of]).await;
    known.unwrap().remove(0).1
}

async fn until(scene: &Scene, of: &Integrator) -> DateTime<Utc> {
    breaker(scene, of.id).await.until.unwrap()
}

/// Places and claims this many orders, and answers them all with a 500: they wait for their second attempts.
async fn fails(scene: &Scene, integrator: &Integrator, orders: usize) -> Vec<Claimed> {
    for _ in 0..orders {
        scene.order().await;
    }
    let claimed = scene.claims(integrator).await.claimed;
    assert_eq!(claimed.len(), orders);
    for one in &claimed {
        scene.answers(one, 500).await;
    }
    claimed
}

async fn opened(scene: &Scene, integrator: &Integrator) -> Vec<Claimed> {
    let failed = fails(scene, integrator, 3).await;
    let state = breaker(scene, integrator.id).await.state;
    assert_eq!(state, BreakerState::Open);
    failed
}

/// Moves the clock past the breaker's pause and the failed handoffs' waits.
async fn until_a_probe_may_go(scene: &Scene, integrator: &Integrator) {
    scene.house.clock.set(until(scene, integrator).await);
}

async fn attempts_of(scene: &Scene, claimed: &[Claimed]) -> Vec<u32> {
    let mut counts = Vec::new();
    for one in claimed {
        counts.push(scene.handoff(one.handoff.id).await.attempts);
    }
    counts
}

#[each_database]
async fn failures_of_three_different_handoffs_open_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    fails(&scene, &kitchen, 2).await;
    assert_eq!(
        breaker(&scene, kitchen.id).await.state,
        BreakerState::Closed
    );
    fails(&scene, &kitchen, 1).await;
    let open = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (open.state, open.openings, open.failures_in_a_row),
        (BreakerState::Open, 1, 3)
    );
    assert_eq!(open.failing_since, Some(house.clock.now()));
    let wait = open.until.unwrap() - house.clock.now();
    assert!((4000..=5000).contains(&wait.num_milliseconds()), "{wait}");
    scene.assert_audit_clean().await;
}

#[each_database]
async fn failures_of_one_handoff_never_open_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let failed = fails(&scene, &kitchen, 1).await.remove(0);
    for _ in 0..3 {
        scene.advance_until_due(failed.handoff.id).await;
        let again = scene.claim(&kitchen).await;
        scene.answers(&again, 503).await;
    }
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (known.state, known.failures_in_a_row),
        (BreakerState::Closed, 4)
    );
    assert_eq!(known.failing, [failed.handoff.id]);
    // The success of another handoff ends the row.
    scene.order().await;
    let other = scene.claim(&kitchen).await;
    assert!(!other.was_healthy);
    scene.answers(&other, 200).await;
    assert!(breaker(&scene, kitchen.id).await.is_healthy());
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_answer_between_the_failures_begins_the_row_anew_also_where_it_was_claimed_before_them(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..5 {
        scene.order().await;
    }
    let claimed = scene.claims(&kitchen).await.claimed;
    assert!(claimed.iter().all(|one| one.was_healthy));
    scene.answers(&claimed[0], 500).await;
    scene.answers(&claimed[1], 500).await;
    house.clock.advance(Duration::from_secs(1));
    scene.answers(&claimed[2], 200).await;
    assert_eq!(
        breaker(&scene, kitchen.id).await.failures_in_a_row,
        2,
        "an answer for a healthy integrator writes nothing"
    );
    scene.answers(&claimed[3], 500).await;
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (known.state, known.failures_in_a_row),
        (BreakerState::Closed, 1)
    );
    assert_eq!(known.failing, [claimed[3].handoff.id]);
}

#[each_database]
async fn while_it_is_open_nothing_is_claimed_and_no_attempt_is_used_up(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let failed = opened(&scene, &kitchen).await;
    scene.order().await;
    house.clock.advance(Duration::from_secs(3));
    let claims = scene.claims(&kitchen).await;
    assert!(claims.claimed.is_empty());
    assert_eq!(
        claims.next_due_at,
        Some(until(&scene, &kitchen).await),
        "the lane knows when to look again"
    );
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        [],
        "no lane is woken for nothing"
    );
    assert_eq!(attempts_of(&scene, &failed).await, [1, 1, 1]);
    assert_eq!(house.ledger.count_open_breakers().await.unwrap(), 1);
    until_a_probe_may_go(&scene, &kitchen).await;
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        [kitchen.id]
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn it_holds_up_no_order_past_its_accept_by(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    let order = scene.order().await;
    let accept_by = order.accept_by.unwrap();
    // Simulate probes that failed repeatedly.
    let mut tx = house.db.begin().await.unwrap();
    let open = Breaker {
        until: Some(accept_by + TimeDelta::seconds(30)),
        ..breaker(&scene, kitchen.id).await
    };
    store::integrators::write_breaker(&mut tx, kitchen.id, &open)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    house.clock.set(accept_by);
    scene.assert_nothing_due(&kitchen).await;
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 4);
    let ended = scene.now(order.id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (OrderStatus::Failed, Some("integrator_unreachable"))
    );
    let handoff = &scene.handoffs(order.id).await[0];
    assert_eq!(
        (handoff.attempts, handoff.reason.as_deref()),
        (0, Some("deadline"))
    );
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 0);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn one_integrators_breaker_is_nobody_elses(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let push = scene.integrator(|new| new.required = Some(false)).await;
    opened(&scene, &kitchen).await;
    assert_eq!(scene.claims(&push).await.claimed.len(), 3);
    assert!(breaker(&scene, push.id).await.is_healthy());
}
