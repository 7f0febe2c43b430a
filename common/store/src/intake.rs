//! Queries that only intake needs: many rows of several tables at once.

use std::collections::{BTreeMap, HashMap};

use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    error::{Result, StoreError},
    on, push_ids,
    tx::Tx,
};
use domain::{
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
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    // SQLite has one writer and no row locks.
    let lock = tx.pick(
        if wait {
            ") ORDER BY id FOR UPDATE"
        } else {
            ") ORDER BY id FOR UPDATE SKIP LOCKED"
        },
        ")",
    );
    let rows: Vec<(Uuid, Uuid, String, String, i64)> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT id, store_id, name, state, last_seq FROM sessions WHERE id IN (",
        );
        push_ids(&mut query, &ids);
        query.push(lock);
        query.build_query_as().fetch_all(conn).await?
    });
    rows.into_iter()
        .map(|(id, store_id, name, state, last_seq)| {
            let state = state
                .parse()
                .map_err(|error| StoreError::corrupt("sessions", id, error))?;
            Ok((
                id.into(),
                SessionRow {
                    store_id: store_id.into(),
                    name,
                    state,
                    last_seq,
                },
            ))
        })
        .collect()
}

/// Locks the stores' counters and returns their last order numbers.
pub async fn lock_numbers(tx: &mut Tx, stores: &[StoreId]) -> Result<HashMap<StoreId, i64>> {
    if stores.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ids: Vec<Uuid> = stores.iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    // SQLite has one writer and no row locks.
    let lock = tx.pick(") ORDER BY store_id FOR UPDATE", ")");
    let rows: Vec<(Uuid, i64)> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT store_id, last_number FROM store_counters WHERE store_id IN (",
        );
        push_ids(&mut query, &ids);
        query.push(lock);
        query.build_query_as().fetch_all(conn).await?
    });
    Ok(rows
        .into_iter()
        .map(|(id, last_number)| (id.into(), last_number))
        .collect())
}

/// Raises locked counters, with one statement per distinct amount.
pub async fn advance_numbers(tx: &mut Tx, counted: &BTreeMap<StoreId, i64>) -> Result<()> {
    let mut groups: BTreeMap<i64, Vec<Uuid>> = BTreeMap::new();
    for (store, by) in counted {
        groups.entry(*by).or_default().push(store.uuid());
    }
    for (by, ids) in groups {
        on!(&mut *tx, |conn| {
            let mut query =
                QueryBuilder::new("UPDATE store_counters SET last_number = last_number + ");
            query.push_bind(by).push(" WHERE store_id IN (");
            push_ids(&mut query, &ids);
            query.push(")");
            query.build().execute(conn).await?;
        });
    }
    Ok(())
}
