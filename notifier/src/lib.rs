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

/// Answers the opening handshake of a socket.
mod accept;
/// Frames of one session or order, for one client.
mod channel;
/// Counts the channels of each client address and holder.
mod connection_limit;
/// Wraps the routes of a process without the api.
pub mod edge;
/// Answers a request for a channel, or refuses it.
mod endpoint;
/// Writes a channel as server-sent events.
mod event_stream;
/// Which orders are a guest's own.
mod guest_orders;
/// Opens the channel that a client requested.
mod handshake;
/// Problems for channels that do not begin.
mod refusal;
/// Serves one client over any transport.
mod serve;
/// Settings of the notifier.
mod settings;
/// Events that clients share.
mod shared_page;
/// Reads that clients share.
mod shared_reads;
/// Speaks to one client over a WebSocket.
mod socket;
/// Which facts of orders only staff see.
mod staff_facts;
/// Frames of a whole store, for one client.
mod store_channel;
/// Tells channels that their store has changed.
mod store_signals;
/// Checks that a ticket's account may still listen.
mod ticket_holder;

#[cfg(test)]
mod fixtures;

use std::sync::Arc;

use broker::Broker;
use domain::session::Session;
use ledger::Ledger;
use platform::metrics::Metrics;
use poem::{Route, get};
use runtime::{access_tokens::AccessTokens, client::Proxies, lifecycle::Shutdown};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::settings::NotifierSettings;
use self::{
    connection_limit::{ConnectionGuard, ConnectionLimit, Holder},
    endpoint::{Kind, LiveChannel, Transport},
    guest_orders::GuestOrders,
    hub::Hub,
    protocol::Close,
    shared_reads::SharedReads,
    staff_facts::StaffFacts,
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
    /// Sessions by the hashes of their codes.
    sessions: SharedReads<[u8; 32], Option<Session>>,
    staff_facts: StaffFacts,
    /// Limits the concurrent reads of the ledger, by channels that open and by channels and streams that are behind.
    reads: Arc<Semaphore>,
    stopping: CancellationToken,
    channels: TaskTracker,
    connection_limit: ConnectionLimit,
    /// Channels of each table and account.
    holder_limit: ConnectionLimit<Holder>,
    proxies: Proxies,
    /// Checks access tokens; the api issues them.
    tokens: AccessTokens,
}

impl Notifier {
    /// Subscribes to the broker's feed and starts the tasks. At shutdown all channels are closed with 1012, and the
    /// shutdown waits for that.
    #[must_use]
    pub async fn start(
        ledger: Ledger,
        broker: Arc<dyn Broker>,
        metrics: Arc<Metrics>,
        tokens: AccessTokens,
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
            sessions: SharedReads::default(),
            staff_facts: StaffFacts::default(),
            reads,
            stopping: shutdown.stopping().child_token(),
            channels: TaskTracker::new(),
            connection_limit: ConnectionLimit::new(
                settings.max_sockets,
                settings.max_sockets_per_address,
            ),
            holder_limit: ConnectionLimit::new(usize::MAX, settings.max_sockets_per_holder),
            proxies: Proxies::new(&settings.trusted_proxies),
            tokens,
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

    /// Counts one more channel of the holder, or refuses it.
    fn place_for(&self, holder: Holder) -> Result<ConnectionGuard<Holder>, Close> {
        let taken = self.0.holder_limit.take_for(holder);
        taken.map_err(|_| Close::TooMany)
    }

    /// Closes every channel with 1012 and waits until all are closed; new ones are refused.
    pub async fn drain(&self) {
        self.0.stopping.cancel();
        self.0.channels.close();
        self.0.channels.wait().await;
    }
}

/// Adds the routes of the live channels: each as a WebSocket and as an event stream, which is part of the API.
#[must_use]
pub fn mount(routes: Route, notifier: &Notifier) -> Route {
    let channel = |kind, transport| get(LiveChannel::new(notifier, kind, transport));
    [
        ("sessions/:code", Kind::Session),
        ("orders/:id", Kind::Order),
        ("stores/:id", Kind::Store),
    ]
    .into_iter()
    .fold(routes, |routes, (path, kind)| {
        routes
            .at(format!("/ws/{path}"), channel(kind, Transport::Socket))
            .at(
                format!("/api/v1/{path}/events/stream"),
                channel(kind, Transport::EventStream),
            )
    })
}
