//! Order counts: a stored tally of each store's older orders, and the rest, which is counted each time.
//!
//! A store's order numbers are given out under a lock that is held until the commit, so a reader who sees one order
//! sees all with smaller numbers. "All up to this number" is therefore a set that only grows, whatever any clock says.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    bulk::chunks,
    error::{Result, StoreError},
    execute,
    explain::{QueryOutput, impl_query_output},
    fetch_all, on, push_ids,
    tx::Tx,
};
use domain::{
    ids::{OrderId, StoreId},
    status::OrderStatus::{
        self, Accepted, Cancelled, Delivered, Dispatched, Failed, Pending, Preparing, Processing,
        Ready, Rejected,
    },
    tally::{Counted, Tally},
};

/// A store's tally, with the last order numbers of the tally and of the store.
#[derive(Clone, Debug)]
pub struct Tallied {
    pub store: StoreId,
    pub tally: Tally,
    /// Last order number in the tally; `None` if there is no tally yet.
    pub up_to: Option<i64>,
    last_number: i64,
}

impl Tallied {
    /// Returns the store and the number above which [`rest`] must count; `None` if there is no rest.
    pub fn rest(&self) -> Option<(StoreId, i64)> {
        let up_to = self.up_to.unwrap_or(0);
        (self.last_number > up_to).then_some((self.store, up_to))
    }
}

macro_rules! select_tallied {
    ($rest:literal) => {
        concat!(
            "SELECT c.store_id, c.last_number, t.up_to, t.pending, t.processing, t.accepted, t.preparing, t.ready, \
             t.dispatched, t.delivered, t.rejected, t.failed, t.cancelled, t.ever_accepted, t.acceptance_us \
             FROM store_counters c LEFT JOIN order_tallies t ON t.store_id = c.store_id ",
            $rest
        )
    };
}

/// Returns the tallies of these stores.
pub async fn tallied(tx: &mut Tx, stores: &[StoreId]) -> Result<Vec<Tallied>> {
    if stores.is_empty() {
        return Ok(Vec::new());
    }
    let stores: Vec<Uuid> = stores.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(select_tallied!("WHERE c.store_id IN ("));
        push_ids(&mut query, &stores);
        query.push(")");
        query.build_query_as().fetch_all(conn).await?
    });
    Ok(rows.into_iter().map(Tallied::from).collect())
}

/// Returns the tallies of all stores after `after`, by id.
pub async fn all_tallies(tx: &mut Tx, after: Option<StoreId>, limit: u32) -> Result<Vec<Tallied>> {
    let rows: Vec<Row> = fetch_all!(
        tx,
        select_tallied!("WHERE c.store_id > ? ORDER BY c.store_id LIMIT ?"),
        after.unwrap_or(Uuid::nil().into()),
        limit
    );
    Ok(rows.into_iter().map(Tallied::from).collect())
}

/// Counts the orders of each of these stores whose numbers are above the given one.
pub async fn rest(tx: &mut Tx, of: &[(StoreId, i64)]) -> Result<Tally> {
    let mut tally = Tally::default();
    for chunk in chunks(of) {
        for row in counted::<CountedRow>(tx, chunk).await? {
            let status: OrderStatus = row
                .status
                .parse()
                .map_err(|error| StoreError::corrupt("orders", "counted by status", error))?;
            tally.add_counted(status, row.orders, row.ever_accepted, row.acceptance_us);
        }
    }
    Ok(tally)
}

pub async fn counted<A: QueryOutput>(tx: &mut Tx, of: &[(StoreId, i64)]) -> Result<Vec<A>> {
    let sql_prefix = A::sql_prefix(tx);
    // SQLite stores times as texts: the first 19 characters are whole seconds, and the rest reads as a fraction.
    let sql = tx.pick(
        "SELECT status, COUNT(*) AS orders, COUNT(accepted_at) AS ever_accepted, \
         CAST(COALESCE(SUM(TIMESTAMPDIFF(MICROSECOND, placed_at, accepted_at)), 0) AS SIGNED) AS acceptance_us \
         FROM orders WHERE ",
        "SELECT status, COUNT(*) AS orders, COUNT(accepted_at) AS ever_accepted, COALESCE(SUM( \
           (unixepoch(substr(accepted_at, 1, 19)) - unixepoch(substr(placed_at, 1, 19))) * 1000000 \
           + CAST(ROUND(CAST(substr(accepted_at, 20) AS REAL) * 1000000) AS INTEGER) \
           - CAST(ROUND(CAST(substr(placed_at, 20) AS REAL) * 1000000) AS INTEGER)), 0) AS acceptance_us \
         FROM orders WHERE ",
    );
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(sql_prefix);
        query.push(sql);
        let mut list = query.separated(" OR ");
        for (store, above) in of {
            list.push("(store_id = ")
                .push_bind_unseparated(store)
                .push_unseparated(" AND number > ")
                .push_bind_unseparated(*above)
                .push_unseparated(")");
        }
        query.push(" GROUP BY status");
        query.build_query_as::<A>().fetch_all(conn).await?
    }))
}

/// An order that is not in a tally yet.
#[derive(Clone, Copy, Debug)]
pub struct Untallied {
    pub id: OrderId,
    pub number: i64,
    pub placed_at: Option<DateTime<Utc>>,
    pub has_ended: bool,
}

/// Returns the store's orders with numbers above `above`, by number.
pub async fn untallied(
    tx: &mut Tx,
    store: StoreId,
    above: i64,
    limit: u32,
) -> Result<Vec<Untallied>> {
    type Found = (Uuid, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let rows: Vec<Found> = fetch_all!(
        tx,
        "SELECT id, number, placed_at, ended_at FROM orders WHERE store_id = ? AND number > ? ORDER BY number LIMIT ?",
        store,
        above,
        limit
    );
    let untallied = |(id, number, placed_at, ended_at): Found| Untallied {
        id: OrderId::from(id),
        number,
        placed_at,
        has_ended: ended_at.is_some(),
    };
    Ok(rows.into_iter().map(untallied).collect())
}

/// Locks those orders, by id, that are in no tally and that no other transaction has locked.
pub async fn lock_untallied(tx: &mut Tx, ids: &[OrderId]) -> Result<Vec<Counted>> {
    type Found = (Uuid, String, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    // SQLite has one writer and no row locks.
    let end = tx.pick(
        ") AND tallied = FALSE ORDER BY id FOR UPDATE SKIP LOCKED",
        ") AND tallied = FALSE ORDER BY id",
    );
    let rows: Vec<Found> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT id, status, placed_at, accepted_at FROM orders WHERE id IN (",
        );
        push_ids(&mut query, &ids);
        query.push(end);
        query.build_query_as().fetch_all(conn).await?
    });
    let counted = |(id, status, placed_at, accepted_at): Found| {
        let status = status.parse();
        Ok(Counted {
            status: status.map_err(|error| StoreError::corrupt("orders", id, error))?,
            placed_at,
            accepted_at,
        })
    };
    rows.into_iter().map(counted).collect()
}

/// Inserts an empty tally for a store; [`StoreError::UniqueKeyTaken`] if it has one.
pub async fn begin(tx: &mut Tx, store: StoreId) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO order_tallies (store_id, up_to, pending, processing, accepted, preparing, ready, dispatched, \
         delivered, rejected, failed, cancelled, ever_accepted, acceptance_us) \
         VALUES (?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        store
    );
    Ok(())
}

/// Adds to a tally that ends at `from`, so that it ends at `to`; `false` if it no longer ends at `from`.
pub async fn extend(
    tx: &mut Tx,
    store: StoreId,
    (from, to): (i64, i64),
    more: &Tally,
) -> Result<bool> {
    let extended = add(tx, store, Some(from), to, more).await?;
    Ok(extended == 1)
}

/// Corrects a store's tally after a change of an order that is in it; `false` if there is no tally.
pub async fn correct(tx: &mut Tx, store: StoreId, change: &Tally) -> Result<bool> {
    Ok(add(tx, store, None, 0, change).await? == 1)
}

/// Adds to a tally and returns the number of changed rows. With `ends_at`, requires that it ends there, and makes it
/// end at `to`.
async fn add(
    tx: &mut Tx,
    store: StoreId,
    ends_at: Option<i64>,
    to: i64,
    more: &Tally,
) -> Result<u64> {
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new("UPDATE order_tallies SET ");
        let mut sums = query.separated(", ");
        for (column, status) in COLUMNS {
            sums.push(*column).push_unseparated(" = ");
            sums.push_unseparated(*column).push_unseparated(" + ");
            sums.push_bind_unseparated(more.in_status(*status));
        }
        sums.push("ever_accepted = ever_accepted + ")
            .push_bind_unseparated(more.ever_accepted());
        sums.push("acceptance_us = acceptance_us + ")
            .push_bind_unseparated(more.acceptance_us());
        if ends_at.is_some() {
            sums.push("up_to = ").push_bind_unseparated(to);
        }
        query.push(" WHERE store_id = ").push_bind(store);
        if let Some(from) = ends_at {
            query.push(" AND up_to = ").push_bind(from);
        }
        query.build().execute(conn).await?.rows_affected()
    }))
}

/// Marks these orders as tallied.
pub async fn mark(tx: &mut Tx, ids: &[OrderId]) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    on!(tx, |conn| {
        let mut query = QueryBuilder::new("UPDATE orders SET tallied = TRUE WHERE id IN (");
        push_ids(&mut query, &ids);
        query.push(")");
        query.build().execute(conn).await?;
    });
    Ok(())
}

/// The tally's columns. Drafts are not placed yet, and in no tally.
const COLUMNS: &[(&str, OrderStatus)] = &[
    ("pending", Pending),
    ("processing", Processing),
    ("accepted", Accepted),
    ("preparing", Preparing),
    ("ready", Ready),
    ("dispatched", Dispatched),
    ("delivered", Delivered),
    ("rejected", Rejected),
    ("failed", Failed),
    ("cancelled", Cancelled),
];

#[derive(sqlx::FromRow)]
struct Row {
    store_id: Uuid,
    last_number: i64,
    up_to: Option<i64>,
    pending: Option<i64>,
    processing: Option<i64>,
    accepted: Option<i64>,
    preparing: Option<i64>,
    ready: Option<i64>,
    dispatched: Option<i64>,
    delivered: Option<i64>,
    rejected: Option<i64>,
    failed: Option<i64>,
    cancelled: Option<i64>,
    ever_accepted: Option<i64>,
    acceptance_us: Option<i64>,
}

impl From<Row> for Tallied {
    fn from(row: Row) -> Self {
        let mut tally = Tally::default();
        for (status, orders) in [
            (Pending, row.pending),
            (Processing, row.processing),
            (Accepted, row.accepted),
            (Preparing, row.preparing),
            (Ready, row.ready),
            (Dispatched, row.dispatched),
            (Delivered, row.delivered),
            (Rejected, row.rejected),
            (Failed, row.failed),
            (Cancelled, row.cancelled),
        ] {
            tally.add_counted(status, orders.unwrap_or(0), 0, 0);
        }
        let (ever_accepted, acceptance_us) = (row.ever_accepted, row.acceptance_us);
        tally.add_counted(
            Accepted,
            0,
            ever_accepted.unwrap_or(0),
            acceptance_us.unwrap_or(0),
        );
        Self {
            store: row.store_id.into(),
            tally,
            up_to: row.up_to,
            last_number: row.last_number,
        }
    }
}

impl_query_output!(CountedRow);

#[derive(sqlx::FromRow)]
struct CountedRow {
    status: String,
    orders: i64,
    ever_accepted: i64,
    acceptance_us: i64,
}

/// Returns every placed order, to check the counts against.
#[cfg(any(test, feature = "testing"))]
pub async fn placed_orders(tx: &mut Tx) -> Result<Vec<(StoreId, Counted)>> {
    type Found = (Uuid, String, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let rows: Vec<Found> = fetch_all!(
        tx,
        "SELECT store_id, status, placed_at, accepted_at FROM orders WHERE status <> 'draft'"
    );
    let counted = |(store, status, placed_at, accepted_at): Found| {
        let status = status.parse().expect("a status is one of the words");
        let counted = Counted {
            status,
            placed_at,
            accepted_at,
        };
        (store.into(), counted)
    };
    Ok(rows.into_iter().map(counted).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_tally_has_a_column_for_every_status_of_a_placed_order() {
        let counted: HashSet<OrderStatus> = COLUMNS.iter().map(|(_, status)| *status).collect();
        let placed = OrderStatus::ALL
            .iter()
            .filter(|status| **status != OrderStatus::Draft);
        assert_eq!(counted, placed.copied().collect());
        assert!(
            COLUMNS
                .iter()
                .all(|(column, status)| *column == status.as_str())
        );
    }
}
