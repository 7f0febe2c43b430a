//! Tracks the listeners of each stream, and reads missing events of a stream from the ledger once for all of them.

use parking_lot::{Mutex, MutexGuard};
use std::{
    cell::LazyCell,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use domain::{
    event::Event,
    ids::{EpochId, StreamId},
};
use ledger::Ledger;
use platform::metrics::Metrics;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};

use crate::{
    protocol::{EventFrame, SessionHello},
    store_signals::StoreSignals,
    stores::Stores,
    stream::{SessionState, Stream, StreamUpdate},
};

/// How long a missing event may still arrive over the feed, because the messages of two commits may be reordered.
const REORDER_WAIT: Duration = Duration::from_millis(10);
/// Maximum number of events per read.
const PAGE: u32 = 200;

/// Registry of streams and listeners; clones are cheap and share it.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    metrics: Arc<Metrics>,
    /// Shared with the channels, so that one limit holds for all reads of the ledger. Permits are the only state.
    reads: Arc<Semaphore>,
    /// Streams that have a listener; bounded by the number of sockets. Shared because channels add and remove their
    /// listeners, and the feed and reconcile tasks look streams up. Guarded by this mutex, never held across an await;
    /// each stream's own state has its own mutex.
    streams: Mutex<HashMap<StreamId, StreamEntry>>,
    /// Shared with the store channels, which add and remove their queues; the feed task fills them. Guarded inside.
    stores: Stores,
    /// Shared with the session channels, which subscribe; the feed task signals. Guarded inside.
    store_signals: StoreSignals,
    /// The ledger's epoch when it was last checked.
    epoch: Mutex<Option<EpochId>>,
    /// Counts the epochs that ended while channels were open; each channel begins anew when it changes.
    restarts: watch::Sender<u64>,
    /// Wakes the reconcile task; notified by the feed task when messages were lost. Holds at most one notification.
    missed: Notify,
}

#[derive(Debug)]
struct StreamEntry {
    /// Shared with its listeners and the task that fills its gaps; synchronized inside.
    stream: Arc<Stream>,
    /// Changed only under the lock of `streams`, so that of two listeners that leave concurrently exactly one is last.
    listeners: usize,
}

impl Hub {
    /// Creates the hub. `reads` limits the concurrent reads of the ledger, because after a gap in the feed every stream
    /// may be behind.
    pub(crate) fn new(ledger: Ledger, metrics: Arc<Metrics>, reads: Arc<Semaphore>) -> Self {
        Self(Arc::new(Inner {
            ledger,
            metrics,
            reads,
            streams: Mutex::default(),
            stores: Stores::default(),
            store_signals: StoreSignals::default(),
            epoch: Mutex::default(),
            restarts: watch::Sender::default(),
            missed: Notify::new(),
        }))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    pub(crate) fn store_signals(&self) -> &StoreSignals {
        &self.0.store_signals
    }

    /// Subscribes to a stream; no later event is missed. Its head is known only after [`Listener::set_start`].
    pub(crate) fn listen(&self, id: StreamId, is_session: bool) -> Listener {
        // Before the stream is looked up: see `check_epoch`.
        let restarts = self.restarts();
        let mut streams = self.streams();
        let listened = streams.entry(id).or_insert_with(|| StreamEntry {
            stream: Arc::new(Stream::new(id, is_session)),
            listeners: 0,
        });
        listened.listeners += 1;
        Listener {
            updates: listened.stream.updates(),
            stream: Arc::clone(&listened.stream),
            restarts,
            hub: self.clone(),
        }
    }

    /// Returns a receiver that is told when all channels must begin anew.
    pub(crate) fn restarts(&self) -> watch::Receiver<u64> {
        self.0.restarts.subscribe()
    }

    /// Compares the ledger's epoch with the last one. When it changed, every channel listens to its stream anew, because
    /// the numbers known here are void, and begins with a snapshot.
    pub(crate) async fn check_epoch(&self) -> ledger::Result<()> {
        let epoch = self.0.ledger.check_epoch().await?;
        let last = self.0.epoch.lock().replace(epoch);
        if last.is_some_and(|last| last != epoch) {
            tracing::warn!(%epoch, "the ledger has a new epoch; all live channels begin anew");
            self.streams().clear();
            self.0.stores.forget_numbers();
            self.0.restarts.send_modify(|restarts| *restarts += 1);
        }
        Ok(())
    }

    /// Handles an event from the feed.
    pub(crate) fn handle_event(&self, event: &Event) {
        self.0.metrics.feed_messages.inc();
        self.0.ledger.note_event(event);
        // Made once for all, if anybody listens.
        let event_frame = LazyCell::new(|| self.frame(event));
        self.0.stores.handle_event(event, &event_frame);
        self.0.store_signals.handle_event(event);
        let stream = self
            .streams()
            .get(&event.stream)
            .map(|listened| Arc::clone(&listened.stream));
        if let Some(stream) = stream {
            stream.take(Arc::clone(&event_frame));
            self.fill_if_behind(&stream);
        }
    }

    /// Returns the frame of an event that has just happened.
    fn frame(&self, event: &Event) -> Arc<EventFrame> {
        Arc::new(EventFrame::live(event, self.0.ledger.clock().now()))
    }

    /// Records that the ledger has events up to `seq` on this stream, and reads those that are missing.
    pub(crate) fn reached(&self, stream: &Arc<Stream>, seq: i64) {
        stream.reached(seq);
        self.fill_if_behind(stream);
    }

    /// Records that the feed lost messages; makes [`Self::missed`] return.
    pub(crate) fn note_gap(&self) {
        self.0.missed.notify_one();
    }

    pub(crate) async fn missed(&self) {
        self.0.missed.notified().await;
    }

    pub(crate) fn listened(&self) -> Vec<Arc<Stream>> {
        let streams = self.streams();
        let listened = streams.values();
        listened
            .map(|listened| Arc::clone(&listened.stream))
            .collect()
    }

    fn fill_if_behind(&self, stream: &Arc<Stream>) {
        if stream.start_filling() {
            tokio::spawn(self.clone().fill(Arc::clone(stream)));
        }
    }

    /// Reads missing events until the stream has none.
    async fn fill(self, stream: Arc<Stream>) {
        tokio::time::sleep(REORDER_WAIT).await;
        while let Some(head) = stream.missing_after() {
            match self.read_after(&stream, head).await {
                Ok(events) if !events.is_empty() => {
                    self.0.metrics.feed_gaps_filled.inc();
                    for event in &events {
                        stream.take(self.frame(event));
                    }
                    // The events in between were pruned and will never come; each channel detects the gap itself.
                    if events[0].seq > head + 1 {
                        stream.skip_to(events[0].seq);
                    }
                }
                Ok(_) => {
                    stream.stop_filling();
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "reading a live stream's missing events failed; the next check will retry");
                    stream.stop_filling();
                    return;
                }
            }
        }
    }

    /// Waits until one more read of the ledger may begin; it lasts as long as the permit.
    pub(crate) async fn read_permit(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.0.reads.acquire().await.ok()
    }

    async fn read_after(&self, stream: &Stream, head: i64) -> ledger::Result<Vec<Event>> {
        let _permit = self.read_permit().await;
        let ledger = &self.0.ledger;
        ledger.events_after(stream.id(), head, PAGE).await
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, StreamEntry>> {
        // Poisoning is ignored: no panic under the lock can leave the map half-changed.
        self.0.streams.lock()
    }
}

/// Subscription of one channel to one stream; the hub drops the stream with its last listener.
#[derive(Debug)]
pub(crate) struct Listener {
    hub: Hub,
    /// Shared with the hub and the stream's other listeners; synchronized inside.
    stream: Arc<Stream>,
    /// Written by the hub when the epoch ended in which this subscription began.
    restarts: watch::Receiver<u64>,
    /// Written by the stream under its own lock; each listener reads it and keeps what it has seen.
    updates: watch::Receiver<StreamUpdate>,
}

impl Listener {
    /// Sets the stream's head to the number that was read from the ledger after [`Hub::listen`].
    pub(crate) fn set_start(&self, seq: i64) {
        self.stream.set_start(seq);
        self.hub.fill_if_behind(&self.stream);
    }

    pub(crate) fn stream(&self) -> StreamId {
        self.stream.id()
    }

    /// Returns the session's snapshot at the current head, made by `make` if no client is being sent it.
    pub(crate) async fn hello<E>(
        &self,
        make: impl Future<Output = Result<SessionHello, E>>,
    ) -> Result<Arc<SessionHello>, E> {
        self.stream.hello(make).await
    }

    pub(crate) fn head(&self) -> i64 {
        self.updates.borrow().head.unwrap_or(0)
    }

    /// Returns the stream's head, and the epoch in which it counts, if a client that has number `after` can go on from
    /// there without a look at the ledger. Both are as new as what the clients who listen already are sent.
    pub(crate) fn position_from(&self, after: i64) -> Option<(i64, Option<EpochId>)> {
        let epoch = *self.hub.0.epoch.lock();
        let head = self.updates.borrow().head?;
        let is_known = epoch.is_some() && !self.is_void() && after <= head;
        is_known.then_some((head, epoch))
    }

    /// Returns the events after number `after`, beginning with the next one if the ledger has it; those that `read`
    /// returns if no other listener has read them lately.
    pub(crate) async fn page<E>(
        &self,
        after: i64,
        read: impl Future<Output = Result<Vec<Arc<EventFrame>>, E>>,
    ) -> Result<Vec<Arc<EventFrame>>, E> {
        self.stream.page().after(after, read).await
    }

    pub(crate) fn session(&self) -> Option<SessionState> {
        self.updates.borrow().session.clone()
    }

    /// Returns the event of this number if it is still in memory.
    pub(crate) fn recent(&self, seq: i64) -> Option<Arc<EventFrame>> {
        self.stream.recent(seq)
    }

    /// Waits for a change since the last one that was returned, or for [`Self::is_void`]. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        // A clone, so that `is_void` stays true until there is a new subscription.
        let mut restarts = self.restarts.clone();
        // Cannot fail: `self.stream` and `self.hub` keep the senders alive.
        tokio::select! {
            _ = self.updates.changed() => {}
            _ = restarts.changed() => {}
        }
    }

    /// Returns true if the epoch ended in which this subscription began.
    pub(crate) fn is_void(&self) -> bool {
        self.restarts.has_changed().unwrap_or(false)
    }

    /// Subscribes to the same stream in the present epoch.
    pub(crate) fn again(&self) -> Self {
        self.hub.listen(self.stream.id(), self.stream.is_session())
    }

    /// Waits until the head is beyond this number.
    pub(crate) fn passed(&self, seq: i64) -> impl Future<Output = ()> + use<> {
        let mut updates = self.updates.clone();
        async move {
            let _ = updates
                .wait_for(|updates| updates.head.is_some_and(|head| head > seq))
                .await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut streams = self.hub.streams();
        if let Entry::Occupied(mut entry) = streams.entry(self.stream.id()) {
            let listened = entry.get_mut();
            if !Arc::ptr_eq(&listened.stream, &self.stream) {
                // That of a later epoch.
                return;
            }
            listened.listeners -= 1;
            if listened.listeners == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::testing::{TestLedger, on_sqlite};
    use store::testing::TEST_TIMEOUT;

    use super::*;

    fn hub(house: &TestLedger, reads: &Arc<Semaphore>) -> Hub {
        Hub::new(house.ledger.clone(), Metrics::new(), Arc::clone(reads))
    }

    #[tokio::test]
    async fn a_stream_is_forgotten_with_its_last_listener_whatever_else_still_looks_at_it() {
        on_sqlite(|house| async move {
            let hub = hub(&house, &Arc::new(Semaphore::new(1)));
            let id = uuid::Uuid::from_u128(7).into();
            let (one, other) = (hub.listen(id, true), hub.listen(id, true));
            // Like a receiver that a listener has cloned, which may be dropped after the listener.
            let still_looking = (one.passed(5), other.passed(5));
            drop(one);
            assert_eq!(hub.listened().len(), 1);
            drop(other);
            assert_eq!(hub.listened().len(), 0);
            drop(still_looking);
        })
        .await;
    }

    #[tokio::test]
    async fn streams_that_are_behind_are_read_no_more_at_one_time_than_channels_may_read() {
        on_sqlite(|house| async move {
            let reads = Arc::new(Semaphore::new(1));
            let hub = hub(&house, &reads);
            let store = house.create_store().await;
            let session = house.ledger.open_session(store, "1").await.unwrap();
            let listener = hub.listen(session.id.into(), true);
            listener.set_start(0);
            let busy = reads.acquire().await.unwrap();
            hub.reached(&hub.listened()[0], 1);
            let passed = listener.passed(0);
            let early = tokio::time::timeout(REORDER_WAIT * 20, listener.passed(0)).await;
            assert!(early.is_err(), "it was read although no permit was free");
            drop(busy);
            tokio::time::timeout(TEST_TIMEOUT, passed).await.unwrap();
            assert_eq!(listener.head(), 1);
        })
        .await;
    }
}
