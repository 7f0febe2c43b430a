//! Batches the applying of callbacks: orders that come during a transaction share the next one.
//!
//! A batch locks and reads what its orders need with a few statements, applies the callbacks of each order as if it
//! were alone, and writes with one statement for each kind of row. An order that others hold, or that has more
//! callbacks than a batch reads, goes on in transactions of its own, and so does each order of a batch that fails.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::apply::{Known, apply_alone, apply_one};
use super::interpret::settle;
use crate::{
    BatchLimits, CrashPoints, Failure, Inner, Ledger, Result, batcher,
    change::pause_after_lost_lock, idempotency::Handle, in_one_try, orders,
};
use domain::ids::{OrderId, StoreId};
use platform::crash;
use store::StoreError;

const LIMITS: BatchLimits = BatchLimits {
    max_requests: 64,
    max_bytes: usize::MAX,
    // Orders of one session are in one batch, and would wait for each other in two.
    writers: 1,
    // Any more are done individually.
    queue_capacity: 1024,
};
/// Maximum number of callbacks in one batch.
const MAX_CALLBACKS: usize = 512;
/// Maximum number of runs of a batch that meets a row which others hold.
const MAX_RUNS: u32 = 3;
/// Maximum number of orders that go on alone at one time; more could use up the connections.
const MAX_ALONE: usize = 4;

/// An order whose callbacks are to be applied.
#[derive(Debug)]
pub(crate) struct PendingOrder {
    order: OrderId,
    applied: oneshot::Sender<Result<u32>>,
}

pub(crate) type Queue = mpsc::Sender<PendingOrder>;

/// Places of the orders that go on alone.
#[derive(Debug)]
pub(crate) struct Places(Semaphore);

impl Default for Places {
    fn default() -> Self {
        Self(Semaphore::new(MAX_ALONE))
    }
}

/// Number of an order's callbacks that a batch has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    applied: u32,
    is_last: bool,
}

pub(crate) fn start_writers(inner: &Weak<Inner>) -> Queue {
    batcher::start_writers(inner, "callback", LIMITS, |_| 0, apply_batch)
}

impl Ledger {
    /// Applies an order's waiting callbacks in order of receipt; returns the number applied. One that fails is skipped,
    /// and parked at its fifth failure. If another transaction holds the order, at most two callers wait for it; the
    /// next ones get an error at once.
    #[crate::boxed]
    pub async fn apply_callbacks(&self, order: OrderId) -> Result<u32> {
        let Ok(place) = self.inner.callbacks.try_reserve() else {
            return apply_alone(&self.inner, order, Some(&self.inner.held_rows)).await;
        };
        let (applied, told) = oneshot::channel();
        place.send(PendingOrder { order, applied });
        // The batch panicked: the sweep finds what is left.
        told.await.unwrap_or(Err(Failure::Overloaded))
    }
}

async fn apply_batch(inner: Arc<Inner>, waiting: Vec<PendingOrder>) {
    crash::point("callback.before_apply");
    let inner = Handle::new(inner);
    let orders: BTreeSet<OrderId> = waiting.iter().map(|one| one.order).collect();
    let mut run = 1;
    let applied = loop {
        match apply_in_one_transaction(&inner, &orders).await {
            // Mostly stock that intake holds for a moment.
            Err(Failure::Store(StoreError::LockLost(_))) if run < MAX_RUNS => {
                pause_after_lost_lock(&inner, run).await;
                run += 1;
            }
            applied => break applied,
        }
    };
    let mut done = match applied {
        Ok(done) => done,
        Err(Failure::Store(StoreError::Unavailable(why))) => {
            for one in waiting {
                let unavailable = StoreError::Unavailable(why.clone());
                drop(one.applied.send(Err(unavailable.into())));
            }
            return;
        }
        Err(error) => {
            tracing::debug!(%error, "callbacks of {} orders are applied order by order: {error}", orders.len());
            BTreeMap::new()
        }
    };
    for one in waiting {
        let page = done.get_mut(&one.order);
        let is_done = page.as_ref().is_some_and(|page| page.is_last);
        // Others that asked for the same order have applied none.
        let applied = page.map_or(0, |page| std::mem::take(&mut page.applied));
        if is_done {
            // The caller may be gone; the callbacks are applied all the same.
            drop(one.applied.send(Ok(applied)));
        } else {
            // Each in its own task, so that waiting for one lock delays no other.
            drop(tokio::spawn(go_on_alone(inner.clone(), one, applied)));
        }
    }
}

async fn go_on_alone(inner: Handle, one: PendingOrder, applied_before: u32) {
    let _place = inner.callbacks_alone.0.acquire().await;
    let applied = apply_alone(&inner, one.order, Some(&inner.held_rows)).await;
    let applied = applied.map(|applied| applied + applied_before);
    drop(one.applied.send(applied));
}

/// Applies callbacks of these orders in one transaction; an order that others hold is left out.
async fn apply_in_one_transaction(
    inner: &Handle,
    orders: &BTreeSet<OrderId>,
) -> Result<BTreeMap<OrderId, Page>> {
    let wanted: Vec<OrderId> = orders.iter().copied().collect();
    in_one_try!(inner, CrashPoints::CALLBACK_APPLIED, |change| {
        let mut locked = orders::lock_available(change, &wanted).await?.orders;
        let ids: Vec<OrderId> = locked.keys().copied().collect();
        let stores: BTreeSet<StoreId> = locked.values().map(|order| order.store_id).collect();
        change.gather_locked(&ids).await?;
        change.gather_integrators(&stores).await?;
        crash::point("callback.after_locks");
        let waiting = store::callbacks::of_orders(&mut change.tx, &ids, MAX_CALLBACKS).await?;
        let read: usize = waiting.unapplied.values().map(Vec::len).sum();
        // Those that were received first were read: each order may have more.
        let is_last = read < MAX_CALLBACKS;
        let (mut unapplied, mut marks) = (waiting.unapplied, waiting.marks);
        let mut done = BTreeMap::new();
        for (id, order) in &mut locked {
            let mut known = Known::of(marks.remove(id).unwrap_or_default());
            let mut applied = 0;
            for callback in unapplied.remove(id).unwrap_or_default() {
                apply_one(change, order, &callback, &mut known).await?;
                applied += 1;
            }
            if is_last {
                // A handoff that failed meanwhile left the order to these callbacks.
                settle(change, order).await?;
            }
            done.insert(*id, Page { applied, is_last });
        }
        Ok(done)
    })
}
