//! Joins ledger and broker: publishes what commits have to tell, forgets it once confirmed, sweeps what a crash left.

mod batch;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::batch::{Batch, Fate};
use broker::{Broker, BrokerState, PublishError};
use domain::ids::OutboxId;
use ledger::{Ledger, OutboxRow, Wake};
use platform::{crash, metrics::Metrics};

/// Rows that are published together at most.
const MOST_ROWS_A_BATCH: usize = 256;
/// Batches that wait for their confirms at one time.
const MOST_BATCHES_IN_FLIGHT: usize = 8;
/// Confirmed batches that wait to be deleted together.
const MOST_BATCHES_FORGOTTEN: usize = 16;
const SWEEP_WHILE_BEHIND: Duration = Duration::from_secs(1);
const SWEEP_WHEN_IDLE: Duration = Duration::from_secs(5);

/// The ledger's port, and what it fills. `capacity` bounds the rows that wait; more are left to the sweep.
#[must_use]
pub fn channel(capacity: usize) -> (RelayWake, RelayQueue) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (RelayWake(sender), RelayQueue(receiver))
}

/// Offers never wait: what does not fit, the sweep publishes.
#[derive(Clone, Debug)]
pub struct RelayWake(mpsc::Sender<OutboxRow>);

impl Wake for RelayWake {
    fn offer(&self, row: OutboxRow) {
        // Full or stopping: the row is in the database, and a sweep finds it there.
        let _ = self.0.try_send(row);
    }
}

/// The other end of [`RelayWake`].
#[derive(Debug)]
pub struct RelayQueue(mpsc::Receiver<OutboxRow>);

/// Publishes a ledger's outbox.
#[derive(Clone, Debug)]
pub struct Relay {
    pub ledger: Ledger,
    pub broker: Arc<dyn Broker>,
    pub metrics: Arc<Metrics>,
    /// Rows that one sweep claims at most.
    pub sweep_batch: u32,
}

impl Relay {
    /// Until `stopping`: then publishes what is queued and ends.
    pub async fn run(self, queue: RelayQueue, stopping: CancellationToken) {
        let (confirmed, to_forget) = mpsc::channel(MOST_BATCHES_FORGOTTEN);
        tokio::join!(
            self.publish_queued(queue.0, confirmed, &stopping),
            self.forget_confirmed(to_forget),
            async {
                tokio::select! {
                    () = self.sweep_for_ever() => {}
                    () = stopping.cancelled() => {}
                }
            },
        );
    }

    /// Publishes all that an earlier process left, without waiting until it is overdue: for the embedded mode, whose
    /// broker remembers nothing. Call it before anything else writes.
    pub async fn start_embedded(&self) -> ledger::Result<()> {
        loop {
            let rows = self.ledger.claim_outbox_at_start(self.sweep_batch).await?;
            let claimed = rows.len();
            let confirmed = self.publish(rows).await;
            self.forget(&confirmed).await;
            if claimed < self.sweep_batch as usize {
                return Ok(());
            }
        }
    }

    /// One look for rows that nobody published in time; says whether more are to be expected.
    pub async fn sweep_once(&self) -> ledger::Result<Backlog> {
        let (waiting, oldest) = self.ledger.outbox_backlog().await?;
        let age_s = oldest.map_or(0, |at| (self.ledger.clock().now() - at).num_seconds());
        self.metrics.outbox_waiting.set(waiting);
        self.metrics.outbox_oldest_seconds.set(age_s.max(0));
        if waiting == 0 {
            return Ok(Backlog::Empty);
        }
        if !self.is_connected() {
            return Ok(Backlog::Waits);
        }
        let rows = self.ledger.claim_outbox(self.sweep_batch).await?;
        let claimed = rows.len();
        let confirmed = self.publish(rows).await;
        self.forget(&confirmed).await;
        // Some that failed would only fail again at once.
        let goes_on = claimed == self.sweep_batch as usize && confirmed.len() == claimed;
        Ok(if goes_on {
            Backlog::GoesOn
        } else {
            Backlog::Waits
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
                received = queue.recv_many(&mut rows, MOST_ROWS_A_BATCH),
                    if !ended && in_flight.len() < MOST_BATCHES_IN_FLIGHT =>
                {
                    if received == 0 {
                        ended = true;
                    } else {
                        in_flight.push(self.publish(rows));
                    }
                }
                Some(ids) = in_flight.next(), if !in_flight.is_empty() => {
                    // The other side ends only after this sender.
                    let _ = confirmed.send(ids).await;
                }
                () = stopping.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
    }

    async fn forget_confirmed(&self, mut confirmed: mpsc::Receiver<Vec<OutboxId>>) {
        let mut batches = Vec::new();
        while confirmed
            .recv_many(&mut batches, MOST_BATCHES_FORGOTTEN)
            .await
            > 0
        {
            let ids: Vec<OutboxId> = batches.drain(..).flatten().collect();
            self.forget(&ids).await;
        }
    }

    async fn sweep_for_ever(&self) {
        let mut state = self.broker.state();
        loop {
            let backlog = self.sweep_once().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the outbox could not be swept: {error}");
                Backlog::Waits
            });
            let pause = match backlog {
                Backlog::GoesOn => continue,
                Backlog::Waits => SWEEP_WHILE_BEHIND,
                Backlog::Empty => SWEEP_WHEN_IDLE,
            };
            tokio::select! {
                () = self.ledger.clock().sleep(pause) => {}
                // The broker is back: what waited for it need not wait longer.
                Ok(_) = state.wait_for(|state| *state == BrokerState::Connected),
                    if *state.borrow() != BrokerState::Connected => {}
            }
        }
    }

    /// Returns the rows of which every message is confirmed.
    async fn publish(&self, rows: Vec<OutboxRow>) -> Vec<OutboxId> {
        if rows.is_empty() {
            return Vec::new();
        }
        crash::point("relay.before_publish");
        let mut batch = Batch::of(&rows);
        let results = self.broker.publish(batch.take_messages()).await;
        crash::point("relay.after_publish");
        self.count(&results);
        let mut confirmed = Vec::with_capacity(rows.len());
        let mut left: Option<PublishError> = None;
        for (id, fate) in batch.fates(&results) {
            match fate {
                Fate::Confirmed => confirmed.push(id),
                Fate::Later(error) => left = Some(error),
                Fate::Poisoned(error) => self.note_failure(id, &error).await,
            }
        }
        if let Some(error) = left {
            let rows = rows.len() - confirmed.len();
            tracing::debug!(rows, %error, "left to the sweep: {error}");
        }
        confirmed
    }

    async fn note_failure(&self, row: OutboxId, error: &str) {
        tracing::warn!(%row, error, "an outbox row can't be published: {error}");
        if let Err(failure) = self.ledger.publishing_failed(row, error).await {
            tracing::warn!(%row, error = %failure, "nor could that be noted: {failure}");
        }
    }

    async fn forget(&self, confirmed: &[OutboxId]) {
        if confirmed.is_empty() {
            return;
        }
        match self.ledger.published(confirmed).await {
            Ok(()) => crash::point("relay.after_delete"),
            Err(error) => {
                let rows = confirmed.len();
                tracing::warn!(rows, %error, "published rows stay, and will be published again: {error}");
            }
        }
    }

    fn count(&self, results: &[Result<(), PublishError>]) {
        let timed_out = |result: &&_| matches!(result, Err(PublishError::TimedOut));
        let confirmed = results.iter().filter(|result| result.is_ok()).count();
        let unknown = results.iter().filter(timed_out).count();
        let failed = results.len() - confirmed - unknown;
        for (result, count) in [
            ("confirmed", confirmed),
            ("timed_out", unknown),
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

/// How a sweep found the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    Empty,
    /// Rows wait for their time, or for the broker.
    Waits,
    /// A whole batch was published, and more may be due.
    GoesOn,
}
