//! Who shows which store: what comes over the feed for one of them waits here, bounded, for each of its screens.

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

/// All stores that some screen shows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(Arc<Mutex<HashMap<StoreId, Vec<Arc<Waiting>>>>>);

impl Stores {
    /// From now on nothing of the store is missed but what the feed loses. Events beyond `capacity` are not kept, only
    /// that they exist.
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

    /// Something came over the feed.
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
        // No code that holds the lock can leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One screen's ear on one store.
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
    /// How many events were not kept.
    left_out: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inside {
    events: VecDeque<(StreamId, Arc<Told>)>,
    /// Numbers that exist and are to be read from the ledger.
    reached: BTreeMap<StreamId, i64>,
}

/// What there is for a screen.
#[derive(Debug)]
pub(crate) enum Next {
    Event(StreamId, Arc<Told>),
    Reached(StreamId, i64),
}

impl StoreListener {
    /// In the order of arrival; what must be read from the ledger comes last.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut inside = self.waiting.lock();
        if let Some((stream, told)) = inside.events.pop_front() {
            return Some(Next::Event(stream, told));
        }
        let (stream, seq) = inside.reached.pop_first()?;
        Some(Next::Reached(stream, seq))
    }

    /// The ledger says that a stream has come to this number.
    pub(crate) fn reached(&self, stream: StreamId, seq: i64) {
        self.waiting.lock().reach(stream, seq);
    }

    /// Forgets what waits.
    pub(crate) fn clear(&self) {
        *self.waiting.lock() = Inside::default();
    }

    /// Returns when something came. Cancel-safe.
    pub(crate) async fn arrived(&self) {
        self.waiting.arrived.notified().await;
    }

    /// Returns when the next event is left out.
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
