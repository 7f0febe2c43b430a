//! Takes orders for delivered that nobody moves any more, where the store says so.

use chrono::Duration;

use super::corrupt_if_refused;
use crate::{Change, CrashPoints, Ledger, Result, in_one_transaction, orders};
use domain::{
    ids::{OrderId, StoreId},
    order::Order,
    status::{By, OrderStatus},
};
use store::sweep::delivered;

/// Reason of an order that became delivered because nobody moved it.
pub const PRESUMED_DELIVERED: &str = "presumed_delivered";

/// Number of stores per read.
const STORES_PER_READ: u32 = 256;

impl Ledger {
    /// Moves orders to delivered that were accepted longer ago than their store's `deliver_accepted_after_h`, at most
    /// `limit`; returns their number. An order that somebody works on is left to the next run.
    #[crate::boxed]
    pub async fn deliver_accepted_orders(&self, limit: u32) -> Result<u32> {
        let mut delivered = 0;
        let mut after: Option<(i64, StoreId)> = None;
        loop {
            let stores = {
                let mut tx = self.inner.db.read().await?;
                delivered::stores(&mut tx, after, STORES_PER_READ).await?
            };
            let Some(last) = stores.last() else { break };
            after = Some(*last);
            for (hours, store) in stores {
                delivered += self
                    .deliver_of_store(store, hours, limit - delivered)
                    .await?;
                if delivered >= limit {
                    return Ok(delivered);
                }
            }
        }
        Ok(delivered)
    }

    async fn deliver_of_store(&self, store: StoreId, hours: i64, limit: u32) -> Result<u32> {
        let found = {
            let mut tx = self.inner.db.read().await?;
            let before = self.inner.clock.now() - Duration::hours(hours);
            delivered::orders(&mut tx, store, before, limit).await?
        };
        let mut delivered = 0;
        for order in found {
            match self.deliver_order(order).await {
                Ok(done) => delivered += u32::from(done),
                Err(error) => tracing::error!(%order, %error, "accepted order can't be delivered"),
            }
        }
        Ok(delivered)
    }

    async fn deliver_order(&self, id: OrderId) -> Result<bool> {
        in_one_transaction!(&self.inner, CrashPoints::SWEEP, |change| {
            let Some(mut order) = lock_if_free(change, id).await? else {
                return Ok(false);
            };
            let store = store::stores::get(&mut change.tx, order.store_id).await?;
            let hours = store.and_then(|store| store.deliver_accepted_after_h);
            let (Some(hours), Some(accepted_at)) = (hours, order.accepted_at) else {
                return Ok(false);
            };
            let since = order.timing.wanted_at.max(Some(accepted_at));
            let is_due =
                since.is_some_and(|since| since + Duration::hours(hours.into()) <= change.now);
            let waits = matches!(
                order.status,
                OrderStatus::Accepted | OrderStatus::Preparing | OrderStatus::Ready
            );
            let now = change.now;
            if !is_due || !waits || store::callbacks::has_unapplied(&mut change.tx, id, now).await?
            {
                return Ok(false);
            }
            let (to, reason) = (OrderStatus::Delivered, Some(PRESUMED_DELIVERED));
            orders::advance(change, &mut order, to, By::Sweep, reason, None)
                .await
                .map_err(corrupt_if_refused(id))?;
            Ok(true)
        })
    }
}

/// Locks the order as [`orders::lock`] does, unless another transaction has locked it or its session.
async fn lock_if_free(change: &mut Change<'_>, id: OrderId) -> store::Result<Option<Order>> {
    let mut locked = orders::lock_available(change, &[id]).await?;
    Ok(locked.orders.remove(&id))
}
