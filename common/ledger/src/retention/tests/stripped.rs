//! Contact data and messages that go before their order.

use super::*;
use domain::callback::Update;

const STRIPPED: &str = "SELECT COUNT(*) FROM orders WHERE user_note IS NULL";

#[each_database]
async fn contact_data_goes_before_its_order_with_every_copy_and_that_of_open_orders_stays(
    house: TestLedger,
) {
    let past = Past::new(&house).await;
    let ledger = past.ledger(Limits {
        contact: Some(TimeDelta::days(10)),
        ..orders_after(100)
    });
    past.pass(9);
    assert_eq!(retain_all(&past, &ledger).await, Retained::default());
    past.pass(3);
    let retained = retain_all(&past, &ledger).await;
    assert_eq!((retained.contacts, retained.orders), (3, 0));
    for order in &past.ended {
        let order = past.scene.now(*order).await;
        assert_eq!(order.customer.name, None);
        assert_eq!(order.customer, Customer::default());
        assert_eq!((&order.user_note, &order.items[0].note), (&None, &None));
        let events = house.ledger.order_events(order.id, 0).await.unwrap();
        assert!(!events.is_empty());
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
        for event in events {
            assert!(!event.data.to_string().contains("Ada"), "{event:?}");
        }
    }
    for order in &past.open {
        let order = past.scene.now(*order).await;
        assert_eq!(order.customer.name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(order.items[0].note.as_deref(), Some("for Ada"));
        let events = house.ledger.order_events(order.id, 0).await.unwrap();
        assert!(events[0].data.to_string().contains("for Ada"));
    }
    assert_eq!(past.count(STRIPPED).await, 3);
    let with_bodies = "SELECT COUNT(*) FROM handoffs WHERE body IS NOT NULL";
    assert_eq!(past.count(with_bodies).await, 2, "those of the open orders");
    let with_answers = "SELECT COUNT(*) FROM attempts WHERE response IS NOT NULL";
    assert_eq!(past.count(with_answers).await, 2);
    assert_eq!(retain_all(&past, &ledger).await, Retained::default());
}

#[each_database]
async fn messages_go_alone_and_a_repeated_callback_is_still_a_duplicate(house: TestLedger) {
    let past = Past::new(&house).await;
    let ledger = past.ledger(Limits {
        messages: Some(TimeDelta::days(10)),
        ..orders_after(100)
    });
    past.pass(12);
    assert_eq!(retain_all(&past, &ledger).await.messages, 3);
    let order = past.scene.now(past.ended[0]).await;
    assert_eq!(order.customer.name.as_deref(), Some("Ada Lovelace"));
    let removed = "SELECT COUNT(*) FROM callbacks WHERE payload = '{}'";
    let removed_in_mysql = "SELECT COUNT(*) FROM callbacks WHERE JSON_LENGTH(payload) = 0";
    let found = match house.db {
        store::Db::MySql { .. } => past.count(removed_in_mysql).await,
        store::Db::Sqlite { .. } => past.count(removed).await,
    };
    assert_eq!(found, 2);
    let handoffs = past.scene.handoffs(order.id).await;
    let mut tx = house.db.read().await.unwrap();
    let kitchen = store::integrators::get(&mut tx, handoffs[0].integrator_id).await;
    let kitchen = kitchen.unwrap().unwrap().integrator;
    drop(tx);
    let again = numbered(order.id, "preparing", 1);
    let received = house
        .ledger
        .receive_callback(&kitchen, "msg_0", again)
        .await;
    assert_eq!(received.unwrap(), crate::callbacks::Received::Duplicate);
    past.scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_that_found_no_order_goes_with_the_messages(house: TestLedger) {
    let past = Past::new(&house).await;
    let kitchen = past.scene.kitchen().await;
    let lost = Update {
        order_id: None,
        reference: Some("nobody's".into()),
        ..numbered(past.ended[0], "ready", 9)
    };
    past.scene.send_callback(&kitchen, lost.clone()).await;
    house.clock.advance(Duration::from_secs(3600));
    house
        .ledger
        .match_references(None, 100, crate::sweep::Part::WHOLE)
        .await
        .unwrap();
    past.pass(12);
    past.scene.send_callback(&kitchen, lost).await;
    let ledger = past.ledger(Limits {
        messages: Some(TimeDelta::days(10)),
        ..orders_after(100)
    });
    assert_eq!(retain_all(&past, &ledger).await.callbacks, 1);
    let left = "SELECT COUNT(*) FROM callbacks WHERE order_id IS NULL";
    assert_eq!(past.count(left).await, 1, "the one that still waits");
}
