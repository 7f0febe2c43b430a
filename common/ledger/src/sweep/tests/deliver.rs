//! Orders that stay accepted for ever become delivered where their store says so.

use super::*;
use crate::{stores::StoreEdit, sweep::PRESUMED_DELIVERED};
use domain::event::EventKind;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

async fn set_hours(scene: &Scene, hours: Option<u32>) {
    let edit = StoreEdit {
        deliver_accepted_after_h: Some(hours),
        ..StoreEdit::default()
    };
    let ledger = &scene.house.ledger;
    ledger.edit_store(scene.store, None, edit).await.unwrap();
}

async fn status(scene: &Scene, order: OrderId) -> (OrderStatus, Option<String>) {
    let order = scene.now(order).await;
    (order.status, order.reason)
}

#[each_database]
async fn an_order_that_stays_accepted_is_delivered_after_its_stores_hours_and_never_listed(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    set_hours(&scene, Some(3)).await;
    let mut orders = Vec::new();
    for to in [
        OrderStatus::Accepted,
        OrderStatus::Preparing,
        OrderStatus::Ready,
        OrderStatus::Dispatched,
    ] {
        let order = scene.order().await.id;
        scene.staff_move(order, OrderStatus::Accepted).await;
        if to != OrderStatus::Accepted {
            scene.staff_move(order, to).await;
        }
        orders.push(order);
    }
    house.clock.advance(3 * HOUR - SECOND);
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 0);
    let stuck = scene.stuck().await;
    assert!(stuck.iter().all(|one| one.order_id != Some(orders[0])));
    drop(house.woken.take());
    house.clock.advance(SECOND);
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 3);
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 0);
    for order in &orders[..3] {
        let reason = Some(PRESUMED_DELIVERED.to_owned());
        let delivered = (OrderStatus::Delivered, reason);
        assert_eq!(status(&scene, *order).await, delivered);
    }
    let (with_courier, _) = status(&scene, orders[3]).await;
    assert_eq!(
        with_courier,
        OrderStatus::Dispatched,
        "the courier will tell"
    );
    let told = house.woken.events();
    let told: Vec<_> = told
        .iter()
        .map(|event| (event.kind, event.data["order"]["status"].as_str()))
        .collect();
    let event = (EventKind::OrderStatusChanged, Some("delivered"));
    assert_eq!(told, [event; 3]);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_store_without_the_setting_keeps_its_orders_and_has_them_listed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await.id;
    scene.staff_move(order, OrderStatus::Accepted).await;
    house.clock.advance(720 * HOUR);
    let ledger = &house.ledger;
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 0);
    let idle = scene.stuck().await;
    let idle = idle.iter().filter(|one| one.kind == StuckKind::OrderIdle);
    assert_eq!(idle.count(), 1);
    // A setting that is made later holds for old orders too, and one that is taken back for none.
    set_hours(&scene, Some(1)).await;
    set_hours(&scene, None).await;
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 0);
    set_hours(&scene, Some(720)).await;
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 1);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn deliveries_come_in_bounded_batches_over_all_stores_oldest_first(house: TestLedger) {
    let mut orders = Vec::new();
    for hours in [2, 1, 2] {
        let scene = Scene::new(&house).await;
        set_hours(&scene, Some(hours)).await;
        for _ in 0..3 {
            let order = scene.order().await.id;
            scene.staff_move(order, OrderStatus::Accepted).await;
            orders.push(order);
        }
    }
    house.clock.advance(2 * HOUR);
    let ledger = &house.ledger;
    let mut counts = Vec::new();
    while counts.last() != Some(&0) {
        counts.push(ledger.deliver_accepted_orders(4).await.unwrap());
    }
    assert_eq!(counts, [4, 4, 1, 0]);
    assert_eq!(ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_callback_that_waits_is_applied_before_its_order_is_taken_for_delivered(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    set_hours(&scene, Some(1)).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    house.clock.advance(HOUR);
    let update = Update {
        reason: Some("burnt".to_owned()),
        ..word(order, "cancelled")
    };
    let ledger = &house.ledger;
    let received = ledger.receive_callback(&kitchen, "1", update).await;
    received.unwrap();
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 0);
    ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(ledger.deliver_accepted_orders(10).await.unwrap(), 0);
    let (status, _) = status(&scene, order).await;
    assert_eq!(status, OrderStatus::Cancelled);
    scene.assert_audit_clean().await;
}
