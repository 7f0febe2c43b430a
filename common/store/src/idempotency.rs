//! Idempotency keys: which request created which resource. Written in the resource's transaction.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    error::{Result, StoreError},
    execute, fetch_optional, insert_many,
    statements::Statement,
    tx::Tx,
};

/// An idempotency key; `owner` is the account's id or, for a guest, the guest's scope in the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub owner: Uuid,
    pub key: String,
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    pub resource_id: Uuid,
}

pub async fn find(tx: &mut Tx, wanted: &[(Uuid, &str)]) -> Result<Vec<KeyRow>> {
    let mut found = Vec::new();
    for chunk in super::bulk::chunks(wanted) {
        let rows: Vec<(Uuid, Vec<u8>, Vec<u8>, Uuid)> = {
            let mut query = Statement::new(
                tx,
                "SELECT owner, idempotency_key, fingerprint, resource_id FROM idempotency_keys WHERE ",
            );
            let mut list = query.separated(" OR ");
            for (owner, key) in chunk {
                list.push("(owner = ")
                    .push_bind_unseparated(*owner)
                    .push_unseparated(" AND idempotency_key = ")
                    .push_bind_unseparated(key.as_bytes())
                    .push_unseparated(")");
            }
            query.fetch_all(tx).await?
        };
        found.extend(
            rows.into_iter()
                .map(|(owner, key, fingerprint, resource_id)| KeyRow {
                    owner,
                    key: String::from_utf8_lossy(&key).into_owned(),
                    fingerprint: fingerprint.try_into().unwrap_or_default(),
                    resource_id,
                }),
        );
    }
    Ok(found)
}

/// Returns whether another transaction is writing this key and has not committed. Not for use in a transaction that
/// goes on.
pub async fn is_being_written(tx: &mut Tx, owner: Uuid, key: &str) -> Result<bool> {
    match lock_nowait(tx, owner, key).await {
        Ok(()) => Ok(false),
        Err(StoreError::LockLost(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn lock_nowait(tx: &mut Tx, owner: Uuid, key: &str) -> Result<()> {
    // SQLite has one writer, which is this transaction.
    let sql = tx.pick(
        "SELECT owner FROM idempotency_keys WHERE owner = ? AND idempotency_key = ? FOR UPDATE NOWAIT",
        "SELECT owner FROM idempotency_keys WHERE owner = ? AND idempotency_key = ?",
    );
    let _: Option<(Uuid,)> = fetch_optional!(tx, sql, owner, key.as_bytes());
    Ok(())
}

/// Sets the resource that a taken key stands for.
pub async fn set_resource(tx: &mut Tx, row: &KeyRow) -> Result<()> {
    execute!(
        tx,
        "UPDATE idempotency_keys SET resource_id = ? WHERE owner = ? AND idempotency_key = ?",
        row.resource_id,
        row.owner,
        row.key.as_bytes()
    );
    Ok(())
}

/// Inserts keys; [`super::StoreError::UniqueKeyTaken`] if one is taken, once the transaction that is writing it has
/// committed.
pub async fn insert(tx: &mut Tx, rows: &[KeyRow], now: DateTime<Utc>) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO idempotency_keys (owner, idempotency_key, fingerprint, resource_id, created_at) ",
        rows,
        |push, row| push
            .push_bind(row.owner)
            .push_bind(row.key.as_bytes())
            .push_bind(&row.fingerprint[..])
            .push_bind(row.resource_id)
            .push_bind(now)
    );
    Ok(())
}
