//! Drafts: their contents, and how they are placed or deleted.

use each_database::each_database;
use std::time::Duration;

use super::{items, line, refusal};
use crate::{
    intake::{PlaceRefused, Placer},
    orders::{CustomerEdit, ItemsEdit, OrderEdit, OrderRefused},
    products::ProductEdit,
    scene::{STOCK, Scene},
    stores::StoreEdit,
    testing::{TestLedger, fixtures::euros},
};
use domain::{
    event::EventKind,
    handoff::HandoffState,
    hint::Hint,
    integrator::HandoffEvent,
    money::Money,
    order::Fulfilment,
    status::{By, MoveRefused, OrderStatus},
    store::Product,
};

async fn costs(scene: &Scene, amount: i64) -> Product {
    let edit = ProductEdit {
        price: Some(euros(amount)),
        ..ProductEdit::default()
    };
    scene
        .house
        .ledger
        .edit_product(scene.product, None, edit)
        .await
        .unwrap()
}

#[each_database]
async fn a_draft_holds_nothing_and_nobody_is_told_of_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let woken = house.woken.rows().len();
    let draft = scene.draft(vec![line(scene.product, 1000)]).await;

    assert_eq!(draft.status, OrderStatus::Draft);
    assert_eq!(
        (draft.number, draft.accept_by, draft.placed_at),
        (None, None, None)
    );
    assert_eq!(scene.now(draft.id).await, draft);
    assert_eq!(scene.stock().await, STOCK);
    assert_eq!(scene.told(draft.id).await, []);
    assert_eq!(house.woken.rows().len(), woken);
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_placed_draft_is_as_if_it_had_been_placed_at_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let draft = scene
        .draft(vec![line(scene.product, 2), line(scene.product, 1)])
        .await;
    costs(&scene, 300).await;
    house.clock.advance(Duration::from_secs(3600));
    let placed = scene.place(draft.id).await;

    assert_eq!(
        (placed.status, placed.number, placed.total.amount),
        (OrderStatus::Pending, Some(1), 900)
    );
    assert_eq!(placed.placed_at, Some(house.clock.now()));
    assert_eq!(
        placed.accept_by,
        Some(house.clock.now() + chrono::TimeDelta::seconds(600))
    );
    assert_eq!((placed.created_at, placed.version), (draft.created_at, 1));
    let ids =
        |order: &domain::order::Order| order.items.iter().map(|item| item.id).collect::<Vec<_>>();
    assert_eq!(ids(&placed), ids(&draft));
    assert_eq!(scene.now(draft.id).await, placed);
    assert_eq!(scene.stock().await, STOCK - 3);
    assert_eq!(scene.told(draft.id).await, [EventKind::OrderPlaced]);
    assert_eq!(
        scene.states(draft.id, &kitchen).await,
        [(HandoffEvent::OrderPlaced, HandoffState::Due)]
    );
    assert!(house.woken.hints().contains(&Hint::Handoffs {
        integrator: kitchen.id
    }));
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(draft.id).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_screen_that_missed_the_placing_of_an_old_draft_finds_its_stream(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let placed = scene.draft(vec![line(scene.product, 1)]).await;
    let still = scene.draft(vec![line(scene.product, 1)]).await;
    house.clock.advance(Duration::from_secs(3600));
    let snapshot = house.ledger.store_snapshot(scene.store).await.unwrap();
    let number = snapshot.unwrap().last_number;
    let young = scene.draft(vec![line(scene.product, 1)]).await;
    scene.place(placed.id).await;
    let later = house
        .ledger
        .streams_after_number(scene.store, number)
        .await
        .unwrap();
    let heads = later.heads;
    assert!(heads.contains(&(placed.id.into(), 1)), "{heads:?}");
    for draft in [still, young] {
        assert!(
            heads.iter().all(|(stream, _)| *stream != draft.id.into()),
            "{heads:?}"
        );
    }
}

#[each_database]
async fn a_draft_is_placed_by_the_rule_of_intake(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let place =
        async |draft, expected| refusal(ledger.place_draft(draft, By::Owner, expected).await);
    let empty = scene.draft(vec![]).await;
    assert_eq!(
        place(empty.id, None).await,
        OrderRefused::Place(PlaceRefused::NoItems)
    );
    let large = scene.draft(vec![line(scene.product, 101)]).await;
    let short = place(large.id, None).await;
    assert!(
        matches!(
            short,
            OrderRefused::Place(PlaceRefused::InsufficientStock { .. })
        ),
        "{short:?}"
    );
    let draft = scene.draft(vec![line(scene.product, 1)]).await;
    let expected = Money::new(1, draft.total.currency);
    let mismatch = PlaceRefused::TotalMismatch {
        expected,
        actual: draft.total,
    };
    assert_eq!(
        place(draft.id, Some(expected)).await,
        OrderRefused::Place(mismatch)
    );
    let homeless = scene
        .draft_like(|draft| draft.fulfilment = Fulfilment::Delivery)
        .await;
    assert_eq!(
        place(homeless.id, None).await,
        OrderRefused::Place(PlaceRefused::AddressMissing)
    );

    let unavailable = ProductEdit {
        available: Some(false),
        ..ProductEdit::default()
    };
    ledger
        .edit_product(scene.product, None, unavailable)
        .await
        .unwrap();
    assert_eq!(
        place(draft.id, None).await,
        OrderRefused::Place(PlaceRefused::Unavailable { lines: vec![0] })
    );
    let paused = StoreEdit {
        paused: Some(true),
        ..StoreEdit::default()
    };
    ledger.edit_store(scene.store, None, paused).await.unwrap();
    assert_eq!(
        place(draft.id, None).await,
        OrderRefused::Place(PlaceRefused::StorePaused)
    );
    ledger.archive_store(scene.store, None).await.unwrap();
    assert_eq!(
        place(draft.id, None).await,
        OrderRefused::Place(PlaceRefused::StoreArchived)
    );

    assert_eq!(scene.stock().await, STOCK);
    assert_eq!(scene.status(draft.id).await, OrderStatus::Draft);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_draft_of_a_table_is_not_the_tables_until_it_is_placed_and_not_after_its_close(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let session = house
        .ledger
        .open_session(scene.store, "Table 1")
        .await
        .unwrap();
    let placed = scene
        .draft_like(|draft| draft.session = Some(session.id))
        .await;
    let late = scene
        .draft_like(|draft| draft.session = Some(session.id))
        .await;
    let shown = house
        .ledger
        .session_snapshot(&session.code)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((shown.orders.len(), shown.session.seq), (0, 1));
    scene.place(placed.id).await;
    let closed = house.ledger.close_session(session.id).await.unwrap();
    assert_eq!(closed.unfinished.len(), 1);
    let refused = refusal(house.ledger.place_draft(late.id, By::Owner, None).await);
    assert_eq!(refused, OrderRefused::Place(PlaceRefused::SessionClosed));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn only_those_whom_the_table_of_moves_lets_place_a_draft_place_it_and_nothing_else_moves_it(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let draft = scene.draft(vec![line(scene.product, 1)]).await;
    for (to, by) in [
        (OrderStatus::Pending, By::Guest),
        (OrderStatus::Pending, By::System),
        (OrderStatus::Accepted, By::Staff),
        (OrderStatus::Cancelled, By::Owner),
    ] {
        let refused = refusal(house.ledger.move_order(draft.id, to, by, Some("so")).await);
        assert!(
            matches!(refused, OrderRefused::Move(MoveRefused::Invalid { .. })),
            "{to} by {by}: {refused:?}"
        );
    }
    let placed = house
        .ledger
        .move_order(draft.id, OrderStatus::Pending, By::Staff, None)
        .await
        .unwrap();
    assert_eq!(placed.number, Some(1));
    // A move to its current status is a no-op.
    assert_eq!(scene.place(draft.id).await, placed);
    scene.staff_move(draft.id, OrderStatus::Rejected).await;
    let refused = refusal(house.ledger.place_draft(draft.id, By::Owner, None).await);
    assert!(matches!(
        refused,
        OrderRefused::Move(MoveRefused::Invalid { .. })
    ));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_draft_may_be_edited_in_every_way_and_tells_nobody(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let draft = scene.draft(vec![]).await;
    let added = scene
        .edit(draft.id, &items(ItemsEdit::Add(line(scene.product, 1000))))
        .await
        .unwrap();
    assert_eq!(
        (added.version, added.total.amount, added.items[0].counted),
        (2, 250_000, false)
    );
    let change = ItemsEdit::Change {
        item: added.items[0].id,
        quantity: Some(2),
        options: None,
        note: Some(Some("hot".into())),
    };
    let changed = scene.edit(draft.id, &items(change)).await.unwrap();
    assert_eq!(
        (changed.items[0].quantity, changed.items[0].note.as_deref()),
        (2, Some("hot"))
    );
    let rest = OrderEdit {
        user_note: Some(Some("ring twice".into())),
        customer: CustomerEdit {
            name: Some(Some("Anna".into())),
            ..CustomerEdit::default()
        },
        fulfilment: Some(Fulfilment::Delivery),
        wanted_at: Some(None),
        reference: Some(Some("R-1".into())),
        items: ItemsEdit::Remove(added.items[0].id),
    };
    let edited = scene.edit(draft.id, &rest).await.unwrap();
    assert_eq!(
        (edited.version, edited.items.len(), edited.total.amount),
        (4, 0, 0)
    );
    assert_eq!(
        (edited.customer.name.as_deref(), edited.reference.as_deref()),
        (Some("Anna"), Some("R-1"))
    );
    let emptied = OrderEdit {
        customer: CustomerEdit::clear_all(),
        ..OrderEdit::default()
    };
    assert_eq!(
        scene.edit(draft.id, &emptied).await.unwrap().customer,
        draft.customer
    );
    // An empty edit changes nothing.
    assert_eq!(
        scene
            .edit(draft.id, &OrderEdit::default())
            .await
            .unwrap()
            .version,
        5
    );
    assert_eq!(scene.told(draft.id).await, []);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_reference_is_taken_by_a_draft_and_by_an_edit(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let account = house.chance.id(house.clock.now());
    let mut wanted = scene.wanted(Placer::Account(account));
    let other = house.ledger.draft_order(&wanted).await.unwrap();
    wanted.reference = Some("R-1".into());
    let first = house.ledger.draft_order(&wanted).await.unwrap();
    let taken = PlaceRefused::DuplicateOrder { existing: first.id };
    assert_eq!(refusal(house.ledger.draft_order(&wanted).await), taken);
    assert_eq!(
        refusal(house.ledger.place_order(wanted.clone()).await),
        taken
    );
    let edit = OrderEdit {
        reference: Some(wanted.reference.clone()),
        ..OrderEdit::default()
    };
    assert_eq!(refusal(scene.edit(other.id, &edit).await), taken.into());
    house
        .ledger
        .remove_order(first.id, By::Owner, None)
        .await
        .unwrap();
    assert_eq!(
        scene.edit(other.id, &edit).await.unwrap().reference,
        wanted.reference
    );
}

#[each_database]
async fn a_draft_goes_when_it_is_removed_or_a_week_old_and_a_placed_order_never(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let removed = scene.draft(vec![line(scene.product, 1)]).await;
    assert_eq!(
        house
            .ledger
            .remove_order(removed.id, By::Owner, None)
            .await
            .unwrap(),
        None
    );
    assert_eq!(house.ledger.order(removed.id).await.unwrap(), None);
    assert_eq!(
        refusal(house.ledger.remove_order(removed.id, By::Owner, None).await),
        OrderRefused::Unknown
    );

    let old = scene.draft(vec![line(scene.product, 1)]).await;
    let placed = scene.draft(vec![line(scene.product, 1)]).await;
    scene.place(placed.id).await;
    house.clock.advance(Duration::from_secs(7 * 24 * 3600 - 1));
    assert_eq!(house.ledger.prune().await.unwrap(), 0);
    house.clock.advance(Duration::from_secs(1));
    let young = scene.draft(vec![line(scene.product, 1)]).await;
    assert_eq!(house.ledger.prune().await.unwrap(), 1);
    assert_eq!(house.ledger.order(old.id).await.unwrap(), None);
    assert!(house.ledger.order(young.id).await.unwrap().is_some());

    let cancelled = house
        .ledger
        .remove_order(placed.id, By::Owner, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cancelled.status, OrderStatus::Cancelled);
    assert_eq!(
        house
            .ledger
            .remove_order(placed.id, By::Owner, None)
            .await
            .unwrap(),
        Some(scene.now(placed.id).await)
    );
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_draft_names_products_of_its_store_and_a_total_that_is_right(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let elsewhere = Scene::new(&house).await;
    let mut wanted = scene.wanted(Placer::Account(house.chance.id(house.clock.now())));
    wanted.lines.push(line(elsewhere.product, 1));
    let ledger = &house.ledger;
    assert_eq!(
        refusal(ledger.draft_order(&wanted).await),
        PlaceRefused::UnknownProducts { lines: vec![1] }
    );
    wanted.lines.pop();
    let expected = euros(1);
    wanted.expected_total = Some(expected);
    let actual = Money::new(750, expected.currency);
    assert_eq!(
        refusal(ledger.draft_order(&wanted).await),
        PlaceRefused::TotalMismatch { expected, actual }
    );
    wanted.session = Some(house.chance.id(house.clock.now()));
    assert_eq!(
        refusal(ledger.draft_order(&wanted).await),
        PlaceRefused::UnknownSession
    );
}
