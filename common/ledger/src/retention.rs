//! Retention: what has ended is stripped of contact data and of messages, and deleted, after as many days as the
//! settings say. Nothing open is ever touched: no order, no session, and no ended order of which a handoff is open or a
//! callback waits.
//!
//! Each kind is a walk over the orders by their ids (ADR 87). One process walks at a time, one batch in one transaction;
//! a process that dies leaves the walk where its last batch ended.

mod archive;
mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

pub use self::archive::{Archived, Archiving};
use super::{Change, CrashPoints, Failure, Ledger, Result, in_one_try};
use domain::{
    ids::{OrderId, ProductId, StoreId},
    order::Order,
    person::PersonalTexts,
    retention::{Kind, MIN_AGE, look_again_at, walk_end},
};
use store::{
    StoreError, Tx,
    retention::{GoneOrders, Walk},
};

/// Number of stores whose streams one batch looks at.
const STORES_PER_BATCH: u32 = 8;
/// Maximum number of events, or of callbacks without an order, that one batch deletes of each stream.
const ROWS_PER_BATCH: u32 = 256;
/// Pause between two walks over all stores' streams.
const STORES_ANEW_AFTER: TimeDelta = TimeDelta::hours(12);

/// Counts of what retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Orders that were stripped of contact data.
    pub contacts: u64,
    /// Orders that were stripped of messages.
    pub messages: u64,
    /// Events deleted, also those of deleted orders and sessions.
    pub events: u64,
    /// Orders deleted.
    pub orders: u64,
    /// Sessions deleted.
    pub sessions: u64,
    /// Callbacks without an order deleted.
    pub callbacks: u64,
    /// True if a batch was full, so that there may be more right away.
    pub is_behind: bool,
}

impl Retained {
    /// Returns each count with its name.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("contact", self.contacts),
            ("messages", self.messages),
            ("event", self.events),
            ("order", self.orders),
            ("session", self.sessions),
            ("callback", self.callbacks),
        ]
    }

    /// Adds the counts of another batch.
    pub fn add(&mut self, other: &Self) {
        self.contacts += other.contacts;
        self.messages += other.messages;
        self.events += other.events;
        self.orders += other.orders;
        self.sessions += other.sessions;
        self.callbacks += other.callbacks;
        self.is_behind |= other.is_behind;
    }

    /// Returns true if nothing was removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts().iter().all(|(_, count)| *count == 0)
    }
}

impl Ledger {
    /// Removes one batch of each kind that has a limit. A batch that somebody else is at, or whose rows others hold, is
    /// left to a later call.
    #[crate::boxed]
    pub async fn retain(&self) -> Result<Retained> {
        let mut all = Retained::default();
        for kind in Kind::ALL {
            let Some(age) = self.inner.settings.retention.age(*kind) else {
                continue;
            };
            match self.retain_batch(*kind, age).await {
                Ok(batch) => all.add(&batch),
                // Two processes began the walk at the same time.
                Err(Failure::Store(StoreError::UniqueKeyTaken)) => {}
                Err(error) if error.is_held() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn retain_batch(&self, kind: Kind, age: TimeDelta) -> Result<Retained> {
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let now = change.now;
            let taken = store::retention::take_walk(&mut change.tx, kind, now).await?;
            let Some(walk) = taken else {
                return Ok(Retained::default());
            };
            let until = now - age;
            Ok(match kind {
                Kind::Sessions => delete_sessions(change, walk, until).await?,
                Kind::StoreEvents => delete_store_events(change, walk, until).await?,
                _ => end_orders(change, kind, walk, until).await?,
            })
        })
    }
}

/// Rows that one batch of a walk looks at.
struct Batch {
    kind: Kind,
    /// Those that the walk left before.
    again: Vec<Uuid>,
    /// Those that come next.
    next: Vec<Uuid>,
    is_full: bool,
}

impl Batch {
    /// Reads the next batch of a walk, in which rows count that were made before `made_before`.
    async fn read(
        tx: &mut Tx,
        kind: Kind,
        walk: Walk,
        made_before: DateTime<Utc>,
        (now, limit): (DateTime<Utc>, u32),
    ) -> store::Result<Self> {
        let again = store::retention::leftovers(tx, kind, now, limit).await?;
        let rest = limit.saturating_sub(u32::try_from(again.len()).unwrap_or(limit));
        let next = match kind {
            Kind::Sessions => {
                store::retention::next_sessions(tx, walk.last_id, made_before, rest).await?
            }
            _ => store::retention::next_orders(tx, walk.last_id, made_before, rest).await?,
        };
        let is_full = again.len() + next.len() >= limit as usize;
        Ok(Self {
            kind,
            again,
            next,
            is_full,
        })
    }

    /// Leaves out the rows that another walk has not passed yet, so that this one stays behind it.
    fn stay_behind(&mut self, place: Option<Walk>, limit: u32) {
        let passed = place.map_or_else(Uuid::nil, |place| place.last_id);
        self.next.retain(|id| *id <= passed);
        self.is_full = self.again.len() + self.next.len() >= limit as usize;
    }

    fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.again.iter().chain(&self.next).copied()
    }

    /// Moves the walk on, and notes the rows that it leaves.
    async fn pass(&self, change: &mut Change<'_>, walk: Walk, left: &[Uuid]) -> store::Result<()> {
        let (now, tx) = (change.now, &mut change.tx);
        if self.again.is_empty() && self.next.is_empty() {
            return Ok(());
        }
        let look_at = look_again_at(now);
        store::retention::write_leftovers(tx, self.kind, &self.again, left, look_at).await?;
        let to = Walk {
            last_id: self.next.last().copied().unwrap_or(walk.last_id),
            moved_at: now,
            ..walk
        };
        store::retention::move_walk(tx, self.kind, to).await
    }
}

async fn end_orders(
    change: &mut Change<'_>,
    kind: Kind,
    walk: Walk,
    until: DateTime<Utc>,
) -> store::Result<Retained> {
    let limits = change.inner.settings.retention;
    let (now, tx) = (change.now, &mut change.tx);
    let mut batch = Batch::read(tx, kind, walk, walk_end(until), (now, limits.batch)).await?;
    let waits = limits.waits_for_archive(kind);
    if waits {
        let archive = store::retention::walk(tx, Kind::Archive).await?;
        batch.stay_behind(archive, limits.batch);
    }
    let ids: Vec<OrderId> = batch.ids().map(OrderId::from).collect();
    let mut ready = ready_orders(tx, kind, &ids, (now, until)).await?;
    if waits {
        let unarchived = batch.ids().collect::<Vec<_>>();
        let unarchived = store::retention::left_among(tx, Kind::Archive, &unarchived).await?;
        ready.retain(|order| !unarchived.contains(&order.id.uuid()));
    }
    let mut retained = Retained {
        is_behind: batch.is_full,
        ..Retained::default()
    };
    let ended: Vec<OrderId> = ready.iter().map(|order| order.id).collect();
    let count = u64::try_from(ended.len()).unwrap_or(u64::MAX);
    match kind {
        Kind::Contact => {
            for order in &ready {
                // The same as an erasure, so that none finds more afterwards.
                let texts = PersonalTexts::of(order);
                store::erasures::strip_order(tx, order, &texts, order.updated_at).await?;
            }
            store::retention::strip_messages(tx, &ended).await?;
            retained.contacts = count;
        }
        Kind::Messages => {
            store::retention::strip_messages(tx, &ended).await?;
            retained.messages = count;
            let limit = ROWS_PER_BATCH;
            retained.callbacks =
                store::retention::delete_callbacks_without_order(tx, until, limit).await?;
            retained.is_behind |= retained.callbacks >= u64::from(ROWS_PER_BATCH);
        }
        Kind::Events => {
            retained.events = store::retention::delete_events_of_orders(tx, &ended).await?;
        }
        _ => {
            sum_up(tx, &ready).await?;
            retained.events = store::retention::delete_orders(tx, &ended).await?;
            retained.orders = count;
        }
    }
    let done: HashSet<OrderId> = ended.into_iter().collect();
    let not_done = ids.iter().filter(|id| !done.contains(id));
    let not_done: Vec<Uuid> = not_done.map(|id| id.uuid()).collect();
    // Drafts may have been deleted meanwhile, and orders by another walk.
    let left = store::retention::existing_among(tx, &not_done).await?;
    batch.pass(change, walk, &left).await?;
    Ok(retained)
}

/// Locks those of these orders whose time has come, except for those that others have locked or that can't be read.
async fn ready_orders(
    tx: &mut Tx,
    kind: Kind,
    ids: &[OrderId],
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> store::Result<Vec<Order>> {
    let locked = lock_readable(tx, ids).await?;
    let busy = store::retention::busy_among(tx, ids).await?;
    let busy: HashSet<OrderId> = busy.into_iter().collect();
    let mut ready = locked;
    // Only the tally keeps the count of an order that is deleted.
    ready.retain(|order| {
        order.has_ended_by(until)
            && order.is_unchanged_since(now - MIN_AGE)
            && !busy.contains(&order.id)
            && (order.tallied || kind != Kind::Orders)
    });
    Ok(ready)
}

/// Locks these orders. One that can't be read is left out and told of, so that it stops nothing else; the audit finds it
/// too.
async fn lock_readable(tx: &mut Tx, ids: &[OrderId]) -> store::Result<Vec<Order>> {
    let orders = |locked: Vec<(Order, i64)>| locked.into_iter().map(|(order, _)| order);
    match store::orders::lock_available(tx, ids).await {
        Err(error) if error.is_row_fault() => {}
        locked => return Ok(orders(locked?).collect()),
    }
    let mut readable = Vec::with_capacity(ids.len());
    for id in ids {
        match store::orders::lock_available(tx, &[*id]).await {
            Err(error) if error.is_row_fault() => {
                tracing::error!(order = %id, %error, "order can't be read, and is kept: {error}");
            }
            locked => readable.extend(orders(locked?)),
        }
    }
    Ok(readable)
}

/// Adds orders that are about to be deleted to the sums of those that are gone.
async fn sum_up(tx: &mut Tx, orders: &[Order]) -> store::Result<()> {
    let mut gone: BTreeMap<StoreId, GoneOrders> = BTreeMap::new();
    let mut stock: BTreeMap<ProductId, i64> = BTreeMap::new();
    for order in orders {
        gone.entry(order.store_id).or_default().add(order);
        let takes = order.items.iter().filter(|_| order.stock_held);
        for (product, quantity) in takes.flat_map(|item| item.takes()) {
            *stock.entry(product).or_default() += quantity;
        }
    }
    store::retention::add_gone_orders(tx, &gone).await?;
    store::retention::add_gone_stock(tx, &stock).await
}

async fn delete_sessions(
    change: &mut Change<'_>,
    walk: Walk,
    until: DateTime<Utc>,
) -> store::Result<Retained> {
    let limit = change.inner.settings.retention.batch;
    let (now, tx) = (change.now, &mut change.tx);
    let mut batch = Batch::read(tx, Kind::Sessions, walk, walk_end(until), (now, limit)).await?;
    let orders = store::retention::walk(tx, Kind::Orders).await?;
    batch.stay_behind(orders, limit);
    let ids: Vec<Uuid> = batch.ids().collect();
    let ended = store::retention::ended_sessions(tx, &ids, until).await?;
    let events = store::retention::delete_sessions(tx, &ended).await?;
    let left: Vec<Uuid> = ids.into_iter().filter(|id| !ended.contains(id)).collect();
    let retained = Retained {
        events,
        sessions: u64::try_from(ended.len()).unwrap_or(u64::MAX),
        is_behind: batch.is_full,
        ..Retained::default()
    };
    batch.pass(change, walk, &left).await?;
    Ok(retained)
}

/// Deletes old events of some stores' own streams. The walk begins anew when it has passed all stores, after a pause.
async fn delete_store_events(
    change: &mut Change<'_>,
    walk: Walk,
    until: DateTime<Utc>,
) -> store::Result<Retained> {
    let (now, tx) = (change.now, &mut change.tx);
    if walk.last_id.is_nil() && walk.moved_at < now && now < walk.moved_at + STORES_ANEW_AFTER {
        return Ok(Retained::default());
    }
    let stores = store::retention::next_stores(tx, walk.last_id, STORES_PER_BATCH).await?;
    let mut retained = Retained {
        is_behind: stores.len() == STORES_PER_BATCH as usize,
        ..Retained::default()
    };
    let mut last_id = walk.last_id;
    for store in stores {
        let limit = ROWS_PER_BATCH;
        let gone = store::retention::delete_store_events(tx, store, until, limit).await?;
        retained.events += gone;
        if gone >= u64::from(limit) {
            // Its next events are in the next batch.
            retained.is_behind = true;
            break;
        }
        last_id = store;
    }
    let to = Walk {
        last_id: if retained.is_behind {
            last_id
        } else {
            Uuid::nil()
        },
        moved_at: now,
        ..walk
    };
    store::retention::move_walk(tx, Kind::StoreEvents, to).await?;
    Ok(retained)
}
