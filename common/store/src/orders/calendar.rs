//! Orders for later, by the time for which they are wanted.

use chrono::{DateTime, Utc};

use crate::{error::Result, fetch_optional_scalar, fetch_scalars, tx::Tx};
use domain::ids::{OrderId, StoreId};

/// Returns at most `limit` of a store's placed orders that have not ended and are wanted from `from` on and before `to`,
/// after `after`.
pub async fn calendar(
    tx: &mut Tx,
    store: StoreId,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    after: Option<OrderId>,
    limit: u32,
) -> Result<Vec<OrderId>> {
    let mut from = from;
    if let Some(after) = after {
        let at: Option<Option<DateTime<Utc>>> =
            fetch_optional_scalar!(tx, "SELECT wanted_at FROM orders WHERE id = ?", after);
        // Nothing comes after an order that does not exist, or that is wanted at once.
        from = at.flatten().unwrap_or(to).max(from);
    }
    Ok(fetch_scalars!(
        tx,
        "SELECT id FROM orders /*! FORCE INDEX (orders_of_store_by_wanted) */ \
         WHERE store_id = ? AND wanted_at >= ? AND wanted_at < ? AND (wanted_at > ? OR id > ?) \
         AND status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched') \
         ORDER BY wanted_at, id LIMIT ?",
        store,
        from,
        to,
        from,
        after.unwrap_or(OrderId::MIN),
        limit
    ))
}
