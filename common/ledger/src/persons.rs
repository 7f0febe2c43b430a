//! The data of persons: handed out to them, and erased.
//!
//! An erasure is a row, and the sweep works on it: it walks over the orders by id, erases those of the person that have
//! ended, and comes back to the others. It ends once nothing is left (ADR 92).

mod erase;
mod export;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

pub use self::export::{ExportedOrder, PersonPage};
use crate::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, records::About,
};
use domain::{
    account::{Account, Role},
    erasure::{Erasure, Progress},
    ids::{AccountId, ErasureId},
    person::{Person, PersonKind},
    record::{Action, Subject},
};
use store::Tx;

/// Time after which a request's first step is made: orders that were on their way are stored by then.
const BEGIN_AFTER: TimeDelta = TimeDelta::seconds(30);
/// Time for which one process works on a step.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Pause before orders that were not erased are looked at again.
const LOOK_AGAIN_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Time after which a sweep leaves the rest to the next one.
const MAX_TIME: Duration = Duration::from_secs(1);
/// Number of orders that one statement reads.
const ORDERS_PER_READ: u32 = 1000;
/// Maximum number of orders that wait; the walk goes on once there are fewer.
const MAX_WAITING: usize = 1000;
/// Number of them that are looked at again in one step.
const WAITING_PER_STEP: usize = 200;

/// A person, and the keyed hash that stands for them in the audit trail.
#[derive(Clone, Debug)]
pub struct KnownPerson {
    pub person: Person,
    pub hash: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonRefused {
    #[error("the account does not exist")]
    NoSuchAccount,
    #[error("the account is not a customer's")]
    NotACustomer,
}

impl Refusal for PersonRefused {}

impl Ledger {
    /// Requests that everything known of a person is erased; the sweep does it. A request about the same person that is
    /// not done is returned instead. The account, if there is one, is disabled at once, so that it places no new orders.
    #[crate::boxed]
    pub async fn request_erasure(
        &self,
        known: &KnownPerson,
    ) -> ChangeResult<Erasure, PersonRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            if let Some(running) =
                store::erasures::running(&mut change.tx, known.hash.as_slice()).await?
            {
                change.set_resource(running.id.uuid());
                return Ok(running);
            }
            let account = account_of(&mut change.tx, &known.person).await?;
            if let Some(account) = &account {
                disable(change, account.id).await?;
            }
            let id: ErasureId = change.inner.chance.id(change.now);
            let erasure = Erasure {
                id,
                kind: known.person.kind,
                person_hash: known.hash.to_vec(),
                account_id: account.map(|account| account.id),
                requested_at: change.now,
                requested_by: change.actor.clone(),
                progress: Progress::default(),
                next_at: change.now + BEGIN_AFTER,
                done_at: None,
            };
            let person = serde_json::to_vec(&known.person).expect("a person is two texts");
            let inner = change.inner;
            let sealed = inner.sealing.seal(&inner.chance, id.uuid(), &person);
            store::erasures::insert(&mut change.tx, &erasure, &sealed).await?;
            record(change, &erasure, Action::ErasureRequested, Map::new());
            change.set_resource(id.uuid());
            Ok(erasure)
        })
    }

    #[crate::boxed]
    pub async fn erasure(&self, id: ErasureId) -> Result<Option<Erasure>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::erasures::get(&mut tx, id).await?)
    }

    /// Lists erasures, newest first, at most `limit`; `before` is the last of the previous page.
    #[crate::boxed]
    pub async fn erasures(&self, before: Option<ErasureId>, limit: u32) -> Result<Vec<Erasure>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::erasures::list(&mut tx, before, limit).await?)
    }
}

/// Returns the customer's account of a person: the one that is named, or the one that has the phone or the address as its
/// username.
async fn account_of(tx: &mut Tx, person: &Person) -> ChangeResult<Option<Account>, PersonRefused> {
    let id: AccountId = match person.kind {
        PersonKind::Account => person
            .value
            .parse()
            .map_err(|_| PersonRefused::NoSuchAccount)?,
        PersonKind::Phone | PersonKind::Email => {
            let names = [person.value.clone(), format!("+{}", person.value)];
            let Some(id) = store::erasures::customer_named(tx, &names).await? else {
                return Ok(None);
            };
            id
        }
    };
    let found = store::accounts::by_id(tx, id).await?;
    let found = found.filter(|found| !found.is_of_key());
    let account = found.ok_or(PersonRefused::NoSuchAccount)?.account;
    if account.role == Role::Customer {
        Ok(Some(account))
    } else {
        Err(PersonRefused::NotACustomer.into())
    }
}

async fn disable(change: &mut Change<'_>, id: AccountId) -> store::Result<()> {
    if let Some(mut found) = store::accounts::lock(&mut change.tx, id).await? {
        found.account.disabled = true;
        store::accounts::update(&mut change.tx, &found).await?;
        store::accounts::refresh_tokens::revoke_all(&mut change.tx, id, change.now).await?;
    }
    Ok(())
}

/// Records what is done about a person, who is told by the hash only.
fn record(
    change: &mut Change<'_>,
    erasure: &Erasure,
    action: Action,
    mut fields: Map<String, Value>,
) {
    let told = facts(erasure.kind, &erasure.person_hash);
    fields.extend(told);
    let about = About {
        subject: Subject::Customer,
        id: erasure.id.uuid(),
        stores: &[],
    };
    change.record_fields(about, action, fields);
}

fn facts(kind: PersonKind, hash: &[u8]) -> [(String, Value); 2] {
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    [("by", json!(kind)), ("person", json!(hash))].map(|(name, value)| (name.to_owned(), value))
}
