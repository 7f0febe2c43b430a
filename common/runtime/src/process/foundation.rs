//! The foundation of a process: database, clock, keys, broker, ledger and its relay.

use std::sync::Arc;

use super::Refusal;
use crate::{
    config::{BrokerKind, Settings},
    relay::{self, Relay, RelayQueue},
};
use broker::{Broker, BrokerOptions};
use ledger::{BatchLimits, Bounds, Ledger, LedgerParts, LedgerSettings, NoWake, Wake};
use platform::{chance::Chance, clock::Clock, metrics::Metrics, secrets::Keys};
use store::{Db, DbOptions, StoreError};

#[derive(Debug)]
pub struct Foundation {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<Keys>,
    pub broker: Arc<dyn Broker>,
    pub metrics: Arc<Metrics>,
    pub ledger: Ledger,
    /// `None` for a process that commits nothing that others must be told of.
    pub publishing: Option<Publishing>,
}

#[derive(Debug)]
pub struct Publishing {
    pub relay: Relay,
    pub queue: RelayQueue,
}

impl Foundation {
    /// Migrates the database, under the lock of the migrations; sets the clock to the database's time; and, with the
    /// embedded broker, publishes what an earlier process left in the outbox.
    pub async fn build(
        settings: &Settings,
        keys: Keys,
        public_url: &str,
        publishes: bool,
    ) -> Result<Self, Refusal> {
        let (clock, chance, metrics) = (clock(settings), Chance::system(), Metrics::new());
        let version = env!("CARGO_PKG_VERSION");
        metrics.build_info.with_label_values(&[version]).set(1);
        let keys = Arc::new(keys);
        let db = connect_database(settings, metrics.clone()).await?;
        let unusable = |cause| unusable(settings, cause);
        store::migrate(&db).await.map_err(unusable)?;
        db.anchor(&clock).await.map_err(unusable)?;
        let broker = broker::connect(&broker_options(settings), chance.clone())?;
        let (wake, queue): (Arc<dyn Wake>, _) = if publishes {
            let (wake, queue) = relay::channel(settings.outbox.queue_capacity);
            (Arc::new(wake), Some(queue))
        } else {
            (Arc::new(NoWake), None)
        };
        let ledger = Ledger::new(LedgerParts {
            db: db.clone(),
            clock: clock.clone(),
            chance,
            sealing: Arc::new(keys.encryption.clone()),
            wake,
            metrics: Arc::clone(&metrics),
            settings: ledger_settings(settings, public_url.to_owned()),
        });
        ledger
            .check_epoch()
            .await
            .map_err(Refusal::failed("reading the ledger's epoch"))?;
        let publishing = queue.map(|queue| Publishing {
            relay: Relay {
                ledger: ledger.clone(),
                broker: Arc::clone(&broker),
                metrics: Arc::clone(&metrics),
                sweep_batch: settings.outbox.sweep_batch,
                drops_hints: Arc::default(),
            },
            queue,
        });
        if let (BrokerKind::Embedded, Some(publishing)) = (settings.broker.kind(), &publishing) {
            let left = publishing.relay.start_embedded().await;
            left.map_err(Refusal::failed("publishing the outbox of the last process"))?;
        }
        Ok(Self {
            db,
            clock,
            keys,
            broker,
            metrics,
            ledger,
            publishing,
        })
    }
}

#[must_use]
pub fn clock(settings: &Settings) -> Clock {
    Clock::with_pace(settings.testing.clock_pace.unwrap_or_default())
}

/// Connects to the database, whose errors are counted in `metrics`.
pub async fn connect_database(settings: &Settings, metrics: Arc<Metrics>) -> Result<Db, Refusal> {
    let database = &settings.database;
    let options = DbOptions {
        url: database.url.expose().to_owned(),
        max_connections: database.max_connections,
        statement_cache_capacity: database.statement_cache_capacity,
        lock_timeout: database.lock_timeout,
        connect_timeout: database.connect_timeout,
        statement_timeout: database.statement_timeout,
        session_timeout: database.session_timeout,
        allow_weak_durability: database.allow_weak_durability,
        host_check_interval: database.host_check_interval,
        host_check_timeout: database.host_check_timeout,
        host_return_after: database.host_return_after,
        metrics,
    };
    Db::connect(&options)
        .await
        .map_err(|cause| unusable(settings, cause))
}

#[must_use]
pub fn ledger_settings(settings: &Settings, public_url: String) -> LedgerSettings {
    let (intake, limits) = (&settings.intake, &settings.limits);
    LedgerSettings {
        outbox_claim_after: settings.outbox.claim_after,
        callback_base: callback_base(settings).unwrap_or_else(|| public_url.clone()),
        public_url,
        intake: BatchLimits {
            max_requests: intake.max_batch_orders,
            max_bytes: intake.max_batch_bytes,
            writers: intake.writers,
            queue_capacity: intake.queue_capacity,
        },
        max_handover_lag: Some(intake.max_handover_lag).filter(|lag| !lag.is_zero()),
        max_pause: settings.worker.max_pause,
        stuck: settings.stuck.limits(),
        callback_tolerance: settings.callbacks.tolerance,
        audit_retention: settings.audit.retention(),
        bounds: Bounds {
            order_text_bytes: limits.order_text_bytes,
            unfinished_orders_per_session: limits.unfinished_orders_per_session,
            snapshot_bytes: limits.snapshot_bytes,
            page_bytes: limits.page_bytes,
        },
        retention: settings.retention.limits(),
    }
}

/// Returns the base address that integrators call back to, if it is set.
fn callback_base(settings: &Settings) -> Option<String> {
    let url = settings.http.callback_url.as_ref()?;
    Some(url.expose().trim_end_matches('/').to_owned())
}

fn broker_options(settings: &Settings) -> BrokerOptions {
    let broker = &settings.broker;
    BrokerOptions {
        url: broker.url.expose().to_owned(),
        ca_file: broker.ca_file.clone(),
        namespace: broker.namespace.clone(),
        publish_timeout: broker.publish_timeout,
        connect_timeout: broker.connect_timeout,
        capacity: match broker.kind() {
            BrokerKind::Embedded => broker.embedded_capacity,
            BrokerKind::RabbitMq => BrokerOptions::default().capacity,
        },
    }
}

fn unusable(settings: &Settings, cause: StoreError) -> Refusal {
    Refusal::Database {
        url: settings.database.url.to_string(),
        cause,
    }
}
