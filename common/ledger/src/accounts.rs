//! Accounts: creating and changing them; the submodules sign them in and keep them signed in.

mod api_keys;
mod failures;
mod sign_ins;
mod tickets;

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub use self::{
    api_keys::{ApiKeyRefused, MAX_KEYS_OF_MAKER, NewApiKey, key_hash},
    failures::{FAILURE_TTL, Guess, GuessLimits, GuessStatus, KNOWN_ADDRESS_TTL},
    sign_ins::{RefreshRefused, Refreshed, SignInRefused},
    tickets::{TICKET_TTL, TicketSubject},
};
use crate::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, records::About,
};
use domain::{
    account::{Account, IntegratorRef, Role},
    actor::Actor,
    ids::{AccountId, IntegratorId, StoreId},
    record::{Action, Subject, difference},
};
use store::StoreError;
pub use store::accounts::Credentials;

/// A new account. The password is hashed beforehand, since hashing takes longer than a transaction may.
#[derive(Clone)]
pub struct NewAccount {
    pub username: String,
    /// Password hash as a PHC string.
    pub password_hash: String,
    pub role: Role,
    pub stores: Vec<StoreId>,
    pub integrators: Vec<IntegratorId>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount")
            .field("username", &self.username)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Changes to an account; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct AccountChange {
    pub disabled: Option<bool>,
    pub role: Option<Role>,
    pub stores: Option<Vec<StoreId>>,
    pub integrators: Option<Vec<IntegratorId>>,
    /// New password as a PHC string. It ends every sign-in.
    pub password_hash: Option<String>,
    /// UpdateMark of the expected current password ([`Credentials::password_mark`]); another password refuses the change.
    pub password_mark: Option<[u8; 32]>,
}

impl std::fmt::Debug for AccountChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountChange")
            .field("disabled", &self.disabled)
            .field("role", &self.role)
            .field("stores", &self.stores)
            .field("integrators", &self.integrators)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefused {
    #[error("the username {username:?} is taken")]
    UsernameTaken { username: String },
    #[error("there is no store {store}")]
    UnknownStore { store: StoreId },
    #[error("integrator {integrator} does not exist")]
    UnknownIntegrator { integrator: IntegratorId },
    #[error("managers and staff must have stores, and other roles must not")]
    StoresDoNotFitRole,
    #[error("integrator accounts must have integrators, and other roles must not")]
    IntegratorsDoNotFitRole,
    #[error("the account does not exist")]
    NoSuchAccount,
    #[error("the caller may not do this to this account")]
    NotAllowed,
    #[error("the account's password was changed meanwhile")]
    PasswordChanged,
}

impl Refusal for AccountRefused {}

impl Ledger {
    #[crate::boxed]
    pub async fn credentials(&self, username: &str) -> Result<Option<Credentials>> {
        let mut tx = self.inner.db.read().await?;
        let found = store::accounts::by_username(&mut tx, username).await?;
        Ok(found.filter(|found| !found.is_of_key()))
    }

    /// Returns an account; that of an API key too, which is disabled once the key is no longer in force.
    #[crate::boxed]
    pub async fn credentials_of(&self, id: AccountId) -> Result<Option<Credentials>> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        match store::accounts::by_id(&mut tx, id).await? {
            Some(found) => Ok(Some(api_keys::with_expiry(&mut tx, found, now).await?)),
            None => Ok(None),
        }
    }

    /// Returns those of these integrators that exist and are not archived, with their stores.
    #[crate::boxed]
    pub async fn existing_integrators(
        &self,
        integrators: &[IntegratorId],
    ) -> Result<Vec<IntegratorRef>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::accounts::existing_integrators(&mut tx, integrators).await?)
    }

    /// Lists accounts by id, after `after`; with `stores`, only those that serve one of these stores or speak for an
    /// integrator of one.
    #[crate::boxed]
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

    #[crate::boxed]
    pub async fn create_account(&self, new: &NewAccount) -> ChangeResult<Account, AccountRefused> {
        let stores = sorted(&new.stores);
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            check_role(new.role, &stores, &new.integrators)?;
            check_stores_exist(change, &stores).await?;
            let integrators = load_integrators(change, &new.integrators).await?;
            let account = Account {
                id: self.inner.chance.id(change.now),
                username: new.username.clone(),
                role: new.role,
                stores: stores.clone(),
                integrators,
                disabled: false,
                created_at: change.now,
            };
            let credentials = Credentials {
                account,
                password_hash: new.password_hash.clone(),
            };
            match store::accounts::insert(&mut change.tx, &credentials).await {
                Ok(()) => {
                    let account = credentials.account;
                    let facts = facts(&account);
                    if change.actor == Actor::SYSTEM && crate::actor::address().is_some() {
                        // Whoever registers is nobody before.
                        change.act_as(Actor::account(&account));
                    }
                    change.record(
                        about(&account, &account.stores),
                        Action::Created,
                        None,
                        &facts,
                    );
                    change.set_resource(account.id.uuid());
                    Ok(account)
                }
                Err(StoreError::UniqueKeyTaken) => {
                    let username = new.username.clone();
                    Err(AccountRefused::UsernameTaken { username }.into())
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Changes an account if `allowed` permits it, which sees the account's current state under its lock. Disabling it
    /// and a new password end every sign-in; its API keys end with its rights.
    pub async fn change_account(
        &self,
        id: AccountId,
        wanted: &AccountChange,
        allowed: impl Fn(&Account) -> Result<(), AccountRefused>,
    ) -> ChangeResult<Account, AccountRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let found = store::accounts::lock(&mut change.tx, id).await?;
            let Some(mut credentials) = found.filter(|found| !found.is_of_key()) else {
                return Err(AccountRefused::NoSuchAccount.into());
            };
            let mark = credentials.password_mark();
            if wanted.password_mark.is_some_and(|wanted| wanted != mark) {
                return Err(AccountRefused::PasswordChanged.into());
            }
            let account = &mut credentials.account;
            allowed(account)?;
            let before = account.clone();
            account.role = wanted.role.unwrap_or(account.role);
            account.disabled = wanted.disabled.unwrap_or(account.disabled);
            let stores = wanted.stores.as_deref().map(sorted);
            let held: Vec<IntegratorId> = account
                .integrators
                .iter()
                .map(|one| one.integrator)
                .collect();
            // Integrators that were archived since must not block other changes.
            if wanted.role.is_some() || stores.is_some() || wanted.integrators.is_some() {
                let stores = stores.as_ref().unwrap_or(&account.stores);
                check_role(
                    account.role,
                    stores,
                    wanted.integrators.as_ref().unwrap_or(&held),
                )?;
            }
            if let Some(stores) = stores {
                check_stores_exist(change, &stores).await?;
                store::accounts::replace_stores(&mut change.tx, id, &stores).await?;
                account.stores = stores;
            }
            if let Some(integrators) = &wanted.integrators {
                let integrators = load_integrators(change, integrators).await?;
                store::accounts::replace_integrators(&mut change.tx, id, &integrators).await?;
                account.integrators = integrators;
            }
            if let Some(hash) = &wanted.password_hash {
                credentials.password_hash.clone_from(hash);
            }
            store::accounts::update(&mut change.tx, &credentials).await?;
            if wanted.disabled == Some(true) || wanted.password_hash.is_some() {
                store::accounts::refresh_tokens::revoke_all(&mut change.tx, id, change.now).await?;
            }
            let account = credentials.account;
            if wanted.disabled.is_some() || wanted.role.is_some() || wanted.stores.is_some() {
                api_keys::end_keys_of(change, &account).await?;
            }
            let mut fields = difference(Some(&facts(&before)), &facts(&account));
            if wanted.password_hash.is_some() {
                fields.insert("password".to_owned(), Value::Null);
            }
            if !fields.is_empty() {
                let stores = sorted(&[before.stores.as_slice(), &account.stores].concat());
                change.record_fields(about(&account, &stores), Action::Edited, fields);
            }
            change.set_resource(id.uuid());
            Ok(account)
        })
    }
}

/// Returns as much of an account as records show.
fn facts(account: &Account) -> Value {
    let integrators = account.integrators.iter();
    let integrators: Vec<_> = integrators.map(|one| one.integrator).collect();
    json!({
        "username": account.username,
        "role": account.role,
        "stores": account.stores,
        "integrators": integrators,
        "disabled": account.disabled,
    })
}

pub(crate) fn about<'s>(account: &Account, stores: &'s [StoreId]) -> About<'s> {
    About {
        subject: Subject::Account,
        id: account.id.uuid(),
        stores,
    }
}

fn sorted(stores: &[StoreId]) -> Vec<StoreId> {
    let unique: BTreeSet<StoreId> = stores.iter().copied().collect();
    unique.into_iter().collect()
}

fn check_role(
    role: Role,
    stores: &[StoreId],
    integrators: &[IntegratorId],
) -> ChangeResult<(), AccountRefused> {
    if matches!(role, Role::Manager | Role::Staff) == stores.is_empty() {
        return Err(AccountRefused::StoresDoNotFitRole.into());
    }
    if (role == Role::Integrator) == integrators.is_empty() {
        return Err(AccountRefused::IntegratorsDoNotFitRole.into());
    }
    Ok(())
}

async fn check_stores_exist(
    change: &mut Change<'_>,
    stores: &[StoreId],
) -> ChangeResult<(), AccountRefused> {
    let existing = store::accounts::existing_stores(&mut change.tx, stores).await?;
    match stores.iter().find(|store| !existing.contains(store)) {
        Some(&store) => Err(AccountRefused::UnknownStore { store }.into()),
        None => Ok(()),
    }
}

/// Returns the integrators by id, without duplicates; refuses unknown ones.
async fn load_integrators(
    change: &mut Change<'_>,
    integrators: &[IntegratorId],
) -> ChangeResult<Vec<IntegratorRef>, AccountRefused> {
    let existing = store::accounts::existing_integrators(&mut change.tx, integrators).await?;
    let is_known = |id: &&IntegratorId| existing.iter().any(|one| one.integrator == **id);
    match integrators.iter().find(|id| !is_known(id)) {
        Some(&integrator) => Err(AccountRefused::UnknownIntegrator { integrator }.into()),
        None => Ok(existing),
    }
}

#[cfg(test)]
mod tests;
