//! Callbacks on both databases: each counts once, or is only recorded.

mod looked_for;
mod meant;
mod news;
mod overtaken;
mod parcels;
mod repeated;

use crate::scene::{Scene, word};
use domain::{
    callback::{CallbackResult, DeliveryUpdate, Update},
    ids::OrderId,
    integrator::Integrator,
    status::OrderStatus,
};

use CallbackResult::{Applied, Conflict, Illegal, Parked, Stale, Unchanged, Unmapped, Unmatched};

/// Returns the results of all callbacks, in order of receipt.
async fn results(scene: &Scene) -> Vec<Option<CallbackResult>> {
    let mut tx = scene.house.db.read().await.unwrap();
    store::callbacks::results(&mut tx).await.unwrap()
}

async fn last_result(scene: &Scene) -> CallbackResult {
    results(scene).await.pop().unwrap().unwrap()
}

fn parcel(order: OrderId, status: &str, tracking_number: Option<&str>) -> Update {
    Update {
        status: None,
        delivery: Some(DeliveryUpdate {
            tracking_number: tracking_number.map(str::to_owned),
            status: Some(status.to_owned()),
        }),
        ..word(order, "")
    }
}

fn by_reference(reference: &str, status: &str) -> Update {
    Update {
        order_id: None,
        reference: Some(reference.to_owned()),
        status: Some(status.to_owned()),
        reason: None,
        sequence: None,
        occurred_at: None,
        ready_at: None,
        delivery: None,
    }
}

/// Creates a kitchen that accepts by callback, and an order that it has received.
async fn handed_over(scene: &Scene) -> (Integrator, OrderId) {
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Processing);
    (kitchen, order.id)
}

/// Creates a dispatched order, and the courier that has it.
async fn dispatched(scene: &Scene) -> (Integrator, OrderId) {
    let courier = scene.courier().await;
    let order = scene.order().await;
    scene.house.ledger.settle_order(order.id).await.unwrap();
    scene.staff_move(order.id, OrderStatus::Dispatched).await;
    let claimed = scene.claim(&courier).await;
    scene.answers(&claimed, 201).await;
    (courier, order.id)
}
