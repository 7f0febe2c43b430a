//! Identities of accounts at the verification service.

use chrono::{DateTime, Utc};

use crate::{
    error::{Result, StoreError},
    execute, fetch_optional,
    tx::Tx,
};
use domain::ids::AccountId;

/// An account, and the hash of the session key that its external user exchanges for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub account: AccountId,
    pub session_key_hash: [u8; 32],
}

/// Replaces the account's identity; [`StoreError::UniqueKeyTaken`] if the user is taken.
pub async fn replace(
    tx: &mut Tx,
    identity: &Identity,
    user_id: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    delete(tx, identity.account).await?;
    execute!(
        tx,
        "INSERT INTO external_identities (account_id, user_id, session_key_hash, created_at) VALUES (?, ?, ?, ?)",
        identity.account,
        user_id.as_bytes(),
        identity.session_key_hash.as_slice(),
        now
    );
    Ok(())
}

pub async fn delete(tx: &mut Tx, account: AccountId) -> Result<()> {
    execute!(
        tx,
        "DELETE FROM external_identities WHERE account_id = ?",
        account
    );
    Ok(())
}

pub async fn of_user(tx: &mut Tx, user_id: &str) -> Result<Option<Identity>> {
    let row: Option<(AccountId, Vec<u8>)> = fetch_optional!(
        tx,
        "SELECT account_id, session_key_hash FROM external_identities WHERE user_id = ?",
        user_id.as_bytes()
    );
    row.map(|(account, hash)| {
        let session_key_hash = hash.try_into().map_err(|_| {
            StoreError::corrupt("external_identities", account, "its hash is not 32 bytes")
        })?;
        Ok(Identity {
            account,
            session_key_hash,
        })
    })
    .transpose()
}

pub async fn user_of(tx: &mut Tx, account: AccountId) -> Result<Option<String>> {
    let row: Option<(Vec<u8>,)> = fetch_optional!(
        tx,
        "SELECT user_id FROM external_identities WHERE account_id = ?",
        account
    );
    row.map(|(user_id,)| {
        String::from_utf8(user_id)
            .map_err(|error| StoreError::corrupt("external_identities", account, error))
    })
    .transpose()
}
