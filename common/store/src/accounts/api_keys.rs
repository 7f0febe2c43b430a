//! Keys of programs, stored as hashes, each beside the account that it acts as.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::row::stores_of;
use crate::{
    error::Result,
    execute, push_ids, read_all, read_optional,
    rows::{ReadRow, Row, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{
    api_key::{ApiKey, actions_from_text, actions_to_text},
    ids::{AccountId, StoreId},
};

/// `SELECT` of a key's columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account_id, name, actions, made_by, created_at, expires_at, last_used_at, ended_at FROM api_keys ",
            $rest
        )
    };
}

/// Writes a key; its account, with its stores, is written apart.
pub async fn insert(tx: &mut Tx, key: &ApiKey, hash: &[u8; 32]) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO api_keys (account_id, key_hash, name, actions, made_by, created_at, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        key.id,
        hash.as_slice(),
        &key.name,
        actions_to_text(&key.actions),
        key.made_by,
        key.created_at,
        key.expires_at
    );
    Ok(())
}

/// Returns the key with this hash, ended or not.
pub async fn by_hash(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
    let found = read_optional!(tx, select!("WHERE key_hash = ?"), hash.as_slice());
    complete_one(tx, found).await
}

pub async fn by_id(tx: &mut Tx, id: AccountId) -> Result<Option<ApiKey>> {
    let found = read_optional!(tx, select!("WHERE account_id = ?"), id);
    complete_one(tx, found).await
}

/// Returns the keys that this account made and that have not ended.
pub async fn of_maker(tx: &mut Tx, maker: AccountId) -> Result<Vec<ApiKey>> {
    let found = read_all!(
        tx,
        select!("WHERE made_by = ? AND ended_at IS NULL ORDER BY account_id"),
        maker
    );
    complete(tx, found).await
}

/// Returns keys that have not ended, by id, after `after`; with `stores`, only those for one of these.
pub async fn page(
    tx: &mut Tx,
    stores: Option<&[StoreId]>,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<ApiKey>> {
    let rows = {
        let mut query = Statement::new(tx, select!("WHERE ended_at IS NULL AND account_id > "));
        query.push_bind(after.unwrap_or(AccountId::MIN));
        if let Some(stores) = stores {
            query.push(
                " AND account_id IN (SELECT account_id FROM account_stores WHERE store_id IN (",
            );
            push_ids(&mut query, stores);
            query.push("))");
        }
        query.push(" ORDER BY account_id LIMIT ").push_bind(limit);
        query.fetch_all(tx).await?
    };
    complete(tx, read_rows(rows)?).await
}

/// Ends a key and its account.
pub async fn end(tx: &mut Tx, id: AccountId, now: DateTime<Utc>) -> Result<()> {
    execute!(tx, "UPDATE accounts SET disabled = TRUE WHERE id = ?", id);
    execute!(
        tx,
        "UPDATE api_keys SET ended_at = ? WHERE account_id = ? AND ended_at IS NULL",
        now,
        id
    );
    Ok(())
}

/// Writes a use of the key, unless a later one is known.
pub async fn record_use(tx: &mut Tx, id: AccountId, at: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE api_keys SET last_used_at = ? WHERE account_id = ? AND (last_used_at IS NULL OR last_used_at < ?)",
        at,
        id,
        at
    );
    Ok(())
}

async fn complete_one(tx: &mut Tx, key: Option<ApiKey>) -> Result<Option<ApiKey>> {
    Ok(complete(tx, key.into_iter().collect()).await?.pop())
}

/// Fills in the stores.
async fn complete(tx: &mut Tx, mut keys: Vec<ApiKey>) -> Result<Vec<ApiKey>> {
    let ids: Vec<AccountId> = keys.iter().map(|key| key.id).collect();
    let mut stores: HashMap<AccountId, Vec<StoreId>> = HashMap::new();
    for (account, store) in stores_of(tx, &ids).await? {
        stores.entry(account).or_default().push(store);
    }
    for key in &mut keys {
        key.stores = stores.remove(&key.id).unwrap_or_default();
    }
    Ok(keys)
}

/// Without stores, which are in another table.
impl ReadRow for ApiKey {
    const TABLE: &'static str = "api_keys";
    const KEY: &'static str = "account_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        let actions: String = row.get("actions")?;
        Ok(Self {
            id: row.get("account_id")?,
            name: row.get("name")?,
            stores: Vec::new(),
            actions: actions_from_text(&actions),
            made_by: row.get("made_by")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            last_used_at: row.get("last_used_at")?,
            ended_at: row.get("ended_at")?,
        })
    }
}
