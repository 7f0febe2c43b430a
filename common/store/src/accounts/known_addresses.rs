//! Addresses from which account owners have signed in recently.

use chrono::{DateTime, Utc};

use crate::{
    error::{Result, StoreError},
    execute, fetch_optional_scalar,
    tx::Tx,
};

/// Returns until when the mark is known; `None` if it is not.
pub async fn known_until(
    tx: &mut Tx,
    mark: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    Ok(fetch_optional_scalar!(
        tx,
        "SELECT expires_at FROM known_addresses WHERE mark = ? AND expires_at > ?",
        mark.as_slice(),
        now
    ))
}

pub async fn keep(tx: &mut Tx, mark: &[u8; 32], expires_at: DateTime<Utc>) -> Result<()> {
    let was_there = execute!(
        tx,
        "UPDATE known_addresses SET expires_at = ? WHERE mark = ?",
        expires_at,
        mark.as_slice()
    ) > 0;
    if was_there {
        return Ok(());
    }
    match insert(tx, mark, expires_at).await {
        // Another process has inserted the same row first.
        Err(StoreError::UniqueKeyTaken) => Ok(()),
        done => done,
    }
}

async fn insert(tx: &mut Tx, mark: &[u8; 32], expires_at: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO known_addresses (mark, expires_at) VALUES (?, ?)",
        mark.as_slice(),
        expires_at
    );
    Ok(())
}
