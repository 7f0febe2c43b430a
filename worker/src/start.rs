//! Starts the parts of a worker; standalone does so in one process with everything else.

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

use broker::Broker;
use ledger::Ledger;
use platform::metrics::Metrics;
use runtime::{
    config::{DatabaseKind, Settings},
    lifecycle::Shutdown,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::Attempts,
    consume::Consumer,
    lanes::Lanes,
    membership::{Heartbeat, Membership},
    order_duties::OrderDuties,
    outbound::{ClientError, Outbound, OutboundSettings},
    sweep::{Memory, Sweep, SweepCounts},
};

/// Time reserved to record an outcome after the longest attempt.
const RECORD_MARGIN: Duration = Duration::from_secs(2);

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub outbound: OutboundSettings,
    /// Time by which a lease exceeds the attempt's timeout.
    pub lease_margin: Duration,
    pub sweep_interval: Duration,
    pub sweep_batch: u32,
    /// Maximum number of lanes at one time.
    pub max_lanes: usize,
    /// True if no other process can use this database, so that integrators are not shared.
    pub is_alone: bool,
    /// Maximum duration of the shutdown.
    pub drain: Duration,
}

impl From<&Settings> for WorkerSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            outbound: OutboundSettings::from(&settings.worker),
            lease_margin: settings.worker.lease_margin,
            sweep_interval: settings.worker.sweep_interval,
            sweep_batch: settings.worker.sweep_batch,
            max_lanes: settings.worker.max_lanes,
            is_alone: settings.database.kind() == DatabaseKind::Sqlite,
            drain: settings.shutdown.drain,
        }
    }
}

/// Dependencies of a worker.
#[derive(Debug)]
pub struct WorkerParts {
    pub ledger: Ledger,
    pub broker: Arc<dyn Broker>,
    pub metrics: Arc<Metrics>,
    pub settings: WorkerSettings,
}

/// Running worker. Dropping it does not stop it: it ends with the [`Shutdown`] it was started with.
#[derive(Debug)]
pub struct Worker {
    sweep: Arc<Sweep>,
    #[cfg(test)]
    pub(crate) lanes: Lanes,
    #[cfg(test)]
    pub(crate) membership: watch::Receiver<Membership>,
}

impl Worker {
    /// Starts all tasks on the current runtime. Once `shutdown` begins, nothing more is claimed; attempts in flight may
    /// finish, and those that have not finished shortly before the end of the drain are recorded as unknown.
    pub async fn start(parts: WorkerParts, shutdown: &Shutdown) -> Result<Self, ClientError> {
        let WorkerParts {
            ledger,
            broker,
            metrics,
            settings,
        } = parts;
        let cut = CancellationToken::new();
        let attempts = Attempts {
            outbound: Arc::new(outbound(&ledger, &settings.outbound, &cut).await?),
            ledger: ledger.clone(),
            metrics: metrics.clone(),
            cut: cut.clone(),
        };
        let lease = settings.outbound.attempt_timeout + settings.lease_margin;
        let heartbeat = join(&ledger, &metrics, settings.is_alone).await;
        let membership = match &heartbeat {
            Some(heartbeat) => heartbeat.membership(),
            None => alone(&ledger, &metrics),
        };
        let lanes = Lanes::new(
            attempts,
            lease,
            settings.max_lanes,
            shutdown.clone(),
            broker.clone(),
            membership.clone(),
        );
        let order_duties = OrderDuties::start(ledger.clone(), metrics.clone(), shutdown);
        let stopping = shutdown.stopping();
        if let Some(heartbeat) = heartbeat {
            let run = {
                let lanes = lanes.clone();
                heartbeat.run(async move { lanes.ended().await }, stopping.clone())
            };
            shutdown.spawn_vital("heartbeat", run);
        }
        tokio::spawn(cut_after_grace_period(
            stopping.clone(),
            cut,
            grace_period(&settings),
        ));

        let consumer = Consumer {
            lanes: lanes.clone(),
            order_duties,
        };
        shutdown.spawn_vital("consume", consumer.run(broker.clone(), stopping.clone()));
        let sweep = Arc::new(Sweep {
            ledger,
            broker,
            lanes: lanes.clone(),
            membership: membership.clone(),
            metrics,
            interval: settings.sweep_interval,
            batch: settings.sweep_batch.max(1),
            memory: Mutex::new(Memory::default()),
        });
        shutdown.spawn_vital("sweep", Arc::clone(&sweep).run(stopping));
        Ok(Self {
            sweep,
            #[cfg(test)]
            lanes,
            #[cfg(test)]
            membership,
        })
    }

    /// Runs one sweep in addition to the periodic ones.
    pub async fn sweep_once(&self) -> SweepCounts {
        self.sweep.sweep_once().await
    }
}

/// Sends the first heartbeat, so that the others know this worker before its first hint; `None` if it is alone.
async fn join(ledger: &Ledger, metrics: &Arc<Metrics>, is_alone: bool) -> Option<Heartbeat> {
    if is_alone {
        return None;
    }
    let mut heartbeat = Heartbeat::new(ledger.clone(), Arc::clone(metrics));
    heartbeat.call().await;
    Some(heartbeat)
}

fn alone(ledger: &Ledger, metrics: &Metrics) -> watch::Receiver<Membership> {
    metrics.workers_live.set(1);
    let me = ledger.chance().id(ledger.clock().now());
    watch::Sender::new(Membership::single(me)).subscribe()
}

/// Builds the HTTP client on a blocking thread, because it takes about 30 ms of CPU.
async fn outbound(
    ledger: &Ledger,
    settings: &OutboundSettings,
    cut: &CancellationToken,
) -> Result<Outbound, ClientError> {
    let (settings, clock, chance, cut) = (
        settings.clone(),
        ledger.clock().clone(),
        ledger.chance().clone(),
        cut.clone(),
    );
    tokio::task::spawn_blocking(move || Outbound::new(&settings, clock, chance, cut))
        .await
        .expect("building a client does not panic, and is not cancelled")
}

/// Returns how long attempts may still finish after the shutdown has begun.
fn grace_period(settings: &WorkerSettings) -> Duration {
    let drained = settings.drain.saturating_sub(RECORD_MARGIN);
    drained.min(settings.outbound.attempt_timeout + RECORD_MARGIN)
}

async fn cut_after_grace_period(
    stopping: CancellationToken,
    cut: CancellationToken,
    grace_period: Duration,
) {
    stopping.cancelled().await;
    // Real time, not the test clock: tests that set the clock do not simulate a shutdown.
    tokio::time::sleep(grace_period).await;
    cut.cancel();
}
