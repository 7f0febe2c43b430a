//! Queries that only intake needs: many rows of several tables at once.

use std::collections::{BTreeMap, HashMap};

use sqlx::types::Json;

use crate::{
    error::Result,
    fetch_in, read_in,
    rows::{ReadRow, Row},
    tx::Tx,
    update_many,
};
use domain::{
    capacity::StoreRules,
    ids::{SessionId, StoreId},
    session::SessionState,
};

/// The columns of a session that intake needs.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub store_id: StoreId,
    pub name: String,
    pub state: SessionState,
    pub last_seq: i64,
}

/// Locks the sessions by id. With `wait`, waits for those that another transaction has locked; otherwise skips them.
pub async fn lock_sessions(
    tx: &mut Tx,
    ids: &[SessionId],
    wait: bool,
) -> Result<HashMap<SessionId, SessionRow>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    // SQLite has one writer and no row locks.
    let end = tx.pick(
        if wait {
            ") ORDER BY id FOR UPDATE"
        } else {
            ") ORDER BY id FOR UPDATE SKIP LOCKED"
        },
        ")",
    );
    Ok(read_in!(
        tx,
        "SELECT id, store_id, name, state, last_seq FROM sessions WHERE id IN (",
        &ids,
        end
    ))
}

impl ReadRow for (SessionId, SessionRow) {
    const TABLE: &'static str = "sessions";

    fn read(row: &Row<'_>) -> Result<Self> {
        let session = SessionRow {
            store_id: row.get("store_id")?,
            name: row.get("name")?,
            state: row.get("state")?,
            last_seq: row.get("last_seq")?,
        };
        Ok((row.get("id")?, session))
    }
}

/// Counts the placed orders of each session that have not ended; a session without any is left out.
pub async fn count_unfinished(
    tx: &mut Tx,
    sessions: &[SessionId],
) -> Result<HashMap<SessionId, u32>> {
    let sql = tx.pick(
        "SELECT session_id, COUNT(*) FROM orders FORCE INDEX (orders_of_session_by_status) \
         WHERE status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched') AND session_id IN (",
        "SELECT session_id, COUNT(*) FROM orders INDEXED BY orders_of_session_by_status \
         WHERE status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched') AND session_id IN (",
    );
    let rows: Vec<(SessionId, i64)> = fetch_in!(tx, sql, sessions, ") GROUP BY session_id");
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(rows.into_iter().map(|(id, n)| (id, count(n))).collect())
}

/// Locks the stores' counters as [`lock_sessions`] does sessions, and returns their last order numbers, and the rules of
/// those that have some.
pub async fn lock_numbers(
    tx: &mut Tx,
    stores: &[StoreId],
    wait: bool,
) -> Result<(HashMap<StoreId, i64>, HashMap<StoreId, StoreRules>)> {
    let mut ids = stores.to_vec();
    ids.sort_unstable();
    // SQLite has one writer and no row locks.
    let end = tx.pick(
        if wait {
            ") ORDER BY store_id FOR UPDATE"
        } else {
            ") ORDER BY store_id FOR UPDATE SKIP LOCKED"
        },
        ")",
    );
    let rows: Vec<(StoreId, i64, Option<Json<StoreRules>>)> = fetch_in!(
        tx,
        "SELECT store_id, last_number, rules FROM store_counters WHERE store_id IN (",
        &ids,
        end
    );
    let mut numbers = HashMap::new();
    let mut ruled = HashMap::new();
    for (store, number, rules) in rows {
        numbers.insert(store, number);
        if let Some(Json(rules)) = rules {
            ruled.insert(store, rules);
        }
    }
    Ok((numbers, ruled))
}

/// Raises locked counters, each by its amount.
pub async fn advance_numbers(tx: &mut Tx, counted: &BTreeMap<StoreId, i64>) -> Result<()> {
    let counted: Vec<(StoreId, i64)> = counted.iter().map(|(id, by)| (*id, *by)).collect();
    update_many!(tx, "store_id", "UPDATE store_counters SET ", &counted, |row| row.0, [
        "last_number = last_number + " row.1, " WHERE store_id IN (";
    ]);
    Ok(())
}
