//! The broker: carries opaque bytes between processes on two topics, and may lose them; the ledger holds the truth.
//!
//! Invariant: it knows neither store nor domain; only `rabbit` names lapin.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use platform::{chance::Chance, hosts::HostsError};

/// The broker inside one process.
mod embedded;
/// A bounded queue that drops its oldest message.
mod mailbox;
/// The broker over RabbitMQ.
mod rabbit;

pub use embedded::Embedded;
pub use rabbit::Rabbit;

/// Starts to connect without waiting for it: RabbitMQ may come up later. Needs a tokio runtime.
///
/// # Errors
/// If the URL names no back end.
pub fn connect(options: &BrokerOptions, chance: Chance) -> Result<Arc<dyn Broker>, ConnectError> {
    match options.url.split_once(':').map(|(scheme, _)| scheme) {
        Some("embedded") => Ok(Arc::new(Embedded::new(options.capacity))),
        Some("amqp" | "amqps") => Ok(Arc::new(Rabbit::connect(options, chance)?)),
        _ => Err(ConnectError::UnknownScheme),
    }
}

/// A message broker. The two back ends behave alike where it matters; `common/broker/tests/broker.rs` tests that.
///
/// Every message is a hint. It may come twice, late or never, so every listener works from the ledger, and a sweep
/// finds what no hint announced.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug + 'static {
    /// Publishes and waits for the confirms, at most for the publish timeout; returns one result per message, in order.
    /// Never waits for a broker that is away, blocked or full, but returns an error at once.
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>>;

    /// Returns a consumer of [`Topic::Work`], which it shares with all other consumers. It holds at most `prefetch`
    /// unacknowledged deliveries (0 counts as 1); dropping it gives the unacknowledged ones back.
    async fn work(&self, prefetch: u16) -> Box<dyn Deliveries>;

    /// Returns a new subscription to [`Topic::Feed`], which sees everything published from now on.
    async fn feed(&self) -> Box<dyn Subscription>;

    /// Returns the state, which tells whether a publish can succeed now; for readiness and metrics.
    fn state(&self) -> watch::Receiver<BrokerState>;

    /// Refuses new publishes, waits for those under way (at most for the publish timeout) and ends all consumers.
    async fn close(&self);
}

#[async_trait]
pub trait Deliveries: Send + fmt::Debug {
    /// Returns the next hint; `None` once the broker is closed. Survives reconnects. Cancel-safe.
    async fn next(&mut self) -> Option<Delivery>;
}

#[async_trait]
pub trait Subscription: Send + fmt::Debug {
    /// Returns the next item of the feed; `None` once the broker is closed and all earlier items are read. Survives
    /// reconnects. Cancel-safe.
    async fn next(&mut self) -> Option<FeedItem>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Shared among consumers: each message goes to one of them.
    Work,
    /// Broadcast: each message goes to every subscriber.
    Feed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: Topic,
    pub body: Bytes,
}

impl Message {
    pub fn work(body: impl Into<Bytes>) -> Self {
        Self {
            topic: Topic::Work,
            body: body.into(),
        }
    }

    pub fn feed(body: impl Into<Bytes>) -> Self {
        Self {
            topic: Topic::Feed,
            body: body.into(),
        }
    }
}

/// An item of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    Message(Bytes),
    /// Reconnected, or messages were dropped: look into the ledger for what was missed.
    Gap,
}

/// One hint. If it is dropped without [`Delivery::ack`], its consumer holds it until that is dropped too.
pub struct Delivery {
    pub body: Bytes,
    /// True if it was delivered before and not acknowledged.
    pub redelivered: bool,
    acknowledge: Box<dyn FnOnce() + Send>,
}

impl Delivery {
    /// Acknowledges the hint without waiting. May have no effect after a reconnect: then the hint is delivered again.
    pub fn ack(self) {
        (self.acknowledge)();
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("body", &self.body)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerState {
    Connected,
    Away {
        since: Instant,
        error: String,
    },
    /// Connected, but the server accepts no messages for now (memory or disk alarm).
    Blocked {
        reason: String,
    },
}

/// Reason why a message is not known to be stored; it may nevertheless have arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the queue is full, or too many publishes are under way")]
    Full,
    #[error("the broker is not connected: {error}")]
    Away { error: String },
    #[error("the broker accepts no messages for now: {reason}")]
    Blocked { reason: String },
    /// Feed only: the other subscribers have it; it is unknown whether that subscriber still existed to miss it.
    #[error("a subscriber's queue was deleted while the message was published")]
    SubscriberLost,
    #[error("no queue accepts this message")]
    Unroutable,
    #[error("no confirm within the publish timeout")]
    TimedOut,
    #[error("the broker is closed")]
    Closed,
}

/// Reason why a URL cannot be used. The URL itself is not shown: it contains a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("the broker's URL must begin with `embedded:` or `amqp://`")]
    UnknownScheme,
    #[error("the broker's URL must have the form amqp://user:password@host:port/vhost")]
    Malformed,
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error("the file of certificate authorities {} cannot be used: {why}", path.display())]
    CaFile { path: PathBuf, why: String },
}

/// Options of the connection to the broker.
#[derive(Clone)]
pub struct BrokerOptions {
    /// `embedded:`, `amqp://user:password@host:port/vhost` or the same with `amqps:`; several hosts after commas.
    pub url: String,
    /// File of certificate authorities (PEM) that are trusted with `amqps:` besides those of the system.
    pub ca_file: Option<PathBuf>,
    pub publish_timeout: Duration,
    /// Timeout of one attempt to connect to RabbitMQ.
    pub connect_timeout: Duration,
    /// Maximum number of messages in the work queue, of those queued for one feed subscriber, and of those being
    /// published.
    pub capacity: usize,
    /// Prefix of the name of every queue and exchange, so that several installations can share one server.
    pub namespace: String,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            ca_file: None,
            publish_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            capacity: 10_000,
            namespace: "expediter".to_owned(),
        }
    }
}

impl fmt::Debug for BrokerOptions {
    /// Formats the options without the URL, which contains a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerOptions")
            .field("publish_timeout", &self.publish_timeout)
            .field("capacity", &self.capacity)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Number of times that a hint may come back unacknowledged before it is set aside, so that one that kills its worker
/// does not loop forever. It is delivered `DELIVERY_LIMIT + 1` times in all.
const DELIVERY_LIMIT: u16 = 5;
