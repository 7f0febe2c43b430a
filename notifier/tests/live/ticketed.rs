//! Channels that need a ticket: of one order and of a store.

mod late;
mod stores;
mod streams;

use each_database::each_database;
use std::{collections::HashMap, time::Duration};

use crate::setup::{Client, Line, Served, over_both, serve, settings};
use broker::Message;
use domain::{
    account::{Account, Role},
    api_key::KeyAction,
    handoff::SendResult,
    ids::{AccountId, StoreId},
    order::Fulfilment,
    session::Session,
    status::{By, OrderStatus},
};
use ledger::{
    Ledger,
    accounts::{AccountChange, NewAccount, NewApiKey, TicketSubject},
    intake::Placer,
    orders::{CustomerEdit, OrderEdit},
    testing::{
        TestLedger,
        fixtures::{new_account, new_integrator},
    },
};
use notifier::NotifierSettings;
use serde_json::{Value, json};

/// Test setup with a notifier and a staff account.
struct Pass {
    house: TestLedger,
    line: Line,
    served: Served,
    store: StoreId,
    staff: Account,
}

impl Pass {
    async fn new(house: TestLedger) -> Self {
        Self::with(house, settings()).await
    }

    async fn with(house: TestLedger, settings: NotifierSettings) -> Self {
        let line = Line::new(&house);
        let served = serve(&line, settings).await;
        let store = house
            .create_store_with(|store| store.auto_accept = false)
            .await;
        let staff = staff(&line.ledger, "sam", store).await;
        // Commits of the test ledger go through the line's ledger, and so over the feed.
        let house = TestLedger {
            ledger: line.ledger.clone(),
            ..house
        };
        Self {
            house,
            line,
            served,
            store,
            staff,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.line.ledger
    }

    /// Creates another staff account.
    async fn another(&self, username: &str) -> Account {
        staff(self.ledger(), username, self.store).await
    }

    async fn ticket(&self, subject: TicketSubject) -> String {
        self.ticket_of(self.staff.id, subject).await
    }

    async fn ticket_of(&self, account: AccountId, subject: TicketSubject) -> String {
        let issued = self.ledger().issue_ticket(account, subject);
        issued.await.unwrap().0
    }

    async fn open_store(&self) -> Client {
        let ticket = self.ticket(TicketSubject::Store(self.store)).await;
        self.served
            .open(&format!("/ws/stores/{}?ticket={ticket}", self.store))
            .await
    }

    async fn table(&self, name: &str) -> Session {
        self.ledger().open_session(self.store, name).await.unwrap()
    }

    async fn accept(&self, order: &domain::order::Order) {
        self.ledger()
            .move_order(order.id, OrderStatus::Accepted, By::Staff, None)
            .await
            .unwrap();
    }
}

async fn staff(ledger: &Ledger, username: &str, store: StoreId) -> Account {
    let new = NewAccount {
        stores: vec![store],
        ..new_account(username, Role::Staff)
    };
    ledger.create_account(&new).await.unwrap()
}

/// Returns the code that `closed` is closed with, while `stays` answers its pings.
async fn closed_while_other_stays(closed: &mut Client, stays: &mut Client) -> u16 {
    tokio::select! {
        code = closed.closed_with() => code,
        code = stays.closed_with() => panic!("the wrong client was closed with {code}"),
    }
}

/// Checks that each frame names the previous number of its stream, and returns (stream, seq).
fn chains(hello: &Value, frames: &[Value]) -> Vec<(String, i64)> {
    let streams = hello["streams"].as_object().unwrap().iter();
    let mut last: HashMap<String, i64> = streams
        .map(|(stream, seq)| (stream.clone(), seq.as_i64().unwrap()))
        .collect();
    let mut seen = Vec::new();
    for frame in frames {
        let (stream, seq) = (
            frame["stream"].as_str().unwrap().to_owned(),
            frame["seq"].as_i64().unwrap(),
        );
        assert_eq!(
            frame["prev"],
            last.get(&stream).copied().unwrap_or(0),
            "{frame}"
        );
        last.insert(stream.clone(), seq);
        seen.push((stream, seq));
    }
    seen
}

async fn frames(client: &mut Client, count: usize) -> Vec<Value> {
    let mut frames = Vec::new();
    for _ in 0..count {
        frames.push(client.frame().await);
    }
    frames
}

#[each_database]
async fn a_ticket_opens_one_channel_once(house: TestLedger) {
    let pass = Pass::new(house).await;
    let product = pass.house.create_product(pass.store).await;
    let table = pass.table("1").await;
    let order = pass.house.place_guest_order(&table, product).await;
    let path = format!("/ws/orders/{}", order.id);
    let ticket = pass.ticket(TicketSubject::Order(order.id)).await;

    let with_ticket = format!("{path}?ticket={ticket}");
    let mut client = pass.served.open(&with_ticket).await;
    assert_eq!(client.frame().await["order"]["status"], "pending");
    for refused in [
        &*with_ticket,
        &format!("{path}?ticket=x"),
        &format!(
            "/ws/stores/{}?ticket={}",
            pass.store,
            pass.ticket(TicketSubject::Order(order.id)).await
        ),
    ] {
        assert_eq!(
            pass.served.open(refused).await.closed_with().await,
            4401,
            "{refused}"
        );
    }

    // The ticket may also be the first message, so that it is in no URL.
    let ticket = pass.ticket(TicketSubject::Order(order.id)).await;
    let mut client = pass.served.open(&path).await;
    client
        .say(&json!({"type": "ticket", "ticket": ticket}).to_string())
        .await;
    assert_eq!(client.frame().await["type"], "hello");
    let mut client = pass.served.open(&path).await;
    client.say(r#"{"type":"ping"}"#).await;
    assert_eq!(client.closed_with().await, 4401);
}

over_both! {
    async fn who_is_disabled_or_serves_the_store_no_more_is_sent_away_and_the_others_stay(house: TestLedger) {
        let pass = Pass::with(
            house,
            NotifierSettings {
                ping_interval: Duration::from_millis(100),
                ..settings()
            },
        )
        .await;
        let product = pass.house.create_product(pass.store).await;
        let order = pass
            .house
            .place_guest_order(&pass.table("1").await, product)
            .await;
        let elsewhere = pass.house.create_store().await;
        let colleague = pass.another("kim").await;
        let open_order = async |account| {
            let ticket = pass
                .ticket_of(account, TicketSubject::Order(order.id))
                .await;
            let mut client = pass
                .served
                .open(&format!("/ws/orders/{}?ticket={ticket}", order.id))
                .await;
            client.frame().await;
            client
        };
        let (mut moved, mut stays) = (
            open_order(pass.staff.id).await,
            open_order(colleague.id).await,
        );
        let change = async |change| {
            pass.ledger()
                .change_account(pass.staff.id, &change, |_| Ok(()))
                .await
                .unwrap();
        };
        change(AccountChange {
            stores: Some(vec![elsewhere]),
            ..AccountChange::default()
        })
        .await;
        assert_eq!(closed_while_other_stays(&mut moved, &mut stays).await, 4401);

        change(AccountChange {
            stores: Some(vec![pass.store]),
            ..AccountChange::default()
        })
        .await;
        let mut store = pass.open_store().await;
        store.frame().await;
        change(AccountChange {
            disabled: Some(true),
            ..AccountChange::default()
        })
        .await;
        assert_eq!(closed_while_other_stays(&mut store, &mut stays).await, 4401);
        stays.expect_nothing_more().await;
    }

    async fn an_orders_channel_tells_of_that_order_alone_and_each_frame_names_the_one_before(house: TestLedger) {
        let pass = Pass::new(house).await;
        let product = pass.house.create_product(pass.store).await;
        let table = pass.table("1").await;
        let order = pass.house.place_guest_order(&table, product).await;
        let ticket = pass.ticket(TicketSubject::Order(order.id)).await;
        let mut client = pass
            .served
            .open(&format!("/ws/orders/{}?ticket={ticket}&after=1", order.id))
            .await;
        let hello = client.frame().await;
        // In a session it always begins with a snapshot, with the session's numbers.
        assert_eq!(
            (&hello["stream"], &hello["seq"]),
            (&json!(table.id), &json!(2))
        );

        pass.house.place_guest_order(&table, product).await;
        pass.accept(&order).await;
        pass.house.place_guest_order(&table, product).await;
        pass.ledger()
            .move_order(order.id, OrderStatus::Ready, By::Staff, None)
            .await
            .unwrap();
        let events = frames(&mut client, 2).await;
        let told: Vec<_> = events
            .iter()
            .map(|event| {
                (
                    event["seq"].clone(),
                    event["prev"].clone(),
                    event["data"]["order"]["status"].clone(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (json!(4), json!(2), json!("accepted")),
                (json!(6), json!(4), json!("ready"))
            ]
        );
    }

    async fn an_order_without_a_session_goes_on_after_a_number(house: TestLedger) {
        let pass = Pass::new(house).await;
        let product = pass.house.create_product(pass.store).await;
        let table = pass.table("1").await;
        let order = pass
            .house
            .place_guest_order_with(&table, product, |order| {
                order.session = None;
                order.placer = Placer::Account(pass.staff.id);
                order.fulfilment = Fulfilment::Pickup;
            })
            .await;
        pass.accept(&order).await;
        let ticket = pass.ticket(TicketSubject::Order(order.id)).await;
        let epoch = pass.line.epoch().await;
        let path = format!(
            "/ws/orders/{}?ticket={ticket}&after=1&epoch={epoch}",
            order.id
        );
        let mut client = pass.served.open(&path).await;
        assert_eq!(
            client.frame().await,
            json!({"type": "hello", "stream": order.id, "seq": 1, "resumed": true, "epoch": epoch})
        );
        let event = client.frame().await;
        assert_eq!(
            (&event["seq"], &event["prev"], &event["type"]),
            (&json!(2), &json!(1), &json!("order.status_changed"))
        );
    }
}

#[each_database]
async fn an_account_has_so_many_channels_and_guests_take_none_of_them(house: TestLedger) {
    let limited = NotifierSettings {
        max_sockets_per_holder: 2,
        ..settings()
    };
    let pass = Pass::with(house, limited).await;
    let session = pass.table("1").await;
    let guests = format!("/ws/sessions/{}", session.code);
    let (_one, _two) = (
        pass.served.open(&guests).await,
        pass.served.open(&guests).await,
    );
    let (mut store, mut other) = (pass.open_store().await, pass.open_store().await);
    assert_eq!(store.frame().await["type"], "hello");
    assert_eq!(other.frame().await["type"], "hello");
    assert_eq!(pass.open_store().await.closed_with().await, 4429);
    let colleague = pass.another("kim").await;
    let ticket = pass
        .ticket_of(colleague.id, TicketSubject::Store(pass.store))
        .await;
    let path = format!("/ws/stores/{}?ticket={ticket}", pass.store);
    assert_eq!(pass.served.open(&path).await.frame().await["type"], "hello");
}
