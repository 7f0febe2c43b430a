//! Places what is queued. Orders that need a row that others hold wait in one line for each such row, beside the writers,
//! so that a held row delays nobody else's orders.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    QueuedOrder,
    batch::{Held, Wait},
    writer::{Left, place_batch, split_duplicates},
};
use crate::{Failure, Inner};
use domain::ids::ProductId;
use platform::crash;
use store::StoreError;

/// Maximum connections that wait for locks at one time. The lines beyond them look again and again instead.
const PLACES: usize = 4;
/// Delay between two looks, doubled up to [`MAX_LOOK_INTERVAL`].
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
const MAX_LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// Time after which an order gives up, so that its client can try again.
const MAX_WAIT: Duration = Duration::from_secs(15);
/// Maximum number of batches in which an order meets a held session before it waits in line for it. A claim or an outcome
/// holds one for milliseconds, and a transaction of a line costs as much as a batch.
const MAX_TRIES_IN_BATCHES: u32 = 4;
/// Maximum orders of a line that one transaction takes.
const MAX_BATCH: usize = 256;

/// All lines. Locked for moments only, by the writers and by the task of each line.
pub(crate) struct Lines {
    waiting: Mutex<HashMap<Held, Vec<QueuedOrder>>>,
    capacity: usize,
    places: Semaphore,
}

impl Lines {
    /// Creates an empty set with room for `capacity` orders.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            capacity,
            places: Semaphore::new(PLACES),
        }
    }

    /// Waits until one of the few places is free in which a transaction may wait for a lock.
    pub(super) async fn wait_for_place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }
}

/// Places all orders, in rounds: duplicates within a batch go into the next round. Orders that need a row that others
/// hold wait in line for it, and the others go on.
pub(super) async fn place(inner: Arc<Inner>, mut waiting: Vec<QueuedOrder>) {
    crash::point("intake.before_begin");
    while !waiting.is_empty() {
        let (mut now, later) = split_duplicates(waiting);
        for one in &mut now {
            one.tries += 1;
        }
        for (held, orders) in place_batch(&inner, now, Wait::Never).await {
            let Some(held) = held else { continue };
            let (again, in_line): (Vec<_>, _) = orders.into_iter().partition(|one| {
                matches!(held, Held::Session(_)) && one.tries < MAX_TRIES_IN_BATCHES
            });
            inner.intake.push_again(again);
            if !in_line.is_empty() {
                join(&inner, held, in_line);
            }
        }
        waiting = later;
    }
}

/// Puts orders into the line for a row. The first one starts the line's task.
fn join(inner: &Arc<Inner>, held: Held, orders: Vec<QueuedOrder>) {
    let mut waiting = inner.held_orders.waiting.lock();
    let room = inner.held_orders.capacity;
    if waiting.values().map(Vec::len).sum::<usize>() + orders.len() > room {
        for one in orders {
            let _ = one.answer.send(Err(Failure::Overloaded.into()));
        }
        return;
    }
    match waiting.entry(held) {
        Entry::Occupied(mut line) => line.get_mut().extend(orders),
        Entry::Vacant(line) => {
            line.insert(orders);
            let line = Line {
                inner: inner.clone(),
                held,
                is_over: false,
            };
            tokio::spawn(line.work_off());
        }
    }
}

/// The line for one row, as its task has it. If the task panics, its orders are dropped, and the next one begins a new
/// line.
struct Line {
    inner: Arc<Inner>,
    held: Held,
    is_over: bool,
}

impl Line {
    async fn work_off(mut self) {
        let mut looks = 0;
        loop {
            let orders = self.take();
            if self.is_over {
                return;
            }
            let (now, mut later) = split_duplicates(orders);
            let mut left = self.place(now).await;
            let mut here = left.remove(&None).unwrap_or_default();
            here.extend(left.remove(&Some(self.held)).unwrap_or_default());
            for (other, orders) in left {
                if let Some(other) = other {
                    let orders = orders.into_iter().filter_map(keep_waiting);
                    join(&self.inner, other, orders.collect());
                }
            }
            let is_held = !here.is_empty();
            later.splice(0..0, here.into_iter().filter_map(keep_waiting));
            self.put_back(later);
            if is_held {
                let delay = LOOK_INTERVAL * 2_u32.pow(looks);
                tokio::time::sleep(delay.min(MAX_LOOK_INTERVAL)).await;
                looks = (looks + 1).min(4);
            } else {
                looks = 0;
            }
        }
    }

    /// Places orders in one transaction; returns those that are still held. It waits for the line's row if one of the few
    /// places is free, and otherwise only looks.
    async fn place(&self, orders: Vec<QueuedOrder>) -> Left {
        let places = &self.inner.held_orders.places;
        let Some(store) = orders.first().map(|one| one.order.store_id) else {
            return Left::new();
        };
        match self.held {
            // One that waits for a session must not keep the writers from the store's other orders: it has no turn.
            Held::Session(_) => {
                let place = places.try_acquire().ok();
                let wait = place.as_ref().map_or(Wait::Never, |_| Wait::ForSessions);
                place_batch(&self.inner, orders, wait).await
            }
            Held::Counter(store) => {
                let _turn = self.inner.intake.enter(store).await;
                let place = places.try_acquire().ok();
                let wait = place.as_ref().map_or(Wait::Never, |_| Wait::ForCounters);
                place_batch(&self.inner, orders, wait).await
            }
            Held::Stock(product) => {
                if let Ok(_place) = places.try_acquire() {
                    self.wait_for_stock(product).await;
                }
                let _turn = self.inner.intake.enter(store).await;
                place_batch(&self.inner, orders, Wait::Never).await
            }
        }
    }

    /// Waits until nobody holds a product's stock, for as long as a lock may take, and holds nothing else meanwhile: who
    /// waits with the store's counter in hand stops the store. The orders look for themselves afterwards.
    async fn wait_for_stock(&self, product: ProductId) {
        if let Ok(mut tx) = self.inner.db.begin().await {
            let _ = store::stock::lock(&mut tx, &[product]).await;
            tx.rollback().await;
        }
    }

    /// Takes the first orders; ends the line if there are none.
    fn take(&mut self) -> Vec<QueuedOrder> {
        let mut waiting = self.inner.held_orders.waiting.lock();
        let line = waiting.entry(self.held).or_default();
        let rest = line.split_off(line.len().min(MAX_BATCH));
        let first = std::mem::replace(line, rest);
        if first.is_empty() {
            // The next order begins a new line.
            waiting.remove(&self.held);
            self.is_over = true;
        }
        first
    }

    /// Puts orders back to the front.
    fn put_back(&self, orders: Vec<QueuedOrder>) {
        let mut waiting = self.inner.held_orders.waiting.lock();
        waiting.entry(self.held).or_default().splice(0..0, orders);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.is_over {
            self.inner.held_orders.waiting.lock().remove(&self.held);
        }
    }
}

/// Returns the order, unless it has waited for too long: then its caller is told so.
fn keep_waiting(one: QueuedOrder) -> Option<QueuedOrder> {
    if one.queued_at.elapsed() < MAX_WAIT {
        return Some(one);
    }
    let why = "another transaction holds a row that this order needs";
    let _ = one
        .answer
        .send(Err(StoreError::LockLost(why.to_owned()).into()));
    None
}
