//! Integrators that say "slow down", on both databases: the pause, the pace after it, and what counts.

use each_database::each_database;
use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    handoffs::{Claimed, Concluded},
    integrators::IntegratorEdit,
    scene::{STOCK, Scene},
    testing::TestLedger,
};
use domain::{
    handoff::{AttemptOutcome, HandoffState, Verdict},
    ids::IntegratorId,
    integrator::HandoffEvent,
    pressure::Pressure,
    status::OrderStatus,
};

async fn pressure(scene: &Scene, of: IntegratorId) -> Pressure {
    let mut tx = scene.house.db.read().await.unwrap();
    let known = store::integrators::pressures(&mut tx, &[of]).await;
    known.unwrap().remove(0).1
}

async fn counts(scene: &Scene, claimed: &Claimed) -> (HandoffState, u32, u32) {
    let handoff = scene.handoff(claimed.handoff.id).await;
    (handoff.state, handoff.attempts, handoff.counted_attempts())
}

#[each_database]
async fn slow_down_pauses_the_integrator_for_all_its_orders_and_uses_up_no_attempt(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    let first = scene.claim(&kitchen).await;
    scene.order().await;
    let concluded = scene.is_slowed_down(&first, 429, Some(7)).await;
    let until = house.clock.now() + TimeDelta::seconds(7);
    let recorded = Concluded::Recorded {
        outcome: AttemptOutcome::Retry,
        verdict: Verdict::Postpone { at: until },
    };
    assert_eq!(concluded, recorded);
    assert_eq!(counts(&scene, &first).await, (HandoffState::Due, 1, 0));
    let (_, attempts) = house
        .ledger
        .handoff(first.handoff.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (attempts[0].counted, attempts[0].http_status),
        (false, Some(429))
    );
    let paused = scene.claims(&kitchen).await;
    assert_eq!((paused.claimed.len(), paused.next_due_at), (0, Some(until)));
    assert_eq!(
        paused
            .limits
            .map(|limits| (limits.concurrency, limits.rate_per_s)),
        Some((1, Some(1)))
    );
    // Another worker's process reads the same, also after a restart.
    house.clock.set(until);
    let one = scene.claim(&kitchen).await;
    assert_ne!(
        one.handoff.id, first.handoff.id,
        "others are not held up by it"
    );
    scene.answers(&one, 200).await;
    let again = scene.claim(&kitchen).await;
    assert_eq!((again.handoff.id, again.n), (first.handoff.id, 2));
    assert_eq!(again.body, first.body);
    assert_eq!(again.handoff.counted_attempts(), 1);
    scene.answers(&again, 200).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn many_under_way_that_hear_it_are_one_pause_of_the_largest_wait(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..5 {
        scene.order().await;
    }
    let now = house.clock.now();
    for (one, wait_s) in
        scene
            .claims(&kitchen)
            .await
            .claimed
            .iter()
            .zip([Some(2), Some(9), None, Some(0), Some(4)])
    {
        scene.is_slowed_down(one, 429, wait_s).await;
    }
    let known = pressure(&scene, kitchen.id).await;
    assert_eq!(known.paused_until, Some(now + TimeDelta::seconds(9)));
    assert_eq!((known.pauses_in_a_row, known.rate_per_s), (1, Some(1)));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn five_failures_count_however_many_times_it_said_slow_down_between_them(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    for counted in 1..=5 {
        for _ in 0..2 {
            let claimed = scene.claim(&kitchen).await;
            assert_eq!(claimed.handoff.counted_attempts(), counted);
            scene.is_slowed_down(&claimed, 503, Some(0)).await;
            scene.advance_until_due(claimed.handoff.id).await;
        }
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 500).await;
        if counted < 5 {
            assert_eq!(counts(&scene, &claimed).await.0, HandoffState::Waiting);
            scene.advance_until_due(claimed.handoff.id).await;
        }
    }
    let ended = scene.now(order.id).await;
    assert_eq!(ended.status, OrderStatus::Failed);
    assert_eq!(scene.handoffs(order.id).await[0].attempts, 15);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_heard_nothing_but_429_ends_at_accept_by_and_nobody_is_told_to_cancel_it(
    house: TestLedger,
) {
    for (status, told) in [(429, false), (503, true)] {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        let order = scene.order().await;
        let accept_by = order.accept_by.unwrap();
        let mut sent = 0;
        while house.clock.now() < accept_by {
            let claimed = scene.claim(&kitchen).await;
            sent += 1;
            // Any value past the bound is asked again before the order ends.
            scene
                .is_slowed_down(&claimed, status, Some(1_000_000))
                .await;
            scene.advance_until_due(claimed.handoff.id).await;
        }
        assert_eq!(sent, 2);
        assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 1);
        let ended = scene.now(order.id).await;
        assert_eq!(
            (ended.status, ended.reason.as_deref()),
            (OrderStatus::Failed, Some("integrator_unreachable"))
        );
        assert_eq!(scene.stock().await, STOCK);
        let states = scene.states(order.id, &kitchen).await;
        let is_told = states
            .iter()
            .any(|(event, _)| *event == HandoffEvent::OrderCancelled);
        assert_eq!(is_told, told, "{status}");
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn after_the_pause_one_goes_out_at_a_time_and_the_rate_that_it_takes_is_remembered(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..12 {
        scene.order().await;
    }
    let first = scene.claims(&kitchen).await.claimed.remove(0);
    scene.is_slowed_down(&first, 429, Some(2)).await;
    for (expected, concurrency) in [(1, 4), (2, 4), (4, 4)] {
        house.clock.advance(Duration::from_secs(2));
        let claims = house
            .ledger
            .claim_handoffs(kitchen.id, 1, crate::scene::LEASE)
            .await
            .unwrap();
        let Some(one) = claims.claimed.first() else {
            break;
        };
        assert!(!one.pressure.is_none());
        scene.answers(one, 200).await;
        let limits = house.ledger.limits_of(kitchen.id).await.unwrap().unwrap();
        assert_eq!(
            (limits.rate_per_s, limits.concurrency),
            (Some(expected), concurrency)
        );
    }
    let known = pressure(&scene, kitchen.id).await;
    assert_eq!(known.rate_per_s, Some(4));
    // A person who sets another rate or address starts anew.
    let edit = IntegratorEdit {
        enabled: Some(true),
        ..IntegratorEdit::default()
    };
    house
        .ledger
        .edit_integrator(kitchen.id, None, edit)
        .await
        .unwrap();
    assert!(pressure(&scene, kitchen.id).await.is_none());
}

#[each_database]
async fn a_callback_that_came_first_stands_and_a_called_off_order_is_not_sent_again(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let accepted = scene.order().await;
    let on_wire = scene.claim(&kitchen).await;
    let update = crate::scene::word(accepted.id, "accepted");
    scene.says(&kitchen, accepted.id, update).await;
    scene.is_slowed_down(&on_wire, 429, Some(1)).await;
    assert_eq!(
        counts(&scene, &on_wire).await,
        (HandoffState::Acknowledged, 1, 0)
    );
    house.clock.advance(Duration::from_secs(1));

    let cancelled = scene.order().await;
    let on_wire = scene.claim(&kitchen).await;
    scene.staff_move(cancelled.id, OrderStatus::Cancelled).await;
    let outcome = AttemptOutcome::Retry;
    assert_eq!(
        scene.is_slowed_down(&on_wire, 429, Some(1)).await,
        Concluded::CalledOff { outcome }
    );
    assert_eq!(
        counts(&scene, &on_wire).await,
        (HandoffState::Withdrawn, 1, 0)
    );
    scene.assert_audit_clean().await;
}
