//! Reconciles the streams that have listeners with the ledger: finds events that the feed lost, events that the ledger
//! lost, renewed codes and ended sessions.
//!
//! An event that the feed does not bring is still in the outbox, or the feed has told of a gap. Only then, and now and
//! then in any case, are the streams of stores compared: a store's screens have many, and are mostly idle.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::ids::{OutboxId, StoreId, StreamId};
use ledger::Result;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    hub::Hub,
    stores::KnownStreams,
    stream::{SessionState, Stream},
};

/// Maximum number of streams per query.
const STREAMS_PER_QUERY: usize = 256;

/// Number of checks after which the stores are compared in any case.
const CHECKS_PER_COMPARISON: u32 = 10;
/// Age of an unpublished outbox row from which on its events count as missing.
const OVERDUE_AFTER: TimeDelta = TimeDelta::milliseconds(250);

/// Runs periodically, and at once when the feed lost messages, until `stopping` is cancelled.
pub(crate) async fn run(hub: Hub, every: Duration, stopping: CancellationToken) {
    let mut stores = StoreChecks::default();
    loop {
        let has_gap = tokio::select! {
            () = tokio::time::sleep(every) => false,
            () = hub.missed() => true,
            () = stopping.cancelled() => return,
        };
        stores.is_due |= has_gap;
        let checked = async {
            check(&hub).await?;
            stores.check(&hub, every).await.map(drop)
        };
        if let Err(error) = checked.await {
            tracing::warn!(%error, "comparing the live streams with the ledger failed; retrying");
        }
    }
}

/// Decides when the streams of stores are compared.
#[derive(Debug, Default)]
struct StoreChecks {
    /// True if the feed lost messages, or the last comparison failed.
    is_due: bool,
    /// Checks since the last comparison.
    skipped: u32,
    compared_at: Option<Instant>,
    /// The oldest outbox row at the last check.
    oldest: Option<OutboxId>,
}

impl StoreChecks {
    /// Compares the stores if something may be missing, or it is time to; returns true if it did.
    async fn check(&mut self, hub: &Hub, every: Duration) -> Result<bool> {
        let known = hub.stores().known();
        if known.is_empty() {
            // Screens that come later begin with a snapshot.
            *self = Self::default();
            return Ok(false);
        }
        self.is_due |= self.has_unpublished(hub).await?;
        self.skipped += 1;
        let is_rested = self.compared_at.is_none_or(|at| at.elapsed() >= every);
        if !is_rested || !self.is_due && self.skipped < CHECKS_PER_COMPARISON {
            return Ok(false);
        }
        self.is_due = true;
        self.compared_at = Some(Instant::now());
        let mut went_back = false;
        for (store, known) in known {
            went_back |= compare(hub, store, &known).await?;
        }
        (self.is_due, self.skipped) = (false, 0);
        if went_back {
            hub.check_epoch().await?;
        }
        Ok(true)
    }

    /// Returns true if a row waits in the outbox that should have been published: an old one, or the one that the last
    /// check found. Parked ones count too.
    async fn has_unpublished(&mut self, hub: &Hub) -> Result<bool> {
        let oldest = hub.ledger().oldest_unpublished().await?;
        let now = hub.ledger().clock().now();
        let last = std::mem::replace(&mut self.oldest, oldest.map(|(id, _)| id));
        Ok(oldest.is_some_and(|(id, at)| Some(id) == last || now - at >= OVERDUE_AFTER))
    }
}

/// Compares the streams of one store for all its screens; returns true if the ledger has lower numbers than they.
async fn compare(hub: &Hub, store: StoreId, known: &KnownStreams) -> Result<bool> {
    let Some(numbered) = known.numbered else {
        return Ok(false);
    };
    let _permit = hub.read_permit().await;
    let streams: Vec<StreamId> = known.heads.keys().copied().collect();
    let heads = hub.ledger().stream_heads(&streams).await?;
    let later = hub.ledger().streams_after_number(store, numbered).await?;
    let seen = known.heads.iter().map(|(stream, seq)| (*stream, *seq));
    let went_back = note_if_behind(hub, seen, &heads.iter().copied().collect());
    let heads = heads.into_iter().chain(later.heads);
    let stores = hub.stores();
    stores.compare(store, known, heads, later.last_number);
    Ok(went_back)
}

async fn check(hub: &Hub) -> Result<()> {
    hub.check_epoch().await?;
    let listened = hub.listened();
    for stream in &listened {
        stream.page().drop_if_old();
    }
    let mut went_back = false;
    let (session_streams, others): (Vec<_>, Vec<_>) =
        listened.into_iter().partition(|stream| stream.is_session());
    for streams in session_streams.chunks(STREAMS_PER_QUERY) {
        let heads = heads(streams);
        let ids: Vec<_> = ids(streams).map(|id| id.uuid().into()).collect();
        let sessions = hub.ledger().sessions(&ids).await?;
        let read = sessions
            .iter()
            .map(|session| (session.id.into(), session.seq));
        went_back |= note_if_behind(hub, heads, &read.collect());
        for session in sessions {
            let Some(stream) = find(streams, session.id.into()) else {
                continue;
            };
            let ended = !session.is_readable_at(hub.ledger().clock().now());
            hub.reached(stream, session.seq);
            stream.set_session(SessionState {
                code: session.code,
                ended,
            });
        }
    }
    for streams in others.chunks(STREAMS_PER_QUERY) {
        let heads = heads(streams);
        let ids: Vec<_> = ids(streams).collect();
        let read = hub.ledger().stream_heads(&ids).await?;
        went_back |= note_if_behind(hub, heads, &read.iter().copied().collect());
        for (id, seq) in read {
            if let Some(stream) = find(streams, id) {
                hub.reached(stream, seq);
            }
        }
    }
    if went_back {
        hub.check_epoch().await?;
    }
    Ok(())
}

/// Returns the numbers up to which these streams are known; taken before the ledger is read.
fn heads(streams: &[Arc<Stream>]) -> Vec<(StreamId, i64)> {
    let heads = streams.iter().map(|stream| (stream.id(), stream.head()));
    heads.collect()
}

/// Notes the streams that the ledger has lower numbers of, or not at all, than were known before it was read; returns
/// true if there are any.
fn note_if_behind(
    hub: &Hub,
    known: impl IntoIterator<Item = (StreamId, i64)>,
    read: &HashMap<StreamId, i64>,
) -> bool {
    let mut went_back = false;
    for (stream, head) in known {
        if head > read.get(&stream).copied().unwrap_or(0) {
            hub.ledger().note_number(stream, head);
            went_back = true;
        }
    }
    went_back
}

fn ids(streams: &[Arc<Stream>]) -> impl Iterator<Item = StreamId> {
    streams.iter().map(|stream| stream.id())
}

fn find(streams: &[Arc<Stream>], id: StreamId) -> Option<&Arc<Stream>> {
    streams.iter().find(|stream| stream.id() == id)
}

#[cfg(test)]
mod tests {
    use ledger::testing::{TestLedger, on_sqlite};
    use platform::metrics::Metrics;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::stores::{Next, QueueRoom, StoreListener};

    /// Takes all rows from the outbox, as if they were published.
    async fn publish_all(house: &TestLedger) {
        let rows = house.ledger.claim_outbox_at_start(100).await.unwrap();
        let ids: Vec<OutboxId> = rows.iter().map(|row| row.id).collect();
        house.ledger.delete_published(&ids).await.unwrap();
    }

    fn is_told(listener: &StoreListener) -> Option<(StreamId, i64)> {
        match listener.next()? {
            Next::Reached(stream, seq) => Some((stream, seq)),
            Next::Event(..) => panic!("the feed is silent"),
        }
    }

    #[tokio::test]
    async fn idle_stores_are_compared_now_and_then_and_at_once_when_something_is_unpublished() {
        on_sqlite(|house| async move {
            let reads = Arc::new(Semaphore::new(1));
            let hub = Hub::new(house.ledger.clone(), Metrics::new(), reads);
            let store = house.create_store().await;
            publish_all(&house).await;
            let mut checks = StoreChecks::default();
            let mut compares = async || checks.check(&hub, Duration::ZERO).await.unwrap();
            for _ in 0..2 * CHECKS_PER_COMPARISON {
                assert!(!compares().await, "nobody looks at a store");
            }
            let room = QueueRoom {
                events: 10,
                bytes: 1 << 20,
            };
            let screens = [0; 3].map(|_| hub.stores().listen(store, room));
            assert!(!compares().await, "no screen has its snapshot");
            for screen in &screens {
                screen.note_snapshot(&[], 0);
            }
            for check in 1..=2 * CHECKS_PER_COMPARISON {
                let is_time = check % CHECKS_PER_COMPARISON == 0;
                assert_eq!(compares().await, is_time, "{check}");
            }
            // The feed may still bring what was written just now.
            let session = house.ledger.open_session(store, "1").await.unwrap();
            assert!(!compares().await);
            assert!(compares().await);
            let told = Some((StreamId::from(session.id), 1));
            assert!(screens.iter().all(|screen| is_told(screen) == told));
            assert!(compares().await, "it is still unpublished");
            assert!(screens.iter().all(|screen| is_told(screen).is_none()));
            publish_all(&house).await;
            assert!(!compares().await);
            // What is older than the feed takes is missing at the first look.
            house.ledger.close_session(session.id).await.unwrap();
            house.clock.advance(Duration::from_secs(1));
            assert!(compares().await);
            let told = Some((StreamId::from(session.id), 2));
            assert!(screens.iter().all(|screen| is_told(screen) == told));
        })
        .await;
    }

    #[tokio::test]
    async fn what_the_feed_lost_is_looked_for_at_once_and_then_after_a_pause() {
        on_sqlite(|house| async move {
            let reads = Arc::new(Semaphore::new(1));
            let hub = Hub::new(house.ledger.clone(), Metrics::new(), reads);
            let store = house.create_store().await;
            let room = QueueRoom {
                events: 10,
                bytes: 1 << 20,
            };
            let screen = hub.stores().listen(store, room);
            screen.note_snapshot(&[], 0);
            publish_all(&house).await;
            let mut checks = StoreChecks::default();
            for (is_due, every, compares) in [
                (true, Duration::from_secs(600), true),
                (true, Duration::from_secs(600), false),
                // It is not forgotten.
                (false, Duration::ZERO, true),
                (false, Duration::ZERO, false),
            ] {
                checks.is_due |= is_due;
                assert_eq!(checks.check(&hub, every).await.unwrap(), compares);
            }
        })
        .await;
    }
}
