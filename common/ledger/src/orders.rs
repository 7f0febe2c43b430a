//! Orders after they were placed: how to read them, and the only way to move them.

mod advance;
mod draft;
mod edit;
mod lines;
mod list;
mod room;
mod settle;
#[cfg(test)]
mod tests;
mod times;

pub(crate) use advance::{Available, ORDER_ENDED, advance, announce_step, lock, lock_available};
pub use edit::{CustomerEdit, EditRefused, ItemsEdit, OrderEdit};
pub use list::{OrderFilter, OrderPage};
pub(crate) use settle::{INTEGRATOR_UNREACHABLE, settle};
pub(crate) use times::set_ready_at;

use chrono::{DateTime, Utc};

use super::{
    ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, in_one_try,
    intake::PlaceRefused,
};
use domain::{
    ids::OrderId,
    order::{Order, times::ReadyRefused},
    status::{By, MoveRefused, OrderStatus},
};

/// Why a move is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    #[error("the order does not exist")]
    Unknown,
    #[error("it was changed meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
    #[error(transparent)]
    Move(#[from] MoveRefused),
    #[error(transparent)]
    Ready(#[from] ReadyRefused),
    /// Refusal to place a draft.
    #[error(transparent)]
    Place(#[from] PlaceRefused),
}

impl Refusal for OrderRefused {}

impl Ledger {
    #[crate::boxed]
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::orders::get(&mut tx, id).await?)
    }

    /// Moves an order to a status. A move to its current status is a no-op. A draft is placed by [`Self::place_draft`].
    #[crate::boxed]
    pub async fn move_order(
        &self,
        id: OrderId,
        to: OrderStatus,
        by: By,
        reason: Option<&str>,
    ) -> ChangeResult<Order, OrderRefused> {
        self.move_order_if_unchanged(id, None, to, by, reason, None)
            .await
    }

    /// Moves an order if it still is as it was `seen`. With `ready_at`, it is expected to be ready at that time.
    #[crate::boxed]
    pub async fn move_order_if_unchanged(
        &self,
        id: OrderId,
        seen: Option<&Order>,
        to: OrderStatus,
        by: By,
        reason: Option<&str>,
        ready_at: Option<DateTime<Utc>>,
    ) -> ChangeResult<Order, OrderRefused> {
        if to == OrderStatus::Pending {
            return self.place_draft_if_unchanged(id, seen, by, None).await;
        }
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let Some(mut order) = lock(change, id).await? else {
                return Err(OrderRefused::Unknown.into());
            };
            check_unchanged(&order, seen)?;
            if let Some(ready_at) = ready_at {
                set_ready_at(change, &mut order, ready_at, None)
                    .await
                    .map_err(|error| error.map_refused(Into::into))?;
            }
            if order.status != to {
                advance(change, &mut order, to, by, reason, None)
                    .await
                    .map_err(|error| error.map_refused(Into::into))?;
            }
            change.set_resource(order.id.uuid());
            Ok(order)
        })
    }

    /// Accepts or fails an order whose required integrators have all confirmed or failed; see [`settle`]. Does not wait
    /// for an order that others hold.
    #[crate::boxed]
    pub async fn settle_order(&self, id: OrderId) -> ChangeResult<bool, MoveRefused> {
        in_one_try!(&self.inner, CrashPoints::ORDERS, |change| {
            match lock(change, id).await? {
                Some(mut order) => settle(change, &mut order).await,
                None => Ok(false),
            }
        })
    }
}

/// Refuses an order that changed since it was `seen`: an edit by people changes its version, and everything else that
/// moves it changes its status.
fn check_unchanged(order: &Order, seen: Option<&Order>) -> ChangeResult<(), OrderRefused> {
    match seen {
        Some(seen) if (seen.version, seen.status) != (order.version, order.status) => {
            let current = order.version;
            Err(OrderRefused::VersionConflict { current }.into())
        }
        _ => Ok(()),
    }
}
