//! Current activity of a store, for its screens.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Result, fetch_all, fetch_scalars, tx::Tx};
use domain::{
    ids::{OrderId, StoreId, StreamId},
    status::OrderStatus,
};

/// Statuses of open orders, in groups: those that wait for somebody's action come first.
const BY_URGENCY: [&[OrderStatus]; 5] = [
    &[OrderStatus::Pending, OrderStatus::Processing],
    &[OrderStatus::Ready],
    &[OrderStatus::Preparing],
    &[OrderStatus::Accepted],
    &[OrderStatus::Dispatched],
];

/// Returns at most `limit` of the store's placed orders that have not ended: those that need action first come first,
/// and of these the newest.
pub async fn open_orders(tx: &mut Tx, store: StoreId, limit: u32) -> Result<Vec<OrderId>> {
    let mut found: Vec<OrderId> = Vec::new();
    for statuses in BY_URGENCY {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
        if left == 0 {
            break;
        }
        let mut group: Vec<OrderId> = Vec::new();
        for status in statuses {
            let of_status: Vec<OrderId> = fetch_scalars!(
                tx,
                "SELECT id FROM orders WHERE store_id = ? AND status = ? AND id < ? ORDER BY id DESC LIMIT ?",
                store,
                *status,
                OrderId::MAX,
                left
            );
            group.extend(of_status);
        }
        group.sort_unstable_by(|one, other| other.cmp(one));
        found.extend(group);
        found.truncate(limit as usize);
    }
    Ok(found)
}

/// Returns the last numbers of the store's own stream and of the streams that began after `since`. These have ids above
/// `first`, except for orders that were drafts until then.
pub async fn heads_since(
    tx: &mut Tx,
    store: StoreId,
    since: DateTime<Utc>,
    first: Uuid,
) -> Result<Vec<(StreamId, i64)>> {
    Ok(fetch_all!(
        tx,
        "SELECT id, last_seq FROM sessions WHERE store_id = ? AND state IN ('OPEN', 'CLOSED') AND id > ? \
         UNION ALL SELECT id, last_seq FROM orders WHERE store_id = ? AND id > ? AND session_id IS NULL \
           AND status <> 'draft' \
         UNION ALL SELECT id, last_seq FROM orders WHERE store_id = ? AND placed_at >= ? AND id <= ? AND session_id IS NULL \
         UNION ALL SELECT store_id, last_seq FROM store_counters WHERE store_id = ?",
        store,
        first,
        store,
        first,
        store,
        since,
        first,
        store
    ))
}
