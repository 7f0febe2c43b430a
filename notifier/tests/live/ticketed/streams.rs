//! Event streams of orders and stores, opened by an access token in place of a ticket.

use super::*;
use crate::event_reader::{EventReader, Sent};

impl Pass {
    async fn stream(&self, path: &str, token: &str) -> EventReader {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization)];
        let path = format!("/api/v1{path}/events/stream");
        self.served.stream(&path, &headers).await
    }

    fn token(&self, account: &Account) -> String {
        self.served.tokens.issue(account.id).unwrap().0
    }

    async fn account(&self, username: &str, role: Role) -> Account {
        let new = new_account(username, role);
        self.ledger().create_account(&new).await.unwrap()
    }
}

#[each_database]
async fn an_access_token_opens_the_streams_of_what_its_account_may_see(house: TestLedger) {
    let pass = Pass::new(house).await;
    let product = pass.house.create_product(pass.store).await;
    let customer = pass.account("carla", Role::Customer).await;
    let stranger = pass.account("otto", Role::Customer).await;
    let order = pass
        .house
        .place_guest_order_with(&pass.table("1").await, product, |order| {
            order.session = None;
            order.placer = Placer::Account(customer.id);
            order.fulfilment = Fulfilment::Pickup;
        })
        .await;
    let (order_path, store_path) = (
        format!("/orders/{}", order.id),
        format!("/stores/{}", pass.store),
    );
    for (account, path, status) in [
        (&pass.staff, &order_path, 200),
        (&customer, &order_path, 200),
        (&stranger, &order_path, 404),
        (&pass.staff, &store_path, 200),
        (&customer, &store_path, 404),
    ] {
        let mut stream = pass.stream(path, &pass.token(account)).await;
        assert_eq!(stream.status, status, "{} {path}", account.username);
        if status == 200 {
            let event = stream.event().await;
            let hello: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!(hello["type"], "hello");
            // A store has many streams, and no number of its own to go on after.
            assert_eq!(event.id.is_some(), path == &order_path);
        }
    }

    let good = pass.token(&pass.staff);
    for bad in ["", "x", &good[1..]] {
        let refused = pass.stream(&store_path, bad).await;
        assert_eq!(refused.status, 401, "{bad}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        assert_eq!(refused.json().await["reason"], "incorrect_credentials");
    }
    let path = format!("/api/v1{store_path}/events/stream");
    assert_eq!(pass.served.stream(&path, &[]).await.status, 401);
    pass.house.clock.advance(Duration::from_secs(300));
    assert_eq!(pass.stream(&store_path, &good).await.status, 401, "expired");
}

#[each_database]
async fn an_order_goes_on_after_the_last_event_id_and_a_store_begins_anew(house: TestLedger) {
    let pass = Pass::new(house).await;
    let product = pass.house.create_product(pass.store).await;
    let order = pass
        .house
        .place_guest_order_with(&pass.table("1").await, product, |order| {
            order.session = None;
            order.placer = Placer::Account(pass.staff.id);
            order.fulfilment = Fulfilment::Pickup;
        })
        .await;
    let authorization = format!("Bearer {}", pass.token(&pass.staff));
    let path = format!("/api/v1/orders/{}/events/stream", order.id);
    let mut stream = pass
        .served
        .stream(&path, &[("authorization", &authorization)])
        .await;
    let last = stream.event().await.id.unwrap();
    drop(stream);
    pass.accept(&order).await;
    let headers = [
        ("authorization", &*authorization),
        ("last-event-id", &*last),
    ];
    let mut stream = pass.served.stream(&path, &headers).await;
    let hello: Value = serde_json::from_str(&stream.event().await.data).unwrap();
    assert_eq!(
        (&hello["resumed"], &hello["seq"]),
        (&json!(true), &json!(1))
    );
    let event: Value = serde_json::from_str(&stream.event().await.data).unwrap();
    assert_eq!(event["data"]["order"]["status"], "accepted");

    let path = format!("/api/v1/stores/{}/events/stream", pass.store);
    let mut stream = pass.served.stream(&path, &headers).await;
    let hello: Value = serde_json::from_str(&stream.event().await.data).unwrap();
    assert_eq!(
        (&hello["type"], &hello["resumed"]),
        (&json!("hello"), &Value::Null)
    );
}

#[each_database]
async fn a_stream_ends_when_the_account_of_its_token_is_disabled(house: TestLedger) {
    let ping_interval = Duration::from_millis(100);
    let pass = Pass::with(
        house,
        NotifierSettings {
            ping_interval,
            ..settings()
        },
    )
    .await;
    let (token, path) = (pass.token(&pass.staff), format!("/stores/{}", pass.store));
    let mut stream = pass.stream(&path, &token).await;
    stream.event().await;
    let disabled = AccountChange {
        disabled: Some(true),
        ..AccountChange::default()
    };
    pass.ledger()
        .change_account(pass.staff.id, &disabled, |_| Ok(()))
        .await
        .unwrap();
    let end = stream.event().await;
    assert_eq!(
        (&*end.kind, &*end.data),
        ("close", r#"{"code":4401,"reason":"revoked"}"#)
    );
    assert_eq!(stream.next().await, None::<Sent>);
    assert_eq!(pass.stream(&path, &token).await.status, 401);
}

#[each_database]
async fn a_key_opens_the_streams_of_its_stores_until_it_ends(house: TestLedger) {
    let ping_interval = Duration::from_millis(100);
    let pass = Pass::with(
        house,
        NotifierSettings {
            ping_interval,
            ..settings()
        },
    )
    .await;
    let operator = pass.account("root", Role::Operator).await;
    let elsewhere = pass.house.create_store().await;
    let make = async |store, action| {
        let new = NewApiKey {
            name: "Screen".to_owned(),
            stores: vec![store],
            actions: vec![action],
            expires_at: None,
            made_by: operator.id,
        };
        pass.ledger().create_api_key(&new).await.unwrap()
    };
    let (key, text) = make(pass.store, KeyAction::LiveRead).await;
    let (_, blind) = make(pass.store, KeyAction::OrdersRead).await;
    let (_, others) = make(elsewhere, KeyAction::LiveRead).await;
    let path = format!("/stores/{}", pass.store);
    assert_eq!(pass.stream(&path, &blind).await.status, 404);
    assert_eq!(pass.stream(&path, &others).await.status, 404);
    assert_eq!(
        pass.stream(&path, &text[..text.len() - 1]).await.status,
        401
    );
    let mut stream = pass.stream(&path, &text).await;
    let hello: Value = serde_json::from_str(&stream.event().await.data).unwrap();
    assert_eq!(hello["type"], "hello");
    pass.ledger().end_api_key(key.id).await.unwrap();
    let end = stream.event().await;
    assert_eq!(
        (&*end.kind, &*end.data),
        ("close", r#"{"code":4401,"reason":"revoked"}"#)
    );
    assert_eq!(stream.next().await, None::<Sent>);
    assert_eq!(pass.stream(&path, &text).await.status, 401);
}
