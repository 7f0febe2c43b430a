//! Joins a worker's parts; standalone starts it in the same process as everything else.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

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
    crew::{Crew, RollCall},
    inbox::Inbox,
    lanes::Lanes,
    outbound::{NoClient, Outbound, OutboundSettings},
    sweep::{Memory, Sweep, Swept},
};

/// After the longest attempt, this is left to record it.
const TO_RECORD: Duration = Duration::from_secs(2);

/// What a worker is told at start.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub outbound: OutboundSettings,
    /// A lease outlives the attempt's time-out by this.
    pub lease_margin: Duration,
    pub sweep_interval: Duration,
    pub sweep_batch: u32,
    /// No other process can work on this database, so that nothing is shared.
    pub is_alone: bool,
    /// How long the process may take to stop.
    pub drain: Duration,
}

impl From<&Settings> for WorkerSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            outbound: OutboundSettings::from(&settings.worker),
            lease_margin: settings.worker.lease_margin,
            sweep_interval: settings.worker.sweep_interval,
            sweep_batch: settings.worker.sweep_batch,
            is_alone: settings.database.kind() == DatabaseKind::Sqlite,
            drain: settings.shutdown.drain,
        }
    }
}

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerParts {
    pub ledger: Ledger,
    pub broker: Arc<dyn Broker>,
    pub metrics: Arc<Metrics>,
    pub settings: WorkerSettings,
}

/// A worker that runs. Dropping it changes nothing: it ends with the [`Shutdown`] it was started under.
#[derive(Debug)]
pub struct Worker {
    sweep: Arc<Sweep>,
    #[cfg(test)]
    pub(crate) lanes: Lanes,
    #[cfg(test)]
    pub(crate) crew: watch::Receiver<Crew>,
}

impl Worker {
    /// Starts everything on the current runtime. It claims nothing more once `shutdown` begins; attempts under way may
    /// end, and what has not ended shortly before the drain's end is recorded as unknown.
    pub async fn start(parts: WorkerParts, shutdown: &Shutdown) -> Result<Self, NoClient> {
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
        let roll_call = join(&ledger, &metrics, settings.is_alone).await;
        let crew = match &roll_call {
            Some(roll_call) => roll_call.crew(),
            None => alone(&ledger, &metrics),
        };
        let lanes = Lanes::new(
            attempts,
            lease,
            shutdown.clone(),
            broker.clone(),
            crew.clone(),
        );
        let inbox = Inbox::start(ledger.clone(), metrics.clone(), shutdown);
        let stopping = shutdown.stopping();
        if let Some(roll_call) = roll_call {
            let run = {
                let lanes = lanes.clone();
                roll_call.run(async move { lanes.ended().await }, stopping.clone())
            };
            shutdown.spawn_vital("roll call", run);
        }
        tokio::spawn(cut_at_last(stopping.clone(), cut, patience(&settings)));

        let consumer = Consumer {
            lanes: lanes.clone(),
            inbox,
        };
        shutdown.spawn_vital("consume", consumer.run(broker.clone(), stopping.clone()));
        let sweep = Arc::new(Sweep {
            ledger,
            broker,
            lanes: lanes.clone(),
            crew: crew.clone(),
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
            crew,
        })
    }

    /// One round of the reconciler, beside those that it makes by itself.
    pub async fn sweep_once(&self) -> Swept {
        self.sweep.sweep_once().await
    }
}

/// Known to the others before the first hint comes; `None` where there can be no others.
async fn join(ledger: &Ledger, metrics: &Arc<Metrics>, is_alone: bool) -> Option<RollCall> {
    if is_alone {
        return None;
    }
    let mut roll_call = RollCall::new(ledger.clone(), Arc::clone(metrics));
    roll_call.call().await;
    Some(roll_call)
}

fn alone(ledger: &Ledger, metrics: &Metrics) -> watch::Receiver<Crew> {
    metrics.workers_live.set(1);
    let me = ledger.chance().id(ledger.clock().now());
    watch::Sender::new(Crew::of_one(me)).subscribe()
}

/// Building the HTTP client takes a while, and not on a thread that serves others.
async fn outbound(
    ledger: &Ledger,
    settings: &OutboundSettings,
    cut: &CancellationToken,
) -> Result<Outbound, NoClient> {
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

/// How long after the stop's begin attempts may still end by themselves.
fn patience(settings: &WorkerSettings) -> Duration {
    let drained = settings.drain.saturating_sub(TO_RECORD);
    drained.min(settings.outbound.attempt_timeout + TO_RECORD)
}

async fn cut_at_last(stopping: CancellationToken, cut: CancellationToken, patience: Duration) {
    stopping.cancelled().await;
    // The machine's time: a stop is not part of any story that tests tell with their own clock.
    tokio::time::sleep(patience).await;
    cut.cancel();
}
