//! Recent failed sign-ins: a row each, so that nobody waits for a lock to count one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Result, execute, fetch_scalars, insert_many, tx::Tx};

/// Returns when the mark's latest failures expire, the last one first; at most `max`.
pub async fn latest(
    tx: &mut Tx,
    mark: &[u8; 32],
    max: u32,
    now: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT expires_at FROM sign_in_failures WHERE mark = ? AND expires_at > ? \
         ORDER BY expires_at DESC LIMIT ?",
        mark.as_slice(),
        now,
        max
    ))
}

/// Inserts one failure for each of these marks.
pub async fn insert(
    tx: &mut Tx,
    marks: &[[u8; 32]],
    expires_at: DateTime<Utc>,
    id: Uuid,
) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO sign_in_failures (mark, expires_at, id) ",
        marks,
        |push, mark| push
            .push_bind(mark.to_vec())
            .push_bind(expires_at)
            .push_bind(id)
    );
    Ok(())
}

/// Deletes the mark's failures, and returns how many.
pub async fn delete(tx: &mut Tx, mark: &[u8; 32]) -> Result<u64> {
    Ok(execute!(
        tx,
        "DELETE FROM sign_in_failures WHERE mark = ?",
        mark.as_slice()
    ))
}
