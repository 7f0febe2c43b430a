//! Tests of streams' events and snapshots.

use crate::testing::TestLedger;
use domain::status::{By, OrderStatus};
use each_database::each_database;

#[each_database]
async fn a_stores_snapshot_has_what_goes_on_with_the_number_of_every_stream(house: TestLedger) {
    let store = house
        .create_store_with(|store| store.auto_accept = false)
        .await;
    let product = house.create_product(store).await;
    let ledger = &house.ledger;
    let quiet = ledger.open_session(store, "quiet").await.unwrap();
    let closed = ledger.open_session(store, "closed").await.unwrap();
    let done = ledger.open_session(store, "done").await.unwrap();
    let open = house.place_guest_order(&closed, product).await;
    let ended = house.place_guest_order(&done, product).await;
    ledger
        .move_order(ended.id, OrderStatus::Rejected, By::Staff, Some("no beans"))
        .await
        .unwrap();
    for session in [&closed, &done] {
        ledger.close_session(session.id).await.unwrap();
    }

    let snapshot = ledger.store_snapshot(store).await.unwrap().unwrap();
    let sessions: Vec<_> = snapshot.sessions.iter().map(|session| session.id).collect();
    assert_eq!(sessions, [quiet.id, closed.id]);
    assert_eq!(
        snapshot
            .orders
            .iter()
            .map(|order| order.id)
            .collect::<Vec<_>>(),
        [open.id]
    );
    let mut heads = snapshot.heads;
    heads.sort_unstable();
    let mut expected = vec![
        (
            store.into(),
            ledger.stream_head(store.into()).await.unwrap().unwrap(),
        ),
        (quiet.id.into(), 1),
        (closed.id.into(), 3),
    ];
    expected.sort_unstable();
    assert_eq!(heads, expected);
    let unknown = house.chance.id(house.clock.now());
    assert_eq!(ledger.store_snapshot(unknown).await.unwrap(), None);
}

#[each_database]
async fn a_stores_snapshot_begins_with_what_needs_action_and_is_newest_first(house: TestLedger) {
    let store = house
        .create_store_with(|store| store.auto_accept = false)
        .await;
    let product = house.create_product(store).await;
    let ledger = &house.ledger;
    let session = ledger.open_session(store, "1").await.unwrap();
    let mut placed = Vec::new();
    for to in [
        OrderStatus::Pending,
        OrderStatus::Accepted,
        OrderStatus::Ready,
        OrderStatus::Dispatched,
        OrderStatus::Preparing,
        OrderStatus::Pending,
        OrderStatus::Accepted,
    ] {
        let order = house.place_guest_order(&session, product).await.id;
        for to in [OrderStatus::Accepted, to] {
            if placed.len() % 5 != 0 {
                let moved = ledger.move_order(order, to, By::Staff, None).await;
                moved.unwrap();
            }
        }
        placed.push(order);
    }
    let snapshot = ledger.store_snapshot(store).await.unwrap().unwrap();
    let shown: Vec<_> = snapshot.orders.iter().map(|order| order.id).collect();
    let expected = [5, 0, 2, 4, 6, 1, 3].map(|at: usize| placed[at]);
    assert_eq!((shown, snapshot.truncated), (expected.to_vec(), false));
}

#[each_database]
async fn streams_that_began_later_are_found_by_their_orders_numbers(house: TestLedger) {
    let (store, ledger) = (house.create_store().await, &house.ledger);
    let product = house.create_product(store).await;
    let over = ledger.open_session(store, "over").await.unwrap();
    house.place_guest_order(&over, product).await;
    ledger.finish_session(over.id).await.unwrap();
    let snapshot = ledger.store_snapshot(store).await.unwrap().unwrap();
    assert_eq!(snapshot.last_number, 1);

    let open = ledger.open_session(store, "open").await.unwrap();
    let closed = ledger.open_session(store, "closed").await.unwrap();
    house.place_guest_order(&closed, product).await;
    ledger.close_session(closed.id).await.unwrap();
    let later = ledger.streams_after_number(store, 1).await.unwrap();
    let mut expected = vec![(open.id.into(), 1), (closed.id.into(), 3)];
    expected.sort_unstable();
    let mut found = later.heads;
    found.retain(|(stream, _)| *stream != store.into());
    assert_eq!((found, later.last_number), (expected, 2));
    for (session, is_later) in [(over, false), (open, true), (closed, true)] {
        let began = ledger.began_after_number(session.id.into(), 1).await;
        assert_eq!(began.unwrap(), is_later, "{}", session.name);
    }
}

#[each_database]
async fn an_orders_snapshot_has_the_number_of_the_stream_it_is_told_on(house: TestLedger) {
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = house.ledger.open_session(store, "1").await.unwrap();
    house.place_guest_order(&session, product).await;
    let order = house.place_guest_order(&session, product).await;
    let told = house.ledger.order_snapshot(order.id);
    let snapshot = told.await.unwrap().unwrap();
    assert_eq!((snapshot.order.id, snapshot.seq), (order.id, 3));
    assert_eq!(
        house.ledger.order_events(order.id, 0).await.unwrap().len(),
        1
    );
}
