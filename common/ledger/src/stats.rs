//! Order counts by status, and acceptance times: always exact, also over a million orders.
//!
//! Each store's older orders are in its tally, a row of sums; the rest is counted again each time, found by number. The
//! sweep moves orders from the rest into the tally and marks them; a marked order that changes later corrects the tally
//! in the same transaction ([`Change::correct_tally`]). So tally and rest together always contain every order exactly once.

#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Change, CrashPoints, Failure, Ledger, Result, in_one_try};
use domain::{
    ids::{OrderId, StoreId},
    order::Order,
    tally::{Counted, Tally},
};
use store::{
    StoreError,
    stats::{Tallied, Untallied},
};

/// Minimum age of an order to be tallied, unless it has ended: each change of a tallied order costs one more statement.
const TALLY_AFTER: TimeDelta = TimeDelta::hours(1);
/// Minimum number of orders worth a transaction; fewer wait until the first of them is [`TALLY_AFTER`] old.
const MIN_BATCH: usize = 64;
/// Limits of a walk: a fraction of a second on an idle machine, seconds on a busy one (measured). The sweep's other
/// steps wait meanwhile, and the next walk continues where this one ended.
const WALK_LIMITS: WalkLimits = WalkLimits {
    orders_per_transaction: 256,
    transactions_per_store: 16,
    transactions: 32,
};
/// Number of stores whose tallies are read at once.
const PAGE: u32 = 1000;

/// Result of one walk over some of the stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TallyWalk {
    pub orders: u64,
    /// The last store walked over; `None` if there are no more.
    pub last: Option<StoreId>,
    /// True if more could be tallied right away.
    pub is_behind: bool,
}

/// Limits of one walk.
#[derive(Clone, Copy, Debug)]
struct WalkLimits {
    /// Maximum number of orders in one transaction.
    orders_per_transaction: u32,
    /// Maximum number of transactions for one store before the next store's turn.
    transactions_per_store: u32,
    /// Maximum number of transactions for all stores together.
    transactions: u32,
}

impl Ledger {
    /// Returns the statistics of these stores, or of all, in one snapshot.
    #[crate::boxed]
    pub async fn stats(&self, stores: Option<&[StoreId]>) -> Result<Tally> {
        let mut tx = self.inner.db.read().await?;
        let mut tally = Tally::default();
        let mut rests = Vec::new();
        let mut add = |page: &[Tallied]| {
            for of_store in page {
                tally.add_all(&of_store.tally);
                rests.extend(of_store.rest());
            }
        };
        match stores {
            Some(stores) => add(&store::stats::tallied(&mut tx, stores).await?),
            None => {
                let mut after = None;
                loop {
                    let page = store::stats::all_tallies(&mut tx, after, PAGE).await?;
                    add(&page);
                    after = page.last().map(|last| last.store);
                    if page.len() < PAGE as usize {
                        break;
                    }
                }
            }
        }
        tally.add_all(&store::stats::count_rest(&mut tx, &rests).await?);
        Ok(tally)
    }

    /// Moves orders that hardly change any more into their stores' tallies: of at most `stores` stores after `after`,
    /// or of fewer if there is much to do. The result of [`Self::stats`] never depends on it.
    #[crate::boxed]
    pub async fn tally_orders(&self, after: Option<StoreId>, stores: u32) -> Result<TallyWalk> {
        self.walk(after, stores, WALK_LIMITS).await
    }

    async fn walk(
        &self,
        after: Option<StoreId>,
        stores: u32,
        bounds: WalkLimits,
    ) -> Result<TallyWalk> {
        let found = {
            let mut tx = self.inner.db.read().await?;
            store::stats::all_tallies(&mut tx, after, stores).await?
        };
        let mut walk = TallyWalk {
            last: found
                .last()
                .map(|last| last.store)
                .filter(|_| found.len() == stores as usize),
            ..TallyWalk::default()
        };
        let (mut left, mut done) = (bounds.transactions, None);
        for tallied in found.iter().filter(|tallied| tallied.rest().is_some()) {
            if left == 0 {
                walk.last = done;
                break;
            }
            let (store, mut up_to) = (tallied.store, tallied.up_to);
            let most = left.min(bounds.transactions_per_store);
            for round in 1..=most {
                let next = self.tally_next(store, up_to, bounds.orders_per_transaction);
                let Some(to) = next.await? else {
                    break;
                };
                walk.orders += u64::try_from(to - up_to.unwrap_or(0)).unwrap_or(0);
                up_to = Some(to);
                left -= 1;
                walk.is_behind |= round == most;
            }
            done = Some(store);
        }
        Ok(walk)
    }

    /// Tallies the next orders of one store; returns the tally's new end, or `None` if there is nothing to do or
    /// somebody else does it.
    async fn tally_next(&self, of: StoreId, up_to: Option<i64>, most: u32) -> Result<Option<i64>> {
        let from = up_to.unwrap_or(0);
        let next = {
            let mut tx = self.inner.db.read().await?;
            store::stats::untallied(&mut tx, of, from, most).await?
        };
        let next = &next[..count_ready(&next, self.inner.clock.now())];
        if next.is_empty() {
            return Ok(None);
        }
        let tallied: Result<Option<i64>> = in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            Ok(tally(change, of, up_to, next).await?)
        });
        match tallied {
            // Another worker has created this tally.
            Err(Failure::Store(StoreError::UniqueKeyTaken)) => Ok(None),
            // Somebody holds it: the next walk comes back.
            Err(error) if error.is_held() => Ok(None),
            tallied => tallied,
        }
    }
}

/// Moves these orders, which must be all up to the last of them, into the tally; returns the tally's new end.
async fn tally(
    change: &mut Change<'_>,
    of: StoreId,
    up_to: Option<i64>,
    next: &[Untallied],
) -> store::Result<Option<i64>> {
    let ids: Vec<OrderId> = next.iter().map(|order| order.id).collect();
    let orders = store::stats::lock_untallied(&mut change.tx, &ids).await?;
    let Some(last) = next.last().filter(|_| orders.len() == ids.len()) else {
        return Ok(None);
    };
    if up_to.is_none() {
        store::stats::insert_tally(&mut change.tx, of).await?;
    }
    let (tx, more) = (&mut change.tx, Tally::of(&orders));
    let stretch = (up_to.unwrap_or(0), last.number);
    if !store::stats::extend(tx, of, stretch, &more).await? {
        return Ok(None);
    }
    store::stats::mark_tallied(tx, &ids).await?;
    Ok(Some(last.number))
}

impl Change<'_> {
    /// Corrects the store's tally if the changed order is in it; `was` is how the order counted before.
    pub(crate) fn update_tally(&mut self, was: Counted, order: &Order) {
        if order.tallied {
            self.correct_tally(order.store_id, &Tally::of_change(was, Counted::of(order)));
        }
    }
}

/// Returns how many of these orders, from the first, are to be tallied now.
fn count_ready(orders: &[Untallied], now: DateTime<Utc>) -> usize {
    let is_old = |order: &Untallied| order.placed_at.is_some_and(|at| at + TALLY_AFTER <= now);
    let ready = orders
        .iter()
        .take_while(|order| order.has_ended || is_old(order))
        .count();
    let is_worth_it = ready >= MIN_BATCH || orders.first().is_some_and(is_old);
    if is_worth_it { ready } else { 0 }
}
