//! Refresh tokens, stored as hashes. A family is one sign-in.

use chrono::{DateTime, Utc};

use crate::{error::Result, execute, fetch_optional, fetch_optional_scalar, for_update, tx::Tx};
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
    execute!(
        tx,
        "INSERT INTO refresh_tokens (token_hash, family_id, account_id, issued_at, expires_at) \
         VALUES (?, ?, ?, ?, ?)",
        token.hash.as_slice(),
        token.family,
        token.account,
        now,
        token.expires_at
    );
    Ok(())
}

/// Returns the token's account. Callers decide under the account's lock, which is taken before those of its tokens.
pub async fn owner(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<AccountId>> {
    Ok(fetch_optional_scalar!(
        tx,
        "SELECT account_id FROM refresh_tokens WHERE token_hash = ?",
        hash.as_slice()
    ))
}

pub async fn lock_refresh_token(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<RefreshToken>> {
    let sql = for_update!(
        tx,
        "SELECT family_id, account_id, expires_at, used_at, revoked_at FROM refresh_tokens WHERE token_hash = ?"
    );
    let row = fetch_optional!(tx, sql, hash.as_slice());
    Ok(row.map(
        |(family, account, expires_at, used_at, revoked_at)| RefreshToken {
            hash: *hash,
            family,
            account,
            expires_at,
            used_at,
            revoked_at,
        },
    ))
}

pub async fn mark_refresh_token_used(
    tx: &mut Tx,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE refresh_tokens SET used_at = ? WHERE token_hash = ?",
        now,
        hash.as_slice()
    );
    Ok(())
}

pub async fn revoke_family(tx: &mut Tx, family: TokenFamilyId, now: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE refresh_tokens SET revoked_at = ? WHERE family_id = ? AND revoked_at IS NULL",
        now,
        family
    );
    Ok(())
}

/// Revokes every sign-in of the account.
pub async fn revoke_all(tx: &mut Tx, account: AccountId, now: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE refresh_tokens SET revoked_at = ? WHERE account_id = ? AND revoked_at IS NULL",
        now,
        account
    );
    Ok(())
}
