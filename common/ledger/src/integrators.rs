//! Integrators: the systems that are handed a store's orders, and the secrets shared with them.

mod archive;
mod bound;
mod disable;
mod health;
mod membership;
mod secrets;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Map, Value};
use url::Url;

use self::membership::{check_open, distinct, edit_stores, note_stores};
use super::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, records::About,
    stores::set,
};
use domain::{
    answers::{Answers, JsonPointer},
    breaker::Breaker,
    hint::Hint,
    ids::{IntegratorId, StoreId},
    integrator::{
        CallbackAuth, Confirms, Format, HandoffEvent, Integrator, IntegratorKind, OutboundAuth,
        UnknownPolicy, default_events,
    },
    pressure::Pressure,
    record::{Action, Subject, difference},
    signature::SigningSecret,
    status::OrderStatus,
};
use store::integrators::Stored;

pub use bound::MAX_ENABLED_PER_STORE;
pub use health::{Health, LastFailure};

/// Time for which a replaced secret stays valid, in hours.
const OLD_SECRET_HOURS: i64 = 24;

/// A new integrator; the kind decides the default of a field that is `None`.
#[derive(Clone, Debug)]
pub struct NewIntegrator {
    /// Its first store.
    pub store_id: StoreId,
    pub further_stores: Vec<StoreId>,
    pub name: String,
    pub kind: IntegratorKind,
    pub format: Format,
    pub events: Option<Vec<HandoffEvent>>,
    pub url: Url,
    pub required: Option<bool>,
    pub confirms: Confirms,
    pub unknown_policy: UnknownPolicy,
    pub callback_auth: CallbackAuth,
    pub auth: OutboundAuth,
    pub status_map: BTreeMap<String, OrderStatus>,
    pub answers: Answers,
    pub max_attempts: u32,
    pub concurrency: u32,
    pub rate_per_s: Option<u32>,
}

/// Changes to an integrator; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct IntegratorEdit {
    /// All its stores. Its first one must be among them.
    pub stores: Option<Vec<StoreId>>,
    pub name: Option<String>,
    pub kind: Option<IntegratorKind>,
    pub format: Option<Format>,
    pub events: Option<Vec<HandoffEvent>>,
    pub url: Option<Url>,
    pub required: Option<bool>,
    pub confirms: Option<Confirms>,
    pub unknown_policy: Option<UnknownPolicy>,
    pub callback_auth: Option<CallbackAuth>,
    pub auth: Option<OutboundAuth>,
    pub status_map: Option<BTreeMap<String, OrderStatus>>,
    pub answers: AnswersEdit,
    pub max_attempts: Option<u32>,
    pub concurrency: Option<u32>,
    pub rate_per_s: Option<Option<u32>>,
    /// Enabling it clears its failures and its pace, and closes its breaker.
    pub enabled: Option<bool>,
    /// Why it is disabled, in words for people.
    pub disabled_reason: Option<String>,
}

/// Changes to the places of an integrator's values in its answers; `Some(None)` sets the usual ones again.
#[derive(Clone, Debug, Default)]
pub struct AnswersEdit {
    pub token: Option<Option<JsonPointer>>,
    pub reference: Option<Option<JsonPointer>>,
}

/// Both secrets of a new integrator, shown only this once.
#[derive(Clone, Debug)]
pub struct NewSecrets {
    /// Signs our requests.
    pub signing: SigningSecret,
    /// Signs the integrator's callbacks.
    pub callback: SigningSecret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    Signing,
    Callback,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntegratorRefused {
    #[error("the integrator does not exist or is archived")]
    NotFound,
    #[error("the store does not exist or is archived")]
    NoSuchStore,
    #[error("store {store} does not exist or is archived")]
    NoSuchFurtherStore { store: StoreId },
    #[error("must contain the integrator's first store")]
    FirstStoreMissing,
    #[error("it was edited meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
    #[error("a listener can't be edited: start it again with other settings")]
    Listener,
    #[error("its authentication must be given again when its URL moves to another host")]
    AuthRequired,
    #[error(
        "store {store} has {} enabled integrators, and may have no more",
        MAX_ENABLED_PER_STORE
    )]
    TooMany { store: StoreId },
}

impl Refusal for IntegratorRefused {}

impl Ledger {
    #[crate::boxed]
    pub async fn create_integrator(
        &self,
        new: NewIntegrator,
    ) -> ChangeResult<(Integrator, NewSecrets), IntegratorRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let new = new.clone();
            store::stores::get(&mut change.tx, new.store_id)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(IntegratorRefused::NoSuchStore)?;
            check_open(change, &new.further_stores).await?;
            bound::check_new(change, &new).await?;
            let (stored, secrets) = prepare(change, new);
            store::integrators::insert(&mut change.tx, &stored).await?;
            let integrator = &stored.integrator;
            change.record(about(integrator), Action::Created, None, integrator);
            change.set_resource(stored.integrator.id.uuid());
            Ok((stored.integrator, secrets))
        })
    }

    /// Returns an integrator; `None` also if it is archived.
    #[crate::boxed]
    pub async fn integrator(&self, id: IntegratorId) -> Result<Option<Integrator>> {
        let mut tx = self.inner.db.read().await?;
        let stored = store::integrators::get(&mut tx, id).await?;
        let Some(stored) = stored.filter(is_listed) else {
            return Ok(None);
        };
        let mut found = [stored.integrator];
        store::integrators::fill_further_stores(&mut tx, &mut found).await?;
        let [integrator] = found;
        Ok(Some(integrator))
    }

    /// Lists the store's integrators that are not archived, by id, after `after`.
    #[crate::boxed]
    pub async fn integrators(
        &self,
        store: StoreId,
        after: Option<IntegratorId>,
        limit: u32,
    ) -> Result<Vec<Integrator>> {
        let mut tx = self.inner.db.read().await?;
        let mut found = store::integrators::list(&mut tx, store, after, limit).await?;
        store::integrators::fill_further_stores(&mut tx, &mut found).await?;
        Ok(found)
    }

    /// Returns an integrator with the secrets that may sign its callbacks now: the current one, and for a while the
    /// previous one. `None` also if it is archived, or a listener, which must move no order.
    #[crate::boxed]
    pub async fn callback_secrets(
        &self,
        id: IntegratorId,
    ) -> Result<Option<(Integrator, Vec<SigningSecret>)>> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        let stored = store::integrators::get(&mut tx, id).await?;
        drop(tx);
        let Some(stored) = stored.filter(|one| is_listed(one) && !one.integrator.is_listener())
        else {
            return Ok(None);
        };
        let secrets =
            self.inner
                .open_secrets(id, &stored.callback_sealed, &stored.old_callback, now)?;
        Ok(Some((stored.integrator, secrets)))
    }

    /// Edits an integrator; `version`, if given, must be its current one. A move to another host must give `auth`
    /// again: nobody can read the stored one, so nobody may have it sent to a host of their choice.
    #[crate::boxed]
    pub async fn edit_integrator(
        &self,
        id: IntegratorId,
        version: Option<i64>,
        edit: IntegratorEdit,
    ) -> ChangeResult<Integrator, IntegratorRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let mut stored = lock_editable(change, id, version).await?;
            let (left, stores) = edit_stores(change, &stored.integrator, &edit).await?;
            let was_unrestricted = is_unrestricted(&stored);
            let before = stored.integrator.clone();
            if edit.auth.is_none() && sends_auth_elsewhere(&stored.integrator, &edit) {
                return Err(IntegratorRefused::AuthRequired.into());
            }
            if let Some(auth) = &edit.auth {
                stored.auth_sealed = change.inner.seal_auth(id, auth);
                stored.integrator.auth_kind = auth.kind().to_owned();
            }
            apply(&edit, &mut stored);
            if edit.stores.is_some() || !before.enabled {
                bound::check_edited(change, &before, &stored.integrator, &stores).await?;
            }
            if edit.enabled.is_some() {
                store::integrators::forget_told(&mut change.tx, id).await?;
            }
            write(change, &mut stored).await?;
            let integrator = &stored.integrator;
            let mut fields = difference(Some(&before), integrator);
            if edit.auth.is_some() {
                fields.insert("auth".to_owned(), Value::Null);
            }
            note_stores(&mut fields, &left, &stores);
            if !fields.is_empty() {
                change.record_fields(about(integrator), Action::Edited, fields);
            }
            if is_unrestricted(&stored) && !was_unrestricted {
                change.hint(Hint::Handoffs { integrator: id });
            }
            change.set_resource(id.uuid());
            stored.integrator.further_stores = stores;
            Ok(stored.integrator)
        })
    }

    /// Replaces a secret; the new one is shown only this once. The old one stays valid for another day, the one before
    /// that becomes invalid.
    #[crate::boxed]
    pub async fn rotate_secret(
        &self,
        id: IntegratorId,
        kind: SecretKind,
    ) -> ChangeResult<(Integrator, SigningSecret), IntegratorRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let mut stored = lock_editable(change, id, None).await?;
            let secret = change.inner.new_secret();
            let sealed = change.inner.seal_secret(id, &secret);
            let old_until = change.now + TimeDelta::hours(OLD_SECRET_HOURS);
            match kind {
                SecretKind::Signing => {
                    store::integrators::rotate_signing(&mut change.tx, id, &sealed, old_until)
                        .await?;
                }
                SecretKind::Callback => {
                    store::integrators::rotate_callback(&mut change.tx, id, &sealed, old_until)
                        .await?;
                }
            }
            stored.integrator.version += 1;
            let rotated = match kind {
                SecretKind::Signing => "signing_secret",
                SecretKind::Callback => "callback_secret",
            };
            let fields = Map::from_iter([(rotated.to_owned(), Value::Null)]);
            change.record_fields(about(&stored.integrator), Action::SecretRotated, fields);
            change.set_resource(id.uuid());
            Ok((stored.integrator, secret))
        })
    }
}

pub(crate) fn about(integrator: &Integrator) -> About<'_> {
    About {
        subject: Subject::Integrator,
        id: integrator.id.uuid(),
        stores: std::slice::from_ref(&integrator.store_id),
    }
}

/// Builds the row of a new integrator and its secrets; inserts nothing.
pub(crate) fn prepare(change: &Change<'_>, new: NewIntegrator) -> (Stored, NewSecrets) {
    let inner = change.inner;
    let secrets = NewSecrets {
        signing: inner.new_secret(),
        callback: inner.new_secret(),
    };
    let id: IntegratorId = inner.chance.id(change.now);
    let stored = Stored {
        auth_sealed: inner.seal_auth(id, &new.auth),
        signing_sealed: inner.seal_secret(id, &secrets.signing),
        old_signing: None,
        callback_sealed: inner.seal_secret(id, &secrets.callback),
        old_callback: None,
        breaker: Breaker::default(),
        pressure: Pressure::default(),
        given_up: None,
        archived_at: None,
        integrator: Integrator {
            id,
            store_id: new.store_id,
            name: new.name,
            kind: new.kind,
            format: new.format,
            events: new
                .events
                .unwrap_or_else(|| default_events(new.kind).to_vec()),
            url: new.url,
            // A push service only tells people; no order waits for it.
            required: new.required.unwrap_or(new.kind != IntegratorKind::Push),
            confirms: new.confirms,
            unknown_policy: new.unknown_policy,
            callback_auth: new.callback_auth,
            auth_kind: new.auth.kind().to_owned(),
            status_map: new.status_map,
            answers: new.answers,
            max_attempts: new.max_attempts,
            concurrency: new.concurrency,
            rate_per_s: new.rate_per_s,
            enabled: true,
            disabled_reason: None,
            listens_until: None,
            version: 1,
            created_at: change.now,
            further_stores: distinct(&new.further_stores, new.store_id),
            joined_at: change.now,
            left_at: None,
        },
    };
    (stored, secrets)
}

fn is_listed(stored: &Stored) -> bool {
    stored.archived_at.is_none()
}

/// Returns true if nothing but its settings limits what it is sent.
fn is_unrestricted(stored: &Stored) -> bool {
    stored.integrator.enabled && stored.given_up.is_none() && stored.breaker.is_healthy()
}

/// Returns true if the edit would send its stored password, token or key to another host.
fn sends_auth_elsewhere(integrator: &Integrator, edit: &IntegratorEdit) -> bool {
    let moved = |url: &Url| url.origin() != integrator.url.origin();
    integrator.auth_kind != OutboundAuth::None.kind() && edit.url.as_ref().is_some_and(moved)
}

async fn lock(
    change: &mut Change<'_>,
    id: IntegratorId,
    version: Option<i64>,
) -> ChangeResult<Stored, IntegratorRefused> {
    let stored = store::integrators::lock(&mut change.tx, id)
        .await?
        .filter(is_listed)
        .ok_or(IntegratorRefused::NotFound)?;
    let current = stored.integrator.version;
    if version.is_some_and(|wanted| wanted != current) {
        return Err(IntegratorRefused::VersionConflict { current }.into());
    }
    Ok(stored)
}

/// Locks an integrator for an edit. A listener is as it was made: an edit could make orders wait for it.
async fn lock_editable(
    change: &mut Change<'_>,
    id: IntegratorId,
    version: Option<i64>,
) -> ChangeResult<Stored, IntegratorRefused> {
    let stored = lock(change, id, version).await?;
    if stored.integrator.is_listener() {
        return Err(IntegratorRefused::Listener.into());
    }
    Ok(stored)
}

async fn write(
    change: &mut Change<'_>,
    stored: &mut Stored,
) -> ChangeResult<(), IntegratorRefused> {
    let current = stored.integrator.version;
    if !store::integrators::update(&mut change.tx, stored, current).await? {
        return Err(IntegratorRefused::VersionConflict { current }.into());
    }
    stored.integrator.version += 1;
    Ok(())
}

fn apply(edit: &IntegratorEdit, stored: &mut Stored) {
    let edit = edit.clone();
    let integrator = &mut stored.integrator;
    if edit.url.is_some() || edit.rate_per_s.is_some() || edit.enabled == Some(true) {
        // The pace was learned from another address, or a person knows better.
        stored.pressure = Pressure::default();
    }
    set(&mut integrator.name, edit.name);
    set(&mut integrator.kind, edit.kind);
    set(&mut integrator.format, edit.format);
    set(&mut integrator.events, edit.events);
    set(&mut integrator.url, edit.url);
    set(&mut integrator.required, edit.required);
    set(&mut integrator.confirms, edit.confirms);
    set(&mut integrator.unknown_policy, edit.unknown_policy);
    set(&mut integrator.callback_auth, edit.callback_auth);
    set(&mut integrator.status_map, edit.status_map);
    set(&mut integrator.answers.token, edit.answers.token);
    set(&mut integrator.answers.reference, edit.answers.reference);
    set(&mut integrator.max_attempts, edit.max_attempts);
    set(&mut integrator.concurrency, edit.concurrency);
    set(&mut integrator.rate_per_s, edit.rate_per_s);
    match edit.enabled {
        Some(true) => {
            integrator.enabled = true;
            integrator.disabled_reason = None;
            stored.breaker = Breaker::default();
            stored.given_up = None;
        }
        Some(false) => {
            integrator.enabled = false;
            stored.given_up = None;
            integrator.disabled_reason = edit.disabled_reason;
        }
        None => {}
    }
}

#[cfg(test)]
mod tests;
