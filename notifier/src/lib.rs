//! Live channels: push committed events to the screens that show them, in order and without gaps.

/// Frames on their way to a client.
pub mod frame;
/// The frames of the live channel, and its close codes.
pub mod protocol;

/// Reads the broker's feed into the hub.
mod feed;
/// Knows who listens to which stream.
mod hub;
/// Asks the database for what the feed lost.
mod reconcile;
/// Wakes the listeners of stores.
mod stores;
/// Keeps one stream's events in order and without gaps.
mod stream;

/// Answers the opening handshake.
mod accept;
/// Frames of one session or order, for one client.
mod channel;
/// Counts the channels of each client address.
mod connection_limit;
/// Which orders are a guest's own.
mod guest_orders;
/// Takes a ticket or a resume number from a client that has connected.
mod handshake;
/// Settings of the notifier.
mod settings;
/// Speaks to one client.
mod socket;
/// Frames of a whole store, for one client.
mod store_channel;
/// Checks that a ticket's account may still listen.
mod ticket_holder;
/// Accepts an upgrade request, or refuses it.
mod upgrade;

use std::sync::Arc;

use broker::Broker;
use ledger::Ledger;
use platform::metrics::Metrics;
use poem::{Route, get};
use runtime::{client::Proxies, lifecycle::Shutdown};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::settings::NotifierSettings;
use self::{
    connection_limit::ConnectionLimit,
    guest_orders::GuestOrders,
    hub::Hub,
    upgrade::{Kind, Upgrade},
};

/// Running notifier; clones are cheap and share its state.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    metrics: Arc<Metrics>,
    settings: NotifierSettings,
    hub: Hub,
    guest_orders: GuestOrders,
    /// Limits the concurrent reads of the ledger, by channels that open and by channels and streams that are behind.
    reads: Arc<Semaphore>,
    stopping: CancellationToken,
    sockets: TaskTracker,
    connection_limit: ConnectionLimit,
    proxies: Proxies,
}

impl Notifier {
    /// Subscribes to the broker's feed and starts the tasks. At shutdown all channels are closed with 1012, and the
    /// shutdown waits for that.
    #[must_use]
    pub async fn start(
        ledger: Ledger,
        broker: Arc<dyn Broker>,
        metrics: Arc<Metrics>,
        settings: NotifierSettings,
        shutdown: &Shutdown,
    ) -> Self {
        let reads = Arc::new(Semaphore::new(settings.max_reads));
        let hub = Hub::new(ledger.clone(), Arc::clone(&metrics), Arc::clone(&reads));
        let notifier = Self(Arc::new(Inner {
            hub: hub.clone(),
            ledger,
            metrics,
            guest_orders: GuestOrders::default(),
            reads,
            stopping: shutdown.stopping().child_token(),
            sockets: TaskTracker::new(),
            connection_limit: ConnectionLimit::new(settings.max_sockets_per_address),
            proxies: Proxies::new(&settings.trusted_proxies),
            settings,
        }));
        // Before the first client, so that the epoch that this process begins ends no channel.
        if let Err(error) = hub.check_epoch().await {
            tracing::warn!(%error, "reading the ledger's epoch failed; the next check will retry");
        }
        let stopping = notifier.0.stopping.clone();
        // Subscribed before the first client can connect.
        let feed = broker.feed().await;
        shutdown.spawn_vital(
            "notifier feed",
            feed::run(feed, hub.clone(), stopping.clone()),
        );
        let every = notifier.0.settings.check_interval;
        shutdown.spawn_vital("notifier watch", reconcile::run(hub, every, stopping));
        shutdown.spawn("notifier sockets", {
            let notifier = notifier.clone();
            async move {
                notifier.0.stopping.cancelled().await;
                notifier.drain().await;
            }
        });
        notifier
    }

    /// Closes every channel with 1012 and waits until all are closed; new ones are refused.
    pub async fn drain(&self) {
        self.0.stopping.cancel();
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }
}

/// Returns the routes `/ws/sessions/{code}`, `/ws/orders/{id}` and `/ws/stores/{id}`, to be mounted at the root.
#[must_use]
pub fn routes(notifier: &Notifier) -> Route {
    let channel = |kind| get(Upgrade::new(notifier, kind));
    Route::new()
        .at("/ws/sessions/:code", channel(Kind::Session))
        .at("/ws/orders/:id", channel(Kind::Order))
        .at("/ws/stores/:id", channel(Kind::Store))
}
