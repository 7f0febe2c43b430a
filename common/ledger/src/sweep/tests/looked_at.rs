//! Work that the sweep looks at, and no sooner than it must.

use super::*;

#[each_database]
async fn an_order_is_settled_when_nobody_is_left_out_any_more_and_looked_at_no_sooner(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (kitchen, bar) = (scene.kitchen().await, scene.kitchen().await);
    let edit = async |of: IntegratorId, edit: IntegratorEdit| {
        house.ledger.edit_integrator(of, None, edit).await.unwrap();
    };
    let found = async || {
        let mut tx = house.db.read().await.unwrap();
        let found = store::sweep::unsettled_orders(&mut tx, house.clock.now(), None, 10).await;
        found.unwrap().orders
    };
    scene.disable(bar.id).await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(
        (found().await, scene.status(order).await),
        (vec![], OrderStatus::Processing)
    );
    // The bar was never handed this order, so staff must decide.
    edit(
        bar.id,
        IntegratorEdit {
            enabled: Some(true),
            ..Default::default()
        },
    )
    .await;
    assert_eq!(found().await, []);
    scene.disable(kitchen.id).await;
    edit(
        bar.id,
        IntegratorEdit {
            required: Some(false),
            ..Default::default()
        },
    )
    .await;
    assert_eq!(
        found().await,
        [order],
        "a confirmation counts, even if the integrator is disabled now"
    );
    assert_eq!(scene.settle_unsettled().await, 1);
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_reference_that_nobody_knows_is_not_looked_at_one_by_one(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for reference in ["K-1", "K-2"] {
        let update = Update {
            order_id: None,
            reference: Some(reference.into()),
            ..word(house.chance.id(house.clock.now()), "ready")
        };
        scene.send_callback(&kitchen, update).await;
    }
    let mut tx = house.db.read().await.unwrap();
    let known = store::sweep::unmatched(&mut tx, None, 10).await.unwrap();
    assert!(known.callbacks.is_empty());
    drop(tx);
    scene.order().await;
    scene
        .damage("UPDATE handoffs SET reference = x'4B2D32'")
        .await;
    let mut tx = house.db.read().await.unwrap();
    let known = store::sweep::unmatched(&mut tx, None, 10).await.unwrap();
    let known = known.callbacks;
    assert_eq!((known.len(), known[0].reference.as_str()), (1, "K-2"));
}

#[each_database]
async fn the_newest_orders_are_settled_however_many_wait_before_them(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(1));
        orders.push(scene.order().await.id);
    }
    let newest = house.ledger.settle_newest_orders(2, Part::WHOLE);
    assert_eq!(newest.await.unwrap(), 2);
    let mut statuses = Vec::new();
    for order in orders {
        statuses.push(scene.status(order).await);
    }
    let [pending, accepted] = [OrderStatus::Pending, OrderStatus::Accepted];
    assert_eq!(statuses, [pending, accepted, accepted]);
    let newest = house.ledger.settle_newest_orders(2, Part::WHOLE);
    assert_eq!(newest.await.unwrap(), 1);
    scene.assert_audit_clean().await;
}
