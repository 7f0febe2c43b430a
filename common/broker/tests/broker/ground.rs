//! Fixture of each case: a separate namespace on one back end, and helpers to use it.

use std::sync::Arc;
use std::time::Duration;

use broker::{
    Broker, BrokerOptions, BrokerState, Deliveries, Delivery, FeedItem, Message, PublishError,
    Subscription,
};
use bytes::Bytes;
use platform::chance::Chance;
use test_line::Line;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// A separate namespace on one back end.
pub(crate) struct Ground {
    pub(crate) options: BrokerOptions,
}

impl Ground {
    pub(crate) fn at(url: &str) -> Self {
        let namespace = format!("test-{}", Chance::system().session_code());
        Self {
            options: BrokerOptions {
                url: url.to_owned(),
                namespace,
                ..BrokerOptions::default()
            },
        }
    }

    pub(crate) fn embedded() -> Option<Self> {
        Some(Self::at("embedded:"))
    }

    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test server's URL is not a setting of the product"
    )]
    pub(crate) fn rabbit() -> Option<Self> {
        match std::env::var("EXPEDITER_TEST_AMQP_URL") {
            Ok(url) => Some(Self::at(&url)),
            Err(_) => {
                assert!(
                    std::env::var("CI").as_deref() != Ok("true"),
                    "EXPEDITER_TEST_AMQP_URL is not set, and CI must not skip RabbitMQ"
                );
                eprintln!("SKIPPED: a RabbitMQ case, because EXPEDITER_TEST_AMQP_URL is not set");
                None
            }
        }
    }

    /// Returns a namespace on RabbitMQ behind a line.
    pub(crate) async fn rabbit_behind_line() -> Option<(Self, Line)> {
        let mut ground = Self::rabbit()?;
        let line = Line::before(&ground.options.url).await;
        ground.options.url = line.through(&ground.options.url);
        Some((ground, line))
    }

    pub(crate) fn holding(mut self, capacity: usize) -> Self {
        self.options.capacity = capacity;
        self
    }

    pub(crate) async fn broker(&self) -> Arc<dyn Broker> {
        let broker = self.connect();
        connected(&*broker).await;
        broker
    }

    pub(crate) fn connect(&self) -> Arc<dyn Broker> {
        broker::connect(&self.options, Chance::system()).unwrap()
    }
}

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("in time")
}

pub(crate) async fn connected(broker: &dyn Broker) {
    let mut state = broker.state();
    within(state.wait_for(|state| *state == BrokerState::Connected))
        .await
        .unwrap();
}

pub(crate) async fn away(broker: &dyn Broker) {
    let mut state = broker.state();
    within(state.wait_for(|state| matches!(state, BrokerState::Away { .. })))
        .await
        .unwrap();
}

pub(crate) async fn publish(broker: &dyn Broker, messages: Vec<Message>) {
    let count = messages.len();
    assert_eq!(within(broker.publish(messages)).await, vec![Ok(()); count]);
}

pub(crate) async fn publish_one(broker: &dyn Broker, message: Message) -> Result<(), PublishError> {
    within(broker.publish(vec![message])).await.pop().unwrap()
}

pub(crate) async fn next(worker: &mut Box<dyn Deliveries>) -> Delivery {
    within(worker.next()).await.expect("not closed")
}

pub(crate) async fn hear(subscriber: &mut Box<dyn Subscription>) -> FeedItem {
    within(subscriber.next()).await.expect("not closed")
}

pub(crate) fn heard(text: &'static str) -> FeedItem {
    FeedItem::Message(Bytes::from_static(text.as_bytes()))
}

pub(crate) fn numbers(range: std::ops::Range<u32>, message: fn(String) -> Message) -> Vec<Message> {
    range.map(|number| message(number.to_string())).collect()
}

pub(crate) fn number(body: &Bytes) -> u32 {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}
