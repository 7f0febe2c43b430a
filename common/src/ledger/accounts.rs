//! Who may sign in: accounts, refresh tokens that rotate, and tickets for the live channel.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};

pub use crate::store::accounts::Credentials;
use crate::{
    domain::{
        account::{Account, Role},
        ids::{AccountId, IntegratorId, OrderId, StoreId, TokenFamilyId},
    },
    ledger::{Change, Ledger, LedgerError, Points, Result, in_one_transaction},
    secrets::sha256,
    store::{
        self, StoreError,
        accounts::{RefreshToken, StoredTicket},
    },
};

/// A rotated refresh token still works for this long: the answer with its successor may have been lost.
const REUSE_GRACE: Duration = Duration::from_secs(10);
/// How long a ticket waits for its one use.
pub const TICKET_TTL: Duration = Duration::from_secs(30);

/// An account to be made. The password is hashed already: that takes longer than a transaction may.
#[derive(Clone)]
pub struct NewAccount {
    pub username: String,
    /// A PHC string.
    pub password_hash: String,
    pub role: Role,
    pub stores: Vec<StoreId>,
    pub integrator: Option<IntegratorId>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount")
            .field("username", &self.username)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What to change of an account; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    pub disabled: Option<bool>,
    pub role: Option<Role>,
    pub stores: Option<Vec<StoreId>>,
    /// A PHC string. Ends every sign-in.
    pub password_hash: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefused {
    #[error("the username {username:?} is taken")]
    UsernameTaken { username: String },
    #[error("there is no store {store}")]
    UnknownStore { store: StoreId },
    #[error("there is no integrator {integrator}")]
    UnknownIntegrator { integrator: IntegratorId },
    #[error("managers and staff have stores, others have none")]
    StoresDoNotFitRole,
    #[error("integrator accounts, and only they, belong to an integrator")]
    IntegratorDoesNotFitRole,
    #[error("there is no such account")]
    NoSuchAccount,
    #[error("the caller may not do this to this account")]
    NotAllowed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefused {
    #[error("the refresh token is unknown, expired or revoked, or its account is disabled")]
    NotValid,
    #[error("the refresh token was used before: its whole family is revoked")]
    Reused,
}

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

/// What a ticket lets its bearer listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketSubject {
    Order(OrderId),
    Store(StoreId),
}

impl Ledger {
    pub async fn credentials(&self, username: &str) -> Result<Option<Credentials>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::accounts::by_username(&mut tx, username).await?)
    }

    pub async fn credentials_of(&self, id: AccountId) -> Result<Option<Credentials>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::accounts::by_id(&mut tx, id).await?)
    }

    /// In order of their ids. `stores`: only those who serve one of these.
    pub async fn accounts(
        &self,
        stores: Option<&[StoreId]>,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>> {
        if stores.is_some_and(<[_]>::is_empty) {
            return Ok(Vec::new());
        }
        let mut tx = self.inner.db.read().await?;
        Ok(store::accounts::page(&mut tx, stores, after, limit).await?)
    }

    pub async fn create_account(&self, new: &NewAccount) -> Result<Account, AccountRefused> {
        let stores = sorted(&new.stores);
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            fits(new.role, &stores, new.integrator)?;
            stores_exist(&mut change, &stores).await?;
            if let Some(integrator) = new.integrator
                && store::accounts::store_of_integrator(&mut change.tx, integrator)
                    .await?
                    .is_none()
            {
                let refused = AccountRefused::UnknownIntegrator { integrator };
                return Err(LedgerError::Refused(refused));
            }
            let account = Account {
                id: self.inner.chance.id(change.now),
                username: new.username.clone(),
                role: new.role,
                stores: stores.clone(),
                integrator: new.integrator,
                disabled: false,
                created_at: change.now,
            };
            let credentials = Credentials {
                account,
                password_hash: new.password_hash.clone(),
            };
            match store::accounts::insert(&mut change.tx, &credentials).await {
                Ok(()) => Ok(credentials.account),
                Err(StoreError::UniqueKeyTaken) => {
                    let username = new.username.clone();
                    Err(LedgerError::Refused(AccountRefused::UsernameTaken {
                        username,
                    }))
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// `allowed` sees the account as it is, under its lock. Disabling and a new password end every sign-in.
    pub async fn change_account(
        &self,
        id: AccountId,
        wanted: &AccountChange,
        allowed: impl Fn(&Account) -> std::result::Result<(), AccountRefused>,
    ) -> Result<Account, AccountRefused> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let Some(mut credentials) = store::accounts::lock(&mut change.tx, id).await? else {
                return Err(LedgerError::Refused(AccountRefused::NoSuchAccount));
            };
            let account = &mut credentials.account;
            allowed(account).map_err(LedgerError::Refused)?;
            account.role = wanted.role.unwrap_or(account.role);
            account.disabled = wanted.disabled.unwrap_or(account.disabled);
            if let Some(stores) = &wanted.stores {
                account.stores = sorted(stores);
            }
            fits(account.role, &account.stores, account.integrator)?;
            if wanted.stores.is_some() {
                let stores = account.stores.clone();
                stores_exist(&mut change, &stores).await?;
                store::accounts::replace_stores(&mut change.tx, id, &stores).await?;
            }
            if let Some(hash) = &wanted.password_hash {
                credentials.password_hash.clone_from(hash);
            }
            store::accounts::update(&mut change.tx, &credentials).await?;
            if wanted.disabled == Some(true) || wanted.password_hash.is_some() {
                store::accounts::revoke_all(&mut change.tx, id, change.now).await?;
            }
            Ok(credentials.account)
        })
    }

    /// Begins a family of refresh tokens: one sign-in.
    pub async fn start_sign_in(&self, account: &Account, ttl: Duration) -> Result<Refreshed> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let family = self.inner.chance.id(change.now);
            let expires_at = change.now + ttl;
            Ok(issue(&mut change, account, family, expires_at).await?)
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
            let Some(found) = store::accounts::lock_refresh_token(&mut change.tx, &hash).await?
            else {
                return Ok(Err(RefreshRefused::NotValid));
            };
            if found.revoked_at.is_some() || found.expires_at <= now {
                return Ok(Err(RefreshRefused::NotValid));
            }
            if found.used_at.is_some_and(|used| used + REUSE_GRACE < now) {
                // Either its thief or its owner is the second: both have to sign in again. This is to be kept.
                store::accounts::revoke_family(&mut change.tx, found.family, now).await?;
                return Ok(Err(RefreshRefused::Reused));
            }
            let account = store::accounts::by_id(&mut change.tx, found.account).await?;
            let Some(account) = account.map(|found| found.account).filter(|a| !a.disabled) else {
                return Ok(Err(RefreshRefused::NotValid));
            };
            if found.used_at.is_none() {
                store::accounts::refresh_token_used(&mut change.tx, &hash, now).await?;
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
            let found = store::accounts::lock_refresh_token(&mut change.tx, &hash).await?;
            if let Some(found) = found {
                store::accounts::revoke_family(&mut change.tx, found.family, change.now).await?;
            }
            Ok(())
        })
    }

    /// A ticket for the live channel: one use, [`TICKET_TTL`]. Whether the account may, the caller has checked.
    pub async fn issue_ticket(
        &self,
        account: AccountId,
        subject: TicketSubject,
    ) -> Result<(String, DateTime<Utc>)> {
        let ticket = self.inner.chance.token();
        let hash = sha256(ticket.as_bytes());
        let (word, subject_id) = match subject {
            TicketSubject::Order(id) => ("order", id.uuid()),
            TicketSubject::Store(id) => ("store", id.uuid()),
        };
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let expires_at = change.now + TICKET_TTL;
            let stored = StoredTicket {
                hash,
                account,
                subject: word.to_owned(),
                subject_id,
                expires_at,
            };
            store::accounts::insert_ticket(&mut change.tx, &stored).await?;
            Ok((ticket.clone(), expires_at))
        })
    }

    /// Takes the ticket; `None` if there is none, or no longer, or its account was disabled since.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Option<(Account, TicketSubject)>> {
        let hash = sha256(ticket.as_bytes());
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let Some(taken) = store::accounts::take_ticket(&mut change.tx, &hash).await? else {
                return Ok(None);
            };
            if taken.expires_at <= change.now {
                return Ok(None);
            }
            let subject = match taken.subject.as_str() {
                "order" => TicketSubject::Order(taken.subject_id.into()),
                "store" => TicketSubject::Store(taken.subject_id.into()),
                other => {
                    return Err(StoreError::corrupt("live_tickets", taken.subject_id, other).into());
                }
            };
            let found = store::accounts::by_id(&mut change.tx, taken.account).await?;
            let account = found
                .map(|found| found.account)
                .filter(|account| !account.disabled);
            Ok(account.map(|account| (account, subject)))
        })
    }
}

fn sorted(stores: &[StoreId]) -> Vec<StoreId> {
    let unique: BTreeSet<StoreId> = stores.iter().copied().collect();
    unique.into_iter().collect()
}

fn fits(
    role: Role,
    stores: &[StoreId],
    integrator: Option<IntegratorId>,
) -> Result<(), AccountRefused> {
    if matches!(role, Role::Manager | Role::Staff) == stores.is_empty() {
        return Err(LedgerError::Refused(AccountRefused::StoresDoNotFitRole));
    }
    if (role == Role::Integrator) != integrator.is_some() {
        let refused = AccountRefused::IntegratorDoesNotFitRole;
        return Err(LedgerError::Refused(refused));
    }
    Ok(())
}

async fn stores_exist(change: &mut Change<'_>, stores: &[StoreId]) -> Result<(), AccountRefused> {
    let existing = store::accounts::existing_stores(&mut change.tx, stores).await?;
    match stores.iter().find(|store| !existing.contains(store)) {
        Some(store) => {
            let refused = AccountRefused::UnknownStore { store: *store };
            Err(LedgerError::Refused(refused))
        }
        None => Ok(()),
    }
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
    store::accounts::insert_refresh_token(&mut change.tx, &stored, change.now).await?;
    Ok(Refreshed {
        account: account.clone(),
        token,
        expires_at,
    })
}

#[cfg(test)]
mod tests;
