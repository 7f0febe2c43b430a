//! Sessions: the open tabs of tables.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    error::{Result, StoreError},
    execute, fetch_all, fetch_optional, on, push_ids,
    tx::Tx,
};
use domain::{
    ids::{SessionId, StoreId},
    session::{Session, SessionState},
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, store_id, code, name, state, opened_at, closed_at, last_seq FROM sessions ",
            $rest
        )
    };
}

/// Inserts an open session; [`StoreError::UniqueKeyTaken`] if its store has an open one with that key.
pub async fn insert(tx: &mut Tx, session: &Session, open_key: &str) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO sessions (id, store_id, code, name, open_key, state, opened_at, closed_at, last_seq) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        session.id,
        session.store_id,
        session.code.as_bytes(),
        &session.name,
        open_key.as_bytes(),
        session.state,
        session.opened_at,
        session.closed_at,
        session.seq
    );
    Ok(())
}

pub async fn get(tx: &mut Tx, id: SessionId) -> Result<Option<Session>> {
    let row: Option<Row> = fetch_optional!(tx, select!("WHERE id = ?"), id);
    row.map(TryInto::try_into).transpose()
}

pub async fn by_code(tx: &mut Tx, code: &str) -> Result<Option<Session>> {
    let row: Option<Row> = fetch_optional!(tx, select!("WHERE code = ?"), code.as_bytes());
    row.map(TryInto::try_into).transpose()
}

/// Returns whether the store has an open session with that key.
pub async fn is_open(tx: &mut Tx, store: StoreId, open_key: &str) -> Result<bool> {
    let found: Option<(Uuid,)> = fetch_optional!(
        tx,
        "SELECT id FROM sessions WHERE store_id = ? AND open_key = ?",
        store,
        open_key.as_bytes()
    );
    Ok(found.is_some())
}

/// Returns the sessions that exist, by id.
pub async fn many(tx: &mut Tx, ids: &[SessionId]) -> Result<Vec<Session>> {
    some(tx, ids, "").await
}

/// Locks a session's row and returns it.
pub async fn lock(tx: &mut Tx, id: SessionId) -> Result<Option<Session>> {
    Ok(lock_many(tx, &[id]).await?.pop())
}

/// Locks the sessions that exist, by id.
pub async fn lock_many(tx: &mut Tx, ids: &[SessionId]) -> Result<Vec<Session>> {
    // SQLite neither has FOR UPDATE nor needs it: it has one writer.
    let locking = tx.pick(" FOR UPDATE", "");
    some(tx, ids, locking).await
}

/// Locks the sessions that exist and that no other transaction has locked, by id.
pub async fn lock_available(tx: &mut Tx, ids: &[SessionId]) -> Result<Vec<Session>> {
    let locking = tx.pick(" FOR UPDATE SKIP LOCKED", "");
    some(tx, ids, locking).await
}

async fn some(tx: &mut Tx, ids: &[SessionId], locking: &'static str) -> Result<Vec<Session>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(select!("WHERE id IN ("));
        push_ids(&mut query, &ids);
        query.push(") ORDER BY id").push(locking);
        query.build_query_as().fetch_all(conn).await?
    });
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Returns a store's sessions in one state, newest first, that were opened before `before`, the last one of the
/// previous page.
pub async fn list(
    tx: &mut Tx,
    store: StoreId,
    state: SessionState,
    before: Option<SessionId>,
    limit: u32,
) -> Result<Vec<Session>> {
    let before = before.map_or(Uuid::max(), SessionId::uuid);
    let rows: Vec<Row> = fetch_all!(
        tx,
        select!("WHERE store_id = ? AND state = ? AND id < ? ORDER BY id DESC LIMIT ?"),
        store,
        state,
        before,
        limit
    );
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Closes a session, which frees its name.
pub async fn close(tx: &mut Tx, id: SessionId, closed_at: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE sessions SET state = ?, open_key = NULL, closed_at = ? WHERE id = ?",
        SessionState::Closed.as_str(),
        closed_at,
        id
    );
    Ok(())
}

/// Sets the code of a session; [`StoreError::UniqueKeyTaken`] if another session has it.
pub async fn set_code(tx: &mut Tx, id: SessionId, code: &str) -> Result<()> {
    execute!(
        tx,
        "UPDATE sessions SET code = ? WHERE id = ?",
        code.as_bytes(),
        id
    );
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    store_id: Uuid,
    code: Vec<u8>,
    name: String,
    state: String,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    last_seq: i64,
}

impl TryFrom<Row> for Session {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let corrupt = |what: String| StoreError::corrupt("sessions", row.id, what);
        Ok(Self {
            id: row.id.into(),
            store_id: row.store_id.into(),
            code: String::from_utf8(row.code).map_err(|_| corrupt("code is not UTF-8".into()))?,
            name: row.name,
            state: row
                .state
                .parse()
                .map_err(|error: domain::UnknownWord| corrupt(error.to_string()))?,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            seq: row.last_seq,
        })
    }
}
