//! How every process starts, what it stands on, and how it ends.

mod binary; // api, worker and notifier: the same but for what they serve
mod command_line; // what may be typed
mod foundation; // database, clock, keys, broker, ledger, relay
mod refusal; // why it does not start, in one line

use std::{process::ExitCode, sync::Arc, time::Duration};

use poem::{IntoEndpoint, Route, Server};
use tokio_util::sync::CancellationToken;

pub use self::{
    binary::{Binary, run},
    command_line::SettingsLine,
    foundation::{Foundation, Publishing, clock, connect_database, ledger_settings},
    refusal::{EXIT_CODE, Refusal, bind, print_refusal},
};
use crate::{
    config::{Settings, Telemetry, Testing},
    lifecycle::Shutdown,
    listen::NoDelayAcceptor,
    operations::{Health, Operations},
    telemetry,
};
use broker::{Broker, BrokerState};
use ledger::Ledger;
use platform::{clock::Clock, crash, metrics::Metrics, secrets::Keys};
use store::Db;

/// How often the clock is set to the database's time again.
const ANCHOR_EVERY: Duration = Duration::from_secs(30);
/// A broker that has not connected this long after the start is away.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// How long the relay may take to publish what the last requests and attempts committed.
const RELAY_WITHIN: Duration = Duration::from_secs(2);
/// How long the connections may take to close after everything else has ended.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A process that runs: whoever adds to it what it is for, spawns that under `shutdown`.
#[derive(Debug)]
pub struct Process {
    pub ledger: Ledger,
    pub broker: Arc<dyn Broker>,
    pub keys: Arc<Keys>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    db: Db,
    /// The relay ends last, since all others may have something to tell.
    relay: Shutdown,
}

/// First of all: logs, and the crash point of a test.
pub fn begin(telemetry: &Telemetry, testing: &Testing) -> Result<(), Refusal> {
    telemetry::init(telemetry)?;
    if let Some(crash_at) = &testing.crash_at {
        let (name, nth) = crash::parse(crash_at)?;
        crash::arm(name, nth)?;
    }
    Ok(())
}

/// A stop that signals begin.
pub fn stop_on_signals(settings: &Settings) -> Result<Shutdown, Refusal> {
    let shutdown = Shutdown::new(settings.shutdown.drain);
    shutdown
        .on_signals()
        .map_err(Refusal::failed("listening for signals"))?;
    Ok(shutdown)
}

impl Process {
    /// Starts what every process has beside what it is for.
    #[must_use]
    pub fn start(foundation: Foundation, shutdown: Shutdown) -> Self {
        let Foundation {
            db,
            clock,
            keys,
            broker,
            metrics,
            ledger,
            publishing,
        } = foundation;
        let relay = Shutdown::new(RELAY_WITHIN);
        if let Some(Publishing { relay: task, queue }) = publishing {
            relay.spawn_vital("relay", task.run(queue, relay.stopping()));
            shutdown.spawn(
                "without a relay",
                stop_together(relay.stopping(), shutdown.clone()),
            );
        }
        let stopping = shutdown.stopping();
        shutdown.spawn("clock", keep_time(db.clone(), clock, stopping.clone()));
        let watch = watch_broker(Arc::clone(&broker), Arc::clone(&metrics), stopping);
        shutdown.spawn("broker's state", watch);
        Self {
            ledger,
            broker,
            keys,
            metrics,
            shutdown,
            db,
            relay,
        }
    }

    /// With `/healthz`, `/readyz` and `/metrics` beside what the routes have already. Without its database the process
    /// is down; without its broker it works on, and the sweep does what messages did. What waits in the outbox is no
    /// question of readiness: another process would not publish it sooner.
    #[must_use]
    pub fn with_operations(&self, routes: Route) -> Route {
        let (db, broker) = (self.db.clone(), Arc::clone(&self.broker));
        let operations = Operations::new(Arc::clone(&self.metrics), self.shutdown.stopping())
            .probe("database", move || {
                let db = db.clone();
                async move {
                    db.ping()
                        .await
                        .map_or(Health::Down("does not answer"), |()| Health::Ok)
                }
            })
            .probe("broker", move || {
                let state = broker.state();
                async move {
                    match &*state.borrow() {
                        BrokerState::Connected => Health::Ok,
                        BrokerState::Away { .. } => {
                            Health::Degraded("away: the sweep does its work")
                        }
                        BrokerState::Blocked { .. } => {
                            Health::Degraded("takes nothing: the sweep does its work")
                        }
                    }
                }
            });
        let operations = Arc::new(operations.routes());
        let paths = ["/healthz", "/readyz", "/metrics"];
        paths.into_iter().fold(routes, |routes, path| {
            routes.at(path, Arc::clone(&operations))
        })
    }

    /// Answers from now on, until the stop: then it accepts nobody more, and requests under way may end.
    pub fn serve<E>(&self, acceptor: NoDelayAcceptor, endpoint: E, settings: &Settings)
    where
        E: IntoEndpoint + Send + 'static,
        E::Endpoint: 'static,
    {
        let server = Server::new_with_acceptor(acceptor)
            .idle_timeout(settings.http.idle_timeout)
            .run_with_graceful_shutdown(
                endpoint,
                self.shutdown.stopping().cancelled_owned(),
                Some(settings.shutdown.drain),
            );
        self.shutdown.spawn_vital("http", async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the server ended: {error}");
            }
        });
    }

    /// Waits for the stop, and for the end of everything: requests and attempts first, then what they have to tell,
    /// then the connections.
    pub async fn finish(self) -> ExitCode {
        let ended = self.shutdown.finish().await;
        self.relay.begin();
        let relay_ended = self.relay.finish().await;
        let closed = tokio::time::timeout(CLOSE_WITHIN, async {
            self.broker.close().await;
            self.db.close().await;
        });
        if closed.await.is_err() {
            tracing::warn!("ended without waiting longer for the connections to close");
        }
        tracing::info!("stopped");
        if ended.failed || relay_ended.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Without its relay the process is of no use.
async fn stop_together(relay_stopping: CancellationToken, shutdown: Shutdown) {
    tokio::select! {
        () = relay_stopping.cancelled() => shutdown.begin(),
        () = shutdown.stopping().cancelled_owned() => {}
    }
}

/// Sets the clock to the database's time, again and again.
async fn keep_time(db: Db, clock: Clock, stopping: CancellationToken) {
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

/// Tells metrics and logs when the broker goes and comes back. Not that it is away before it has had time to connect:
/// a connection that fails is told by itself.
async fn watch_broker(broker: Arc<dyn Broker>, metrics: Arc<Metrics>, stopping: CancellationToken) {
    let mut state = broker.state();
    tokio::select! {
        () = stopping.cancelled() => return,
        () = tokio::time::sleep(CONNECTS_WITHIN) => {}
        _ = state.wait_for(|state| *state == BrokerState::Connected) => {}
    }
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
