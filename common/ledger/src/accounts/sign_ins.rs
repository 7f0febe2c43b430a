//! Sign-ins: families of refresh tokens that rotate.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    Change, ChangeResult, CrashPoints, Failure, Ledger, Refusal, Result, in_one_transaction,
};
use domain::{
    account::Account,
    ids::{AccountId, TokenFamilyId},
};
use platform::secrets::sha256;
use store::accounts::refresh_tokens::{self, RefreshToken};

/// Time for which a rotated refresh token still works, since the response with its successor may have been lost.
pub(super) const REUSE_GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefused {
    #[error("the refresh token is unknown, expired or revoked, or its account is disabled")]
    NotValid,
    #[error("the refresh token was already used; its whole family is revoked")]
    Reused,
}

impl Refusal for RefreshRefused {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account was disabled, or its password changed, since the password was verified")]
pub struct SignInRefused;

impl Refusal for SignInRefused {}

/// A new refresh token, of which only the hash is stored, and its account.
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
    /// Starts a sign-in, which is a family of refresh tokens. `password_mark` is that of the verified password
    /// ([`Credentials::password_mark`]), if there was one: the sign-in is refused if the password was changed or the
    /// account disabled meanwhile.
    #[crate::boxed]
    pub async fn start_sign_in(
        &self,
        account: AccountId,
        password_mark: Option<[u8; 32]>,
        ttl: Duration,
    ) -> ChangeResult<Refreshed, SignInRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let found = store::accounts::lock(&mut change.tx, account).await?;
            let still_good = found.filter(|found| {
                !found.account.disabled
                    && password_mark.is_none_or(|mark| mark == found.password_mark())
            });
            let Some(found) = still_good else {
                return Err(SignInRefused.into());
            };
            let family = self.inner.chance.id(change.now);
            let expires_at = change.now + ttl;
            Ok(issue(change, &found.account, family, expires_at).await?)
        })
    }

    /// Issues the next token of the family. A token that was already used (except within a short grace period) revokes
    /// the family.
    #[crate::boxed]
    pub async fn refresh_sign_in(
        &self,
        token: &str,
        ttl: Duration,
    ) -> ChangeResult<Refreshed, RefreshRefused> {
        let hash = sha256(token.as_bytes());
        let done = in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            let Some((account, found)) = lock_with_account(change, &hash).await? else {
                return Ok(Err(RefreshRefused::NotValid));
            };
            if account.disabled || found.revoked_at.is_some() || found.expires_at <= now {
                return Ok(Err(RefreshRefused::NotValid));
            }
            if found.used_at.is_some_and(|used| used + REUSE_GRACE < now) {
                // The second user is either a thief or the owner, so both have to sign in again. The revocation must be
                // committed.
                refresh_tokens::revoke_family(&mut change.tx, found.family, now).await?;
                return Ok(Err(RefreshRefused::Reused));
            }
            if found.used_at.is_none() {
                refresh_tokens::mark_refresh_token_used(&mut change.tx, &hash, now).await?;
            }
            let refreshed = issue(change, &account, found.family, now + ttl).await?;
            Ok::<_, Failure>(Ok(refreshed))
        });
        Ok(done??)
    }

    /// Ends the sign-in that this token belongs to. An unknown token is a no-op.
    #[crate::boxed]
    pub async fn end_sign_in(&self, token: &str) -> Result<()> {
        let hash = sha256(token.as_bytes());
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            if let Some((_, found)) = lock_with_account(change, &hash).await? {
                refresh_tokens::revoke_family(&mut change.tx, found.family, change.now).await?;
            }
            Ok(())
        })
    }
}

/// Locks the account before the token, so that a revocation of all tokens or of a family sees every one of them.
/// Otherwise a successor made at the same moment would outlive it.
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
