//! Start, shared tasks and end of every process.

mod binary; // api, worker and notifier: the same but for what they serve
mod command_line; // what may be typed
mod foundation; // database, clock, keys, broker, ledger, relay
mod listening; // the listener, with TLS
mod open_files; // the system's limit of them
mod refusal; // why it does not start, in one line

use std::{process::ExitCode, sync::Arc, time::Duration};

use poem::{IntoEndpoint, Route, Server};
use tokio_util::sync::CancellationToken;

pub use self::{
    binary::{Binary, run},
    command_line::SettingsArgs,
    foundation::{Foundation, Publishing, clock, connect_database, ledger_settings},
    listening::{Listening, bind},
    refusal::{EXIT_CODE, Refusal, print_refusal},
};
use crate::{
    config::{Settings, Telemetry, Testing},
    lifecycle::Shutdown,
    operations::{Health, Operations},
    otlp::Otlp,
    telemetry,
};
use broker::{Broker, BrokerState};
use ledger::Ledger;
use platform::{clock::Clock, crash, metrics::Metrics, secrets::Keys};
use store::Db;

/// Interval at which the clock is set to the database's time.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(30);
/// Interval at which it is read how far workers are behind.
const LAGS_INTERVAL: Duration = Duration::from_secs(1);
/// Time after which the database is asked again if its time seems to jump.
const SECOND_OPINION_INTERVAL: Duration = Duration::from_secs(1);
/// Difference between the clock and this machine's wall time at which readiness tells of it. Signatures tolerate more.
const MAX_SKEW: Duration = Duration::from_secs(5);
/// Time that the broker has to connect after the start before it is reported as away.
const CONNECT_GRACE: Duration = Duration::from_secs(5);
/// Time that the relay has to publish what the last requests and attempts committed.
const RELAY_DRAIN: Duration = Duration::from_secs(2);
/// Time that the last traces and metrics have to be sent.
const EXPORT_DRAIN: Duration = Duration::from_secs(3);
/// Time that the connections have to close after everything else has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A running process; further tasks are spawned under `shutdown`.
#[derive(Debug)]
pub struct Process {
    pub ledger: Ledger,
    pub broker: Arc<dyn Broker>,
    pub keys: Arc<Keys>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    db: Db,
    clock: Clock,
    /// Shutdown of the relay, which ends last because all other tasks may have something to publish.
    relay: Shutdown,
    /// Shutdown of the export of traces and metrics, which ends after the relay.
    export: Shutdown,
}

/// Sets up logging, and the crash point of a test. Called first.
pub fn begin(telemetry: &Telemetry, testing: &Testing) -> Result<(), Refusal> {
    telemetry::init(telemetry)?;
    if let Some(crash_at) = &testing.crash_at {
        let (name, nth) = crash::parse(crash_at)?;
        crash::arm(name, nth)?;
    }
    Ok(())
}

/// Creates a shutdown that signals begin.
pub fn stop_on_signals(settings: &Settings) -> Result<Shutdown, Refusal> {
    let shutdown = Shutdown::new(settings.shutdown.drain);
    shutdown
        .on_signals()
        .map_err(Refusal::failed("listening for signals"))?;
    Ok(shutdown)
}

impl Process {
    /// Starts the tasks that every process has: relay, clock and broker watch, and the export of traces and
    /// metrics, as those of `service`.
    #[must_use]
    pub fn start(
        foundation: Foundation,
        shutdown: Shutdown,
        service: &str,
        telemetry: &Telemetry,
    ) -> Self {
        let Foundation {
            db,
            clock,
            keys,
            broker,
            metrics,
            ledger,
            publishing,
        } = foundation;
        let relay = Shutdown::new(RELAY_DRAIN);
        let export = Shutdown::new(EXPORT_DRAIN);
        if let Some(otlp) = Otlp::start(telemetry, service, &metrics) {
            export.spawn("export of traces and metrics", otlp.run(export.stopping()));
        }
        if let Some(Publishing { relay: task, queue }) = publishing {
            relay.spawn_vital("relay", task.run(queue, relay.stopping()));
            shutdown.spawn(
                "without a relay",
                stop_with_relay(relay.stopping(), shutdown.clone()),
            );
        }
        let stopping = shutdown.stopping();
        shutdown.spawn(
            "clock",
            sync_clock(db.clone(), clock.clone(), stopping.clone()),
        );
        shutdown.spawn("lags", watch_lags(ledger.clone(), stopping.clone()));
        shutdown.spawn("epoch", watch_epoch(ledger.clone(), stopping.clone()));
        let watch = watch_broker(Arc::clone(&broker), Arc::clone(&metrics), stopping);
        shutdown.spawn("broker's state", watch);
        Self {
            ledger,
            broker,
            keys,
            metrics,
            shutdown,
            db,
            clock,
            relay,
            export,
        }
    }

    /// Adds `/healthz`, `/readyz` and `/metrics` to the routes. Without its database the process is down; without its
    /// broker it works on, and the sweep does the work of the messages. The outbox backlog does not affect readiness:
    /// another process would not publish it sooner.
    #[must_use]
    pub fn with_operations(&self, routes: Route) -> Route {
        let (db, broker) = (self.db.clone(), Arc::clone(&self.broker));
        let clock = self.clock.clone();
        let operations = Operations::new(Arc::clone(&self.metrics), self.shutdown.stopping())
            .probe("database", move || {
                let db = db.clone();
                async move {
                    db.ping()
                        .await
                        .map_or(Health::Down("does not answer"), |()| Health::Ok)
                }
            })
            .probe("clock", move || {
                let health = clock_health(&clock);
                async move { health }
            })
            .probe("broker", move || {
                let state = broker.state();
                async move {
                    match &*state.borrow() {
                        BrokerState::Connected => Health::Ok,
                        BrokerState::Away { .. } => {
                            Health::Degraded("not connected; the sweep does its work")
                        }
                        BrokerState::Blocked { .. } => {
                            Health::Degraded("blocked; the sweep does its work")
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

    /// Serves until the stop begins; then it accepts no more connections, and requests under way may end.
    pub fn serve<E>(&self, listening: Listening, endpoint: E, settings: &Settings)
    where
        E: IntoEndpoint + Send + 'static,
        E::Endpoint: 'static,
    {
        let http = &settings.http;
        open_files::raise_limit(http.max_connections);
        let Listening { acceptor, tls } = listening;
        if let Some(tls) = tls {
            let watch = tls.watch(Arc::clone(&self.metrics), self.shutdown.stopping());
            self.shutdown.spawn("certificate", watch);
        }
        let acceptor = acceptor.bounded(http.head_timeout, http.max_connections);
        let server = Server::new_with_acceptor(acceptor)
            .idle_timeout(http.idle_timeout)
            .run_with_graceful_shutdown(
                endpoint,
                self.shutdown.stopping().cancelled_owned(),
                Some(settings.shutdown.drain),
            );
        self.shutdown.spawn_vital("http", async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "HTTP server failed: {error}");
            }
        });
    }

    /// Waits for the stop, then for everything to end: requests and attempts first, then the relay that publishes their
    /// changes, then the connections.
    pub async fn finish(self) -> ExitCode {
        let ended = self.shutdown.finish().await;
        self.relay.begin();
        let relay_ended = self.relay.finish().await;
        self.export.begin();
        self.export.finish().await;
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, async {
            self.broker.close().await;
            self.db.close().await;
        });
        if closed.await.is_err() {
            tracing::warn!("connections did not close in time");
        }
        tracing::info!("stopped");
        if ended.failed || relay_ended.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Stops the process when its relay stops, because it cannot work without one.
async fn stop_with_relay(relay_stopping: CancellationToken, shutdown: Shutdown) {
    tokio::select! {
        () = relay_stopping.cancelled() => shutdown.begin(),
        () = shutdown.stopping().cancelled_owned() => {}
    }
}

/// Sets the clock to the database's time periodically.
async fn sync_clock(db: Db, clock: Clock, stopping: CancellationToken) {
    loop {
        let interval = if clock.is_in_doubt() {
            SECOND_OPINION_INTERVAL
        } else {
            ANCHOR_INTERVAL
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        if let Err(error) = db.anchor(&clock).await {
            tracing::warn!(%error, "reading the database's time failed: {error}");
        }
    }
}

/// Judges the clock. It follows the database's time, so that all processes agree; signatures and integrators follow the
/// world's, which this machine's wall time shows if it is synchronized.
fn clock_health(clock: &Clock) -> Health {
    if clock.is_in_doubt() {
        Health::Degraded("the database's time jumps; the clock does not follow it yet")
    } else if clock.skew() > MAX_SKEW {
        Health::Degraded(
            "differs from this machine's by more than 5 s; is the database's synchronized, and this one?",
        )
    } else {
        Health::Ok
    }
}

/// Reads how far other processes' workers are behind, while orders come.
async fn watch_lags(ledger: Ledger, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LAGS_INTERVAL) => {}
        }
        if let Err(error) = ledger.read_lags().await {
            tracing::debug!(%error, "reading the lags of the workers failed: {error}");
        }
    }
}

/// Looks periodically for commits that the database lost. A notifier looks more often, and for all processes.
async fn watch_epoch(ledger: Ledger, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(ANCHOR_INTERVAL) => {}
        }
        if let Err(error) = ledger.check_epoch().await {
            tracing::warn!(%error, "reading the ledger's epoch failed: {error}");
        }
    }
}

/// Reports to metrics and logs when the broker disconnects and reconnects. Does not report it as away before it has had
/// time to connect: a connection that fails is logged elsewhere.
async fn watch_broker(broker: Arc<dyn Broker>, metrics: Arc<Metrics>, stopping: CancellationToken) {
    let mut state = broker.state();
    tokio::select! {
        () = stopping.cancelled() => return,
        () = tokio::time::sleep(CONNECT_GRACE) => {}
        _ = state.wait_for(|state| *state == BrokerState::Connected) => {}
    }
    loop {
        let is_connected = {
            let now = state.borrow_and_update();
            match &*now {
                BrokerState::Connected => tracing::debug!("broker connected"),
                BrokerState::Away { error, .. } => {
                    tracing::warn!(
                        error,
                        "broker not connected; the sweep does its work: {error}"
                    );
                }
                BrokerState::Blocked { reason } => {
                    tracing::warn!(reason, "broker blocked; the sweep does its work: {reason}");
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::TimeDelta;
    use platform::clock::TimeSample;

    use super::*;

    #[test]
    fn readiness_tells_of_a_clock_that_differs_from_the_machines() {
        for (ahead, is_fine) in [(0, true), (4, true), (-4, true), (6, false), (-6, false)] {
            let clock = Clock::system();
            clock.anchor(clock.now() + TimeDelta::seconds(ahead), Instant::now());
            assert_eq!(clock_health(&clock) == Health::Ok, is_fine, "{ahead} s");
        }
    }

    #[test]
    fn readiness_tells_of_a_database_whose_time_jumps() {
        let clock = Clock::system();
        let told = |by: i64| TimeSample {
            time: clock.now() + TimeDelta::seconds(by),
            asked_at: Instant::now(),
            round_trip: Duration::ZERO,
        };
        clock.follow(&[told(0)]);
        assert_eq!(clock_health(&clock), Health::Ok);
        clock.follow(&[told(3)]);
        assert!(matches!(clock_health(&clock), Health::Degraded(_)));
    }
}
