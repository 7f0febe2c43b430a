//! The queue of orders, one for each store, from which the writers take batches. A store's orders are in one batch of this
//! process at a time, because the next batch would only wait for the store's counter.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{QueuedOrder, lines};
use crate::{BatchLimits, Failure, Inner};
use domain::ids::StoreId;

/// Orders that wait for a writer. Dropping it stops the writers.
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    limits: BatchLimits,
    /// Tells one idle writer that a store is ready.
    work: Notify,
}

#[derive(Default)]
struct State {
    stores: BTreeMap<StoreId, OfStore>,
    /// Stores that have orders and no batch, in the order of their turns.
    ready: VecDeque<StoreId>,
    queued: usize,
    is_closed: bool,
}

/// Orders of one store. A store without a batch and without orders is left out.
#[derive(Default)]
struct OfStore {
    orders: VecDeque<QueuedOrder>,
    has_batch: bool,
}

/// These stores' turn: while it exists, no writer of this process takes orders of theirs. It saves tries in vain; the locks
/// of the database are what keeps batches apart. Dropping it passes the turn on.
pub(super) struct Turn {
    shared: Arc<Shared>,
    stores: Vec<StoreId>,
}

/// Starts the writers; returns the queue that they take batches from.
pub(crate) fn start_writers(inner: &Weak<Inner>, limits: BatchLimits) -> Queue {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        limits,
        work: Notify::new(),
    });
    for _ in 0..limits.writers.max(1) {
        tokio::spawn(write(inner.clone(), shared.clone()));
    }
    Queue(shared)
}

async fn write(inner: Weak<Inner>, shared: Arc<Shared>) {
    while let Some((batch, turn)) = shared.take().await {
        let Some(inner) = inner.upgrade() else { break };
        let done = tokio::spawn(async move {
            lines::place(inner, batch).await;
            drop(turn);
        });
        // A task of its own, so that a panic loses this batch's results but never a writer.
        if let Err(error) = done.await {
            tracing::error!(%error, "order batch panicked; its callers get an error");
        }
    }
}

impl Queue {
    /// Queues an order, unless the queue is full.
    pub(super) fn push(&self, one: QueuedOrder) -> Result<(), Failure> {
        let mut state = self.0.state.lock();
        if state.queued >= self.0.limits.queue_capacity.max(1) {
            return Err(Failure::Overloaded);
        }
        state.queued += 1;
        let id = one.order.store_id;
        let store = state.stores.entry(id).or_default();
        store.orders.push_back(one);
        if store.orders.len() == 1 && !store.has_batch {
            state.ready.push_back(id);
            drop(state);
            self.0.work.notify_one();
        }
        Ok(())
    }

    /// Takes the turn of these stores if no batch has one of them.
    pub(super) fn try_enter(&self, stores: &BTreeSet<StoreId>) -> Option<Turn> {
        let mut state = self.0.state.lock();
        let has_batch = |id| state.stores.get(id).is_some_and(|store| store.has_batch);
        if stores.iter().any(has_batch) {
            return None;
        }
        for id in stores {
            state.begin(*id);
        }
        Some(self.0.turn(stores.iter().copied().collect()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        // Each writer that wakes up passes it on.
        self.0.work.notify_one();
    }
}

impl Shared {
    /// Waits for orders, and takes as many as a batch may have; `None` once the queue is dropped.
    async fn take(self: &Arc<Self>) -> Option<(Vec<QueuedOrder>, Turn)> {
        loop {
            {
                let mut state = self.state.lock();
                if state.is_closed {
                    self.work.notify_one();
                    return None;
                }
                let (batch, stores) = state.take(self.limits);
                if !batch.is_empty() {
                    return Some((batch, self.turn(stores)));
                }
            }
            self.work.notified().await;
        }
    }

    fn turn(self: &Arc<Self>, stores: Vec<StoreId>) -> Turn {
        Turn {
            shared: self.clone(),
            stores,
        }
    }
}

impl State {
    /// Takes the orders of stores that are ready, up to the limits, and begins a batch of each.
    fn take(&mut self, limits: BatchLimits) -> (Vec<QueuedOrder>, Vec<StoreId>) {
        let (mut batch, mut stores, mut bytes) = (Vec::new(), Vec::new(), 0);
        let has_room = |batch: &Vec<_>, bytes: usize| {
            batch.is_empty() || (batch.len() < limits.max_requests && bytes < limits.max_bytes)
        };
        while has_room(&batch, bytes)
            && let Some(id) = self.ready.pop_front()
        {
            let Some(store) = self.stores.get_mut(&id) else {
                continue;
            };
            store.has_batch = true;
            while has_room(&batch, bytes)
                && let Some(one) = store.orders.pop_front()
            {
                bytes += one.order.size_bytes();
                batch.push(one);
            }
            stores.push(id);
        }
        self.queued -= batch.len();
        (batch, stores)
    }

    /// Begins a batch of a store that has none.
    fn begin(&mut self, id: StoreId) {
        self.stores.entry(id).or_default().has_batch = true;
        self.ready.retain(|other| *other != id);
    }

    /// Ends the batch of a store; returns true if its orders are ready for the next one.
    fn end(&mut self, id: StoreId) -> bool {
        let Some(store) = self.stores.get_mut(&id) else {
            return false;
        };
        store.has_batch = false;
        if store.orders.is_empty() {
            self.stores.remove(&id);
            return false;
        }
        self.ready.push_back(id);
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let ready = self.stores.iter().filter(|id| state.end(**id)).count();
        drop(state);
        for _ in 0..ready {
            self.shared.work.notify_one();
        }
    }
}
