//! `/integrators`: the outside systems that a store's orders are handed to, and the secrets between them and us.

mod outbound_auth;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use common::{
    domain::{
        ids::{IntegratorId, StoreId},
        integrator::{self, Integrator},
    },
    ledger::integrators::{
        IntegratorEdit, IntegratorRefused, NewIntegrator, NewSecrets, SecretKind,
    },
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use url::Url;
use uuid::Uuid;

use self::outbound_auth::OutboundAuthBody;
use crate::{
    answer::{self, Created, Done, Page, Tagged},
    auth::Caller,
    body::{Checked, format::WebAddress},
    problem::{FieldError, Problem},
    state::ApiState,
    stores::said,
    tagged::{seen_version, tagged, version_conflict},
    words::{
        CallbackAuth, Confirms, Format, HandoffEvent, IntegratorKind, OrderStatus, UnknownPolicy,
    },
};

pub(crate) struct Integrators(pub(crate) ApiState);

/// An outside system that a store's orders are handed to.
#[derive(Debug, Object)]
#[oai(rename = "Integrator")]
struct IntegratorView {
    id: Uuid,
    store_id: Uuid,
    name: String,
    kind: IntegratorKind,
    format: Format,
    events: Vec<HandoffEvent>,
    url: String,
    required: bool,
    confirms: Confirms,
    unknown_policy: UnknownPolicy,
    callback_auth: CallbackAuth,
    /// The kind of its `auth`, which itself is never shown.
    auth_type: String,
    status_map: BTreeMap<String, OrderStatus>,
    max_attempts: u32,
    concurrency: u32,
    rate_per_s: Option<u32>,
    enabled: bool,
    disabled_reason: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
}

/// With both secrets, which are shown this once.
#[derive(Debug, Object)]
struct CreatedIntegrator {
    integrator: IntegratorView,
    /// What we send is signed with it (Standard Webhooks).
    signing_secret: String,
    /// It signs its callbacks with it.
    callback_secret: String,
}

#[derive(Debug, Object)]
#[oai(rename = "NewIntegrator")]
struct NewIntegratorBody {
    store_id: Uuid,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// A label; decides only what is not said here.
    kind: IntegratorKind,
    /// `order` unless said otherwise.
    format: Option<Format>,
    /// Unless said otherwise: placed and cancelled; for `delivery` dispatched and cancelled; for `push` every change.
    #[oai(validator(min_items = 1, max_items = 4, unique_items))]
    events: Option<Vec<HandoffEvent>>,
    /// https, without credentials in it.
    url: WebAddress,
    /// An order is accepted only when it has confirmed. True unless said otherwise, for `push` false.
    required: Option<bool>,
    /// `acknowledgement` unless said otherwise.
    confirms: Option<Confirms>,
    /// `resend` unless said otherwise.
    unknown_policy: Option<UnknownPolicy>,
    /// `signature` unless said otherwise.
    callback_auth: Option<CallbackAuth>,
    /// How we make ourselves known to it; `none` unless said otherwise.
    auth: Option<OutboundAuthBody>,
    /// Its words for an order's status, to ours.
    #[oai(validator(max_properties = 100))]
    status_map: Option<BTreeMap<String, OrderStatus>>,
    /// 5 unless said otherwise.
    #[oai(validator(minimum(value = "1"), maximum(value = "5")))]
    max_attempts: Option<u32>,
    /// Requests to it at one time, over all workers.
    #[oai(validator(minimum(value = "1"), maximum(value = "256")))]
    concurrency: Option<u32>,
    /// Requests to it a second, over all workers; unbounded unless said otherwise.
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    rate_per_s: Option<u32>,
}

/// A merge patch (RFC 7396): what is absent stays, null empties.
#[derive(Debug, Object)]
struct IntegratorPatch {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: Option<String>,
    kind: Option<IntegratorKind>,
    format: Option<Format>,
    #[oai(validator(min_items = 1, max_items = 4, unique_items))]
    events: Option<Vec<HandoffEvent>>,
    url: Option<WebAddress>,
    required: Option<bool>,
    confirms: Option<Confirms>,
    unknown_policy: Option<UnknownPolicy>,
    callback_auth: Option<CallbackAuth>,
    auth: Option<OutboundAuthBody>,
    /// Replaced as a whole.
    #[oai(validator(max_properties = 100))]
    status_map: Option<BTreeMap<String, OrderStatus>>,
    #[oai(validator(minimum(value = "1"), maximum(value = "5")))]
    max_attempts: Option<u32>,
    #[oai(validator(minimum(value = "1"), maximum(value = "256")))]
    concurrency: Option<u32>,
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    rate_per_s: MaybeUndefined<u32>,
    /// Enabling forgets its failures.
    enabled: Option<bool>,
    /// Why it is disabled; goes with `"enabled": false`.
    #[oai(validator(min_length = 1, max_length = 200))]
    disabled_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum SecretName {
    /// We sign with it.
    Signing,
    /// It signs its callbacks with it.
    Callback,
}

#[derive(Debug, Object)]
struct SecretRotation {
    secret: SecretName,
}

/// A fresh secret, shown this once. The one before it is good for another 24 hours.
#[derive(Debug, Object)]
struct RotatedSecret {
    secret: SecretName,
    value: String,
}

#[OpenApi]
impl Integrators {
    /// A store's integrators
    #[oai(
        path = "/integrators",
        method = "get",
        operation_id = "list_integrators"
    )]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        /// `next_cursor` of the page before.
        Query(cursor): Query<Option<String>>,
        /// 50 unless said otherwise, 100 at most.
        Query(limit): Query<Option<u32>>,
    ) -> Result<Json<Page<IntegratorView>>, Problem> {
        let limit = answer::limit(limit)?;
        let after = answer::after(cursor.as_deref())?.map(IntegratorId::from);
        let store = StoreId::from(store_id);
        caller.must_manage(store)?;
        let ledger = &self.0.ledger;
        if ledger.store(store).await?.is_none() {
            return Err(Problem::not_found());
        }
        let integrators = ledger.integrators(store, after, limit + 1).await?;
        Ok(Json(Page::of(
            integrators,
            limit,
            |integrator| integrator.id.uuid(),
            IntegratorView::from,
        )))
    }

    /// Connect an integrator; the answer shows its secrets, this once
    #[oai(
        path = "/integrators",
        method = "post",
        operation_id = "create_integrator"
    )]
    async fn create(
        &self,
        caller: Caller,
        Checked(new): Checked<NewIntegratorBody>,
    ) -> Result<Created<CreatedIntegrator>, Problem> {
        caller.must_manage(new.store_id.into())?;
        let new = self.parsed(new)?;
        let (integrator, secrets) = self.0.ledger.create_integrator(new).await?;
        let NewSecrets { signing, callback } = secrets;
        let location = format!("/api/v1/integrators/{}", integrator.id);
        let created = CreatedIntegrator {
            integrator: integrator.into(),
            signing_secret: signing.reveal(),
            callback_secret: callback.reveal(),
        };
        Ok(Created::at(location, created))
    }

    /// An integrator, without its secrets
    #[oai(
        path = "/integrators/:id",
        method = "get",
        operation_id = "get_integrator"
    )]
    async fn get(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
    ) -> Result<Tagged<IntegratorView>, Problem> {
        let integrator = self.managed(&caller, id.into()).await?;
        Ok(tagged(integrator.into()))
    }

    /// Edit, enable or disable an integrator
    #[oai(
        path = "/integrators/:id",
        method = "patch",
        operation_id = "edit_integrator"
    )]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        /// Only if it is still as this `ETag` says; or a version in quotes.
        #[oai(name = "If-Match")]
        Header(if_match): Header<Option<String>>,
        Checked(patch): Checked<IntegratorPatch>,
    ) -> Result<Tagged<IntegratorView>, Problem> {
        let integrator = self.managed(&caller, id.into()).await?;
        let edit = self.parsed_patch(patch)?;
        let (id, version) = (integrator.id, integrator.version);
        let version = seen_version(
            if_match.as_deref(),
            &IntegratorView::from(integrator),
            version,
        )?;
        let integrator = self.0.ledger.edit_integrator(id, version, edit).await?;
        Ok(tagged(integrator.into()))
    }

    /// Archive an integrator: it is sent nothing more, and what it was sent stays readable
    #[oai(
        path = "/integrators/:id",
        method = "delete",
        operation_id = "archive_integrator"
    )]
    async fn archive(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        /// Only if it is still as this `ETag` says; or a version in quotes.
        #[oai(name = "If-Match")]
        Header(if_match): Header<Option<String>>,
    ) -> Result<Done, Problem> {
        let integrator = self.managed(&caller, id.into()).await?;
        let (id, version) = (integrator.id, integrator.version);
        let version = seen_version(
            if_match.as_deref(),
            &IntegratorView::from(integrator),
            version,
        )?;
        self.0.ledger.archive_integrator(id, version).await?;
        Ok(Done)
    }

    /// Replace a secret; the old one is good for another 24 hours
    #[oai(
        path = "/integrators/:id/rotate-secret",
        method = "post",
        operation_id = "rotate_secret"
    )]
    async fn rotate_secret(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(rotation): Checked<SecretRotation>,
    ) -> Result<Json<RotatedSecret>, Problem> {
        let integrator = self.managed(&caller, id.into()).await?;
        let kind = match rotation.secret {
            SecretName::Signing => SecretKind::Signing,
            SecretName::Callback => SecretKind::Callback,
        };
        let (_, secret) = self.0.ledger.rotate_secret(integrator.id, kind).await?;
        Ok(Json(RotatedSecret {
            secret: rotation.secret,
            value: secret.reveal(),
        }))
    }
}

impl Integrators {
    async fn managed(&self, caller: &Caller, id: IntegratorId) -> Result<Integrator, Problem> {
        let integrator = self.0.ledger.integrator(id).await?;
        let integrator = integrator.ok_or_else(Problem::not_found)?;
        caller.must_manage(integrator.store_id)?;
        Ok(integrator)
    }

    fn parsed(&self, new: NewIntegratorBody) -> Result<NewIntegrator, Problem> {
        let mut errors = Vec::new();
        let url = self.address("/url", &new.url, &mut errors);
        let auth = new.auth.unwrap_or_default();
        let auth = auth.parse(&mut errors, |at, url, errors| self.address(at, url, errors));
        self.check(
            new.events.as_deref(),
            new.callback_auth,
            new.status_map.as_ref(),
            &mut errors,
        );
        let (Some(url), Some(auth), []) = (url, auth, errors.as_slice()) else {
            return Err(Problem::invalid(errors));
        };
        let settings = &self.0.settings.worker;
        Ok(NewIntegrator {
            store_id: new.store_id.into(),
            name: new.name,
            kind: new.kind.0,
            format: new.format.map_or(integrator::Format::Order, Into::into),
            events: new.events.map(words),
            url,
            required: new.required,
            confirms: new
                .confirms
                .map_or(integrator::Confirms::Acknowledgement, Into::into),
            unknown_policy: new
                .unknown_policy
                .map_or(integrator::UnknownPolicy::Resend, Into::into),
            callback_auth: new
                .callback_auth
                .map_or(integrator::CallbackAuth::Signature, Into::into),
            auth,
            status_map: new.status_map.map(statuses).unwrap_or_default(),
            max_attempts: new.max_attempts.unwrap_or(5),
            concurrency: new.concurrency.unwrap_or(settings.default_concurrency),
            rate_per_s: new.rate_per_s,
        })
    }

    fn parsed_patch(&self, patch: IntegratorPatch) -> Result<IntegratorEdit, Problem> {
        let mut errors = Vec::new();
        let url = patch
            .url
            .and_then(|url| self.address("/url", &url, &mut errors));
        let auth = patch.auth.and_then(|auth| {
            auth.parse(&mut errors, |at, url, errors| self.address(at, url, errors))
        });
        self.check(
            patch.events.as_deref(),
            patch.callback_auth,
            patch.status_map.as_ref(),
            &mut errors,
        );
        if patch.disabled_reason.is_some() && patch.enabled != Some(false) {
            errors.push(wrong("/disabled_reason", "goes with \"enabled\": false"));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(IntegratorEdit {
            name: patch.name,
            kind: patch.kind.map(Into::into),
            format: patch.format.map(Into::into),
            events: patch.events.map(words),
            url,
            required: patch.required,
            confirms: patch.confirms.map(Into::into),
            unknown_policy: patch.unknown_policy.map(Into::into),
            callback_auth: patch.callback_auth.map(Into::into),
            auth,
            status_map: patch.status_map.map(statuses),
            max_attempts: patch.max_attempts,
            concurrency: patch.concurrency,
            rate_per_s: said(patch.rate_per_s),
            enabled: patch.enabled,
            disabled_reason: patch.disabled_reason,
        })
    }

    /// What the schema can't say.
    fn check(
        &self,
        events: Option<&[HandoffEvent]>,
        callback_auth: Option<CallbackAuth>,
        status_map: Option<&BTreeMap<String, OrderStatus>>,
        errors: &mut Vec<FieldError>,
    ) {
        let asked_only = HandoffEvent(integrator::HandoffEvent::Test);
        if events.is_some_and(|events| events.contains(&asked_only)) {
            errors.push(wrong("/events", "test is only sent on request"));
        }
        if callback_auth == Some(CallbackAuth(integrator::CallbackAuth::Bearer))
            && !self.0.settings.callbacks.allow_bearer
        {
            let detail = "bearer is off here (the setting callbacks.allow_bearer)";
            errors.push(wrong("/callback_auth", detail));
        }
        let words = status_map.into_iter().flat_map(BTreeMap::keys);
        if words
            .into_iter()
            .any(|word| !(1..=100).contains(&word.chars().count()))
        {
            errors.push(wrong(
                "/status_map",
                "its words have from 1 to 100 characters",
            ));
        }
    }

    /// Where we may send an order, or a password.
    fn address(&self, at: &str, url: &WebAddress, errors: &mut Vec<FieldError>) -> Option<Url> {
        let Ok(url) = url.0.parse::<Url>() else {
            errors.push(wrong(at, "must be an http:// or https:// address"));
            return None;
        };
        if url.scheme() != "https" && !self.0.settings.worker.allow_http {
            errors.push(wrong(at, "must be https (the setting worker.allow_http)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            errors.push(wrong(
                at,
                "must have no credentials in it: they go into auth",
            ));
        }
        if url.fragment().is_some() {
            errors.push(wrong(at, "must have no fragment"));
        }
        Some(url)
    }
}

fn words(events: Vec<HandoffEvent>) -> Vec<integrator::HandoffEvent> {
    events.into_iter().map(Into::into).collect()
}

fn statuses(
    map: BTreeMap<String, OrderStatus>,
) -> BTreeMap<String, common::domain::status::OrderStatus> {
    map.into_iter()
        .map(|(word, status)| (word, status.0))
        .collect()
}

fn wrong(at: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: at.to_owned(),
        detail: detail.to_owned(),
    }
}

impl From<Integrator> for IntegratorView {
    fn from(integrator: Integrator) -> Self {
        Self {
            id: integrator.id.uuid(),
            store_id: integrator.store_id.uuid(),
            name: integrator.name,
            kind: integrator.kind.into(),
            format: integrator.format.into(),
            events: integrator.events.into_iter().map(Into::into).collect(),
            url: integrator.url.into(),
            required: integrator.required,
            confirms: integrator.confirms.into(),
            unknown_policy: integrator.unknown_policy.into(),
            callback_auth: integrator.callback_auth.into(),
            auth_type: integrator.auth_kind,
            status_map: integrator
                .status_map
                .into_iter()
                .map(|(word, status)| (word, status.into()))
                .collect(),
            max_attempts: integrator.max_attempts,
            concurrency: integrator.concurrency,
            rate_per_s: integrator.rate_per_s,
            enabled: integrator.enabled,
            disabled_reason: integrator.disabled_reason,
            version: integrator.version,
            created_at: integrator.created_at,
        }
    }
}

impl From<IntegratorRefused> for Problem {
    fn from(refused: IntegratorRefused) -> Self {
        match refused {
            IntegratorRefused::NotFound => Self::not_found(),
            IntegratorRefused::NoSuchStore => {
                Self::invalid_field("/store_id", "must be a store that is not archived")
            }
            IntegratorRefused::VersionConflict { current } => version_conflict(current),
        }
    }
}
