//! Restarts, crashes, and two couriers on one database.

use std::{collections::BTreeSet, time::Duration};

use courier::Courier;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{Caller, Place, STEP, receiver::Receiver, send_all};

#[tokio::test]
async fn two_couriers_on_one_database_never_step_twice_nor_tell_twice() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let (one, other) = tokio::join!(place.open(), place.open());
    let shop = Caller::new(&one, "shop").await;
    shop.register(&receiver.url).await;
    for n in 0..40 {
        shop.deliver(&format!("o-{n}")).await;
    }
    let both = |one: &Courier, other: &Courier| {
        let [a, b, c, d] = [one, other, one, other].map(Clone::clone);
        async move {
            let steps = tokio::join!(
                tokio::spawn(async move { a.step_due().await.unwrap() }),
                tokio::spawn(async move { b.step_due().await.unwrap() }),
            );
            tokio::join!(send_all(&c), send_all(&d));
            steps.0.unwrap() + steps.1.unwrap()
        }
    };
    for _ in 0..3 {
        place.clock.advance(STEP);
        assert_eq!(both(&one, &other).await, 40);
    }
    place.clock.advance(STEP);
    assert_eq!(both(&one, &other).await, 0);
    let got = receiver.got();
    let ids: BTreeSet<&str> = got
        .iter()
        .map(|update| update.webhook_id.as_str())
        .collect();
    assert_eq!((got.len(), ids.len()), (120, 120));
    for n in 0..40 {
        assert_eq!(
            receiver.told_of(&format!("o-{n}")),
            ["AT_ORIGIN", "EN_ROUTE_OF_DELIVERY", "DELIVERED"]
        );
    }
}

#[tokio::test]
async fn a_courier_that_waited_for_the_lock_leaves_the_steps_of_the_other_one_as_they_are() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    let id = shop.deliver("o-1").await;
    let file = SqliteConnectOptions::new().filename(place.path().join("courier.db"));
    let mut other = SqliteConnection::connect_with(&file).await.unwrap();
    let mut tx = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut stepping = std::pin::pin!(courier.step_due());
    // Begins to wait for the lock.
    tokio::select! {
        biased;
        stepped = &mut stepping => panic!("stepped while another courier has the lock: {stepped:?}"),
        () = tokio::task::yield_now() => {}
    }
    place.clock.advance(STEP - Duration::from_secs(1));
    let next_step_at = (place.clock.now() + STEP).timestamp_millis();
    sqlx::query("UPDATE deliveries SET next_step_at = ?")
        .bind(next_step_at)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stepping.await.unwrap(), 0);
    place.clock.advance(STEP - Duration::from_millis(1));
    assert_eq!(courier.step_due().await.unwrap(), 0);
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(courier.step_due().await.unwrap(), 1);
    assert_eq!(shop.status(id).await, "AT_ORIGIN");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stood_and_tells_what_it_had_not_told() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    let id = shop.deliver("o-1").await;
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    courier.close().await;

    place.clock.advance(STEP * 20);
    let courier = place.open().await;
    // The token still counts: its key is in the database.
    let shop = Caller::with(&courier, &{
        let login = serde_json::json!({"username": "shop", "password": "open sesame"});
        let (_, answer) = Caller::with(&courier, "").post("/signin", &login).await;
        answer["token"].as_str().unwrap().to_owned()
    });
    send_all(&courier).await;
    assert_eq!(receiver.told_of("o-1"), ["AT_ORIGIN"]);
    assert_eq!(courier.step_due().await.unwrap(), 1);
    assert_eq!(courier.step_due().await.unwrap(), 0);
    send_all(&courier).await;
    assert_eq!(
        receiver.told_of("o-1"),
        ["AT_ORIGIN", "EN_ROUTE_OF_DELIVERY"]
    );
    assert_eq!(shop.status(id).await, "EN_ROUTE_OF_DELIVERY");
}

#[tokio::test]
async fn a_courier_that_died_in_mid_request_leaves_a_claim_and_the_same_message_goes_again_after_it()
 {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    receiver.answer_with(0);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    shop.deliver("o-1").await;
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    let dying = tokio::spawn({
        let courier = courier.clone();
        async move { courier.send_due().await }
    });
    receiver.await_count(1).await;
    dying.abort();
    let _ = dying.await;

    receiver.answer_with(202);
    let next = place.open().await;
    assert_eq!(next.send_due().await.unwrap(), 0, "the claim still holds");
    place.clock.advance(Duration::from_secs(31));
    assert_eq!(next.send_due().await.unwrap(), 1);
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0], got[1]);
    assert_eq!(next.send_due().await.unwrap(), 0);
}

#[tokio::test]
async fn the_database_and_its_side_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let courier = place.open().await;
    Caller::new(&courier, "shop").await;
    let mut modes = 0;
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        modes += 1;
    }
    assert!(modes >= 2, "the database and its log");
}
