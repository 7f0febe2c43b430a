//! Finds orders that their store takes for delivered some hours after they were accepted.

use chrono::{DateTime, Utc};

use super::last_id_at;
use crate::{error::Result, fetch_all, fetch_scalars, tx::Tx};
use domain::ids::{OrderId, StoreId};

/// Returns at most `limit` stores with `deliver_accepted_after_h` and its value, by that value and id.
pub async fn stores(
    tx: &mut Tx,
    after: Option<(i64, StoreId)>,
    limit: u32,
) -> Result<Vec<(i64, StoreId)>> {
    let (hours, id) = after.unwrap_or((0, StoreId::MIN));
    Ok(fetch_all!(
        tx,
        "SELECT CAST(deliver_accepted_after_h AS SIGNED), id FROM stores WHERE deliver_accepted_after_h >= ? \
         AND (deliver_accepted_after_h > ? OR id > ?) ORDER BY deliver_accepted_after_h, id LIMIT ?",
        hours,
        hours,
        id,
        limit
    ))
}

/// Returns at most `limit` orders of a store that were accepted, and wanted, before a time and have not gone to a
/// courier, oldest first.
pub async fn orders(
    tx: &mut Tx,
    store: StoreId,
    accepted_before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<OrderId>> {
    // An order is accepted after its id was made, so that the index ends before the younger ones.
    let last = last_id_at(accepted_before);
    let mut found: Vec<OrderId> = Vec::new();
    for status in ["accepted", "preparing", "ready"] {
        let of_status: Vec<OrderId> = fetch_scalars!(
            tx,
            "SELECT id FROM orders /*! FORCE INDEX (orders_of_store_by_status) */ \
             WHERE store_id = ? AND status = ? AND id <= ? AND accepted_at <= ? \
             AND (wanted_at IS NULL OR wanted_at <= ?) ORDER BY id LIMIT ?",
            store,
            status,
            last,
            accepted_before,
            accepted_before,
            limit
        );
        found.extend(of_status);
    }
    found.sort_unstable();
    found.truncate(limit as usize);
    Ok(found)
}
