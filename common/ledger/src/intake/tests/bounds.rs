//! Bounds of what one guest can make: the text of an order, and the unfinished orders of a session.

use super::*;
use crate::{
    events::SessionSnapshot,
    intake::Line,
    orders::{EditRefused, ItemsEdit, OrderEdit},
    testing::fixtures::guest_order,
};
use domain::{
    order::{Customer, size::TextTooLong},
    session::Session,
    status::By,
};

const TEXT: usize = 512;

/// Returns a text of that many bytes, whose characters have two each.
fn text(bytes: usize) -> Option<String> {
    Some("é".repeat(bytes / 2) + if bytes.is_multiple_of(2) { "" } else { "e" })
}

fn noted(order: &mut PlaceOrder, notes: &[usize]) {
    let line = order.lines[0].clone();
    let notes = notes.iter();
    order.lines = notes
        .map(|bytes| Line {
            note: text(*bytes),
            ..line.clone()
        })
        .collect();
}

#[each_database]
async fn the_texts_of_an_order_fit_together_or_it_is_refused_by_every_way_in(house: TestLedger) {
    let ledger = house.ledger_with_bounds(|bounds| bounds.order_text_bytes = TEXT);
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = ledger.open_session(store, "1").await.unwrap();
    let place = async |customer: usize, note: usize, notes: &[usize]| {
        let mut order = guest_order(&session, product);
        order.customer.name = text(customer);
        order.user_note = text(note);
        noted(&mut order, notes);
        let draft = ledger.draft_order(&order).await;
        let placed = ledger.place_order(order).await;
        assert_eq!(draft.is_ok(), placed.is_ok());
        placed.map(|placed| placed.order)
    };
    place(100, 212, &[100, 100]).await.unwrap();
    place(TEXT, 0, &[0]).await.unwrap();
    for (customer, note, notes, field) in [
        (100, 212, &[100, 101][..], "/items/1/note"),
        (100, 212, &[201, 0], "/items/0/note"),
        (100, 413, &[0], "/user_note"),
        (TEXT + 1, 0, &[0], "/customer"),
    ] {
        let refused = refusal(place(customer, note, notes).await);
        let (field, bytes, limit) = (field.to_owned(), TEXT + 1, TEXT);
        assert_eq!(
            refused,
            PlaceRefused::TextTooLong(TextTooLong {
                field,
                bytes,
                limit
            })
        );
    }
}

#[each_database]
async fn an_edit_may_fill_the_texts_and_shorten_longer_ones_of_old(house: TestLedger) {
    let ledger = house.ledger_with_bounds(|bounds| bounds.order_text_bytes = TEXT);
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = ledger.open_session(store, "1").await.unwrap();
    let draft = async |on: &Ledger, note: usize| {
        let mut order = guest_order(&session, product);
        order.user_note = text(note);
        on.draft_order(&order).await.unwrap()
    };
    let note = |bytes| OrderEdit {
        user_note: Some(text(bytes)),
        ..OrderEdit::default()
    };
    let one = draft(&ledger, 10).await;
    ledger.edit_order(one.id, None, &note(TEXT)).await.unwrap();
    let edits = [
        note(TEXT + 1),
        OrderEdit {
            items: ItemsEdit::Add(Line {
                note: text(1),
                ..line(product, 1)
            }),
            ..OrderEdit::default()
        },
        OrderEdit {
            items: ItemsEdit::Change {
                item: one.items[0].id,
                quantity: None,
                options: None,
                note: Some(text(1)),
            },
            ..OrderEdit::default()
        },
    ];
    for edit in edits {
        let refused = refusal(ledger.edit_order(one.id, None, &edit).await);
        let is_too_long = matches!(
            refused,
            EditRefused::Place(PlaceRefused::TextTooLong(TextTooLong { bytes, .. }))
                if bytes == TEXT + 1
        );
        assert!(is_too_long, "{refused:?}");
    }
    // Written when the limit was higher.
    let long = draft(&house.ledger, 3 * TEXT).await;
    ledger
        .edit_order(long.id, None, &note(2 * TEXT))
        .await
        .unwrap();
    let longer = ledger.edit_order(long.id, None, &note(2 * TEXT + 1)).await;
    assert!(longer.is_err());
    let customer = Customer::default();
    assert_eq!(long.customer, customer);
}

#[each_database]
async fn a_session_has_room_for_so_many_unfinished_orders_however_they_come(house: TestLedger) {
    let ledger = house.ledger_with_bounds(|bounds| bounds.unfinished_orders_per_session = 5);
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = ledger.open_session(store, "1").await.unwrap();
    let other = ledger.open_session(store, "2").await.unwrap();
    let order = |session: &Session, n: u8| {
        let key_hash = Some([n; 32]);
        PlaceOrder {
            placer: Placer::Guest { key_hash },
            ..guest_order(session, product)
        }
    };
    // All at once, each guest with a key of its own: in one batch or in several.
    let placed = join_all((0..12).map(|n| ledger.place_order(order(&session, n)))).await;
    let (placed, refused): (Vec<_>, Vec<_>) = placed.into_iter().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (5, 7));
    for refused in refused {
        let limit = 5;
        assert_eq!(refusal(refused), PlaceRefused::TooManyUnfinished { limit });
    }
    // A draft that is placed counts as well; another table has its own room.
    let by = PlaceOrder {
        placer: Placer::Account(house.new_account_id()),
        ..guest_order(&session, product)
    };
    let draft = ledger.draft_order(&by).await.unwrap();
    assert!(ledger.place_draft(draft.id, By::Owner, None).await.is_err());
    ledger.place_order(order(&other, 1)).await.unwrap();
    // An order that ends makes room for one.
    let first = placed.into_iter().next().unwrap().unwrap().order;
    let cancelled = ledger.move_order(first.id, OrderStatus::Cancelled, By::Guest, None);
    cancelled.await.unwrap();
    ledger.place_draft(draft.id, By::Owner, None).await.unwrap();
    assert!(ledger.place_order(order(&session, 99)).await.is_err());
    assert_eq!(ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_replay_is_answered_although_the_session_is_full(house: TestLedger) {
    let ledger = house.ledger_with_bounds(|bounds| bounds.unfinished_orders_per_session = 1);
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = ledger.open_session(store, "1").await.unwrap();
    let mut order = guest_order(&session, product);
    order.idempotency = Some(Idempotency {
        owner: session.id.uuid(),
        key: "k".to_owned(),
        fingerprint: [1; 32],
        other_fingerprints: Vec::new(),
    });
    ledger.place_order(order.clone()).await.unwrap();
    assert!(ledger.place_order(order).await.unwrap().replayed);
}

/// Returns the ids of the orders of a snapshot.
fn ids(snapshot: &SessionSnapshot) -> Vec<OrderId> {
    snapshot.orders.iter().map(|order| order.id).collect()
}

#[each_database]
async fn a_sessions_snapshot_has_the_unfinished_and_the_last_fifty_and_leads_to_the_rest(
    house: TestLedger,
) {
    let ledger = &house.ledger;
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = ledger.open_session(store, "1").await.unwrap();
    let snapshot = async || {
        let snapshot = ledger.session_snapshot(&session.code).await;
        snapshot.unwrap().unwrap()
    };
    let mut all = Vec::new();
    for n in 0..50 {
        let order = house.place_guest_order(&session, product).await;
        if n != 3 {
            let end = ledger.move_order(order.id, OrderStatus::Cancelled, By::Guest, None);
            end.await.unwrap();
        }
        all.push(order.id);
    }
    let fifty = snapshot().await;
    assert_eq!((ids(&fifty), fifty.next), (all.clone(), None));
    for _ in 0..10 {
        let order = house.place_guest_order(&session, product).await;
        let end = ledger.move_order(order.id, OrderStatus::Cancelled, By::Guest, None);
        end.await.unwrap();
        all.push(order.id);
    }
    let sixty = snapshot().await;
    let expected: Vec<_> = [all[3]].iter().chain(&all[10..]).copied().collect();
    assert_eq!(ids(&sixty), expected, "the unfinished one stays");
    // The cursor leads to all that were left out, page by page.
    let (mut next, mut rest) = (sixty.next, Vec::new());
    while let Some(before) = next {
        let page = ledger.session_orders(session.id, Some(before), 4).await;
        let page = page.unwrap();
        rest.extend(page.orders.iter().map(|order| order.id));
        next = page.next;
    }
    rest.reverse();
    assert_eq!(rest, all[..10]);
}

#[each_database]
async fn a_snapshot_a_close_and_a_page_end_before_the_order_that_does_not_fit(house: TestLedger) {
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = house.ledger.open_session(store, "1").await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..20 {
        let placed = house.place_guest_order_with(&session, product, |order| {
            noted(order, &[400, 400]);
        });
        orders.push(placed.await);
    }
    let each = orders[0].max_json_bytes();
    assert!(orders.iter().all(|order| order.max_json_bytes() == each));
    let newest = |count: usize| -> Vec<OrderId> {
        orders[20 - count..].iter().map(|order| order.id).collect()
    };
    for (bytes, fit) in [
        (each * 7 - 1, 6),
        (each * 7, 7),
        (each * 7 + 1, 7),
        (each * 20, 20),
        (1, 1),
    ] {
        let ledger = house.ledger_with_bounds(|bounds| {
            bounds.snapshot_bytes = bytes;
            bounds.page_bytes = bytes;
        });
        let snapshot = ledger.session_snapshot(&session.code).await;
        let snapshot = snapshot.unwrap().unwrap();
        assert_eq!(ids(&snapshot), newest(fit));
        assert_eq!(snapshot.next, (fit < 20).then(|| orders[20 - fit].id));
        let page = ledger.session_orders(session.id, None, 100).await.unwrap();
        assert_eq!(page.orders.len(), fit);
        assert_eq!(page.next, (fit < 20).then(|| orders[20 - fit].id));
        let closed = ledger.close_session(session.id).await.unwrap();
        let unfinished: Vec<_> = closed.unfinished.iter().map(|order| order.id).collect();
        assert_eq!((unfinished, closed.unfinished_count), (newest(fit), 20));
        let screen = ledger.store_snapshot(store).await.unwrap().unwrap();
        let shown: Vec<_> = screen.orders.iter().rev().map(|order| order.id).collect();
        assert_eq!((shown, screen.truncated), (newest(fit), fit < 20));
        let filter = crate::orders::OrderFilter::default();
        let list = ledger.orders(&filter, None, 100).await.unwrap();
        assert_eq!(list.orders.len(), fit);
        assert_eq!(list.next, (fit < 20).then(|| orders[20 - fit].id));
        let events = ledger.events_after(session.id.into(), 0, 100).await;
        let events = events.unwrap();
        assert!(!events.is_empty());
        let lengths = events.iter().map(|event| event.data.to_string().len());
        assert!(lengths.sum::<usize>() <= bytes || events.len() == 1);
    }
}
