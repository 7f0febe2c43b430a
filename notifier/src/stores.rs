//! Screens of each store, with a bounded queue of feed events for each screen.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use domain::{
    event::Event,
    ids::{StoreId, StreamId},
};
use tokio::sync::{Notify, watch};

use crate::protocol::EventFrame;

/// Stores that a screen shows, with their screens' queues. Shared because channels add and remove queues and the feed
/// task fills them; guarded by the mutex, never held across an await. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(Arc<Mutex<HashMap<StoreId, Vec<Arc<ScreenQueue>>>>>);

impl Stores {
    /// Subscribes to a store; no later event is missed unless the feed loses it. Of events beyond `capacity` only the
    /// number is queued.
    pub(crate) fn listen(&self, store: StoreId, capacity: usize) -> StoreListener {
        let queue = Arc::new(ScreenQueue::new(capacity));
        self.0
            .lock()
            .entry(store)
            .or_default()
            .push(Arc::clone(&queue));
        StoreListener {
            stores: self.clone(),
            store,
            queue,
        }
    }

    /// Queues an event from the feed for each screen of its store.
    pub(crate) fn handle_event(&self, event: &Event) {
        let stores = self.0.lock();
        let Some(screens) = stores.get(&event.store_id) else {
            return;
        };
        let event_frame = Arc::new(EventFrame::new(event));
        for screen in screens {
            screen.push(event.stream, Arc::clone(&event_frame));
        }
    }
}

/// Subscription of one screen to one store.
#[derive(Debug)]
pub(crate) struct StoreListener {
    stores: Stores,
    store: StoreId,
    queue: Arc<ScreenQueue>,
}

#[derive(Debug)]
struct ScreenQueue {
    capacity: usize,
    queued: Mutex<Queued>,
    arrived: Notify,
    /// Number of events that did not fit in the queue.
    dropped: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Queued {
    events: VecDeque<(StreamId, Arc<EventFrame>)>,
    /// Highest number of each stream up to which events must be read from the ledger.
    reached: BTreeMap<StreamId, i64>,
}

/// Next item for a screen.
#[derive(Debug)]
pub(crate) enum Next {
    Event(StreamId, Arc<EventFrame>),
    Reached(StreamId, i64),
}

impl StoreListener {
    /// Takes the next item: events in order of arrival, then the streams that must be read from the ledger.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut queued = self.queue.queued.lock();
        if let Some((stream, event_frame)) = queued.events.pop_front() {
            return Some(Next::Event(stream, event_frame));
        }
        let (stream, seq) = queued.reached.pop_first()?;
        Some(Next::Reached(stream, seq))
    }

    /// Records that the ledger has events up to `seq` on a stream.
    pub(crate) fn reached(&self, stream: StreamId, seq: i64) {
        self.queue.queued.lock().reach(stream, seq);
    }

    /// Empties the queue.
    pub(crate) fn clear(&self) {
        *self.queue.queued.lock() = Queued::default();
    }

    /// Waits for an event. Cancel-safe.
    pub(crate) async fn arrived(&self) {
        self.queue.arrived.notified().await;
    }

    /// Waits until an event does not fit in the queue.
    pub(crate) fn overflowed(&self) -> impl Future<Output = ()> + use<> {
        let mut dropped = self.queue.dropped.subscribe();
        let queue = Arc::clone(&self.queue);
        async move {
            let _ = dropped.changed().await;
            drop(queue);
        }
    }
}

impl Drop for StoreListener {
    fn drop(&mut self) {
        let mut stores = self.stores.0.lock();
        if let Some(screens) = stores.get_mut(&self.store) {
            screens.retain(|screen| !Arc::ptr_eq(screen, &self.queue));
            if screens.is_empty() {
                stores.remove(&self.store);
            }
        }
    }
}

impl ScreenQueue {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            queued: Mutex::default(),
            arrived: Notify::new(),
            dropped: watch::Sender::new(0),
        }
    }

    fn push(&self, stream: StreamId, event_frame: Arc<EventFrame>) {
        let mut queued = self.queued.lock();
        if queued.events.len() < self.capacity {
            queued.events.push_back((stream, event_frame));
        } else {
            queued.reach(stream, event_frame.seq);
            self.dropped.send_modify(|dropped| *dropped += 1);
        }
        drop(queued);
        self.arrived.notify_one();
    }
}

impl Queued {
    fn reach(&mut self, stream: StreamId, seq: i64) {
        let reached = self.reached.entry(stream).or_insert(seq);
        *reached = seq.max(*reached);
    }
}
