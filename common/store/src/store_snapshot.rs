//! Current activity of a store, for its screens.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Result, fetch_all, fetch_scalars, tx::Tx};
use domain::ids::{OrderId, StoreId, StreamId};

/// Returns the store's placed orders that have not ended, oldest first.
pub async fn open_orders(tx: &mut Tx, store: StoreId, limit: u32) -> Result<Vec<OrderId>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT id FROM orders WHERE store_id = ? \
         AND status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched') \
         ORDER BY id LIMIT ?",
        store,
        limit
    ))
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
