//! Callbacks of couriers about their deliveries.

use super::{
    Applied, Illegal, Stale, Unchanged, Unmapped, dispatched, handed_over, last_result, parcel,
};
use crate::{
    scene::{Scene, word},
    testing::TestLedger,
};
use domain::{
    callback::Update, delivery::DeliveryStatus, event::EventKind, handoff::SendResult,
    status::OrderStatus,
};
use each_database::each_database;

#[each_database]
async fn a_courier_tells_where_the_parcel_is_and_delivers_the_order(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (courier, order) = dispatched(&scene).await;
    scene
        .says(&courier, order, parcel(order, "AT_ORIGIN", Some("T-5")))
        .await;
    scene
        .says(&courier, order, parcel(order, "EN_ROUTE_OF_DELIVERY", None))
        .await;
    scene
        .says(&courier, order, parcel(order, "NOT_DELIVERED", None))
        .await;
    scene
        .says(&courier, order, parcel(order, "AT_ORIGIN", None))
        .await;
    assert_eq!(last_result(&scene).await, Stale);
    scene
        .says(&courier, order, parcel(order, "EN_ROUTE_OF_DELIVERY", None))
        .await;
    scene
        .says(&courier, order, parcel(order, "EN_ROUTE_OF_DELIVERY", None))
        .await;
    assert_eq!(last_result(&scene).await, Unchanged);
    scene
        .says(&courier, order, parcel(order, "DELIVERED", None))
        .await;
    let now = scene.now(order).await;
    assert_eq!(now.status, OrderStatus::Delivered);
    let delivery = now.delivery.unwrap();
    assert_eq!(
        (delivery.status, delivery.tracking_number.as_deref()),
        (DeliveryStatus::Delivered, Some("T-5"))
    );
    assert_eq!(delivery.history.len(), 6);
    let told = house
        .woken
        .events()
        .into_iter()
        .filter(|event| event.kind == EventKind::DeliveryMoved)
        .count();
    assert_eq!(told, 5);
    scene
        .says(&courier, order, parcel(order, "DELIVERED", None))
        .await;
    assert_eq!(last_result(&scene).await, Unchanged);
    scene
        .says(&courier, order, parcel(order, "LOST_IN_SPACE", None))
        .await;
    assert_eq!(last_result(&scene).await, Unmapped);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn in_one_second_a_parcel_moves_forward_only(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (courier, order) = dispatched(&scene).await;
    for (status, tracking_number, expected) in [
        ("AT_ORIGIN", Some("T-1"), Applied),
        ("EN_ROUTE_OF_DELIVERY", None, Applied),
        ("NOT_DELIVERED", None, Applied),
        ("EN_ROUTE_OF_DELIVERY", Some("T-2"), Stale),
        ("NOT_DELIVERED", None, Unchanged),
        ("DELIVERED", None, Applied),
        ("NOT_DELIVERED", None, Stale),
    ] {
        let update = Update {
            occurred_at: Some(house.clock.now()),
            ..parcel(order, status, tracking_number)
        };
        scene.says(&courier, order, update).await;
        assert_eq!(last_result(&scene).await, expected, "{status}");
    }
    let now = scene.now(order).await;
    let delivery = now.delivery.unwrap();
    assert_eq!(
        (now.status, delivery.status),
        (OrderStatus::Delivered, DeliveryStatus::Delivered)
    );
    assert_eq!(
        delivery.tracking_number.as_deref(),
        Some("T-1"),
        "a stale update changes nothing"
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn the_number_that_a_courier_told_first_stays_whatever_its_late_answer_says(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    let order = scene.order().await.id;
    scene.house.ledger.settle_order(order).await.unwrap();
    scene.staff_move(order, OrderStatus::Dispatched).await;
    let claimed = scene.claim(&courier).await;
    scene
        .says(&courier, order, parcel(order, "AT_ORIGIN", Some("T-1")))
        .await;
    let created = SendResult::Answer {
        status: 201,
        retry_after: None,
    };
    scene
        .heard(&claimed, created, br#"{"tracking_number":"T-2"}"#)
        .await;
    let delivery = scene.now(order).await.delivery.unwrap();
    assert_eq!(delivery.tracking_number.as_deref(), Some("T-1"));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn seed_004s_courier_says_it_all_in_one_word(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (courier, order) = dispatched(&scene).await;
    scene
        .says(&courier, order, word(order, "EN_ROUTE_OF_DELIVERY"))
        .await;
    assert_eq!(
        scene.now(order).await.delivery.unwrap().status,
        DeliveryStatus::EnRoute
    );
    scene.says(&courier, order, word(order, "DELIVERED")).await;
    let now = scene.now(order).await;
    assert_eq!(
        (now.status, now.delivery.unwrap().status),
        (OrderStatus::Delivered, DeliveryStatus::Delivered)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn only_the_courier_moves_the_parcel(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    scene
        .says(&kitchen, order, parcel(order, "DELIVERED", None))
        .await;
    assert_eq!(last_result(&scene).await, Illegal);
    assert_eq!(scene.now(order).await.delivery, None);
    scene.assert_audit_clean().await;
}
