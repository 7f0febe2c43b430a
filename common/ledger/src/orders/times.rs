//! Times of placed orders: the time for which one is wanted, and the time at which it is expected to be ready.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    OrderRefused,
    advance::{DEFAULT_DEADLINE, announce_ready_at},
    check_unchanged, lock,
};
use crate::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction,
    intake::PlaceRefused,
};
use domain::{
    hint::Hint,
    ids::{IntegratorId, OrderId, StoreId},
    order::{Order, times::ReadyRefused},
    status::OrderStatus,
    timing,
};

impl Refusal for ReadyRefused {}

impl Ledger {
    /// Sets the time at which an order is expected to be ready, if it still is as it was `seen`.
    #[crate::boxed]
    pub async fn set_ready_at(
        &self,
        id: OrderId,
        seen: Option<&Order>,
        ready_at: DateTime<Utc>,
    ) -> ChangeResult<Order, OrderRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let mut order = lock(change, id).await?.ok_or(OrderRefused::Unknown)?;
            check_unchanged(&order, seen)?;
            set_ready_at(change, &mut order, ready_at, None)
                .await
                .map_err(|error| error.map_refused(Into::into))?;
            Ok(order)
        })
    }

    /// Returns at most `limit` of a store's placed orders that have not ended and are wanted from `from` on and before
    /// `to`, after `after`, by that time.
    #[crate::boxed]
    pub async fn calendar(
        &self,
        store: StoreId,
        range: (DateTime<Utc>, DateTime<Utc>),
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>> {
        let mut tx = self.inner.db.read().await?;
        let ids = store::orders::calendar(&mut tx, store, range, after, limit).await?;
        let mut orders = store::orders::many(&mut tx, &ids).await?;
        orders.sort_unstable_by_key(|order| (order.timing.wanted_at, order.id));
        Ok(orders)
    }
}

/// Sets the time at which a locked order is expected to be ready, on behalf of `said_by` if an integrator said so.
/// Returns true if it changed.
pub(crate) async fn set_ready_at(
    change: &mut Change<'_>,
    order: &mut Order,
    ready_at: DateTime<Utc>,
    said_by: Option<IntegratorId>,
) -> ChangeResult<bool, ReadyRefused> {
    let ready_at = Some(order.check_ready_at(ready_at, change.now)?);
    if order.timing.ready_at == ready_at {
        return Ok(false);
    }
    order.timing.ready_at = ready_at;
    change.write_order(order).await?;
    announce_ready_at(change, order, said_by).await?;
    Ok(true)
}

/// Sets the time for which the order is wanted; in a placed order, also the times that depend on it.
pub(super) async fn set_wanted_at(
    change: &mut Change<'_>,
    order: &mut Order,
    wanted_at: Option<DateTime<Utc>>,
) -> ChangeResult<(), PlaceRefused> {
    let wanted_at = wanted_at.map(timing::stored);
    if wanted_at == order.timing.wanted_at {
        return Ok(());
    }
    if order.status == OrderStatus::Draft {
        order.timing.wanted_at = wanted_at;
        return Ok(());
    }
    let store = store::stores::get(&mut change.tx, order.store_id)
        .await?
        .ok_or(PlaceRefused::UnknownStore)?;
    let now = change.now;
    let timing = store.timing.of_order(wanted_at, now, TimeDelta::zero());
    let cancel_until = order.timing.cancel_until;
    order.timing = timing.map_err(PlaceRefused::from)?;
    order.timing.cancel_until = cancel_until;
    let handed_over_at = order.timing.hand_over_at.unwrap_or(now);
    let accept_within = TimeDelta::seconds(store.accept_within_s.into());
    order.accept_by = Some(handed_over_at + accept_within);
    Ok(())
}

/// Moves the hand-over of a placed order, and announces when it is ready, if an edit changed these times.
pub(super) async fn reschedule(
    change: &mut Change<'_>,
    before: &Order,
    order: &Order,
) -> Result<()> {
    if order.timing.hand_over_at != before.timing.hand_over_at {
        let handoffs = store::handoffs::lock_of_order(&mut change.tx, order.id).await?;
        let now = change.now;
        let due_at = order.timing.hand_over_at.unwrap_or(now);
        let deadline = order.accept_by.unwrap_or(due_at);
        let later = due_at + DEFAULT_DEADLINE;
        store::handoffs::reschedule(&mut change.tx, order.id, due_at, deadline, later).await?;
        if order.is_handed_over_by(now) {
            for handoff in handoffs {
                let integrator = handoff.integrator_id;
                change.hint(Hint::Handoffs { integrator });
            }
            change.hint(Hint::Accept { order: order.id });
        }
    }
    if order.timing.ready_at != before.timing.ready_at {
        announce_ready_at(change, order, None).await?;
    }
    Ok(())
}
