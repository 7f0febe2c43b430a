//! A ledger that lost its last commits and gives their numbers out again.

use ledger::{NoWake, testing::fresh_sqlite};
use std::sync::Arc;
use store::{Db, DbOptions, Tx, testing::run};

use super::*;

fn checking_often() -> NotifierSettings {
    NotifierSettings {
        check_interval: Duration::from_millis(20),
        ..settings()
    }
}

/// Takes the last order back behind the processes' backs, as a takeover by a server without that commit does.
async fn lose_last_order(house: &TestLedger) {
    let mut tx = house.db.begin().await.unwrap();
    for statement in [
        "DELETE FROM order_items WHERE order_id IN (SELECT id FROM orders WHERE number = 2)",
        "DELETE FROM orders WHERE number = 2",
        "UPDATE store_counters SET last_number = 1",
        "DELETE FROM events WHERE seq = 3",
        "UPDATE sessions SET last_seq = 2",
        "DELETE FROM outbox",
    ] {
        run(&mut tx, statement).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn ids(hello: &Value) -> Vec<&str> {
    let orders = hello["orders"].as_array().unwrap().iter();
    orders.map(|order| order["id"].as_str().unwrap()).collect()
}

over_both! {
    async fn a_number_is_gone_on_after_in_its_own_epoch_alone(house: TestLedger) {
        let table = Table::new(house).await;
        table.order(2).await;
        let epoch = table.line.epoch().await.to_string();
        let other = uuid::Uuid::from_u128(7).to_string();
        for (query, resumes) in [
            (format!("?after=2&epoch={epoch}"), true),
            (format!("?epoch={epoch}&after=3"), true),
            ("?after=0".to_owned(), true),
            (format!("?after=0&epoch={other}"), true),
            ("?after=2".to_owned(), false),
            ("?after=2&epoch=".to_owned(), false),
            ("?after=2&epoch=x".to_owned(), false),
            (format!("?after=2&epoch={other}"), false),
            (format!("?after=-1&epoch={epoch}"), false),
        ] {
            let mut client = table.served.open(&format!("{}{query}", table.path())).await;
            let hello = client.frame().await;
            assert_eq!(hello["resumed"] == true, resumes, "{query}: {hello}");
            assert_eq!(hello["epoch"], epoch, "{query}");
            assert_eq!(hello["orders"].is_array(), !resumes, "{query}: {hello}");
        }
    }

    async fn screens_of_a_ledger_that_went_back_begin_anew_and_see_the_new_event_of_the_old_number(house: TestLedger) {
        let table = Table::with(house, checking_often()).await;
        table.order(2).await;
        let (mut one, mut other) = (
            table.served.open(&table.path()).await,
            table.served.open(&table.path()).await,
        );
        let hello = one.frame().await;
        assert_eq!(
            (other.frame().await, &hello["seq"]),
            (hello.clone(), &json!(3))
        );
        let old_path = table.path_after(3).await;
        drop(other);

        lose_last_order(&table.house).await;
        let anew = one.frame().await;
        assert_eq!(
            (&anew["type"], &anew["seq"], ids(&anew)),
            (&json!("hello"), &json!(2), vec![ids(&hello)[0]])
        );
        assert_ne!(anew["epoch"], hello["epoch"]);

        table.order(1).await;
        let event = one.frame().await;
        assert_eq!((&event["seq"], &event["prev"]), (&json!(3), &json!(2)));
        assert_ne!(event["data"]["order"]["id"], ids(&hello)[1]);
        // The screen that was away has the old number 3.
        let mut back = table.served.open(&old_path).await;
        let back = back.frame().await;
        assert_eq!((&back["seq"], &back["epoch"]), (&json!(3), &anew["epoch"]));
        assert_eq!(ids(&back)[1], event["data"]["order"]["id"]);
        // The new epoch stays.
        table.order(1).await;
        assert_eq!(chain(3, &one.frames_to(4).await), [4]);
        assert_eq!(json!(table.line.epoch().await), anew["epoch"]);
    }

    /// Covers numbers that are given out again, and passed, before anybody looks.
    async fn a_number_that_was_given_out_again_before_the_next_look_is_known_by_its_event(house: TestLedger) {
        let settings = NotifierSettings {
            check_interval: Duration::from_secs(600),
            ..settings()
        };
        let table = Table::with(house, settings).await;
        table.order(2).await;
        let mut client = table.served.open(&table.path()).await;
        let hello = client.frame().await;
        lose_last_order(&table.house).await;
        table.house.clock.advance(Duration::from_micros(1));
        // As a process does that was connected to the new server all the time.
        let elsewhere = TestLedger {
            ledger: table.house.ledger_with_wake(Arc::new(NoWake)),
            ..table.house.clone()
        };
        elsewhere
            .place_guest_order(&table.session, table.product)
            .await;
        elsewhere
            .place_guest_order(&table.session, table.product)
            .await;
        // The feed lost some messages: the notifier looks now.
        let unreadable = Message::feed(b"{}".to_vec());
        table.line.broker.publish(vec![unreadable]).await;
        let anew = client.frame().await;
        assert_eq!((&anew["type"], &anew["seq"]), (&json!("hello"), &json!(4)));
        assert_ne!(anew["epoch"], hello["epoch"]);
        assert_eq!(ids(&anew).len(), 3);
        assert!(!ids(&anew).contains(&ids(&hello)[1]));
    }

    async fn a_table_whose_opening_was_lost_is_no_table(house: TestLedger) {
        let table = Table::with(house, checking_often()).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        let mut tx = table.house.db.begin().await.unwrap();
        for statement in ["DELETE FROM events", "DELETE FROM sessions"] {
            run(&mut tx, statement).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(client.closed_with().await, 4404);
    }

    async fn an_operator_who_begins_an_epoch_makes_every_screen_begin_anew(house: TestLedger) {
        let table = Table::with(house, checking_often()).await;
        let mut client = table.served.open(&table.path()).await;
        let hello = client.frame().await;
        let elsewhere = table.house.ledger_with_wake(Arc::new(NoWake));
        let epoch = elsewhere.renew_epoch().await.unwrap();
        let anew = client.frame().await;
        assert_eq!(anew["epoch"], json!(epoch));
        assert_eq!(
            (&anew["seq"], &anew["session"]),
            (&hello["seq"], &hello["session"])
        );
    }
}

/// Runs a process on a ledger with one order, and returns the path of a screen at the number that it ends with.
async fn place_and_leave(db: &Db, session: &Session, product: ProductId) -> String {
    let house = TestLedger::new(db.clone());
    let line = Line::new(&house);
    let served = serve(&line, settings()).await;
    let house = TestLedger {
        ledger: line.ledger.clone(),
        ..house
    };
    house.place_guest_order(session, product).await;
    let mut client = served.open(&format!("/ws/sessions/{}", session.code)).await;
    let hello = client.frame().await;
    served.notifier.drain().await;
    let epoch = hello["epoch"].as_str().unwrap();
    format!(
        "/ws/sessions/{}?after={}&epoch={epoch}",
        session.code, hello["seq"]
    )
}

/// Covers a restored backup: nobody who knows the lost order lives.
#[tokio::test]
async fn a_file_that_was_copied_back_is_another_epoch() {
    let fresh = fresh_sqlite().await;
    let house = TestLedger::new(fresh.db.clone());
    let store = house.create_store().await;
    let product = house.create_product(store).await;
    let session = house.ledger.open_session(store, "1").await.unwrap();
    let kept = place_and_leave(&fresh.db, &session, product).await;
    assert!(kept.contains("after=2&"));
    fresh.db.close().await;

    let url = fresh.url();
    let file = url.strip_prefix("sqlite://").unwrap();
    let backup = format!("{file}.backup");
    std::fs::copy(file, &backup).unwrap();
    let db = Db::connect(&DbOptions::new(&*url)).await.unwrap();
    let lost = place_and_leave(&db, &session, product).await;
    assert!(lost.contains("after=3&"));
    db.close().await;
    std::fs::copy(&backup, file).unwrap();

    let db = Db::connect(&DbOptions::new(&*url)).await.unwrap();
    let house = TestLedger::new(db.clone());
    let line = Line::new(&house);
    let served = serve(&line, settings()).await;
    let order = house.place_guest_order(&session, product).await;
    for path in [kept, lost] {
        let hello = served.open(&path).await.frame().await;
        assert_eq!(
            (&hello["seq"], &hello["resumed"]),
            (&json!(3), &Value::Null)
        );
        assert!(
            ids(&hello).contains(&order.id.to_string().as_str()),
            "{hello}"
        );
    }
    served.notifier.drain().await;
    db.close().await;
    fresh.end().await;
}

over_both! {
    /// Covers what a file cannot tell and a server can: a process that starts anew goes on in the same epoch.
    async fn a_process_that_starts_anew_on_a_server_lets_its_screens_go_on(house: TestLedger) {
        let store = house.create_store().await;
        let product = house.create_product(store).await;
        let session = house.ledger.open_session(store, "1").await.unwrap();
        let path = place_and_leave(&house.db, &session, product).await;
        let line = Line::new(&TestLedger::new(house.db.clone()));
        let served = serve(&line, settings()).await;
        let hello = served.open(&path).await.frame().await;
        let tx = house.db.read().await.unwrap();
        assert_eq!(
            hello["resumed"] == true,
            matches!(tx, Tx::MySql(..)),
            "{hello}"
        );
    }
}
