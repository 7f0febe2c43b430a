//! Addresses from which account owners have signed in recently.

use chrono::{DateTime, Utc};

use crate::{
    error::{Result, StoreError},
    on,
    tx::Tx,
};

/// Returns until when the mark is known; `None` if it is not.
pub async fn known_until(
    tx: &mut Tx,
    mark: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    Ok(on!(tx, |conn| sqlx::query_scalar(
        "SELECT expires_at FROM known_addresses WHERE mark = ? AND expires_at > ?"
    )
    .bind(mark.as_slice())
    .bind(now)
    .fetch_optional(conn)
    .await?))
}

pub async fn keep(tx: &mut Tx, mark: &[u8; 32], expires_at: DateTime<Utc>) -> Result<()> {
    let was_there = on!(&mut *tx, |conn| sqlx::query(
        "UPDATE known_addresses SET expires_at = ? WHERE mark = ?"
    )
    .bind(expires_at)
    .bind(mark.as_slice())
    .execute(conn)
    .await?
    .rows_affected())
        > 0;
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
    on!(tx, |conn| sqlx::query(
        "INSERT INTO known_addresses (mark, expires_at) VALUES (?, ?)"
    )
    .bind(mark.as_slice())
    .bind(expires_at)
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}
