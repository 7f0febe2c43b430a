//! Effects of archiving an integrator on everything that it was still to be sent.

use each_database::each_database;
use std::time::Duration;

use crate::{
    handoffs::INTEGRATOR_ARCHIVED,
    scene::{STOCK, Scene, word},
    sweep::NOT_ACCEPTED_IN_TIME,
    sweep::Part,
    testing::TestLedger,
};
use domain::{
    delivery::DeliveryStatus,
    handoff::HandoffState,
    ids::{IntegratorId, OrderId},
    integrator::{Confirms, HandoffEvent, Integrator, UnknownPolicy},
    status::OrderStatus,
};

async fn archive(scene: &Scene, id: IntegratorId) {
    let archived = scene.house.ledger.archive_integrator(id, None).await;
    archived.unwrap();
}

async fn withdrawn(scene: &Scene) -> u32 {
    let withdrawn = scene.house.ledger.withdraw_from_archived(10).await;
    withdrawn.unwrap()
}

/// Returns the state of the order's only handoff to the integrator.
async fn state_of(scene: &Scene, order: OrderId, integrator: &Integrator) -> HandoffState {
    let states = scene.states(order, integrator).await;
    assert_eq!(states.len(), 1, "{states:?}");
    states[0].1
}

#[each_database]
async fn what_it_was_to_be_sent_is_withdrawn_step_by_step_and_staff_decide(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let orders = [
        scene.order().await,
        scene.order().await,
        scene.order().await,
    ];
    assert_eq!(withdrawn(&scene).await, 0);
    archive(&scene, kitchen.id).await;
    assert_eq!(house.ledger.withdraw_from_archived(2).await.unwrap(), 2);
    assert_eq!(house.ledger.withdraw_from_archived(2).await.unwrap(), 1);
    assert_eq!(withdrawn(&scene).await, 0);
    for order in &orders {
        let handoff = &scene.handoffs(order.id).await[0];
        assert_eq!(
            (handoff.state, handoff.reason.as_deref()),
            (HandoffState::Withdrawn, Some(INTEGRATOR_ARCHIVED))
        );
        assert_eq!(scene.status(order.id).await, OrderStatus::Pending);
    }
    assert_eq!(
        house
            .ledger
            .settle_unsettled_orders(None, 10, Part::WHOLE)
            .await
            .unwrap()
            .0,
        0,
        "auto_accept never steps in for an archived integrator"
    );
    assert_eq!(scene.stuck().await, []);

    scene.staff_move(orders[0].id, OrderStatus::Accepted).await;
    house.clock.set(orders[1].accept_by.unwrap());
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 2);
    let ended = scene.now(orders[1].id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (OrderStatus::Cancelled, Some(NOT_ACCEPTED_IN_TIME))
    );
    assert_eq!(scene.stock().await, STOCK - 3);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_the_others_confirmed_is_accepted_without_it_whoever_comes_first(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (gone, till) = (scene.kitchen().await, scene.kitchen().await);
    let (before, after) = (scene.order().await.id, scene.order().await.id);
    let mut claimed = scene.claims(&till).await.claimed;
    claimed.sort_by_key(|one| one.handoff.order_id);
    let (first, second) = if before < after { (0, 1) } else { (1, 0) };
    scene.answers(&claimed[first], 200).await;
    assert_eq!(scene.status(before).await, OrderStatus::Processing);
    archive(&scene, gone.id).await;
    assert_eq!(withdrawn(&scene).await, 2);
    assert_eq!(
        (scene.status(before).await, scene.status(after).await),
        (OrderStatus::Accepted, OrderStatus::Processing)
    );
    scene.answers(&claimed[second], 200).await;
    assert_eq!(scene.status(after).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn one_that_waits_for_its_callback_only_holds_up_nobody_either(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let slow = scene.slow_kitchen().await;
    let alone = scene.order().await.id;
    scene.answers(&scene.claim(&slow).await, 200).await;
    let till = scene.kitchen().await;
    let both = scene.order().await.id;
    for integrator in [&slow, &till] {
        scene.answers(&scene.claim(integrator).await, 200).await;
    }
    assert_eq!(scene.settle_unsettled().await, 0);
    archive(&scene, slow.id).await;
    assert_eq!(withdrawn(&scene).await, 0);
    assert_eq!(scene.settle_unsettled().await, 1);
    assert_eq!(scene.settle_unsettled().await, 0);
    assert_eq!(
        (scene.status(alone).await, scene.status(both).await),
        (OrderStatus::Processing, OrderStatus::Accepted)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn what_is_on_the_wire_is_concluded_by_itself(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (first, second) = (scene.order().await.id, scene.order().await.id);
    let claimed = scene.claims(&kitchen).await.claimed;
    archive(&scene, kitchen.id).await;
    assert_eq!(withdrawn(&scene).await, 0);
    for one in &claimed {
        let is_first = one.handoff.order_id == Some(first);
        scene.answers(one, if is_first { 200 } else { 503 }).await;
    }
    assert_eq!(scene.status(first).await, OrderStatus::Accepted);
    assert_eq!(
        state_of(&scene, second, &kitchen).await,
        HandoffState::Waiting
    );
    assert_eq!(withdrawn(&scene).await, 1);
    assert_eq!(
        state_of(&scene, second, &kitchen).await,
        HandoffState::Withdrawn
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn held_and_parked_ones_are_withdrawn_and_stand_on_no_list(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let careful = scene
        .integrator(|new| new.unknown_policy = UnknownPolicy::Hold)
        .await;
    let held = scene.order().await.id;
    scene.is_lost(&scene.claim(&careful).await).await;
    let parked = scene.order().await.id;
    scene
        .damage("UPDATE handoffs SET state = 'parked', claim_failures = 5 WHERE state = 'due'")
        .await;
    assert_eq!(scene.stuck().await.len(), 2);
    archive(&scene, careful.id).await;
    assert_eq!(withdrawn(&scene).await, 2);
    for order in [held, parked] {
        assert_eq!(
            state_of(&scene, order, &careful).await,
            HandoffState::Withdrawn
        );
    }
    assert_eq!(scene.stuck().await, []);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn past_their_deadline_they_are_withdrawn_too_and_fail_no_order(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    archive(&scene, kitchen.id).await;
    house.clock.set(order.accept_by.unwrap());
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 0);
    assert_eq!(withdrawn(&scene).await, 1);
    assert_eq!(scene.status(order.id).await, OrderStatus::Pending);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_from_before_is_heard_before_the_order_goes_on_without_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (gone, till) = (
        scene.kitchen().await,
        scene
            .integrator(|new| new.confirms = Confirms::Callback)
            .await,
    );
    let order = scene.order().await.id;
    scene.answers(&scene.claim(&till).await, 200).await;
    scene.send_callback(&till, word(order, "rejected")).await;
    archive(&scene, gone.id).await;
    drop(house.woken.take());
    assert_eq!(withdrawn(&scene).await, 1);
    assert_eq!(scene.status(order).await, OrderStatus::Processing);
    assert_eq!(
        house.woken.hints(),
        [domain::hint::Hint::Callbacks { order }]
    );
    house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(scene.status(order).await, OrderStatus::Rejected);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_parcel_whose_courier_is_archived_is_told_to_have_none(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    let order = scene.order().await.id;
    house.ledger.settle_order(order).await.unwrap();
    scene.staff_move(order, OrderStatus::Dispatched).await;
    archive(&scene, courier.id).await;
    assert_eq!(withdrawn(&scene).await, 1);
    assert_eq!(
        scene.states(order, &courier).await,
        [(HandoffEvent::OrderDispatched, HandoffState::Withdrawn)]
    );
    assert_eq!(
        scene.now(order).await.delivery.unwrap().status,
        DeliveryStatus::HandoffFailed
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn one_that_cannot_be_withdrawn_stops_no_other_and_is_left_to_people_in_the_end(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    scene.order().await;
    scene.damage("UPDATE handoffs SET event = 'order.eaten' WHERE order_id IN (SELECT id FROM orders WHERE number = 1)").await;
    archive(&scene, kitchen.id).await;
    assert_eq!(withdrawn(&scene).await, 1);
    let found = async || {
        let mut tx = house.db.read().await.unwrap();
        let found = store::sweep::handoffs_of_archived(&mut tx, house.clock.now(), 10).await;
        found.unwrap().len()
    };
    assert_eq!(found().await, 0, "it is retried only after a delay");
    for _ in 1..10 {
        house.clock.advance(Duration::from_secs(30));
        assert_eq!((found().await, withdrawn(&scene).await), (1, 0));
    }
    house.clock.advance(Duration::from_secs(30));
    assert_eq!(found().await, 0);
    let counts = house.ledger.handoff_counts().await.unwrap();
    assert!(counts.contains(&(HandoffState::Parked, 1)), "{counts:?}");
}
