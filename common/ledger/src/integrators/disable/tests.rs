//! Failing integrators on both databases: disabled once, announced once, and enabled by people.

use each_database::each_database;
use std::time::Duration;

use super::*;
use crate::{
    handoffs::Claimed,
    integrators::IntegratorEdit,
    scene::{LEASE, Scene},
    testing::TestLedger,
};
use domain::{
    event::Event,
    handoff::HandoffState,
    hint::Hint,
    integrator::{HandoffEvent, Integrator},
    status::OrderStatus,
};

async fn known(scene: &Scene, of: &Integrator) -> Integrator {
    scene.house.ledger.integrator(of.id).await.unwrap().unwrap()
}

fn told(house: &TestLedger) -> Vec<Event> {
    let mut events = house.woken.events();
    events.retain(|event| event.kind == EventKind::IntegratorDisabled);
    events
}

async fn enable(scene: &Scene, integrator: &Integrator) -> Integrator {
    let edit = IntegratorEdit {
        enabled: Some(true),
        ..IntegratorEdit::default()
    };
    let edited = scene
        .house
        .ledger
        .edit_integrator(integrator.id, None, edit);
    edited.await.unwrap()
}

/// Makes this many attempts fail in a row, the last one `over` after the first.
async fn fails(scene: &Scene, integrator: &Integrator, failures: u32, over: Duration) {
    let begun_at = scene.house.clock.now();
    for n in 1..=failures {
        if n == failures {
            scene.house.clock.set(begun_at + over);
        }
        let claimed = next(scene, integrator).await;
        scene.answers(&claimed, 503).await;
    }
}

/// Claims a new order's handoff when the breaker lets it through.
async fn next(scene: &Scene, integrator: &Integrator) -> Claimed {
    let order = scene.order().await;
    loop {
        let claims = scene.claims(integrator).await;
        let of_it = |one: &Claimed| one.handoff.order_id == Some(order.id);
        if let Some(at) = claims.claimed.iter().position(of_it) {
            let mut claimed = claims.claimed;
            let wanted = claimed.swap_remove(at);
            for other in claimed {
                let now = scene.house.clock.now();
                let deferred = scene
                    .house
                    .ledger
                    .defer_attempt(&other, now, "not this one");
                deferred.await.unwrap();
            }
            return wanted;
        }
        assert!(claims.claimed.is_empty(), "{:?}", claims.claimed);
        scene
            .house
            .clock
            .set(claims.next_due_at.expect("the breaker's pause has an end"));
    }
}

#[each_database]
async fn fifteen_failures_over_an_hour_disable_it_and_staff_are_told(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    fails(&scene, &kitchen, 15, Duration::from_secs(3600)).await;
    let disabled = known(&scene, &kitchen).await;
    assert!(!disabled.enabled);
    assert_eq!(
        disabled.disabled_reason.as_deref(),
        Some("it has failed for an hour or longer, 15 times in a row or more")
    );
    let told = told(&house);
    assert_eq!(
        (told.len(), told[0].stream, told[0].order_id),
        (1, scene.store.into(), None)
    );
    assert_eq!(
        told[0].data,
        json!({"integrator": {"id": kitchen.id, "name": "Kitchen", "reason": "failing"}})
    );
    assert!(!told[0].kind.is_for_guests());
    let counter = &house.ledger.metrics().integrators_disabled;
    assert_eq!(counter.with_label_values(&["failing"]).get(), 1);
    assert_eq!(
        house.ledger.disable_failing_integrators(10).await.unwrap(),
        0
    );
    assert_eq!(
        house.ledger.count_open_breakers().await.unwrap(),
        0,
        "a disabled integrator's breaker does not count"
    );
    house.clock.advance(Duration::from_secs(120));
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn fifteen_failures_within_59_minutes_do_not_disable_it_and_one_more_later_does(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    fails(&scene, &kitchen, 15, Duration::from_secs(59 * 60)).await;
    assert!(known(&scene, &kitchen).await.enabled);
    assert_eq!(told(&house), []);
    house.clock.advance(Duration::from_secs(120));
    let last = next(&scene, &kitchen).await;
    scene.answers(&last, 503).await;
    assert!(!known(&scene, &kitchen).await.enabled);
}

#[each_database]
async fn fourteen_failures_over_a_day_do_not_disable_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    fails(&scene, &kitchen, 14, Duration::from_secs(24 * 3600)).await;
    assert!(known(&scene, &kitchen).await.enabled);
}

#[each_database]
async fn a_success_in_between_begins_the_hour_and_the_count_anew(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    fails(&scene, &kitchen, 14, Duration::from_secs(3600)).await;
    let answered = next(&scene, &kitchen).await;
    scene.answers(&answered, 200).await;
    let failed = next(&scene, &kitchen).await;
    scene.answers(&failed, 503).await;
    assert!(known(&scene, &kitchen).await.enabled);
    let health = house
        .ledger
        .health_of(&[kitchen.id])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (
            health.breaker.failures_in_a_row,
            health.breaker.failing_since
        ),
        (1, Some(house.clock.now()))
    );
}

#[each_database]
async fn a_410_disables_it_at_once_and_staff_are_told(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 410).await;
    let disabled = known(&scene, &kitchen).await;
    assert_eq!(
        (disabled.enabled, disabled.disabled_reason.as_deref()),
        (false, Some("it answered 410 Gone"))
    );
    assert_eq!(told(&house)[0].data["integrator"]["reason"], "gone");
    assert_eq!(scene.status(order.id).await, OrderStatus::Failed);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn whoever_dies_between_the_outcome_and_the_disabling_leaves_it_to_the_sweep(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    scene
        .damage("UPDATE integrators SET given_up_because = 'gone'")
        .await;
    scene.assert_nothing_due(&kitchen).await;
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        []
    );
    let (one, two) = tokio::join!(
        house.ledger.disable_failing_integrators(10),
        house.ledger.disable_failing_integrators(10)
    );
    assert_eq!(one.unwrap() + two.unwrap(), 1, "disabled only once");
    assert_eq!(told(&house).len(), 1);
    assert!(!known(&scene, &kitchen).await.enabled);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_attempt_that_was_lost_with_its_worker_may_be_the_last_that_counts(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    fails(&scene, &kitchen, 14, Duration::from_secs(3600)).await;
    next(&scene, &kitchen).await;
    house.clock.advance(LEASE);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    assert!(
        known(&scene, &kitchen).await.enabled,
        "marked, and left to the next step"
    );
    assert_eq!(
        house.ledger.disable_failing_integrators(10).await.unwrap(),
        1
    );
    assert!(!known(&scene, &kitchen).await.enabled);
}

#[each_database]
async fn enabled_again_it_starts_anew_and_its_open_handoffs_go_on(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (gone, waiting) = (scene.order().await, scene.order().await);
    let claims = house
        .ledger
        .claim_handoffs(kitchen.id, 1, LEASE)
        .await
        .unwrap()
        .claimed;
    assert_eq!(claims[0].handoff.order_id, Some(gone.id));
    scene.answers(&claims[0], 410).await;
    house.clock.advance(Duration::from_secs(30));
    drop(house.woken.take());
    let enabled = enable(&scene, &kitchen).await;
    assert_eq!((enabled.enabled, enabled.disabled_reason), (true, None));
    assert_eq!(
        house.woken.hints(),
        [Hint::Handoffs {
            integrator: kitchen.id
        }]
    );
    let claimed = scene.claim(&kitchen).await;
    assert_eq!(
        (claimed.handoff.order_id, claimed.was_healthy),
        (Some(waiting.id), true)
    );
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(waiting.id).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn disabled_for_good_its_handoffs_wait_until_accept_by_ends_their_orders(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    let waiting = scene.order().await;
    let claims = house
        .ledger
        .claim_handoffs(kitchen.id, 1, LEASE)
        .await
        .unwrap()
        .claimed;
    scene.answers(&claims[0], 410).await;
    assert_eq!(
        scene.states(waiting.id, &kitchen).await,
        [(HandoffEvent::OrderPlaced, HandoffState::Due)]
    );
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 0);
    house.clock.set(waiting.accept_by.unwrap());
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 1);
    let handoff = &scene.handoffs(waiting.id).await[0];
    assert_eq!(
        (handoff.state, handoff.reason.as_deref()),
        (HandoffState::Failed, Some("integrator_disabled"))
    );
    // A disabled required integrator leaves its store's orders to staff, and nobody accepted this one in time.
    house.ledger.end_overdue_orders(10).await.unwrap();
    assert_eq!(scene.status(waiting.id).await, OrderStatus::Failed);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn people_who_disable_it_first_are_not_told_of_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene
        .damage("UPDATE integrators SET given_up_because = 'failing'")
        .await;
    scene.disable(kitchen.id).await;
    assert_eq!(
        house.ledger.disable_failing_integrators(10).await.unwrap(),
        0
    );
    assert_eq!(known(&scene, &kitchen).await.disabled_reason, None);
    assert_eq!(told(&house), []);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn the_staff_of_all_its_stores_are_told_once_each(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let further = [house.create_store().await, house.create_store().await];
    let left = house.create_store().await;
    let kitchen = scene.integrator(|new| {
        new.required = Some(false);
        new.further_stores = vec![further[0], further[1], left];
    });
    let kitchen = kitchen.await;
    let edit = IntegratorEdit {
        stores: Some(vec![scene.store, further[0], further[1]]),
        ..IntegratorEdit::default()
    };
    house
        .ledger
        .edit_integrator(kitchen.id, None, edit)
        .await
        .unwrap();
    for round in 1..=2 {
        let mut tx = house.db.begin().await.unwrap();
        let marked = store::integrators::give_up(&mut tx, kitchen.id, DisableReason::Failing).await;
        assert!(marked.unwrap());
        tx.commit().await.unwrap();
        // As if the process had died after the first of them.
        house
            .ledger
            .tell_further_store(kitchen.id, further[1])
            .await
            .unwrap();
        assert!(known(&scene, &kitchen).await.enabled);
        assert_eq!(
            house.ledger.disable_failing_integrators(10).await.unwrap(),
            1
        );
        assert!(!known(&scene, &kitchen).await.enabled);
        let told = told(&house);
        for store in [scene.store, further[0], further[1]] {
            let of_store = told.iter().filter(|event| event.stream == store.into());
            assert_eq!(of_store.count(), round, "store {store}");
        }
        assert_eq!(told.len(), 3 * round);
        house
            .ledger
            .tell_further_store(kitchen.id, further[0])
            .await
            .unwrap();
        assert_eq!(self::told(&house).len(), 3 * round, "the mark is gone");
        enable(&scene, &kitchen).await;
    }
    scene.assert_audit_clean().await;
}
