//! Joins ledger and broker: publishes outbox rows, deletes them once confirmed, and sweeps those that a crash left.

mod batch;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::batch::{Batch, Fate};
use crate::traces::{self, Kind};
use broker::{Broker, BrokerState, PublishError};
use domain::ids::OutboxId;
use ledger::{Ledger, OutboxRow, Wake};
use platform::{crash, metrics::Metrics};

/// Maximum number of rows published together.
const MAX_BATCH_ROWS: usize = 256;
/// Maximum number of batches that wait for their confirms at one time.
const MAX_BATCHES_IN_FLIGHT: usize = 8;
/// Maximum number of confirmed batches that are deleted together.
const MAX_DELETED_BATCHES: usize = 16;
const BACKLOG_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
const IDLE_SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Creates the ledger's [`Wake`] port and the queue that it fills. `capacity` bounds the queued rows; the sweep takes
/// the rest.
#[must_use]
pub fn channel(capacity: usize) -> (RelayWake, RelayQueue) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (RelayWake(sender), RelayQueue(receiver))
}

/// Sender of the relay's queue. An offer never waits: the sweep publishes the rows that do not fit.
#[derive(Clone, Debug)]
pub struct RelayWake(mpsc::Sender<OutboxRow>);

impl Wake for RelayWake {
    fn offer(&self, row: OutboxRow) {
        // Full or stopping: the row is in the database, and a sweep finds it there.
        let _ = self.0.try_send(row);
    }
}

/// Receiver of the relay's queue, the other end of [`RelayWake`].
#[derive(Debug)]
pub struct RelayQueue(mpsc::Receiver<OutboxRow>);

/// Publishes a ledger's outbox.
#[derive(Clone, Debug)]
pub struct Relay {
    pub ledger: Ledger,
    pub broker: Arc<dyn Broker>,
    pub metrics: Arc<Metrics>,
    /// Maximum number of rows that one sweep claims.
    pub sweep_batch: u32,
    /// True while the work queue has no room, so that this is logged once and not for each hint.
    pub drops_hints: Arc<AtomicBool>,
}

impl Relay {
    /// Runs until `stopping` is cancelled, then publishes the queued rows and ends.
    pub async fn run(self, queue: RelayQueue, stopping: CancellationToken) {
        let (confirmed, to_delete) = mpsc::channel(MAX_DELETED_BATCHES);
        tokio::join!(
            self.publish_queued(queue.0, confirmed, &stopping),
            self.delete_confirmed(to_delete),
            async {
                tokio::select! {
                    () = self.sweep_forever() => {}
                    () = stopping.cancelled() => {}
                }
            },
        );
    }

    /// Publishes all rows that an earlier process left, without waiting until they are overdue. For the embedded mode,
    /// whose broker keeps nothing across restarts. Call it before anything else writes.
    pub async fn start_embedded(&self) -> ledger::Result<()> {
        loop {
            let rows = self.ledger.claim_outbox_at_start(self.sweep_batch).await?;
            let claimed = rows.len();
            let confirmed = self.publish(rows).await;
            self.delete_rows(&confirmed).await;
            if claimed < self.sweep_batch as usize {
                return Ok(());
            }
        }
    }

    /// Publishes one batch of rows that nobody published in time; returns whether more are expected.
    pub async fn sweep_once(&self) -> ledger::Result<Backlog> {
        let (waiting, oldest) = self.ledger.outbox_backlog().await?;
        let age_s = oldest.map_or(0, |at| (self.ledger.clock().now() - at).num_seconds());
        self.metrics.outbox_waiting.set(waiting);
        self.metrics.outbox_oldest_seconds.set(age_s.max(0));
        if waiting == 0 {
            return Ok(Backlog::Empty);
        }
        if !self.is_connected() {
            return Ok(Backlog::Waiting);
        }
        let rows = self.ledger.claim_outbox(self.sweep_batch).await?;
        let claimed = rows.len();
        let confirmed = self.publish(rows).await;
        self.delete_rows(&confirmed).await;
        // Rows that failed would only fail again at once.
        let has_more = claimed == self.sweep_batch as usize && confirmed.len() == claimed;
        Ok(if has_more {
            Backlog::More
        } else {
            Backlog::Waiting
        })
    }

    async fn publish_queued(
        &self,
        mut queue: mpsc::Receiver<OutboxRow>,
        confirmed: mpsc::Sender<Vec<OutboxId>>,
        stopping: &CancellationToken,
    ) {
        let mut in_flight = FuturesUnordered::new();
        let mut ended = false;
        while !ended || !in_flight.is_empty() {
            let mut rows = Vec::new();
            tokio::select! {
                received = queue.recv_many(&mut rows, MAX_BATCH_ROWS),
                    if !ended && in_flight.len() < MAX_BATCHES_IN_FLIGHT =>
                {
                    if received == 0 {
                        ended = true;
                    } else {
                        in_flight.push(self.publish(rows));
                    }
                }
                Some(ids) = in_flight.next(), if !in_flight.is_empty() => {
                    // The receiver ends only after this sender.
                    let _ = confirmed.send(ids).await;
                }
                () = stopping.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
    }

    async fn delete_confirmed(&self, mut confirmed: mpsc::Receiver<Vec<OutboxId>>) {
        let mut batches = Vec::new();
        while confirmed.recv_many(&mut batches, MAX_DELETED_BATCHES).await > 0 {
            let ids: Vec<OutboxId> = batches.drain(..).flatten().collect();
            self.delete_rows(&ids).await;
        }
    }

    async fn sweep_forever(&self) {
        let mut state = self.broker.state();
        loop {
            let backlog = self.sweep_once().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "outbox sweep failed: {error}");
                Backlog::Waiting
            });
            let pause = match backlog {
                Backlog::More => continue,
                Backlog::Waiting => BACKLOG_SWEEP_INTERVAL,
                Backlog::Empty => IDLE_SWEEP_INTERVAL,
            };
            tokio::select! {
                () = self.ledger.clock().sleep(pause) => {}
                // The broker is back: publish what waited for it at once.
                Ok(_) = state.wait_for(|state| *state == BrokerState::Connected),
                    if *state.borrow() != BrokerState::Connected => {}
            }
        }
    }

    /// Publishes rows; returns the ids of those whose messages are all confirmed.
    async fn publish(&self, rows: Vec<OutboxRow>) -> Vec<OutboxId> {
        if rows.is_empty() {
            return Vec::new();
        }
        crash::point("relay.before_publish");
        let mut batch = Batch::of(&rows);
        let results = self.broker.publish(batch.take_messages()).await;
        crash::point("relay.after_publish");
        let (accepted, dropped) = batch.count_hints(&results);
        self.count(&results, dropped);
        self.tell_of_full_queue(accepted, dropped);
        let mut confirmed = Vec::with_capacity(rows.len());
        let mut left: Option<PublishError> = None;
        let fates = batch.results_by_row(&results);
        for ((id, fate), row) in fates.zip(&rows) {
            match fate {
                Fate::Confirmed => {
                    self.report_published(row);
                    confirmed.push(id);
                }
                Fate::Retry(error) => left = Some(error),
                Fate::Poisoned(error) => self.record_failure(id, &error).await,
            }
        }
        if let Some(error) = left {
            let rows = rows.len() - confirmed.len();
            tracing::debug!(rows, %error, "outbox rows left to the sweep: {error}");
        }
        confirmed
    }

    /// Reports how long the events of a row took to be with the broker, those whose trace is recorded.
    fn report_published(&self, row: &OutboxRow) {
        for event in &row.announcement.events {
            if let Some(trace) = traces::of_event(event) {
                let began = traces::local(self.ledger.clock().now(), event.at);
                traces::report("publish", Kind::Producer, trace, &event.into(), began);
            }
        }
    }

    async fn record_failure(&self, row: OutboxId, error: &str) {
        tracing::warn!(%row, error, "publishing an outbox row failed: {error}");
        if let Err(failure) = self.ledger.record_publish_failure(row, error).await {
            tracing::warn!(%row, error = %failure, "recording the failure of an outbox row failed: {failure}");
        }
    }

    async fn delete_rows(&self, confirmed: &[OutboxId]) {
        if confirmed.is_empty() {
            return;
        }
        match self.ledger.delete_published(confirmed).await {
            Ok(()) => crash::point("relay.after_delete"),
            Err(error) => {
                let rows = confirmed.len();
                tracing::warn!(rows, %error, "deleting published outbox rows failed; they will be published again: {error}");
            }
        }
    }

    /// Logs that the work queue is full when it becomes so, and that it has room again.
    fn tell_of_full_queue(&self, accepted: usize, dropped: usize) {
        if dropped > 0 {
            if !self.drops_hints.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "work queue is full; hints that do not fit are dropped, and the workers' sweep finds the work: \
                     is a worker running?"
                );
            }
        } else if accepted > 0 && self.drops_hints.swap(false, Ordering::Relaxed) {
            tracing::info!("work queue has room again");
        }
    }

    fn count(&self, results: &[Result<(), PublishError>], dropped: usize) {
        let timed_out = |result: &&_| matches!(result, Err(PublishError::TimedOut));
        let confirmed = results.iter().filter(|result| result.is_ok()).count();
        let unknown = results.iter().filter(timed_out).count();
        let failed = results.len() - confirmed - unknown - dropped;
        for (result, count) in [
            ("confirmed", confirmed),
            ("timed_out", unknown),
            ("dropped", dropped),
            ("failed", failed),
        ] {
            let counter = self.metrics.publishes.with_label_values(&[result]);
            counter.inc_by(count as u64);
        }
    }

    fn is_connected(&self) -> bool {
        *self.broker.state().borrow() == BrokerState::Connected
    }
}

/// State of the outbox after a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    Empty,
    /// Rows wait until they are due, or for the broker.
    Waiting,
    /// A full batch was published, and more rows may be due.
    More,
}
