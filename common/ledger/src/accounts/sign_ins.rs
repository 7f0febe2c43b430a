//! Staying signed in: families of refresh tokens that rotate.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{Change, Ledger, LedgerError, Points, Result, in_one_transaction};
use domain::{
    account::Account,
    ids::{AccountId, TokenFamilyId},
};
use platform::secrets::sha256;
use store::accounts::refresh_tokens::{self, RefreshToken};

/// A rotated refresh token still works for this long: the answer with its successor may have been lost.
pub(super) const REUSE_GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefused {
    #[error("the refresh token is unknown, expired or revoked, or its account is disabled")]
    NotValid,
    #[error("the refresh token was used before: its whole family is revoked")]
    Reused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account was disabled, or its password changed, since the password was looked at")]
pub struct SignInRefused;

/// A fresh refresh token. Only its hash is stored.
#[derive(Clone)]
pub struct Refreshed {
    pub account: Account,
    pub token: String,
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refreshed")
            .field("account", &self.account.id)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Begins a family of refresh tokens: one sign-in. `password_mark` is of the password that was right
    /// ([`Credentials::password_mark`]), where one was asked for: a new password, or a disabled account, that came in
    /// between is not signed in past.
    pub async fn start_sign_in(
        &self,
        account: AccountId,
        password_mark: Option<[u8; 32]>,
        ttl: Duration,
    ) -> Result<Refreshed, SignInRefused> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let found = store::accounts::lock(&mut change.tx, account).await?;
            let still_good = found.filter(|found| {
                !found.account.disabled
                    && password_mark.is_none_or(|mark| mark == found.password_mark())
            });
            let Some(found) = still_good else {
                return Err(LedgerError::Refused(SignInRefused));
            };
            let family = self.inner.chance.id(change.now);
            let expires_at = change.now + ttl;
            Ok(issue(&mut change, &found.account, family, expires_at).await?)
        })
    }

    /// Gives the next token of the family. One that was used before (but for a short grace) revokes them all.
    pub async fn refresh_sign_in(
        &self,
        token: &str,
        ttl: Duration,
    ) -> Result<Refreshed, RefreshRefused> {
        let hash = sha256(token.as_bytes());
        let done = in_one_transaction!(&self.inner, Points::NONE, |change| {
            let now = change.now;
            let Some((account, found)) = lock_with_account(&mut change, &hash).await? else {
                return Ok(Err(RefreshRefused::NotValid));
            };
            if account.disabled || found.revoked_at.is_some() || found.expires_at <= now {
                return Ok(Err(RefreshRefused::NotValid));
            }
            if found.used_at.is_some_and(|used| used + REUSE_GRACE < now) {
                // Either its thief or its owner is the second: both have to sign in again. This is to be kept.
                refresh_tokens::revoke_family(&mut change.tx, found.family, now).await?;
                return Ok(Err(RefreshRefused::Reused));
            }
            if found.used_at.is_none() {
                refresh_tokens::refresh_token_used(&mut change.tx, &hash, now).await?;
            }
            let refreshed = issue(&mut change, &account, found.family, now + ttl).await?;
            Ok::<_, LedgerError>(Ok(refreshed))
        });
        done.map_err(LedgerError::widen)?
            .map_err(LedgerError::Refused)
    }

    /// Ends the sign-in that this token belongs to. An unknown token is as good as revoked.
    pub async fn end_sign_in(&self, token: &str) -> Result<()> {
        let hash = sha256(token.as_bytes());
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            if let Some((_, found)) = lock_with_account(&mut change, &hash).await? {
                refresh_tokens::revoke_family(&mut change.tx, found.family, change.now).await?;
            }
            Ok(())
        })
    }
}

/// The account first: whoever revokes its tokens, all or a family, then sees every one that there is. A successor that
/// is made at the same moment would else outlive them.
async fn lock_with_account(
    change: &mut Change<'_>,
    hash: &[u8; 32],
) -> store::Result<Option<(Account, RefreshToken)>> {
    let Some(owner) = refresh_tokens::owner(&mut change.tx, hash).await? else {
        return Ok(None);
    };
    let account = store::accounts::lock(&mut change.tx, owner).await?;
    let found = refresh_tokens::lock_refresh_token(&mut change.tx, hash).await?;
    Ok(account.map(|found| found.account).zip(found))
}

async fn issue(
    change: &mut Change<'_>,
    account: &Account,
    family: TokenFamilyId,
    expires_at: DateTime<Utc>,
) -> store::Result<Refreshed> {
    let token = change.inner.chance.token();
    let stored = RefreshToken {
        hash: sha256(token.as_bytes()),
        family,
        account: account.id,
        expires_at,
        used_at: None,
        revoked_at: None,
    };
    refresh_tokens::insert_refresh_token(&mut change.tx, &stored, change.now).await?;
    Ok(Refreshed {
        account: account.clone(),
        token,
        expires_at,
    })
}
