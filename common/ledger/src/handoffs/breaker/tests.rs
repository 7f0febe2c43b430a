//! The breaker on both databases: when it opens, how it probes, and what closes it.

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
    handoff::{HandoffState, RetryAfter},
    ids::IntegratorId,
    integrator::Integrator,
    status::OrderStatus,
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
async fn after_its_time_one_probe_goes_out_however_many_claim_at_that_moment(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    for _ in 0..5 {
        scene.order().await;
    }
    for _ in 0..4 {
        until_a_probe_may_go(&scene, &kitchen).await;
        let claims = futures_util::future::join_all((0..6).map(|_| scene.claims(&kitchen))).await;
        let probes: Vec<_> = claims.iter().flat_map(|claims| &claims.claimed).collect();
        assert_eq!(probes.len(), 1, "{probes:?}");
        let known = breaker(&scene, kitchen.id).await;
        assert_eq!(
            (known.state, known.probe),
            (BreakerState::Probing, Some(probes[0].handoff.id))
        );
        assert_eq!(known.until, Some(probes[0].leased_until));
        let meanwhile = scene.claims(&kitchen).await;
        assert!(meanwhile.claimed.is_empty() && !meanwhile.retry_soon);
        assert_eq!(
            meanwhile.next_due_at,
            Some(house.clock.now() + Duration::from_secs(5))
        );
        scene.is_lost(probes[0]).await;
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn the_probe_is_the_handoff_with_the_fewest_attempts(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let tried_twice = fails(&scene, &kitchen, 1).await.remove(0);
    scene.advance_until_due(tried_twice.handoff.id).await;
    let again = scene.claim(&kitchen).await;
    scene.answers(&again, 500).await;
    let tried_once = fails(&scene, &kitchen, 2).await;
    house.clock.advance(Duration::from_secs(60));
    let probe = scene.claim(&kitchen).await;
    assert!(
        tried_once
            .iter()
            .any(|one| one.handoff.id == probe.handoff.id)
    );
    assert_eq!(probe.n, 2);
    scene.answers(&probe, 500).await;
    scene.order().await;
    house.clock.advance(Duration::from_secs(60));
    let fresh = scene.claim(&kitchen).await;
    assert_eq!(fresh.n, 1, "a handoff that was never tried comes first");
    scene.answers(&fresh, 500).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_probe_that_succeeds_closes_it_and_all_that_is_due_goes_out(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    let fresh = [scene.order().await, scene.order().await];
    until_a_probe_may_go(&scene, &kitchen).await;
    let probe = scene.claim(&kitchen).await;
    assert_eq!(probe.handoff.order_id, Some(fresh[0].id));
    drop(house.woken.take());
    scene.answers(&probe, 200).await;
    assert!(breaker(&scene, kitchen.id).await.is_healthy());
    assert!(
        house.woken.hints().contains(&Hint::Handoffs {
            integrator: kitchen.id
        }),
        "its lanes are woken"
    );
    assert_eq!(scene.status(fresh[0].id).await, OrderStatus::Accepted);
    let rest = scene.claims(&kitchen).await.claimed;
    assert_eq!(rest.len(), 4, "three had failed, and one was never tried");
    for one in &rest {
        scene.answers(one, 200).await;
    }
    assert_eq!(house.ledger.count_open_breakers().await.unwrap(), 0);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_probe_that_is_refused_closes_it_too(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    until_a_probe_may_go(&scene, &kitchen).await;
    let probe = scene.claim(&kitchen).await;
    scene.answers(&probe, 422).await;
    assert!(
        breaker(&scene, kitchen.id).await.is_healthy(),
        "an integrator that refuses is alive"
    );
    assert_eq!(
        scene.handoff(probe.handoff.id).await.state,
        HandoffState::Failed
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn each_probe_that_fails_opens_it_for_longer(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    for _ in 0..6 {
        scene.order().await;
    }
    for (openings, nominal_ms) in [
        (2, 10_000),
        (3, 20_000),
        (4, 40_000),
        (5, 60_000),
        (6, 60_000),
    ] {
        until_a_probe_may_go(&scene, &kitchen).await;
        let probe = scene.claim(&kitchen).await;
        scene.answers(&probe, 503).await;
        let known = breaker(&scene, kitchen.id).await;
        assert_eq!(
            (known.state, known.openings, known.probe),
            (BreakerState::Open, openings, None)
        );
        let wait_ms = (known.until.unwrap() - house.clock.now()).num_milliseconds();
        assert!(
            (nominal_ms * 4 / 5..=nominal_ms).contains(&wait_ms),
            "{wait_ms} ms"
        );
        scene.assert_nothing_due(&kitchen).await;
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_probe_whose_worker_died_is_replaced_and_its_late_outcome_changes_nothing(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    for _ in 0..2 {
        scene.order().await;
    }
    until_a_probe_may_go(&scene, &kitchen).await;
    let died = scene.claim(&kitchen).await;
    house.clock.advance(LEASE);
    let second = scene.claim(&kitchen).await;
    assert_ne!(second.handoff.id, died.handoff.id);
    assert_eq!(
        breaker(&scene, kitchen.id).await.probe,
        Some(second.handoff.id)
    );
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (known.state, known.openings),
        (BreakerState::Probing, 1),
        "it is no longer the probe"
    );
    assert_eq!(known.failures_in_a_row, 4);
    assert_eq!(scene.answers(&died, 200).await, Concluded::Fenced);
    assert_eq!(breaker(&scene, kitchen.id).await, known);
    scene.answers(&second, 200).await;
    assert!(breaker(&scene, kitchen.id).await.is_healthy());
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_probe_that_the_sweep_takes_as_unknown_opens_it_again(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    until_a_probe_may_go(&scene, &kitchen).await;
    scene.claim(&kitchen).await;
    house.clock.advance(LEASE);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!((known.state, known.openings), (BreakerState::Open, 2));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_probe_that_never_left_is_as_if_there_had_been_none(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    scene.order().await;
    until_a_probe_may_go(&scene, &kitchen).await;
    let probe = scene.claim(&kitchen).await;
    let until = house.clock.now() + Duration::from_secs(5);
    house
        .ledger
        .defer_attempt(&probe, until, "its name was not resolved")
        .await
        .unwrap();
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (known.state, known.openings, known.until),
        (BreakerState::Open, 1, Some(until))
    );
    assert_eq!((known.failures_in_a_row, known.probe), (3, None));
    assert_eq!(scene.handoff(probe.handoff.id).await.attempts, 0);
    house.clock.set(until);
    assert_eq!(scene.claim(&kitchen).await.n, 1);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_429_that_says_when_to_come_back_is_no_failure(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let busy = |seconds| SendResult::Answer {
        status: 429,
        retry_after: Some(RetryAfter::After(Duration::from_secs(seconds))),
    };
    for _ in 0..4 {
        scene.order().await;
    }
    for one in scene.claims(&kitchen).await.claimed {
        scene.heard(&one, busy(1), b"").await;
    }
    assert!(breaker(&scene, kitchen.id).await.is_healthy());
    opened(&scene, &kitchen).await;
    until_a_probe_may_go(&scene, &kitchen).await;
    let probe = scene.claim(&kitchen).await;
    scene.heard(&probe, busy(25), b"").await;
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (known.state, known.openings, known.failures_in_a_row),
        (BreakerState::Open, 1, 3)
    );
    assert_eq!(
        known.until,
        Some(house.clock.now() + TimeDelta::seconds(25))
    );
}

#[each_database]
async fn a_probe_that_ends_unsent_leaves_its_place_to_the_next(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    let order = scene.order().await;
    scene
        .damage("UPDATE handoffs SET deadline = created_at WHERE state = 'due'")
        .await;
    until_a_probe_may_go(&scene, &kitchen).await;
    let claims = scene.claims(&kitchen).await;
    assert!(claims.claimed.is_empty() && claims.retry_soon);
    assert_eq!(scene.status(order.id).await, OrderStatus::Failed);
    assert_eq!(breaker(&scene, kitchen.id).await.state, BreakerState::Open);
    assert_eq!(scene.claim(&kitchen).await.n, 2);
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
