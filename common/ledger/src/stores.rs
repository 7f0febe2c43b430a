//! Stores: creating, editing, pausing and archiving them.

mod rules;

use serde_json::{Map, json};

use super::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, records::About,
};
use domain::{
    event::EventKind,
    ids::StoreId,
    language::Language,
    money::Currency,
    record::{Action, Subject},
    status::CancelUntil,
    store::{Contact, Store},
    timing::StoreTiming,
};
use store::events::Counter;

pub use rules::{RulesEdit, StoreOpening};

/// A new store; its currency never changes, since its orders' totals are in it.
#[derive(Clone, Debug)]
pub struct NewStore {
    pub name: String,
    pub timezone: String,
    pub currency: Currency,
    pub contact: Contact,
    pub auto_accept: bool,
    pub accept_within_s: u32,
    pub deliver_accepted_after_h: Option<u32>,
    pub timing: StoreTiming,
    pub language: Language,
}

/// Changes to a store; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct StoreEdit {
    pub name: Option<String>,
    pub timezone: Option<String>,
    pub phone: Option<Option<String>>,
    pub email: Option<Option<String>>,
    pub address: Option<Option<String>>,
    pub lat: Option<Option<f64>>,
    pub lng: Option<Option<f64>>,
    pub external_location_id: Option<Option<String>>,
    pub auto_accept: Option<bool>,
    pub accept_within_s: Option<u32>,
    pub deliver_accepted_after_h: Option<Option<u32>>,
    pub lead_time_min: Option<u32>,
    pub prepare_min: Option<u32>,
    pub order_ahead_days: Option<u32>,
    pub cancel_until: Option<CancelUntil>,
    pub language: Option<Language>,
    /// Announced as `store.paused` on the store's own stream.
    pub paused: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefused {
    #[error("the store does not exist or is archived")]
    NotFound,
    #[error("it was edited meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
}

impl Refusal for StoreRefused {}

impl Ledger {
    #[crate::boxed]
    pub async fn create_store(&self, new: NewStore) -> Result<Store> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let new = new.clone();
            let store = Store {
                id: change.inner.chance.id(change.now),
                name: new.name,
                timezone: new.timezone,
                currency: new.currency,
                contact: new.contact,
                external_location_id: None,
                auto_accept: new.auto_accept,
                accept_within_s: new.accept_within_s,
                deliver_accepted_after_h: new.deliver_accepted_after_h,
                timing: new.timing,
                paused: false,
                language: new.language,
                archived_at: None,
                version: 1,
                created_at: change.now,
            };
            store::stores::insert(&mut change.tx, &store).await?;
            change.record(about(&store), Action::Created, None, &store);
            change.set_resource(store.id.uuid());
            Ok(store)
        })
    }

    /// Returns a store, also an archived one.
    #[crate::boxed]
    pub async fn store(&self, id: StoreId) -> Result<Option<Store>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::stores::get(&mut tx, id).await?)
    }

    /// Lists the stores that are not archived, by id, after `after`; only those in `among`, if given.
    #[crate::boxed]
    pub async fn stores(
        &self,
        among: Option<&[StoreId]>,
        after: Option<StoreId>,
        limit: u32,
    ) -> Result<Vec<Store>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::stores::list(&mut tx, among, after, limit).await?)
    }

    /// Edits a store; `version`, if given, must be its current one.
    #[crate::boxed]
    pub async fn edit_store(
        &self,
        id: StoreId,
        version: Option<i64>,
        edit: StoreEdit,
    ) -> ChangeResult<Store, StoreRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            if edit.paused.is_some() {
                lock_stream(change, id).await?;
            }
            let mut store = lock(change, id, version).await?;
            let before = store.clone();
            apply(&edit, &mut store);
            write(change, &mut store).await?;
            change.record(about(&store), Action::Edited, Some(&before), &store);
            if store.paused != before.paused {
                let data = json!({ "paused": store.paused });
                change.event(id.into(), None, EventKind::StorePaused, data);
            }
            change.set_resource(id.uuid());
            Ok(store)
        })
    }

    /// Archives a store: it takes no more orders and is no longer listed; its past orders stay readable. Idempotent.
    #[crate::boxed]
    pub async fn archive_store(
        &self,
        id: StoreId,
        version: Option<i64>,
    ) -> ChangeResult<Store, StoreRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            // This waits for orders that are being numbered right now.
            lock_stream(change, id).await?;
            if let Some(archived) = store::stores::get(&mut change.tx, id)
                .await?
                .filter(|store| store.archived_at.is_some())
            {
                return Ok(archived);
            }
            let mut store = lock(change, id, version).await?;
            store.archived_at = Some(change.now);
            write(change, &mut store).await?;
            change.record_fields(about(&store), Action::Archived, Map::new());
            Ok(store)
        })
    }
}

fn about(store: &Store) -> About<'_> {
    About {
        subject: Subject::Store,
        id: store.id.uuid(),
        stores: std::slice::from_ref(&store.id),
    }
}

/// Locks the store's stream so that events may be written; by docs/design.md section 4, before anything else is locked.
pub(crate) async fn lock_stream(change: &mut Change<'_>, id: StoreId) -> store::Result<bool> {
    let Some((_, last_seq)) = store::stores::lock_counters(&mut change.tx, id).await? else {
        return Ok(false);
    };
    change.register_stream(id.into(), Counter::Store, id, last_seq);
    Ok(true)
}

async fn lock(
    change: &mut Change<'_>,
    id: StoreId,
    version: Option<i64>,
) -> ChangeResult<Store, StoreRefused> {
    let store = store::stores::lock(&mut change.tx, id)
        .await?
        .filter(|store| store.archived_at.is_none())
        .ok_or(StoreRefused::NotFound)?;
    let current = store.version;
    if version.is_some_and(|wanted| wanted != current) {
        return Err(StoreRefused::VersionConflict { current }.into());
    }
    Ok(store)
}

async fn write(change: &mut Change<'_>, store: &mut Store) -> ChangeResult<(), StoreRefused> {
    let current = store.version;
    if !store::stores::update(&mut change.tx, store, current).await? {
        return Err(StoreRefused::VersionConflict { current }.into());
    }
    store.version += 1;
    Ok(())
}

fn apply(edit: &StoreEdit, store: &mut Store) {
    let edit = edit.clone();
    set(&mut store.name, edit.name);
    set(&mut store.timezone, edit.timezone);
    set(&mut store.contact.phone, edit.phone);
    set(&mut store.contact.email, edit.email);
    set(&mut store.contact.address, edit.address);
    set(&mut store.contact.lat, edit.lat);
    set(&mut store.contact.lng, edit.lng);
    set(&mut store.external_location_id, edit.external_location_id);
    set(&mut store.auto_accept, edit.auto_accept);
    set(&mut store.accept_within_s, edit.accept_within_s);
    set(
        &mut store.deliver_accepted_after_h,
        edit.deliver_accepted_after_h,
    );
    set(&mut store.timing.lead_time_min, edit.lead_time_min);
    set(&mut store.timing.prepare_min, edit.prepare_min);
    set(&mut store.timing.order_ahead_days, edit.order_ahead_days);
    set(&mut store.timing.cancel_until, edit.cancel_until);
    set(&mut store.language, edit.language);
    set(&mut store.paused, edit.paused);
}

/// Overwrites a field with its edited value, if there is one.
pub(super) fn set<T>(field: &mut T, edited: Option<T>) {
    if let Some(edited) = edited {
        *field = edited;
    }
}

#[cfg(test)]
mod tests;
