//! Current activity of a store, for its screens.

use chrono::{DateTime, Utc};

use crate::{error::Result, fetch_all, fetch_optional_scalar, fetch_scalars, tx::Tx};
use domain::{
    ids::{OrderId, SessionId, StoreId, StreamId},
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
/// and of these the newest. Orders
/// for later that wait for their hand-over come last, the next one first.
pub async fn open_orders(
    tx: &mut Tx,
    store: StoreId,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<OrderId>> {
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
                "SELECT id FROM orders WHERE store_id = ? AND status = ? AND id < ? \
                 AND (hand_over_at IS NULL OR hand_over_at <= ? OR status NOT IN ('pending', 'accepted')) \
                 ORDER BY id DESC LIMIT ?",
                store,
                *status,
                OrderId::MAX,
                now,
                left
            );
            group.extend(of_status);
        }
        group.sort_unstable_by(|one, other| other.cmp(one));
        found.extend(group);
        found.truncate(limit as usize);
    }
    let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
    if left > 0 {
        let to_come: Vec<OrderId> = fetch_scalars!(
            tx,
            "SELECT id FROM orders /*! FORCE INDEX (orders_of_store_by_wanted) */ \
             WHERE store_id = ? AND wanted_at >= ? AND hand_over_at > ? AND status IN ('pending', 'accepted') \
             ORDER BY wanted_at, id LIMIT ?",
            store,
            now,
            now,
            left
        );
        found.extend(to_come);
    }
    Ok(found)
}

/// Returns the store's last order number. Its row is locked until a placement commits, so that orders commit in the
/// order of their numbers: a snapshot at number n has every order up to n and none after it.
pub async fn last_number(tx: &mut Tx, store: StoreId) -> Result<Option<i64>> {
    Ok(fetch_optional_scalar!(
        tx,
        "SELECT last_number FROM store_counters WHERE store_id = ?",
        store
    ))
}

/// Returns the last numbers of the streams of the store's open sessions.
pub async fn open_session_heads(tx: &mut Tx, store: StoreId) -> Result<Vec<(StreamId, i64)>> {
    Ok(fetch_all!(
        tx,
        "SELECT id, last_seq FROM sessions WHERE store_id = ? AND state = 'OPEN'",
        store
    ))
}

/// Returns the last numbers of the streams of the store's newest `limit` orders without a session that have not ended.
pub async fn open_order_heads(
    tx: &mut Tx,
    store: StoreId,
    limit: u32,
) -> Result<Vec<(StreamId, i64)>> {
    Ok(fetch_all!(
        tx,
        "SELECT id, last_seq FROM orders WHERE store_id = ? AND session_id IS NULL \
         AND status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched') \
         ORDER BY id DESC LIMIT ?",
        store,
        limit
    ))
}

/// The stream of a placed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOfOrder {
    /// The order's number in its store.
    pub number: i64,
    pub stream: StreamId,
    /// The stream's last number.
    pub head: i64,
}

/// Number, id and last number of an order, then session and last number of its session's stream.
type PlacedOrder = (i64, OrderId, i64, Option<SessionId>, Option<i64>);

/// Returns the streams of the store's first `limit` orders after an order number, by number.
pub async fn streams_after_number(
    tx: &mut Tx,
    store: StoreId,
    number: i64,
    limit: u32,
) -> Result<Vec<StreamOfOrder>> {
    let rows: Vec<PlacedOrder> = fetch_all!(
        tx,
        "SELECT o.number, o.id, o.last_seq, s.id, s.last_seq FROM orders o LEFT JOIN sessions s ON s.id = o.session_id \
         WHERE o.store_id = ? AND o.number > ? ORDER BY o.number LIMIT ?",
        store,
        number,
        limit
    );
    let streams = rows.into_iter().map(|(number, order, own, session, told)| {
        let of_session = session.zip(told);
        let (stream, head) = of_session.map_or((order.into(), own), |(id, seq)| (id.into(), seq));
        StreamOfOrder {
            number,
            stream,
            head,
        }
    });
    Ok(streams.collect())
}

/// Returns true if the stream is that of an open session, or has an order with a higher number than `number`.
pub async fn is_open_or_after(tx: &mut Tx, stream: StreamId, number: i64) -> Result<bool> {
    let found: Option<i64> = fetch_optional_scalar!(
        tx,
        "SELECT 1 FROM sessions WHERE id = ? AND state = 'OPEN' \
         UNION ALL SELECT 1 FROM orders WHERE id = ? AND session_id IS NULL AND number > ? \
         UNION ALL SELECT 1 FROM orders WHERE session_id = ? AND number > ? LIMIT 1",
        stream,
        stream,
        number,
        stream,
        number
    );
    Ok(found.is_some())
}
