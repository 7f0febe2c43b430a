//! Order counts: a stored tally of each store's older orders, and the rest, which is counted each time.
//!
//! A store's order numbers are given out under a lock that is held until the commit, so a reader who sees one order
//! sees all with smaller numbers. "All up to this number" is therefore a set that only grows, whatever any clock says.

use chrono::{DateTime, Utc};

use crate::{
    bulk::{chunks, different},
    error::Result,
    execute, execute_in,
    explain::QueryOutput,
    fetch_all, read_all, read_in,
    rows::{ReadRow, Readable, Row, read_rows},
    statements::Statement,
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
    /// Returns the store and the number above which [`count_rest`] must count; `None` if there is no rest.
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
    Ok(read_in!(
        tx,
        select_tallied!("WHERE c.store_id IN ("),
        stores,
        ")"
    ))
}

/// Returns the tallies of all stores after `after`, by id.
pub async fn all_tallies(tx: &mut Tx, after: Option<StoreId>, limit: u32) -> Result<Vec<Tallied>> {
    Ok(read_all!(
        tx,
        select_tallied!("WHERE c.store_id > ? ORDER BY c.store_id LIMIT ?"),
        after.unwrap_or(StoreId::MIN),
        limit
    ))
}

/// Counts the orders of each of these stores whose numbers are above the given one.
pub async fn count_rest(tx: &mut Tx, of: &[(StoreId, i64)]) -> Result<Tally> {
    let mut tally = Tally::default();
    for chunk in chunks(of) {
        let rows: Vec<Readable<InStatus>> = run_query(tx, chunk).await?;
        for row in read_rows::<InStatus, Vec<_>>(rows)? {
            tally.add_counted(row.status, row.orders, row.ever_accepted, row.acceptance_us);
        }
    }
    Ok(tally)
}

pub(crate) async fn run_query<A: QueryOutput>(
    tx: &mut Tx,
    of: &[(StoreId, i64)],
) -> Result<Vec<A>> {
    let sql_prefix = A::sql_prefix(tx);
    // SQLite stores times as texts: the first 19 characters are whole seconds, and the rest reads as a fraction.
    let sql = tx.pick(
        "SELECT status, COUNT(*) AS orders, COUNT(accepted_at) AS ever_accepted, \
         CAST(COALESCE(SUM(TIMESTAMPDIFF(MICROSECOND, \
           LEAST(accepted_at, GREATEST(placed_at, COALESCE(hand_over_at, placed_at))), accepted_at)), 0) AS SIGNED) AS acceptance_us \
         FROM orders WHERE ",
        "SELECT status, COUNT(*) AS orders, COUNT(accepted_at) AS ever_accepted, COALESCE(SUM( \
           (unixepoch(substr(accepted_at, 1, 19)) - unixepoch(substr(since, 1, 19))) * 1000000 \
           + CAST(ROUND(CAST(substr(accepted_at, 20) AS REAL) * 1000000) AS INTEGER) \
           - CAST(ROUND(CAST(substr(since, 20) AS REAL) * 1000000) AS INTEGER)), 0) AS acceptance_us \
         FROM (SELECT store_id, number, status, accepted_at, \
           MIN(accepted_at, MAX(placed_at, COALESCE(hand_over_at, placed_at))) AS since FROM orders) WHERE ",
    );
    let mut query = Statement::new(tx, sql_prefix);
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
    query.fetch_all::<A>(tx).await
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
    let rows: Vec<(_, _, _, Option<DateTime<Utc>>)> = fetch_all!(
        tx,
        "SELECT id, number, placed_at, ended_at FROM orders WHERE store_id = ? AND number > ? ORDER BY number LIMIT ?",
        store,
        above,
        limit
    );
    let untallied = |(id, number, placed_at, ended_at): (_, _, _, Option<_>)| Untallied {
        id,
        number,
        placed_at,
        has_ended: ended_at.is_some(),
    };
    Ok(rows.into_iter().map(untallied).collect())
}

/// Locks those orders, by id, that are in no tally and that no other transaction has locked.
pub async fn lock_untallied(tx: &mut Tx, ids: &[OrderId]) -> Result<Vec<Counted>> {
    // SQLite has one writer and no row locks.
    let end = tx.pick(
        ") AND tallied = FALSE ORDER BY id FOR UPDATE SKIP LOCKED",
        ") AND tallied = FALSE ORDER BY id",
    );
    Ok(read_in!(
        tx,
        "SELECT id, status, placed_at, accepted_at, hand_over_at FROM orders WHERE id IN (",
        ids,
        end
    ))
}

/// Inserts an empty tally for a store; [`StoreError::UniqueKeyTaken`] if it has one.
pub async fn insert_tally(tx: &mut Tx, store: StoreId) -> Result<()> {
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
    let extended = add(tx, store, (from, to), more).await?;
    Ok(extended == 1)
}

/// Corrects tallies of stores after a change of orders that are in them, with one statement; `false` if one of them has
/// no tally.
pub async fn correct(tx: &mut Tx, changes: &[(StoreId, &Tally)]) -> Result<bool> {
    let mut corrected = 0;
    for chunk in different(changes) {
        let mut query =
            Statement::new(tx, "UPDATE order_tallies /*! FORCE INDEX (PRIMARY) */ SET ");
        let mut sums = query.separated(", ");
        for (column, sum) in sums_of(&chunk) {
            sums.push(column).push_unseparated(" = ");
            sums.push_unseparated(column)
                .push_unseparated(" + CASE store_id");
            for ((store, _), sum) in chunk.iter().zip(sum) {
                sums.push_unseparated(" WHEN ")
                    .push_bind_unseparated(*store);
                sums.push_unseparated(" THEN ").push_bind_unseparated(sum);
            }
            sums.push_unseparated(" END");
        }
        query.push(" WHERE store_id IN (");
        let mut stores = query.separated(", ");
        for (store, _) in &chunk {
            stores.push_bind(*store);
        }
        corrected += query.push(")").execute(tx).await?;
    }
    Ok(corrected == changes.len() as u64)
}

/// Returns each column of a tally, with what is added to it for each store.
fn sums_of(changes: &[&(StoreId, &Tally)]) -> Vec<(&'static str, Vec<i64>)> {
    let sums = |sum: &dyn Fn(&Tally) -> i64| changes.iter().map(|(_, tally)| sum(tally)).collect();
    let mut all: Vec<(&str, Vec<i64>)> = COLUMNS
        .iter()
        .map(|(column, status)| (*column, sums(&|tally: &Tally| tally.in_status(*status))))
        .collect();
    all.push(("ever_accepted", sums(&Tally::ever_accepted)));
    all.push(("acceptance_us", sums(&Tally::acceptance_us)));
    all
}

/// Adds to a tally that ends at `from`, and makes it end at `to`; returns the number of changed rows.
async fn add(tx: &mut Tx, store: StoreId, (from, to): (i64, i64), more: &Tally) -> Result<u64> {
    let mut query = Statement::new(tx, "UPDATE order_tallies SET ");
    let mut sums = query.separated(", ");
    for (column, sum) in sums_of(&[&(store, more)]) {
        sums.push(column).push_unseparated(" = ");
        sums.push_unseparated(column).push_unseparated(" + ");
        for sum in sum {
            sums.push_bind_unseparated(sum);
        }
    }
    sums.push("up_to = ").push_bind_unseparated(to);
    query.push(" WHERE store_id = ").push_bind(store);
    query.push(" AND up_to = ").push_bind(from);
    query.execute(tx).await
}

/// Marks these orders as tallied.
pub async fn mark_tallied(tx: &mut Tx, ids: &[OrderId]) -> Result<()> {
    execute_in!(tx, "UPDATE orders SET tallied = TRUE WHERE id IN ("; ids);
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

impl ReadRow for Tallied {
    const TABLE: &'static str = "store_counters";
    const KEY: &'static str = "store_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        let sum = |column| {
            row.get::<Option<i64>>(column)
                .map(Option::unwrap_or_default)
        };
        let mut tally = Tally::default();
        for (column, status) in COLUMNS {
            tally.add_counted(*status, sum(column)?, 0, 0);
        }
        tally.add_counted(Accepted, 0, sum("ever_accepted")?, sum("acceptance_us")?);
        Ok(Self {
            store: row.get("store_id")?,
            tally,
            up_to: row.get("up_to")?,
            last_number: row.get("last_number")?,
        })
    }
}

impl ReadRow for Counted {
    const TABLE: &'static str = "orders";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            status: row.get("status")?,
            placed_at: row.get("placed_at")?,
            accepted_at: row.get("accepted_at")?,
            hand_over_at: row.get("hand_over_at")?,
        })
    }
}

/// The orders in one status.
struct InStatus {
    status: OrderStatus,
    orders: i64,
    ever_accepted: i64,
    acceptance_us: i64,
}

impl ReadRow for InStatus {
    const TABLE: &'static str = "orders";
    const KEY: &'static str = "counted by status";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            status: row.get("status")?,
            orders: row.get("orders")?,
            ever_accepted: row.get("ever_accepted")?,
            acceptance_us: row.get("acceptance_us")?,
        })
    }
}

/// Returns every placed order, to check the counts against.
#[cfg(any(test, feature = "testing"))]
pub async fn placed_orders(tx: &mut Tx) -> Result<Vec<(StoreId, Counted)>> {
    let rows = fetch_all!(
        tx,
        "SELECT store_id, status, placed_at, accepted_at, hand_over_at FROM orders WHERE status <> 'draft'"
    );
    let counted = |(store, status, placed_at, accepted_at, hand_over_at)| {
        let counted = Counted {
            status,
            placed_at,
            accepted_at,
            hand_over_at,
        };
        (store, counted)
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
