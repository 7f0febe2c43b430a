//! Walks over old rows by their ids, which are in the order of time: no index is read but those that there are. A walk
//! remembers the last row that it has passed, and separately the few that it had to leave because they were open.
//!
//! Every function takes a batch, and has a number of statements that does not depend on its length; contact data is removed
//! by the erasure's function, order by order.

mod archive;
mod delete;
mod strip;
mod sums;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::{
    archive::{ArchivedCallback, ArchivedHandoff, Round, callbacks_of, handoffs_of},
    delete::{
        delete_callbacks_without_order, delete_events_of_orders, delete_orders, delete_sessions,
        delete_store_events, ended_sessions,
    },
    strip::strip_messages,
    sums::{GoneOrders, add_gone_orders, add_gone_stock},
};
use crate::{
    error::Result, execute, execute_in, fetch_in, fetch_optional, fetch_optional_scalar,
    fetch_scalars, insert_many, push_ids, skip_locked, statements::Statement, tx::Tx,
};
use domain::{
    ids::{OrderId, min_id_at},
    retention::Kind,
};

/// Place of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The last row that it has passed.
    pub last_id: Uuid,
    /// Number of the last file, in the archive's walk.
    pub files: i64,
    pub moved_at: DateTime<Utc>,
}

/// Locks a walk's row, which keeps others from walking at the same time; `None` if somebody else has it.
pub async fn take_walk(tx: &mut Tx, kind: Kind, now: DateTime<Utc>) -> Result<Option<Walk>> {
    let sql = skip_locked!(
        tx,
        "SELECT last_id, files, moved_at FROM retention_walks WHERE kind = ?"
    );
    let row = fetch_optional!(tx, sql, kind);
    if let Some((last_id, files, moved_at)) = row {
        return Ok(Some(Walk {
            last_id,
            files,
            moved_at,
        }));
    }
    if walk(tx, kind).await?.is_some() {
        return Ok(None);
    }
    let begun = Walk {
        last_id: Uuid::nil(),
        files: 0,
        moved_at: now,
    };
    execute!(
        tx,
        "INSERT INTO retention_walks (kind, last_id, files, moved_at) VALUES (?, ?, ?, ?)",
        kind,
        begun.last_id,
        begun.files,
        begun.moved_at
    );
    Ok(Some(begun))
}

/// Returns a walk's place without locking it; `None` if it has not begun.
pub async fn walk(tx: &mut Tx, kind: Kind) -> Result<Option<Walk>> {
    let row = fetch_optional!(
        tx,
        "SELECT last_id, files, moved_at FROM retention_walks WHERE kind = ?",
        kind
    );
    Ok(row.map(|(last_id, files, moved_at)| Walk {
        last_id,
        files,
        moved_at,
    }))
}

/// Writes a locked walk's place.
pub async fn move_walk(tx: &mut Tx, kind: Kind, to: Walk) -> Result<()> {
    execute!(
        tx,
        "UPDATE retention_walks SET last_id = ?, files = ?, moved_at = ? WHERE kind = ?",
        to.last_id,
        to.files,
        to.moved_at,
        kind
    );
    Ok(())
}

/// Returns orders after `after` that were made before a time, by id.
pub async fn next_orders(
    tx: &mut Tx,
    after: Uuid,
    made_before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Uuid>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT id FROM orders /*! FORCE INDEX (PRIMARY) */ WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
        after,
        min_id_at(made_before),
        limit
    ))
}

/// Returns sessions in the same way.
pub async fn next_sessions(
    tx: &mut Tx,
    after: Uuid,
    made_before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Uuid>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT id FROM sessions /*! FORCE INDEX (PRIMARY) */ WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
        after,
        min_id_at(made_before),
        limit
    ))
}

/// Returns stores after `after`, by id.
pub async fn next_stores(tx: &mut Tx, after: Uuid, limit: u32) -> Result<Vec<Uuid>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT store_id FROM store_counters WHERE store_id > ? ORDER BY store_id LIMIT ?",
        after,
        limit
    ))
}

/// Returns rows that a walk has left and is to look at again, longest waiting first.
pub async fn leftovers(
    tx: &mut Tx,
    kind: Kind,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Uuid>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT row_id FROM retention_leftovers WHERE kind = ? AND look_at <= ? ORDER BY look_at LIMIT ?",
        kind,
        now,
        limit
    ))
}

/// Replaces rows that were looked at again by those that are left once more, or for the first time.
pub async fn write_leftovers(
    tx: &mut Tx,
    kind: Kind,
    looked_at: &[Uuid],
    left: &[Uuid],
    look_at: DateTime<Utc>,
) -> Result<()> {
    execute_in!(tx, "DELETE FROM retention_leftovers WHERE kind = ", kind, " AND row_id IN ("; looked_at);
    insert_many!(
        tx,
        "INSERT INTO retention_leftovers (kind, row_id, look_at) ",
        left,
        |row, id| row.push_bind(kind).push_bind(*id).push_bind(look_at)
    );
    Ok(())
}

/// Returns which of these orders a walk has left.
pub async fn left_among(tx: &mut Tx, kind: Kind, orders: &[Uuid]) -> Result<Vec<Uuid>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Statement::new(&*tx, "SELECT row_id FROM retention_leftovers WHERE kind = ");
    query.push_bind(kind).push(" AND row_id IN (");
    push_ids(&mut query, orders);
    let rows: Vec<(Uuid,)> = query.push(")").fetch_all(&mut *tx).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Returns those of these orders that exist.
pub async fn existing_among(tx: &mut Tx, orders: &[Uuid]) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = fetch_in!(
        tx,
        "SELECT id FROM orders /*! FORCE INDEX (PRIMARY) */ WHERE id IN (",
        orders,
        ")"
    );
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Returns those of these orders that have a handoff which is not closed or still under way, or a callback that is not
/// applied.
pub async fn busy_among(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<OrderId>> {
    let mut busy: Vec<(OrderId,)> = fetch_in!(
        tx,
        "SELECT order_id FROM handoffs /*! FORCE INDEX (order_id) */ \
         WHERE (closed_at IS NULL OR (state = 'acknowledged' AND leased_until IS NOT NULL)) AND order_id IN (",
        orders,
        ")"
    );
    let unapplied: Vec<(OrderId,)> = fetch_in!(
        tx,
        "SELECT order_id FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
         WHERE applied_at IS NULL AND order_id IN (",
        orders,
        ")"
    );
    busy.extend(unapplied);
    Ok(busy.into_iter().map(|(id,)| id).collect())
}

/// Returns the ids of the handoffs of these orders.
async fn handoffs_of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = fetch_in!(
        tx,
        "SELECT id FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id IN (",
        orders,
        ")"
    );
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// `DELETE` of the rows of a list, by this index: MySQL takes its name only in the form for several tables, and a plan
/// that reads the table would wait for rows that others have locked.
macro_rules! delete_in {
    ($table:literal, $index:literal, $column:literal) => {
        concat!(
            "DELETE /*! gone */ FROM ",
            $table,
            " /*! gone FORCE INDEX (",
            $index,
            ") */ WHERE ",
            $column,
            " IN ("
        )
    };
}
use delete_in;

/// Runs a statement that ends in `IN (` for these ids; returns how many rows it changed.
async fn execute_counted(tx: &mut Tx, sql: &'static str, ids: &[Uuid]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut query = Statement::new(&*tx, sql);
    push_ids(&mut query, ids);
    query.push(")").execute(&mut *tx).await
}

fn uuids(orders: &[OrderId]) -> Vec<Uuid> {
    orders.iter().map(|id| id.uuid()).collect()
}

/// Returns the largest number of the streams, other than an order's own, that tell of these orders.
async fn shared_streams(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<(Uuid, i64)>> {
    Ok(fetch_in!(
        tx,
        "SELECT stream_id, MAX(seq) FROM events /*! FORCE INDEX (events_of_order) */ \
         WHERE stream_id <> order_id AND order_id IN (",
        orders,
        ") GROUP BY stream_id"
    ))
}

/// Notes that events of these streams up to these numbers are gone.
async fn raise_floors(tx: &mut Tx, floors: &[(Uuid, i64)]) -> Result<()> {
    let end = tx.pick(
        " ON DUPLICATE KEY UPDATE gone_to = GREATEST(gone_to, VALUES(gone_to))",
        // MySQL has no ON CONFLICT.
        " ON CONFLICT (stream_id) DO UPDATE SET gone_to = MAX(gone_to, excluded.gone_to)",
    );
    insert_many!(
        tx,
        "INSERT INTO event_floors (stream_id, gone_to) ",
        floors,
        |row, floor| row.push_bind(floor.0).push_bind(floor.1),
        end
    );
    Ok(())
}

/// Returns the largest deleted number of a stream; `None` if none is gone.
pub async fn floor(tx: &mut Tx, stream: Uuid) -> Result<Option<i64>> {
    Ok(fetch_optional_scalar!(
        tx,
        "SELECT gone_to FROM event_floors WHERE stream_id = ?",
        stream
    ))
}
