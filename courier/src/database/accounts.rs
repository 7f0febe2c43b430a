//! SQL of accounts and their webhooks.

use sqlx::SqlitePool;

use super::{Tx, from_row};
use crate::signature::Secret;

#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) password_hash: String,
    pub(crate) role: String,
}

from_row!(Account {
    id,
    username,
    password_hash,
    role
});

impl Account {
    /// Returns true if the account sees all deliveries.
    pub(crate) fn sees_all(&self) -> bool {
        self.role != MARKETPLACE_USER
    }
}

/// Roles of seed 004. A marketplace user makes deliveries and sees its own; the other two see all of them.
pub(crate) const MARKETPLACE_USER: &str = "marketplace_user";
pub(crate) const MARKETPLACE_ADMIN: &str = "marketplace_admin";
pub(crate) const DELIVERY_SERVICE: &str = "delivery_service";

#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) id: i64,
    pub(crate) url: Option<String>,
    pub(crate) signing_secret: Option<String>,
    pub(crate) created_at: i64,
}

from_row!(Webhook {
    id,
    url,
    signing_secret,
    created_at
});

impl Webhook {
    pub(crate) fn signing(&self) -> Option<Secret> {
        self.signing_secret.as_deref()?.parse().ok()
    }
}

const ACCOUNT: &str = "SELECT id, username, password_hash, role FROM accounts";
const WEBHOOKS: &str = "SELECT id, url, signing_secret, created_at FROM webhooks \
                        WHERE account_id = ? ORDER BY id";

pub(crate) async fn by_name(pool: &SqlitePool, username: &str) -> sqlx::Result<Option<Account>> {
    sqlx::query_as(&format!("{ACCOUNT} WHERE username = ?"))
        .bind(username)
        .fetch_optional(pool)
        .await
}

pub(crate) async fn by_id(pool: &SqlitePool, id: i64) -> sqlx::Result<Option<Account>> {
    sqlx::query_as(&format!("{ACCOUNT} WHERE id = ?"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// Inserts an account; `None` if the username is taken.
pub(crate) async fn insert(
    tx: &mut Tx,
    username: &str,
    password_hash: &str,
    role: &str,
    now_ms: i64,
) -> sqlx::Result<Option<i64>> {
    let inserted = sqlx::query(
        "INSERT INTO accounts (username, password_hash, role, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(username)
    .bind(password_hash)
    .bind(role)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok((inserted.rows_affected() == 1).then(|| inserted.last_insert_rowid()))
}

pub(crate) async fn set_password(tx: &mut Tx, id: i64, password_hash: &str) -> sqlx::Result<()> {
    let updated = sqlx::query("UPDATE accounts SET password_hash = ? WHERE id = ?")
        .bind(password_hash)
        .bind(id)
        .execute(&mut **tx);
    updated.await.map(|_| ())
}

pub(crate) async fn webhooks(pool: &SqlitePool, account: i64) -> sqlx::Result<Vec<Webhook>> {
    sqlx::query_as(WEBHOOKS).bind(account).fetch_all(pool).await
}

/// Returns the webhooks as the transaction sees them.
pub(crate) async fn webhooks_in(tx: &mut Tx, account: i64) -> sqlx::Result<Vec<Webhook>> {
    let webhooks = sqlx::query_as(WEBHOOKS).bind(account);
    webhooks.fetch_all(&mut **tx).await
}

pub(crate) async fn insert_webhook(
    tx: &mut Tx,
    account: i64,
    url: Option<&str>,
    callback_secret: &str,
    signing_secret: Option<&str>,
    now_ms: i64,
) -> sqlx::Result<i64> {
    let inserted = sqlx::query(
        "INSERT INTO webhooks (account_id, url, callback_secret, signing_secret, created_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(account)
    .bind(url)
    .bind(callback_secret)
    .bind(signing_secret)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.last_insert_rowid())
}

/// Deletes a webhook with its notifications that were not taken; false if the account has no such webhook.
pub(crate) async fn delete_webhook(tx: &mut Tx, account: i64, id: i64) -> sqlx::Result<bool> {
    let deleted = sqlx::query("DELETE FROM webhooks WHERE id = ? AND account_id = ?")
        .bind(id)
        .bind(account)
        .execute(&mut **tx)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("DELETE FROM notifications WHERE receiver = ? AND done_at IS NULL")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Returns a webhook's callback secret.
pub(crate) async fn callback_secret(pool: &SqlitePool, id: i64) -> sqlx::Result<Option<Secret>> {
    let secret: Option<(String,)> =
        sqlx::query_as("SELECT callback_secret FROM webhooks WHERE id = ?")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    Ok(secret.and_then(|(secret,)| secret.parse().ok()))
}
