//! Keys of programs. Each acts as an account of its own, so that all that belongs to an account (orders, references,
//! idempotency keys, limits, tickets) is the key's, and it ends with its maker's rights.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{Credentials, check_stores_exist, sorted};
use crate::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, accounts::AccountRefused,
    in_one_transaction, records::About,
};
use domain::{
    account::Account,
    api_key::{ApiKey, KeyAction, PREFIX, is_well_formed},
    ids::{AccountId, StoreId},
    record::{Action, Subject},
};
use platform::secrets::sha256;
use store::{
    Tx,
    accounts::{self, KEY_INSTEAD_OF_PASSWORD, api_keys},
};

/// Maximum number of keys of one maker that have not ended.
pub const MAX_KEYS_OF_MAKER: usize = 100;
/// A use of a key is written if the last one that was written is older.
const USE_RECORDED_EVERY: TimeDelta = TimeDelta::seconds(60);
/// Bytes of the key's name in the username of its account.
const NAME_BYTES: usize = 80;

/// A new key. Its stores must be its maker's to manage.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    pub name: String,
    pub stores: Vec<StoreId>,
    pub actions: Vec<KeyAction>,
    pub expires_at: Option<DateTime<Utc>>,
    pub made_by: AccountId,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyRefused {
    #[error("its maker is disabled or does not manage all of its stores")]
    NotAllowed,
    #[error("must be in the future")]
    Expired,
    #[error("an account may have {MAX_KEYS_OF_MAKER} keys; end one that is no longer used")]
    TooMany,
    #[error("{0}")]
    Account(AccountRefused),
}

impl Refusal for ApiKeyRefused {}

/// Returns the hash that is stored of a key; `None` if the text is no key.
#[must_use]
pub fn key_hash(key: &str) -> Option<[u8; 32]> {
    is_well_formed(key).then(|| sha256(key.as_bytes()))
}

impl Ledger {
    /// Makes a key and returns it with its text, of which only a hash is stored.
    #[crate::boxed]
    pub async fn create_api_key(
        &self,
        new: &NewApiKey,
    ) -> ChangeResult<(ApiKey, String), ApiKeyRefused> {
        let stores = sorted(&new.stores);
        let text = format!("{PREFIX}{}", self.inner.chance.token());
        let hash = sha256(text.as_bytes());
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            // Under the maker's lock, so that a key is not made while its maker loses the right to have it.
            let maker = accounts::lock(&mut change.tx, new.made_by).await?;
            let may = |maker: &Credentials| {
                let maker_of = |store: &StoreId| maker.account.manages(*store);
                !maker.account.disabled && !maker.is_of_key() && stores.iter().all(maker_of)
            };
            if stores.is_empty() || !maker.is_some_and(|maker| may(&maker)) {
                return Err(ApiKeyRefused::NotAllowed.into());
            }
            if new.expires_at.is_some_and(|until| until <= now) {
                return Err(ApiKeyRefused::Expired.into());
            }
            check_stores_exist(change, &stores)
                .await
                .map_err(|refused| refused.map_refused(ApiKeyRefused::Account))?;
            let others = api_keys::of_maker(&mut change.tx, new.made_by).await?;
            if others.len() >= MAX_KEYS_OF_MAKER {
                return Err(ApiKeyRefused::TooMany.into());
            }
            let key = ApiKey {
                id: self.inner.chance.id(now),
                name: new.name.clone(),
                stores: stores.clone(),
                actions: new.actions.clone(),
                made_by: new.made_by,
                created_at: now,
                expires_at: new.expires_at,
                last_used_at: None,
                ended_at: None,
            };
            let credentials = Credentials {
                account: Account {
                    username: username_of(&key),
                    ..key.account()
                },
                password_hash: KEY_INSTEAD_OF_PASSWORD.to_owned(),
            };
            accounts::insert(&mut change.tx, &credentials).await?;
            api_keys::insert(&mut change.tx, &key, &hash).await?;
            change.record(about(&key), Action::Created, None, &facts(&key));
            change.set_resource(key.id.uuid());
            Ok((key, text.clone()))
        })
    }

    /// Lists keys that have not ended, by id, after `after`; with `stores`, only those for one of these.
    #[crate::boxed]
    pub async fn api_keys(
        &self,
        stores: Option<&[StoreId]>,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>> {
        if stores.is_some_and(<[_]>::is_empty) {
            return Ok(Vec::new());
        }
        let mut tx = self.inner.db.read().await?;
        Ok(api_keys::page(&mut tx, stores, after, limit).await?)
    }

    /// Returns a key, ended or not.
    #[crate::boxed]
    pub async fn api_key(&self, id: AccountId) -> Result<Option<ApiKey>> {
        let mut tx = self.inner.db.read().await?;
        Ok(api_keys::by_id(&mut tx, id).await?)
    }

    /// Returns the key with this hash, ended or not.
    #[crate::boxed]
    pub async fn api_key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        let mut tx = self.inner.db.read().await?;
        Ok(api_keys::by_hash(&mut tx, hash).await?)
    }

    /// Ends a key. One that has ended stays as it is.
    #[crate::boxed]
    pub async fn end_api_key(&self, id: AccountId) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let known = api_keys::by_id(&mut change.tx, id).await?;
            api_keys::end(&mut change.tx, id, change.now).await?;
            if let Some(key) = known.filter(|key| key.ended_at.is_none()) {
                change.record_fields(about(&key), Action::Ended, Map::new());
            }
            Ok(())
        })
    }

    /// Records that the key is used now, unless a use within the last minute is known. The write runs beside the caller,
    /// whose request does not wait for it.
    pub fn note_api_key_use(&self, key: &ApiKey) {
        if !is_use_recorded(key, self.inner.clock.now()) {
            return;
        }
        let (ledger, id) = (self.clone(), key.id);
        tokio::spawn(async move {
            if let Err(error) = ledger.record_api_key_use(id).await {
                tracing::warn!(%error, key = %id, "recording the use of an API key failed");
            }
        });
    }

    #[crate::boxed]
    async fn record_api_key_use(&self, id: AccountId) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            api_keys::record_use(&mut change.tx, id, change.now).await?;
            Ok(())
        })
    }
}

/// Returns as much of a key as records show.
fn facts(key: &ApiKey) -> Value {
    json!({
        "name": key.name,
        "stores": key.stores,
        "actions": key.actions,
        "expires_at": key.expires_at,
    })
}

fn about(key: &ApiKey) -> About<'_> {
    About {
        subject: Subject::ApiKey,
        id: key.id.uuid(),
        stores: &key.stores,
    }
}

/// Returns true if a use of the key at this time is to be recorded.
fn is_use_recorded(key: &ApiKey, now: DateTime<Utc>) -> bool {
    key.last_used_at
        .is_none_or(|last| last + USE_RECORDED_EVERY <= now)
}

/// Ends the account's keys for stores that it may no longer manage: a key keeps the others, and ends without any.
pub(super) async fn end_keys_of(change: &mut Change<'_>, maker: &Account) -> store::Result<()> {
    for key in api_keys::of_maker(&mut change.tx, maker.id).await? {
        let may = |store: &StoreId| !maker.disabled && maker.manages(*store);
        let kept: Vec<StoreId> = key.stores.iter().copied().filter(may).collect();
        if kept.len() == key.stores.len() {
            continue;
        }
        let stores = json!({"from": key.stores, "to": kept});
        let fields = Map::from_iter([("stores".to_owned(), stores)]);
        change.record_fields(about(&key), Action::Edited, fields);
        if kept.is_empty() {
            api_keys::end(&mut change.tx, key.id, change.now).await?;
        } else {
            accounts::replace_stores(&mut change.tx, key.id, &kept).await?;
        }
        tracing::info!(key = %key.id, maker = %maker.id, stores = kept.len(), "API key lost stores with its maker");
    }
    Ok(())
}

/// Returns the account, disabled if it is that of a key that has expired.
pub(super) async fn with_expiry(
    tx: &mut Tx,
    mut found: Credentials,
    now: DateTime<Utc>,
) -> store::Result<Credentials> {
    if found.is_of_key() {
        let key = api_keys::by_id(tx, found.account.id).await?;
        found.account.disabled |= !key.is_some_and(|key| key.is_in_force(now));
    }
    Ok(found)
}

/// Returns the name of the key's account: nobody can register it, and no other account has it.
fn username_of(key: &ApiKey) -> String {
    let mut name = key.name.as_str();
    while name.len() > NAME_BYTES {
        let mut shorter = name.chars();
        shorter.next_back();
        name = shorter.as_str();
    }
    let id = key.id.uuid().simple().to_string();
    format!("{name} (key {})", &id[id.len() - 12..])
}

#[cfg(test)]
mod tests;
