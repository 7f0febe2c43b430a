//! Screens of each store, with a bounded queue of feed events for each screen.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{
    event::Event,
    ids::{StoreId, StreamId},
};
use tokio::sync::{Notify, watch};

use crate::protocol::Told;

/// Stores that a screen shows, with their screens' queues. Shared because channels add and remove queues and the feed
/// task fills them; guarded by the mutex, never held across an await. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(Arc<Mutex<HashMap<StoreId, Vec<Arc<Waiting>>>>>);

impl Stores {
    /// Subscribes to a store; no later event is missed unless the feed loses it. Of events beyond `capacity` only the
    /// number is queued.
    pub(crate) fn listen(&self, store: StoreId, capacity: usize) -> StoreListener {
        let waiting = Arc::new(Waiting::new(capacity));
        self.lock()
            .entry(store)
            .or_default()
            .push(Arc::clone(&waiting));
        StoreListener {
            stores: self.clone(),
            store,
            waiting,
        }
    }

    /// Queues an event from the feed for each screen of its store.
    pub(crate) fn hear(&self, event: &Event) {
        let stores = self.lock();
        let Some(screens) = stores.get(&event.store_id) else {
            return;
        };
        let told = Arc::new(Told::new(event));
        for screen in screens {
            screen.push(event.stream, Arc::clone(&told));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreId, Vec<Arc<Waiting>>>> {
        // Poisoning is ignored: no panic under the lock can leave the map half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subscription of one screen to one store.
#[derive(Debug)]
pub(crate) struct StoreListener {
    stores: Stores,
    store: StoreId,
    waiting: Arc<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    capacity: usize,
    inside: Mutex<Inside>,
    arrived: Notify,
    /// Number of events that did not fit in the queue.
    left_out: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inside {
    events: VecDeque<(StreamId, Arc<Told>)>,
    /// Highest number of each stream up to which events must be read from the ledger.
    reached: BTreeMap<StreamId, i64>,
}

/// Next item for a screen.
#[derive(Debug)]
pub(crate) enum Next {
    Event(StreamId, Arc<Told>),
    Reached(StreamId, i64),
}

impl StoreListener {
    /// Takes the next item: events in order of arrival, then the streams that must be read from the ledger.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut inside = self.waiting.lock();
        if let Some((stream, told)) = inside.events.pop_front() {
            return Some(Next::Event(stream, told));
        }
        let (stream, seq) = inside.reached.pop_first()?;
        Some(Next::Reached(stream, seq))
    }

    /// Records that the ledger has events up to `seq` on a stream.
    pub(crate) fn reached(&self, stream: StreamId, seq: i64) {
        self.waiting.lock().reach(stream, seq);
    }

    /// Empties the queue.
    pub(crate) fn clear(&self) {
        *self.waiting.lock() = Inside::default();
    }

    /// Waits for an event. Cancel-safe.
    pub(crate) async fn arrived(&self) {
        self.waiting.arrived.notified().await;
    }

    /// Waits until an event does not fit in the queue.
    pub(crate) fn overflowed(&self) -> impl Future<Output = ()> + use<> {
        let mut left_out = self.waiting.left_out.subscribe();
        let waiting = Arc::clone(&self.waiting);
        async move {
            let _ = left_out.changed().await;
            drop(waiting);
        }
    }
}

impl Drop for StoreListener {
    fn drop(&mut self) {
        let mut stores = self.stores.lock();
        if let Some(screens) = stores.get_mut(&self.store) {
            screens.retain(|screen| !Arc::ptr_eq(screen, &self.waiting));
            if screens.is_empty() {
                stores.remove(&self.store);
            }
        }
    }
}

impl Waiting {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inside: Mutex::default(),
            arrived: Notify::new(),
            left_out: watch::Sender::new(0),
        }
    }

    fn push(&self, stream: StreamId, told: Arc<Told>) {
        let mut inside = self.lock();
        if inside.events.len() < self.capacity {
            inside.events.push_back((stream, told));
        } else {
            inside.reach(stream, told.seq);
            self.left_out.send_modify(|left_out| *left_out += 1);
        }
        drop(inside);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn reach(&mut self, stream: StreamId, seq: i64) {
        let reached = self.reached.entry(stream).or_insert(seq);
        *reached = seq.max(*reached);
    }
}
