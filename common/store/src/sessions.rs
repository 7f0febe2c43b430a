//! Sessions: the open tabs of tables.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    error::Result,
    execute, fetch_optional, for_update, read_all, read_in, read_optional,
    rows::{ReadRow, Row},
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
    Ok(read_optional!(tx, select!("WHERE id = ?"), id))
}

pub async fn by_code(tx: &mut Tx, code: &str) -> Result<Option<Session>> {
    Ok(read_optional!(
        tx,
        select!("WHERE code = ?"),
        code.as_bytes()
    ))
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
    some(tx, ids, ") ORDER BY id").await
}

/// Locks a session's row and returns it.
pub async fn lock(tx: &mut Tx, id: SessionId) -> Result<Option<Session>> {
    Ok(lock_many(tx, &[id]).await?.pop())
}

/// Locks the sessions that exist, by id.
pub async fn lock_many(tx: &mut Tx, ids: &[SessionId]) -> Result<Vec<Session>> {
    let end = for_update!(tx, ") ORDER BY id");
    some(tx, ids, end).await
}

async fn some(tx: &mut Tx, ids: &[SessionId], end: &'static str) -> Result<Vec<Session>> {
    Ok(read_in!(tx, select!("WHERE id IN ("), ids, end))
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
    let before = before.unwrap_or(SessionId::MAX);
    Ok(read_all!(
        tx,
        select!("WHERE store_id = ? AND state = ? AND id < ? ORDER BY id DESC LIMIT ?"),
        store,
        state,
        before,
        limit
    ))
}

/// Closes a session, which frees its name.
pub async fn close(tx: &mut Tx, id: SessionId, closed_at: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE sessions SET state = ?, open_key = NULL, closed_at = ? WHERE id = ?",
        SessionState::Closed,
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

impl ReadRow for Session {
    const TABLE: &'static str = "sessions";

    fn read(row: &Row<'_>) -> Result<Self> {
        let utf8 = |bytes| String::from_utf8(bytes).map_err(|_| "code is not UTF-8");
        Ok(Self {
            id: row.get("id")?,
            store_id: row.get("store_id")?,
            code: row.parse("code", utf8)?,
            name: row.get("name")?,
            state: row.get("state")?,
            opened_at: row.get("opened_at")?,
            closed_at: row.get("closed_at")?,
            seq: row.get("last_seq")?,
        })
    }
}
