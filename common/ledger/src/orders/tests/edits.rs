//! Edits of placed orders: their effects on stock, total and timeline, and when they come too late.

use super::{items, line, pieces, refusal};
use crate::{
    intake::{PlaceRefused, Shortage},
    orders::{CustomerEdit, EditRefused, ItemsEdit, OrderEdit},
    products::{NewProduct, ProductEdit},
    scene::{QUANTITY, STOCK, Scene},
    testing::{TestLedger, fixtures::euros},
};
use domain::{
    event::EventKind,
    ids::ProductId,
    money::Money,
    order::Fulfilment,
    status::{By, OrderStatus},
};
use each_database::each_database;

async fn create_product(scene: &Scene, stock: Option<u32>) -> ProductId {
    let change = |new: &mut NewProduct| {
        new.name = "Cake".to_owned();
        new.price = euros(400);
        new.stock = stock;
    };
    scene.house.create_product_with(scene.store, change).await
}

async fn stock_of(house: &TestLedger, product: ProductId) -> Option<i64> {
    house.ledger.product(product).await.unwrap().unwrap().stock
}

#[each_database]
async fn an_edit_changes_stock_by_the_difference_and_is_in_the_timeline(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.kitchen().await;
    let cake = create_product(&scene, Some(5)).await;
    let order = scene.order().await;
    for (edit, espressos, cakes, total) in [
        (items(ItemsEdit::Add(line(cake, 2))), 3, 2, 1550),
        (items(ItemsEdit::Add(line(scene.product, 4))), 7, 2, 2550),
        (
            items(ItemsEdit::Replace(vec![
                line(cake, 5),
                line(scene.product, 1),
            ])),
            1,
            5,
            2250,
        ),
        (
            items(ItemsEdit::Replace(vec![
                line(scene.product, 2),
                line(scene.product, 2),
            ])),
            4,
            0,
            1000,
        ),
    ] {
        let edited = scene.edit(order.id, &edit).await.unwrap();
        assert_eq!(edited.total.amount, total);
        assert_eq!(
            (scene.stock().await, stock_of(&house, cake).await),
            (STOCK - espressos, Some(5 - cakes))
        );
        assert_eq!(scene.now(order.id).await, edited);
    }
    let edited = scene.now(order.id).await;
    assert_eq!(
        (edited.version, edited.number, edited.status),
        (5, order.number, OrderStatus::Pending)
    );
    use EventKind::{OrderEdited, OrderPlaced};
    assert_eq!(
        scene.told(order.id).await,
        [
            OrderPlaced,
            OrderEdited,
            OrderEdited,
            OrderEdited,
            OrderEdited
        ]
    );
    let events = house.ledger.order_events(order.id, 0).await.unwrap();
    assert_eq!(events[4].data, edited.public_facts());
    assert_eq!(events[4].seq, 5);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_edit_that_one_product_is_too_short_for_changes_nothing(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let cake = create_product(&scene, Some(5)).await;
    let order = scene.order().await;
    let edit = items(ItemsEdit::Replace(vec![
        line(scene.product, 1),
        line(cake, 3),
        line(cake, 3),
    ]));
    let short = vec![Shortage {
        product_id: cake,
        name: "Cake".into(),
        wanted: 6,
        left: 5,
    }];
    assert_eq!(
        refusal(scene.edit(order.id, &edit).await),
        PlaceRefused::InsufficientStock { short }.into()
    );
    // The whole stock, including the part that the order holds.
    let all = u32::try_from(STOCK).unwrap();
    scene.edit(order.id, &pieces(&scene, all)).await.unwrap();
    assert_eq!(
        (scene.stock().await, stock_of(&house, cake).await),
        (0, Some(5))
    );
    let more = refusal(scene.edit(order.id, &pieces(&scene, all + 1)).await);
    assert!(matches!(
        more,
        EditRefused::Place(PlaceRefused::InsufficientStock { .. })
    ));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_line_that_stays_keeps_its_price_and_a_new_one_gets_todays(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await;
    let price = Some(Money::new(300, order.total.currency));
    house
        .ledger
        .edit_product(
            scene.product,
            None,
            ProductEdit {
                price,
                ..ProductEdit::default()
            },
        )
        .await
        .unwrap();
    let change = ItemsEdit::Change {
        item: order.items[0].id,
        quantity: Some(4),
        options: None,
        note: None,
    };
    assert_eq!(
        scene
            .edit(order.id, &items(change))
            .await
            .unwrap()
            .total
            .amount,
        1000
    );
    let added = scene
        .edit(order.id, &items(ItemsEdit::Add(line(scene.product, 1))))
        .await
        .unwrap();
    assert_eq!(added.total.amount, 1300);
    assert_eq!(scene.stock().await, STOCK - 5);
}

#[each_database]
async fn a_line_whose_product_was_not_counted_takes_stock_only_when_there_is_more_of_it(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let cake = create_product(&scene, None).await;
    let order = scene
        .order_with(|order| order.lines = vec![line(cake, 4)])
        .await;
    let delivered = crate::products::StockChange {
        delta: 10,
        reason: "delivered".into(),
        by: None,
    };
    house.ledger.change_stock(cake, delivered).await.unwrap();
    let quantity = |quantity| {
        items(ItemsEdit::Change {
            item: order.items[0].id,
            quantity: Some(quantity),
            options: None,
            note: None,
        })
    };
    scene.edit(order.id, &quantity(3)).await.unwrap();
    assert_eq!(stock_of(&house, cake).await, Some(10));
    scene.edit(order.id, &quantity(5)).await.unwrap();
    assert_eq!(stock_of(&house, cake).await, Some(5));
    house
        .ledger
        .move_order(order.id, OrderStatus::Cancelled, By::Owner, None)
        .await
        .unwrap();
    assert_eq!(stock_of(&house, cake).await, Some(10));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn what_is_not_sold_any_more_may_become_less_and_not_more(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await;
    let gone = ProductEdit {
        available: Some(false),
        ..ProductEdit::default()
    };
    house
        .ledger
        .edit_product(scene.product, None, gone)
        .await
        .unwrap();
    let quantity = |quantity| {
        items(ItemsEdit::Change {
            item: order.items[0].id,
            quantity: Some(quantity),
            options: None,
            note: None,
        })
    };
    let refused = refusal(scene.edit(order.id, &quantity(QUANTITY + 1)).await);
    assert_eq!(refused, PlaceRefused::Unavailable { lines: vec![0] }.into());
    let refused = refusal(
        scene
            .edit(order.id, &items(ItemsEdit::Add(line(scene.product, 1))))
            .await,
    );
    assert_eq!(refused, PlaceRefused::Unavailable { lines: vec![0] }.into());
    scene.edit(order.id, &quantity(1)).await.unwrap();
    assert_eq!(scene.stock().await, STOCK - 1);
}

#[each_database]
async fn a_placed_order_keeps_an_item_an_address_and_its_bounds(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await;
    let last = items(ItemsEdit::Remove(order.items[0].id));
    assert_eq!(
        refusal(scene.edit(order.id, &last).await),
        PlaceRefused::NoItems.into()
    );
    assert_eq!(
        refusal(
            scene
                .edit(order.id, &items(ItemsEdit::Replace(vec![])))
                .await
        ),
        PlaceRefused::NoItems.into()
    );
    let twice = items(ItemsEdit::Remove(house.chance.id(house.clock.now())));
    assert_eq!(
        refusal(scene.edit(order.id, &twice).await),
        EditRefused::UnknownItem
    );
    let full = items(ItemsEdit::Replace(vec![line(scene.product, 1); 100]));
    scene.edit(order.id, &full).await.unwrap();
    assert_eq!(
        refusal(
            scene
                .edit(order.id, &items(ItemsEdit::Add(line(scene.product, 1))))
                .await
        ),
        EditRefused::TooManyItems
    );

    let mut delivery = OrderEdit {
        fulfilment: Some(Fulfilment::Delivery),
        ..OrderEdit::default()
    };
    assert_eq!(
        refusal(scene.edit(order.id, &delivery).await),
        PlaceRefused::AddressMissing.into()
    );
    delivery.customer = CustomerEdit {
        address: Some(Some("Dock 1".into())),
        ..CustomerEdit::default()
    };
    scene.edit(order.id, &delivery).await.unwrap();
    let homeless = OrderEdit {
        customer: CustomerEdit::clear_all(),
        ..OrderEdit::default()
    };
    assert_eq!(
        refusal(scene.edit(order.id, &homeless).await),
        PlaceRefused::AddressMissing.into()
    );
    let unknown = house.chance.id(house.clock.now());
    assert_eq!(
        refusal(scene.edit(unknown, &homeless).await),
        EditRefused::Unknown
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn once_an_integrator_was_told_of_an_order_nobody_edits_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await;
    scene.edit(order.id, &pieces(&scene, 1)).await.unwrap();
    let claimed = scene.claim(&kitchen).await;
    assert!(
        String::from_utf8_lossy(&claimed.body).contains("\"quantity\":\"1\""),
        "the edited order is sent"
    );
    let edit = pieces(&scene, 2);
    let not_editable = |status| EditRefused::NotEditable { status };
    assert_eq!(
        refusal(scene.edit(order.id, &edit).await),
        not_editable(OrderStatus::Processing)
    );
    scene.answers(&claimed, 200).await;
    scene.staff_move(order.id, OrderStatus::Accepted).await;
    assert_eq!(
        refusal(scene.edit(order.id, &edit).await),
        not_editable(OrderStatus::Accepted)
    );
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    assert_eq!(
        refusal(scene.edit(order.id, &edit).await),
        not_editable(OrderStatus::Cancelled)
    );
    assert_eq!(
        (scene.stock().await, scene.now(order.id).await.version),
        (STOCK, 2)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_tables_order_takes_nothing_more_after_the_close(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let session = house
        .ledger
        .open_session(scene.store, "Table 1")
        .await
        .unwrap();
    let order = scene
        .order_with(|order| order.session = Some(session.id))
        .await;
    scene.edit(order.id, &pieces(&scene, 4)).await.unwrap();
    house.ledger.close_session(session.id).await.unwrap();
    let refused = refusal(scene.edit(order.id, &pieces(&scene, 5)).await);
    assert_eq!(refused, PlaceRefused::SessionClosed.into());
    let note = OrderEdit {
        user_note: Some(Some("no sugar".into())),
        ..OrderEdit::default()
    };
    let edited = scene.edit(order.id, &note).await.unwrap();
    assert_eq!(
        (edited.version, edited.session.map(|session| session.name)),
        (3, Some("Table 1".into()))
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_edit_of_another_version_is_refused_and_moves_do_not_count(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await;
    let ledger = &house.ledger;
    ledger
        .edit_order(order.id, Some(1), &pieces(&scene, 1))
        .await
        .unwrap();
    let stale = refusal(
        ledger
            .edit_order(order.id, Some(1), &pieces(&scene, 2))
            .await,
    );
    assert_eq!(stale, EditRefused::VersionConflict { current: 2 });
    scene.staff_move(order.id, OrderStatus::Accepted).await;
    assert_eq!(scene.now(order.id).await.version, 2);
}

#[each_database]
async fn an_edit_of_what_was_a_draft_when_it_was_seen_is_refused_once_that_is_placed(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let draft = scene.draft(vec![line(scene.product, 2)]).await;
    scene.place(draft.id).await;
    let as_seen = (Some(draft.version), Some(OrderStatus::Draft));
    let edit = async |(version, status)| {
        house
            .ledger
            .edit_order_in_status(draft.id, version, status, &pieces(&scene, 5))
            .await
    };
    assert_eq!(
        refusal(edit(as_seen).await),
        EditRefused::VersionConflict { current: 1 }
    );
    assert_eq!(scene.stock().await, STOCK - 2);
    edit((Some(1), Some(OrderStatus::Pending))).await.unwrap();
    assert_eq!(scene.stock().await, STOCK - 5);
    scene.assert_audit_clean().await;
}
