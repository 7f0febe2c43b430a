//! Session channels, as guests' pages open them.

mod channels;
mod epochs;
mod handshakes;
mod retention;
mod streams;

use each_database::each_database;
use std::time::Duration;

use crate::setup::{Line, Served, over_both, serve, settings};
use broker::Message;
use domain::{ids::ProductId, session::Session};
use futures_util::future::join_all;
use ledger::{
    intake::Placer,
    testing::{TestLedger, on_sqlite},
};
use notifier::NotifierSettings;
use platform::secrets::sha256;
use serde_json::{Value, json};
use store::testing::TEST_TIMEOUT;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

/// Test setup with an open session and a notifier.
struct Table {
    house: TestLedger,
    line: Line,
    served: Served,
    session: Session,
    product: ProductId,
}

impl Table {
    async fn new(house: TestLedger) -> Self {
        Self::with(house, settings()).await
    }

    async fn with(house: TestLedger, settings: NotifierSettings) -> Self {
        let line = Line::new(&house);
        let served = serve(&line, settings).await;
        let store = house.create_store().await;
        let product = house.create_product(store).await;
        let session = line.ledger.open_session(store, "Table 1").await.unwrap();
        // Orders of the test ledger go through the line's ledger, and so over the feed.
        let house = TestLedger {
            ledger: line.ledger.clone(),
            ..house
        };
        Self {
            house,
            line,
            served,
            session,
            product,
        }
    }

    fn path(&self) -> String {
        format!("/ws/sessions/{}", self.session.code)
    }

    async fn path_after(&self, after: i64) -> String {
        format!(
            "{}?after={after}&epoch={}",
            self.path(),
            self.line.epoch().await
        )
    }

    /// Places orders; each is one event.
    async fn order(&self, orders: usize) {
        for _ in 0..orders {
            self.house
                .place_guest_order(&self.session, self.product)
                .await;
        }
    }
}

/// Checks that each event frame names the one before it, and returns their numbers.
fn chain(hello: i64, frames: &[Value]) -> Vec<i64> {
    let mut last = hello;
    for frame in frames {
        assert_eq!(frame["prev"], last, "{frame}");
        last = frame["seq"].as_i64().unwrap();
    }
    frames
        .iter()
        .map(|frame| frame["seq"].as_i64().unwrap())
        .collect()
}

over_both! {
    async fn a_screen_begins_with_a_snapshot_and_then_sees_every_event_in_order(house: TestLedger) {
        let table = Table::new(house).await;
        table.order(1).await;
        let mut client = table.served.open(&table.path()).await;

        let hello = client.frame().await;
        assert_eq!(
            (&hello["type"], &hello["seq"]),
            (&json!("hello"), &json!(2))
        );
        assert_eq!(hello["stream"], table.session.id.to_string());
        assert_eq!(hello["session"]["name"], "Table 1");
        assert_eq!(
            hello["session"]["store_id"],
            table.session.store_id.to_string()
        );
        assert_eq!(hello["orders"].as_array().unwrap().len(), 1);
        assert!(!hello.to_string().contains(&table.session.code));

        table.order(3).await;
        table
            .line
            .ledger
            .close_session(table.session.id)
            .await
            .unwrap();
        let frames = client.frames_to(6).await;
        assert_eq!(chain(2, &frames), [3, 4, 5, 6]);
        assert_eq!(
            (&frames[0]["version"], &frames[0]["type"]),
            (&json!(1), &json!("order.placed"))
        );
        assert_eq!(frames[0]["data"]["order"]["items"][0]["name"], "Espresso");
        assert_eq!(frames[3]["data"]["session"]["state"], "CLOSED");
    }

    async fn who_comes_back_gets_exactly_what_it_missed(house: TestLedger) {
        let table = Table::new(house).await;
        table.order(150).await;
        for after in [0, 1, 100, 150, 151] {
            let mut client = table.served.open(&table.path_after(after).await).await;
            let hello = client.frame().await;
            assert_eq!(
                hello,
                json!({
                    "type": "hello", "stream": table.session.id, "seq": after, "resumed": true,
                    "epoch": table.line.epoch().await,
                })
            );
            let missed = if after < 151 {
                client.frames_to(151).await
            } else {
                vec![]
            };
            assert_eq!(chain(after, &missed), (after + 1..=151).collect::<Vec<_>>());
            client.expect_nothing_more().await;
        }
        table.order(1).await;
        let mut client = table.served.open(&table.path_after(151).await).await;
        client.frame().await;
        assert_eq!(chain(151, &client.frames_to(152).await), [152]);
    }

    async fn two_hundred_screens_see_the_same_numbers_without_gaps_while_orders_rain(house: TestLedger) {
        const SCREENS: usize = 200;
        const ORDERS: i64 = 120;
        let table = Table::new(house).await;
        let ordering = tokio::spawn({
            let (ledger, session, product) = (
                table.line.ledger.clone(),
                table.session.clone(),
                table.product,
            );
            let house = TestLedger {
                ledger,
                ..table.house.clone()
            };
            async move {
                let orders = (0..ORDERS).map(|_| house.place_guest_order(&session, product));
                futures_util::stream::StreamExt::collect::<Vec<_>>(
                    futures_util::stream::StreamExt::buffer_unordered(
                        futures_util::stream::iter(orders),
                        8,
                    ),
                )
                .await;
            }
        });
        let screens = (0..SCREENS).map(|_| async {
            let mut client = table.served.open(&table.path()).await;
            let hello = client.frame().await["seq"].as_i64().unwrap();
            let frames = if hello < ORDERS + 1 {
                client.frames_to(ORDERS + 1).await
            } else {
                vec![]
            };
            assert_eq!(
                chain(hello, &frames),
                (hello + 1..=ORDERS + 1).collect::<Vec<_>>()
            );
            client
        });
        let clients = join_all(screens).await;
        ordering.await.unwrap();
        assert_eq!(table.served.metrics.sockets_open.get(), SCREENS as i64);
        drop(clients);
        // A stream finds out that its client has gone when it sends something.
        let all_end = async {
            while table.served.metrics.sockets_open.get() != 0 {
                table.order(1).await;
            }
        };
        timeout(TEST_TIMEOUT, all_end).await.expect("all channels end");
    }
}

/// Runs on a single thread, so that the test can block it.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "blocks every task of the thread on purpose"
)]
async fn who_answers_while_the_process_stands_still_is_not_taken_for_gone() {
    on_sqlite(|house| async move {
        let ping_interval = Duration::from_secs(1);
        let settings = NotifierSettings {
            ping_interval,
            ..settings()
        };
        let table = Table::with(house, settings).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = table.served.open(&table.path()).await;
            client.frame().await;
            clients.push(client);
        }
        // No other task runs between sending and the sleep.
        join_all(
            clients
                .iter_mut()
                .map(|client| client.say(r#"{"type":"ping"}"#)),
        )
        .await;
        std::thread::sleep(ping_interval * 5 / 2);
        for client in &mut clients {
            assert_eq!(client.frame().await, json!({"type": "pong"}));
        }
    })
    .await;
}
