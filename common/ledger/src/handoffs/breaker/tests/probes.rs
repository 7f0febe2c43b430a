//! The probe of an open breaker: which handoff it is, and how it ends.

use super::*;

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
        (4, 30_000),
        (5, 30_000),
        (6, 30_000),
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
async fn slow_down_is_no_failure_and_a_probe_that_hears_it_is_followed_by_one_after_the_pause(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..4 {
        scene.order().await;
    }
    let all_at_once = scene.claims(&kitchen).await.claimed;
    for (one, status) in all_at_once.iter().zip([429, 503, 429, 503]) {
        scene.is_slowed_down(one, status, Some(1)).await;
    }
    assert!(breaker(&scene, kitchen.id).await.is_healthy());
    scene.damage("UPDATE integrators SET pressure = NULL").await;
    scene.damage("UPDATE handoffs SET state = 'held'").await;
    opened(&scene, &kitchen).await;
    until_a_probe_may_go(&scene, &kitchen).await;
    let probe = scene.claim(&kitchen).await;
    scene.is_slowed_down(&probe, 429, Some(25)).await;
    let known = breaker(&scene, kitchen.id).await;
    assert_eq!(
        (known.state, known.openings, known.failures_in_a_row),
        (BreakerState::Open, 1, 3)
    );
    let pause_ends_at = house.clock.now() + Duration::from_secs(25);
    let claims = scene.claims(&kitchen).await;
    assert_eq!(
        (claims.claimed.len(), claims.next_due_at),
        (0, Some(pause_ends_at))
    );
    house.clock.set(pause_ends_at);
    let next = scene.claim(&kitchen).await;
    scene.answers(&next, 200).await;
    assert!(breaker(&scene, kitchen.id).await.is_healthy());
}

#[each_database]
async fn a_test_goes_out_while_it_is_open_and_its_acknowledgement_closes_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    opened(&scene, &kitchen).await;
    scene.order().await;
    scene.assert_nothing_due(&kitchen).await;
    for (status, closes) in [(500, false), (200, true)] {
        house.ledger.test_integrator(kitchen.id, &[]).await.unwrap();
        let test = scene.claim(&kitchen).await;
        assert_eq!(test.handoff.order_id, None);
        let before = breaker(&scene, kitchen.id).await;
        assert_eq!((before.state, before.openings), (BreakerState::Open, 1));
        drop(house.woken.take());
        scene.answers(&test, status).await;
        let is_closed = breaker(&scene, kitchen.id).await.state == BreakerState::Closed;
        assert_eq!(is_closed, closes, "{status}");
        let told = house.woken.hints().contains(&Hint::Handoffs {
            integrator: kitchen.id,
        });
        assert_eq!(told, closes, "its lanes are woken if it closed");
    }
    assert_eq!(scene.claim(&kitchen).await.n, 1, "what waited goes at once");
    scene.assert_audit_clean().await;
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
