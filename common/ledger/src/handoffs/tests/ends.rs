//! The end of a handoff, and its effects on the order, staff and integrators.

use each_database::each_database;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Failed, Held, OrderCancelled, OrderPlaced, Parked, Withdrawn};
use crate::{
    scene::{LEASE, Scene},
    testing::TestLedger,
};
use domain::{
    delivery::DeliveryStatus,
    event::EventKind,
    handoff::SendResult,
    integrator::{HandoffEvent::OrderStatusChanged, UnknownPolicy},
    status::OrderStatus,
};

#[each_database]
async fn several_required_integrators_that_acknowledge_at_one_moment_accept_once(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let mut kitchens = Vec::new();
    for _ in 0..4 {
        kitchens.push(scene.kitchen().await);
    }
    for _ in 0..5 {
        let order = scene.order().await;
        let mut claimed = Vec::new();
        for kitchen in &kitchens {
            claimed.push(scene.claim(kitchen).await);
        }
        scene.answers(&claimed[0], 200).await;
        assert_eq!(scene.status(order.id).await, OrderStatus::Processing);
        drop(house.woken.take());
        join_all(
            claimed[1..]
                .iter()
                .map(|claimed| scene.answers(claimed, 200)),
        )
        .await;
        assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
        let moves: Vec<_> = house
            .woken
            .events()
            .into_iter()
            .filter(|event| event.kind == EventKind::OrderStatusChanged)
            .collect();
        assert_eq!(moves.len(), 1);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_unknown_outcome_is_held_where_the_integrator_wants_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| new.unknown_policy = UnknownPolicy::Hold)
        .await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.is_lost(&claimed).await;
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Held)]
    );
    house.clock.advance(Duration::from_secs(300));
    scene.assert_nothing_due(&kitchen).await;
    let stuck = scene.stuck().await;
    assert_eq!(
        (stuck.len(), stuck[0].handoff_id),
        (1, Some(claimed.handoff.id))
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_integrator_that_is_gone_is_disabled_and_asked_no_more(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    scene.order().await;
    scene.order().await;
    let claims = house
        .ledger
        .claim_handoffs(kitchen.id, 1, LEASE)
        .await
        .unwrap();
    scene.answers(&claims.claimed[0], 410).await;
    assert!(
        !house
            .ledger
            .integrator(kitchen.id)
            .await
            .unwrap()
            .unwrap()
            .enabled
    );
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
    house.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 1);
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 0);
}

#[each_database]
async fn a_handoff_that_cannot_be_claimed_stops_no_other_and_is_parked_at_the_fifth_failure(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    scene.order().await;
    scene.damage("UPDATE handoffs SET event = 'order.eaten' WHERE order_id IN (SELECT id FROM orders WHERE number = 1)").await;
    let healthy = scene.claim(&kitchen).await;
    assert_eq!(healthy.order_number, Some(2));
    scene.answers(&healthy, 200).await;
    for _ in 1..5 {
        house.clock.advance(Duration::from_secs(30));
        scene.assert_nothing_due(&kitchen).await;
    }
    let counts = house.ledger.handoff_counts().await.unwrap();
    assert!(counts.contains(&(Parked, 1)), "{counts:?}");
    let stuck = scene.stuck().await;
    assert!(stuck[0].why().contains("order.eaten"), "{stuck:?}");
    assert_eq!(scene.claims(&kitchen).await.next_due_at, None);
}

#[each_database]
async fn an_optional_integrator_that_fails_fails_no_order(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let push = scene.integrator(|new| new.required = Some(false)).await;
    let order = scene.order().await;
    let refused = scene.claim(&push).await;
    scene.answers(&refused, 400).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Processing);
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_required_handoff_that_fails_after_acceptance_moves_nothing_and_is_listed(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.staff_move(order.id, OrderStatus::Accepted).await;
    scene.answers(&claimed, 422).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
    assert!(
        house
            .woken
            .events()
            .iter()
            .any(|event| event.kind == EventKind::HandoffFailed)
    );
    let stuck = scene.stuck().await;
    assert_eq!((stuck.len(), stuck[0].order_id), (1, Some(order.id)));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_courier_is_handed_the_dispatched_order_and_its_tracking_number_is_kept(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    let order = scene.order().await;
    house.ledger.settle_order(order.id).await.unwrap();
    scene.staff_move(order.id, OrderStatus::Dispatched).await;
    let claimed = scene.claim(&courier).await;
    let body: serde_json::Value = serde_json::from_slice(&claimed.body).unwrap();
    assert_eq!(body["order"]["foreign_order_id"], order.id.to_string());
    let heard = SendResult::Answer {
        status: 201,
        retry_after: None,
    };
    scene
        .heard(
            &claimed,
            heard,
            br#"{"tracking_number":"T-1","status":"READY_FOR_PICK_UP"}"#,
        )
        .await;
    let delivery = scene.now(order.id).await.delivery.unwrap();
    assert_eq!(
        (delivery.status, delivery.tracking_number.as_deref()),
        (DeliveryStatus::ReadyForPickUp, Some("T-1"))
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_parcel_that_no_courier_took_says_so_and_is_listed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    let order = scene.order().await;
    house.ledger.settle_order(order.id).await.unwrap();
    scene.staff_move(order.id, OrderStatus::Dispatched).await;
    let claimed = scene.claim(&courier).await;
    scene.answers(&claimed, 400).await;
    let now = scene.now(order.id).await;
    assert_eq!(now.status, OrderStatus::Dispatched);
    assert_eq!(now.delivery.unwrap().status, DeliveryStatus::HandoffFailed);
    assert!(
        house
            .woken
            .events()
            .iter()
            .any(|event| event.kind == EventKind::DeliveryMoved)
    );
    assert_eq!(scene.stuck().await.len(), 1);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn once_its_order_is_delivered_nothing_that_was_held_or_parked_is_left_for_anybody(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| {
            new.unknown_policy = UnknownPolicy::Hold;
            new.events = Some(vec![OrderPlaced, OrderCancelled, OrderStatusChanged]);
        })
        .await;
    let (held, parked) = (scene.order().await.id, scene.order().await.id);
    for claimed in scene.claims(&kitchen).await.claimed {
        scene.is_lost(&claimed).await;
    }
    scene.damage("UPDATE handoffs SET state = 'parked' WHERE event = 'order.placed' AND order_id IN (SELECT id FROM orders WHERE number = 2)").await;
    assert_eq!(scene.stuck().await.len(), 2);
    for order in [held, parked] {
        scene.staff_move(order, OrderStatus::Accepted).await;
        scene.staff_move(order, OrderStatus::Delivered).await;
        assert_eq!(
            scene.states(order, &kitchen).await[0],
            (OrderPlaced, Withdrawn)
        );
    }
    assert_eq!(scene.stuck().await, []);
    // The handoffs that waited behind them are sent.
    let told = scene.claims(&kitchen).await.claimed;
    assert!(
        told.len() == 2
            && told
                .iter()
                .all(|one| one.handoff.event == OrderStatusChanged),
        "{told:?}"
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_test_that_is_lost_is_over_and_one_that_cannot_be_claimed_is_listed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| new.unknown_policy = UnknownPolicy::Hold)
        .await;
    let lost = house.ledger.test_integrator(kitchen.id, &[]).await.unwrap();
    let claimed = scene.claim(&kitchen).await;
    scene.is_lost(&claimed).await;
    let tested = scene.handoff(lost).await;
    assert_eq!(
        (tested.state, tested.reason.as_deref()),
        (Failed, Some("attempts_used_up"))
    );
    assert_eq!(scene.stuck().await, []);

    let poisoned = house.ledger.test_integrator(kitchen.id, &[]).await.unwrap();
    scene
        .damage("UPDATE handoffs SET max_attempts = -1 WHERE state = 'due'")
        .await;
    for _ in 0..5 {
        scene.assert_nothing_due(&kitchen).await;
        house.clock.advance(Duration::from_secs(30));
    }
    let stuck = scene.stuck().await;
    assert_eq!((stuck.len(), stuck[0].handoff_id), (1, Some(poisoned)));
}

#[each_database]
async fn why_a_handoff_was_not_sent_tells_nothing_of_the_inside_and_fits_its_column(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let shown = async || {
        let history = house.ledger.handoff_histories(order).await.unwrap();
        history[0].listed.error.clone().unwrap()
    };
    let claimed = scene.claim(&kitchen).await;
    house
        .ledger
        .defer_attempt(&claimed, house.clock.now(), &"ö".repeat(600))
        .await
        .unwrap();
    assert_eq!(shown().await, "ö".repeat(500));
    scene
        .damage("UPDATE integrators SET status_map = '[\"whsec_hush\"]'")
        .await;
    assert!(
        house
            .ledger
            .claim_handoffs(kitchen.id, 10, LEASE)
            .await
            .is_ok()
    );
    let error = shown().await;
    assert!(
        error.contains("can't be read") && !error.contains("hush") && !error.contains("status_map"),
        "{error}"
    );
}
