//! Refresh tokens, stored as hashes. A family is one sign-in.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Result, for_update, on, tx::Tx};
use domain::ids::{AccountId, TokenFamilyId};

/// A refresh token as stored, by its hash.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    pub hash: [u8; 32],
    pub family: TokenFamilyId,
    pub account: AccountId,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

pub async fn insert_refresh_token(
    tx: &mut Tx,
    token: &RefreshToken,
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "INSERT INTO refresh_tokens (token_hash, family_id, account_id, issued_at, expires_at) \
         VALUES (?, ?, ?, ?, ?)"
    )
    .bind(token.hash.as_slice())
    .bind(token.family.uuid())
    .bind(token.account.uuid())
    .bind(now)
    .bind(token.expires_at)
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Returns the token's account. Callers decide under the account's lock, which is taken before those of its tokens.
pub async fn owner(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<AccountId>> {
    let owner: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(
        "SELECT account_id FROM refresh_tokens WHERE token_hash = ?"
    )
    .bind(hash.as_slice())
    .fetch_optional(conn)
    .await?);
    Ok(owner.map(Into::into))
}

pub async fn lock_refresh_token(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<RefreshToken>> {
    let sql = for_update!(
        tx,
        "SELECT family_id, account_id, expires_at, used_at, revoked_at FROM refresh_tokens WHERE token_hash = ?"
    );
    type Found = (
        Uuid,
        Uuid,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    );
    let row: Option<Found> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(hash.as_slice())
        .fetch_optional(conn)
        .await?);
    Ok(row.map(
        |(family, account, expires_at, used_at, revoked_at)| RefreshToken {
            hash: *hash,
            family: family.into(),
            account: account.into(),
            expires_at,
            used_at,
            revoked_at,
        },
    ))
}

pub async fn refresh_token_used(tx: &mut Tx, hash: &[u8; 32], now: DateTime<Utc>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE refresh_tokens SET used_at = ? WHERE token_hash = ?"
    )
    .bind(now)
    .bind(hash.as_slice())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

pub async fn revoke_family(tx: &mut Tx, family: TokenFamilyId, now: DateTime<Utc>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = ? WHERE family_id = ? AND revoked_at IS NULL"
    )
    .bind(now)
    .bind(family.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Revokes every sign-in of the account.
pub async fn revoke_all(tx: &mut Tx, account: AccountId, now: DateTime<Utc>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = ? WHERE account_id = ? AND revoked_at IS NULL"
    )
    .bind(now)
    .bind(account.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}
