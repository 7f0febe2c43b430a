//! The wake-up: carries opaque bytes between processes on two topics, and may lose them; what is true stands in the ledger.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use platform::chance::Chance;

mod embedded;
mod mailbox;
mod rabbit;

pub use embedded::Embedded;
pub use rabbit::Rabbit;

/// Begins to connect, and does not wait for it: RabbitMQ may come later. Needs a tokio runtime.
///
/// # Errors
/// When the URL names no back end.
pub fn connect(options: &BrokerOptions, chance: Chance) -> Result<Arc<dyn Broker>, ConnectError> {
    match options.url.split_once(':').map(|(scheme, _)| scheme) {
        Some("embedded") => Ok(Arc::new(Embedded::new(options.capacity))),
        Some("amqp" | "amqps") => Ok(Arc::new(Rabbit::connect(options, chance)?)),
        _ => Err(ConnectError::UnknownScheme),
    }
}

/// Two back ends that behave alike where it matters; `common/tests/broker.rs` holds them to it.
///
/// Everything sent is a hint. A message may come twice, late or never, so every listener works from the ledger,
/// and a sweep finds what no hint told of.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug + 'static {
    /// Publishes and waits for the confirms, at most the publish time-out; one result a message, in order.
    /// Never waits for a broker that is away, blocked or full: that is an error at once.
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>>;

    /// A consumer of [`Topic::Work`], which it shares with all other consumers. It is given at most `prefetch`
    /// unacknowledged deliveries (0 counts as 1); dropping it gives the unacknowledged ones back.
    async fn work(&self, prefetch: u16) -> Box<dyn Deliveries>;

    /// A subscription of its own to [`Topic::Feed`]: sees all that is published from now on.
    async fn feed(&self) -> Box<dyn Subscription>;

    /// Whether a publish has a chance just now; for readiness and metrics.
    fn state(&self) -> watch::Receiver<BrokerState>;

    /// Refuses new publishes, waits for those under way (at most the publish time-out) and ends all consumers.
    async fn close(&self);
}

#[async_trait]
pub trait Deliveries: Send + fmt::Debug {
    /// The next hint; `None` once the broker is closed. Survives reconnects by itself. Cancel-safe.
    async fn next(&mut self) -> Option<Delivery>;
}

#[async_trait]
pub trait Subscription: Send + fmt::Debug {
    /// The next of the feed; `None` once the broker is closed and what came before is read. Survives reconnects by
    /// itself. Cancel-safe.
    async fn next(&mut self) -> Option<FeedItem>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Shared among consumers: each message goes to one of them.
    Work,
    /// To every subscriber.
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

/// What a feed has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    Message(Bytes),
    /// Reconnected, or messages dropped: look into the ledger for what was missed.
    Gap,
}

/// One hint. Dropped without [`Delivery::ack`] it stays its consumer's until that consumer is dropped.
pub struct Delivery {
    pub body: Bytes,
    /// It was given out before, and not acknowledged.
    pub redelivered: bool,
    acknowledge: Box<dyn FnOnce() + Send>,
}

impl Delivery {
    /// Waits for nothing and may come to nothing after a reconnect: then the hint comes once more.
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
    /// Connected, but the server takes nothing for now (memory or disk alarm).
    Blocked {
        reason: String,
    },
}

/// Why a message is not known to be kept; it may nevertheless have arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the queue is full, or too many publishes are under way")]
    Full,
    #[error("the broker is away: {error}")]
    Away { error: String },
    #[error("the broker takes no messages for now: {reason}")]
    Blocked { reason: String },
    /// Feed only: the others have it, and it is not known whether that subscriber was there to miss it.
    #[error("a subscriber's queue went away while this was published")]
    SubscriberLost,
    #[error("no queue takes this message")]
    Unroutable,
    #[error("no confirm within the publish time-out")]
    TimedOut,
    #[error("the broker is closed")]
    Closed,
}

/// Why a URL cannot be used. The URL itself is not told: it carries a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("the broker's URL begins with neither `embedded:` nor `amqp://`")]
    UnknownScheme,
    #[error("the broker's URL is not of the form amqp://user:password@host:port/vhost")]
    Malformed,
    #[error("amqps:// is not built in: use amqp:// within a private network, or a TLS tunnel")]
    TlsUnsupported,
}

/// How to reach the broker.
#[derive(Clone)]
pub struct BrokerOptions {
    /// `embedded:` or `amqp://user:password@host:port/vhost`.
    pub url: String,
    pub publish_timeout: Duration,
    /// Of one attempt to reach RabbitMQ.
    pub connect_timeout: Duration,
    /// Messages: how many the work queue holds, how many wait for one feed subscriber, how many are being published.
    pub capacity: usize,
    /// Begins the name of every queue and exchange, so that several houses can share one server.
    pub namespace: String,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            publish_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            capacity: 10_000,
            namespace: "expediter".to_owned(),
        }
    }
}

impl fmt::Debug for BrokerOptions {
    /// Without the URL, which carries a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerOptions")
            .field("publish_timeout", &self.publish_timeout)
            .field("capacity", &self.capacity)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// How often a hint may come back unacknowledged before it is set aside, so that none that kills its worker loops for
/// ever. It is then given out `DELIVERY_LIMIT + 1` times in all.
const DELIVERY_LIMIT: u16 = 5;
