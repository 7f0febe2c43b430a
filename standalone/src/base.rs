//! What everything else stands on: database, clock, keys, broker, ledger and its relay.

use std::{sync::Arc, time::Duration};

use common::{
    broker::{self, Broker, BrokerOptions, BrokerState},
    chance::Chance,
    clock::Clock,
    config::{BrokerKind, Settings},
    ledger::{Ledger, LedgerParts, LedgerSettings, intake::IntakeSettings},
    listen::NoDelayAcceptor,
    metrics::Metrics,
    relay::{self, Relay, RelayQueue},
    secrets::Keys,
    store::{self, Db, DbOptions, StoreError},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::refusal::Refusal;

/// How often the clock is set to the database's time again.
const ANCHOR_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) keys: Arc<Keys>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ledger: Ledger,
    pub(crate) relay: Relay,
    pub(crate) relay_queue: RelayQueue,
}

impl Base {
    /// Migrates, and publishes what an earlier process left in the outbox where no other process could.
    pub(crate) async fn build(settings: &Settings, public_url: &str) -> Result<Self, Refusal> {
        let (clock, chance, metrics) = (clock(settings), Chance::system(), Metrics::new());
        let keys = Arc::new(Keys::load_or_create(&settings.secrets, &chance)?);
        let db = connect_database(settings).await?;
        let unusable = |cause| unusable(settings, cause);
        store::migrate(&db).await.map_err(unusable)?;
        db.anchor(&clock).await.map_err(unusable)?;
        let broker = broker::connect(&broker_options(settings), chance.clone())?;
        let (wake, relay_queue) = relay::channel(settings.outbox.queue_capacity);
        let ledger = Ledger::new(LedgerParts {
            db: db.clone(),
            clock: clock.clone(),
            chance: chance.clone(),
            sealing: Arc::new(keys.encryption.clone()),
            wake: Arc::new(wake),
            metrics: Arc::clone(&metrics),
            settings: ledger_settings(settings, public_url.to_owned()),
        });
        let relay = Relay {
            ledger: ledger.clone(),
            broker: Arc::clone(&broker),
            metrics: Arc::clone(&metrics),
            sweep_batch: settings.outbox.sweep_batch,
        };
        if settings.broker.kind() == BrokerKind::Embedded {
            relay
                .start_embedded()
                .await
                .map_err(Refusal::failed("publishing what the last process left"))?;
        }
        Ok(Self {
            db,
            clock,
            keys,
            broker,
            metrics,
            ledger,
            relay,
            relay_queue,
        })
    }
}

pub(crate) fn clock(settings: &Settings) -> Clock {
    Clock::paced(settings.testing.clock_pace.unwrap_or_default())
}

/// Where this process is reached.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// With the real port, also where port 0 was asked for.
    pub(crate) local: Url,
    /// Without a slash at its end.
    pub(crate) public: String,
}

impl Addresses {
    pub(crate) fn of(settings: &Settings, acceptor: &NoDelayAcceptor) -> Self {
        let local = format!("http://{}", acceptor.address());
        let public = settings
            .http
            .public_url
            .as_ref()
            .map_or(local.as_str(), |url| url.expose());
        Self {
            public: public.trim_end_matches('/').to_owned(),
            local: Url::parse(&local).expect("a socket address makes an address of http"),
        }
    }
}

pub(crate) async fn connect_database(settings: &Settings) -> Result<Db, Refusal> {
    let database = &settings.database;
    let options = DbOptions {
        url: database.url.expose().to_owned(),
        max_connections: database.max_connections,
        statement_cache_capacity: database.statement_cache_capacity,
        lock_timeout: database.lock_timeout,
        connect_timeout: database.connect_timeout,
        allow_weak_durability: database.allow_weak_durability,
    };
    Db::connect(&options)
        .await
        .map_err(|cause| unusable(settings, cause))
}

pub(crate) fn ledger_settings(settings: &Settings, public_url: String) -> LedgerSettings {
    let intake = &settings.intake;
    LedgerSettings {
        outbox_claim_after: settings.outbox.claim_after,
        public_url,
        intake: IntakeSettings {
            max_batch_orders: intake.max_batch_orders,
            max_batch_bytes: intake.max_batch_bytes,
            writers: intake.writers,
            queue_capacity: intake.queue_capacity,
        },
    }
}

/// Sets the clock to the database's time, again and again.
pub(crate) async fn keep_time(db: Db, clock: Clock, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(ANCHOR_EVERY) => {}
        }
        if let Err(error) = db.anchor(&clock).await {
            tracing::warn!(%error, "the database's time could not be read: {error}");
        }
    }
}

/// Tells metrics and logs when the broker goes and comes back.
pub(crate) async fn watch_broker(
    broker: Arc<dyn Broker>,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
) {
    let mut state = broker.state();
    loop {
        let is_connected = {
            let now = state.borrow_and_update();
            match &*now {
                BrokerState::Connected => tracing::debug!("the broker is connected"),
                BrokerState::Away { error, .. } => {
                    tracing::warn!(
                        error,
                        "the broker is away, and the sweep does its work: {error}"
                    );
                }
                BrokerState::Blocked { reason } => {
                    tracing::warn!(
                        reason,
                        "the broker takes nothing, and the sweep does its work: {reason}"
                    );
                }
            }
            *now == BrokerState::Connected
        };
        metrics.broker_connected.set(i64::from(is_connected));
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

fn broker_options(settings: &Settings) -> BrokerOptions {
    let broker = &settings.broker;
    BrokerOptions {
        url: broker.url.expose().to_owned(),
        namespace: broker.namespace.clone(),
        publish_timeout: broker.publish_timeout,
        capacity: match broker.kind() {
            BrokerKind::Embedded => broker.embedded_capacity,
            BrokerKind::RabbitMq => BrokerOptions::default().capacity,
        },
        ..BrokerOptions::default()
    }
}

fn unusable(settings: &Settings, cause: StoreError) -> Refusal {
    Refusal::Database {
        url: settings.database.url.to_string(),
        cause,
    }
}
