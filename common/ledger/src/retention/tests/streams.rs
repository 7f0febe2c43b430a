//! Events that are gone: streams have no gaps above a floor, and sessions end with their orders.

use super::*;
use domain::{event::EventKind, ids::StreamId, session::Session};

/// A table with an order that has ended, and one that has not.
async fn a_table(past: &Past) -> (Session, OrderId, OrderId) {
    let (house, product) = (&past.scene.house, past.scene.product);
    let opened = house.ledger.open_session(past.scene.store, "7").await;
    let session = opened.unwrap();
    let ended = house.place_guest_order(&session, product).await.id;
    let open = house.place_guest_order(&session, product).await.id;
    past.scene.staff_move(ended, Rejected).await;
    past.tally().await;
    (session, ended, open)
}

async fn numbers(house: &TestLedger, stream: StreamId, after: i64) -> Vec<i64> {
    let events = house.ledger.events_after(stream, after, 100).await.unwrap();
    events.iter().map(|event| event.seq).collect()
}

#[each_database]
async fn an_open_table_keeps_its_stream_above_the_events_of_orders_that_are_gone(
    house: TestLedger,
) {
    let past = Past::new(&house).await;
    let (session, ended, open) = a_table(&past).await;
    let stream = StreamId::from(session.id);
    // Opened, placed, placed, rejected.
    assert_eq!(numbers(&house, stream, 0).await, [1, 2, 3, 4]);
    past.pass(32);
    let ledger = past.ledger(orders_after(30));
    assert_eq!(retain_all(&past, &ledger).await.orders, 4);
    assert!(!past.exists(ended).await && past.exists(open).await);
    // A client that has number 1 or 3 finds that the next one is missing.
    assert_eq!(numbers(&house, stream, 0).await, [1, 3]);
    let mut tx = house.db.read().await.unwrap();
    let floor = store::retention::floor(&mut tx, session.id.uuid()).await;
    assert_eq!(floor.unwrap(), Some(4));
    drop(tx);
    past.scene.staff_move(open, Rejected).await;
    assert_eq!(numbers(&house, stream, 4).await, [5]);
    past.scene.assert_audit_clean().await;
}

#[each_database]
async fn a_closed_table_goes_with_its_last_order_and_an_open_one_never(house: TestLedger) {
    let past = Past::new(&house).await;
    let (session, _, open) = a_table(&past).await;
    let kept = house.ledger.open_session(past.scene.store, "8").await;
    let kept = kept.unwrap();
    past.scene.staff_move(open, Rejected).await;
    house.ledger.close_session(session.id).await.unwrap();
    past.pass(32);
    let ledger = past.ledger(orders_after(30));
    let mut retained = retain_all(&past, &ledger).await;
    past.pass(2);
    retained.add(&retain_all(&past, &ledger).await);
    assert_eq!((retained.orders, retained.sessions), (5, 1));
    assert_eq!(numbers(&house, session.id.into(), 0).await, [0_i64; 0]);
    assert_eq!(numbers(&house, kept.id.into(), 0).await, [1]);
    assert_eq!(past.count("SELECT COUNT(*) FROM sessions").await, 1);
}

#[each_database]
async fn events_go_before_their_order_and_nobody_misses_a_number(house: TestLedger) {
    let past = Past::new(&house).await;
    let (session, ..) = a_table(&past).await;
    let store = past.scene.store;
    for paused in [true, false] {
        let edit = crate::stores::StoreEdit {
            paused: Some(paused),
            ..Default::default()
        };
        house.ledger.edit_store(store, None, edit).await.unwrap();
    }
    let ledger = past.ledger(Limits {
        events: Some(TimeDelta::days(10)),
        ..orders_after(100)
    });
    past.pass(12);
    let retained = retain_all(&past, &ledger).await;
    assert_eq!(retained.orders, 0);
    let own: StreamId = past.ended[0].into();
    assert_eq!(numbers(&house, own, 0).await, [0_i64; 0]);
    let head = house.ledger.stream_head(own).await.unwrap();
    assert!(head.is_some_and(|head| head > 3), "{head:?}");
    assert_eq!(numbers(&house, store.into(), 0).await, [0_i64; 0]);
    assert_eq!(numbers(&house, session.id.into(), 0).await, [1, 3]);
    let edit = crate::stores::StoreEdit {
        paused: Some(true),
        ..Default::default()
    };
    house.ledger.edit_store(store, None, edit).await.unwrap();
    let told = house.ledger.events_after(store.into(), 2, 10).await;
    let kinds: Vec<EventKind> = told.unwrap().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::StorePaused]);
    past.scene.assert_audit_clean().await;
    // The orders go later, without their events.
    past.pass(100);
    let ledger = past.ledger(orders_after(100));
    assert_eq!(retain_all(&past, &ledger).await.orders, 4);
}

#[each_database]
async fn whoever_remembers_events_that_retention_deleted_takes_none_for_lost(house: TestLedger) {
    let past = Past::new(&house).await;
    let (session, ..) = a_table(&past).await;
    let epoch = house.ledger.check_epoch().await.unwrap();
    let ledger = past.ledger(Limits {
        events: Some(TimeDelta::days(20)),
        ..orders_after(30)
    });
    for days in [22, 10, 30] {
        past.pass(days);
        // As a notifier does for what its screens show.
        house.ledger.note_number(session.id.into(), 4);
        retain_all(&past, &ledger).await;
        assert_eq!(house.ledger.check_epoch().await.unwrap(), epoch, "{days}");
    }
    // The last one, which the notes name, is gone.
    assert_eq!(numbers(&house, session.id.into(), 0).await, [1, 3]);
}

#[each_database]
async fn an_order_that_cannot_be_read_keeps_no_other(house: TestLedger) {
    let past = Past::new(&house).await;
    let ledger = past.ledger(Limits {
        contact: Some(TimeDelta::days(10)),
        ..orders_after(20)
    });
    let broken = past.ended[0].uuid().simple();
    let broken = format!("UPDATE orders SET fulfilment = 'odd' WHERE id = x'{broken}'");
    let mut tx = house.db.begin().await.unwrap();
    store::testing::run(&mut tx, &broken).await.unwrap();
    tx.commit().await.unwrap();
    past.pass(22);
    let mut file = ledger
        .begin_archive(
            house.clock.now(),
            house.clock.now() + Duration::from_secs(1),
        )
        .await
        .unwrap();
    while ledger.archive_page(&mut file).await.unwrap().is_some() {}
    assert_eq!(file.orders(), 2);
    let retained = retain_all(&past, &ledger).await;
    assert_eq!((retained.contacts, retained.orders), (2, 2));
    let left = "SELECT COUNT(*) FROM orders WHERE fulfilment = 'odd'";
    assert_eq!(past.count(left).await, 1);
}
