//! The queue of orders, one for each store, from which the writers take batches. A store's orders are in one batch of this
//! process at a time, because the next batch would only wait for the store's counter.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
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
    /// Tells the lines that a turn has ended.
    turn_ended: Notify,
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
    /// Number of lines that wait for the turn. They have it before the writers do, who would otherwise meet the line's
    /// locks again and again.
    lines: usize,
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
        turn_ended: Notify::new(),
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
            lines::place(inner.clone(), batch).await;
            turn.end(&inner);
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
        if store.orders.len() == 1 && store.is_free() {
            state.ready.push_back(id);
            drop(state);
            self.0.work.notify_one();
        }
        Ok(())
    }

    /// Queues orders for the next batch, before those that have not been tried yet. They have a place already.
    pub(super) fn push_again(&self, orders: Vec<QueuedOrder>) {
        let mut state = self.0.state.lock();
        let mut ready = 0;
        for one in orders.into_iter().rev() {
            state.queued += 1;
            let id = one.order.store_id;
            let store = state.stores.entry(id).or_default();
            store.orders.push_front(one);
            if store.orders.len() == 1 && store.is_free() {
                state.ready.push_back(id);
                ready += 1;
            }
        }
        drop(state);
        for _ in 0..ready {
            self.0.work.notify_one();
        }
    }

    /// Waits for the turn of a store. Nothing may be locked meanwhile.
    pub(super) async fn enter(&self, store: StoreId) -> Turn {
        self.0.state.lock().stores.entry(store).or_default().lines += 1;
        let mut wish = Wish {
            shared: &self.0,
            store,
            is_over: false,
        };
        loop {
            let mut ended = std::pin::pin!(self.0.turn_ended.notified());
            ended.as_mut().enable();
            if let Some(turn) = wish.take_turn() {
                return turn;
            }
            ended.await;
        }
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

/// A line's wish for a turn. Dropping it takes it back.
struct Wish<'a> {
    shared: &'a Arc<Shared>,
    store: StoreId,
    is_over: bool,
}

impl Wish<'_> {
    fn take_turn(&mut self) -> Option<Turn> {
        let mut state = self.shared.state.lock();
        let store = state.stores.entry(self.store).or_default();
        if store.has_batch {
            return None;
        }
        store.has_batch = true;
        store.lines -= 1;
        self.is_over = true;
        let store = self.store;
        state.ready.retain(|other| *other != store);
        Some(self.shared.turn(vec![store]))
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.shared.state.lock();
        if let Some(store) = state.stores.get_mut(&self.store) {
            store.lines -= 1;
            let waits_for_nobody = !store.has_batch && !state.ready.contains(&self.store);
            if waits_for_nobody && state.end(self.store) {
                self.shared.work.notify_one();
            }
        }
    }
}

impl OfStore {
    /// Returns true if a writer may take its orders.
    fn is_free(&self) -> bool {
        !self.has_batch && self.lines == 0
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

    /// Ends the batch of a store; returns true if its orders are ready for the next one.
    fn end(&mut self, id: StoreId) -> bool {
        let Some(store) = self.stores.get_mut(&id) else {
            return false;
        };
        store.has_batch = false;
        if store.lines > 0 {
            return false;
        }
        if store.orders.is_empty() {
            self.stores.remove(&id);
            return false;
        }
        self.ready.push_back(id);
        true
    }
}

impl Turn {
    /// Passes the turn on, later for stores whose orders come faster than they are handed over.
    fn end(mut self, inner: &Inner) {
        let now = inner.clock.now();
        for store in std::mem::take(&mut self.stores) {
            let turn = self.shared.turn(vec![store]);
            let pause = inner.lags.pause(store, now);
            if pause.is_zero() {
                continue;
            }
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                drop(turn);
            });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let ready = self.stores.iter().filter(|id| state.end(**id)).count();
        drop(state);
        self.shared.turn_ended.notify_waiters();
        for _ in 0..ready {
            self.shared.work.notify_one();
        }
    }
}
