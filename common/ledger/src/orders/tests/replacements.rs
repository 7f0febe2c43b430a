//! Replacements: failed orders that are placed again.

use each_database::each_database;
use futures_util::future::join_all;

use super::refusal;
use crate::{
    NoWake,
    idempotency::Idempotency,
    intake::{Line, PlaceOrder, PlaceRefused, Placer},
    scene::{QUANTITY, STOCK, Scene},
    testing::TestLedger,
};
use domain::{
    order::Order,
    status::{By, OrderStatus},
};

async fn a_rejected_order(scene: &Scene) -> Order {
    let order = scene.order().await;
    let rejected =
        scene
            .house
            .ledger
            .move_order(order.id, OrderStatus::Rejected, By::Staff, Some("no beans"));
    rejected.await.unwrap()
}

fn anew(scene: &Scene, order: &Order) -> PlaceOrder {
    PlaceOrder {
        lines: order.items.iter().map(Line::repeat).collect(),
        replaces: Some(order.id),
        ..scene.wanted(Placer::Account(order.account_id.unwrap()))
    }
}

#[each_database]
async fn one_order_replaces_another_however_many_ask_for_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let rejected = a_rejected_order(&scene).await;
    let ledgers = [
        house.ledger.clone(),
        house.ledger_with_wake(std::sync::Arc::new(NoWake)),
    ];
    let asked = (0..10).map(|n| {
        let (ledger, wanted) = (ledgers[n % 2].clone(), anew(&scene, &rejected));
        async move { ledger.place_order(wanted).await }
    });
    let (placed, refused): (Vec<_>, Vec<_>) =
        join_all(asked).await.into_iter().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (1, 9));
    let order = &placed[0].as_ref().unwrap().order;
    assert_eq!((order.replaces, order.items.len()), (Some(rejected.id), 1));
    for refused in refused {
        assert_eq!(
            refusal(refused),
            PlaceRefused::AlreadyReplaced { by: order.id }
        );
    }
    assert_eq!(scene.stock().await, STOCK - i64::from(QUANTITY));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_replacement_is_replayed_by_its_key_and_can_itself_be_replaced(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let rejected = a_rejected_order(&scene).await;
    let mut wanted = anew(&scene, &rejected);
    wanted.idempotency = Some(Idempotency {
        owner: scene.store.uuid(),
        key: "k".into(),
        fingerprint: [1; 32],
        other_fingerprints: Vec::new(),
    });
    let first = house.ledger.place_order(wanted.clone()).await.unwrap();
    let again = house.ledger.place_order(wanted).await.unwrap();
    assert_eq!((again.order.id, again.replayed), (first.order.id, true));
    house
        .ledger
        .move_order(first.order.id, OrderStatus::Cancelled, By::Owner, None)
        .await
        .unwrap();
    let second = house
        .ledger
        .place_order(anew(&scene, &first.order))
        .await
        .unwrap();
    assert_eq!(second.order.replaces, Some(first.order.id));
    scene.assert_audit_clean().await;
}
