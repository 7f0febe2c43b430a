//! `/integrators`: the outside systems that receive a store's orders, and the secrets shared with them.

mod answers;
mod health;
mod outbound_auth;
mod request;

use std::collections::BTreeMap;

use domain::{
    account::Role,
    ids::{IntegratorId, StoreId},
    integrator::Integrator,
    signature::SigningSecret,
};
use ledger::{
    ChangeError,
    integrators::{IntegratorRefused, NewSecrets, SecretKind},
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use self::{
    answers::AnswersBody,
    health::HealthView,
    request::{IntegratorPatch, NewIntegratorBody},
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        enums::{
            CallbackAuth, Confirms, Format, HandoffEvent, IntegratorKind, OrderStatus,
            UnknownPolicy,
        },
        etag::{IfMatch, tag, version_conflict},
        idempotency::{IdempotencyKey, once, once_tagged},
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Created, Done, Replayable, Tagged},
        scalars::Time,
    },
    state::ApiState,
};

pub(crate) struct Integrators(pub(crate) ApiState);

/// An outside system that receives a store's orders.
#[derive(Debug, Object)]
#[oai(rename = "Integrator")]
struct IntegratorView {
    id: Uuid,
    /// Its first store.
    store_id: Uuid,
    /// All its stores, the first one first. They share everything else.
    store_ids: Vec<Uuid>,
    name: String,
    kind: IntegratorKind,
    format: Format,
    events: Vec<HandoffEvent>,
    url: String,
    required: bool,
    confirms: Confirms,
    unknown_policy: UnknownPolicy,
    callback_auth: CallbackAuth,
    /// The type of `auth`, which itself is never shown.
    auth_type: String,
    status_map: BTreeMap<String, OrderStatus>,
    answers: AnswersBody,
    max_attempts: u32,
    concurrency: u32,
    rate_per_s: Option<u32>,
    enabled: bool,
    disabled_reason: Option<String>,
    /// Set for a listener (`POST /listeners`): it ends then, unless somebody claims its messages before.
    listens_until: Option<Time>,
    version: i64,
    created_at: Time,
    /// Only in answers to `GET`; not part of the `ETag`.
    #[oai(skip_serializing_if_is_none)]
    health: Option<HealthView>,
}

/// A new integrator with both secrets, which are shown only this once: a replayed answer has neither. A client that
/// never received them requests new ones (`POST /integrators/{id}/rotate-secret`).
#[derive(Debug, Object)]
struct CreatedIntegrator {
    integrator: IntegratorView,
    /// Signs what we send (Standard Webhooks). Null in a replayed answer.
    signing_secret: Option<String>,
    /// Signs the integrator's callbacks. Null in a replayed answer.
    callback_secret: Option<String>,
}

#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum SecretName {
    /// Signs what we send.
    Signing,
    /// Signs the integrator's callbacks.
    Callback,
}

#[derive(Debug, Object)]
struct SecretRotation {
    secret: SecretName,
}

/// A new secret, shown only this once. The previous one stays valid for another 24 hours.
#[derive(Debug, Object)]
struct RotatedSecret {
    secret: SecretName,
    /// Null in a replayed answer, because secrets are not stored for replay. A client that never received it rotates
    /// once more.
    value: Option<String>,
}

#[OpenApi(tag = "Topic::Integrators")]
impl Integrators {
    /// List a store's integrators
    ///
    /// Oldest first, without archived ones and without secrets. Each is shown with its recent health, which is that of all
    /// its stores together.
    #[oai(
        path = "/integrators",
        method = "get",
        operation_id = "list_integrators"
    )]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        cursor: Cursor<IntegratorId>,
        limit: Limit,
    ) -> Result<Json<Page<IntegratorView>>, Problem> {
        let store = StoreId::from(store_id);
        caller.must_manage(store)?;
        let ledger = &self.0.ledger;
        if ledger.store(store).await?.is_none() {
            return Err(Problem::not_found());
        }
        let integrators = ledger.integrators(store, cursor.0, limit.0 + 1).await?;
        let ids: Vec<IntegratorId> = integrators.iter().map(|integrator| integrator.id).collect();
        let healths = ledger.health_of(&ids).await?;
        Ok(Json(Page::of(
            integrators.into_iter().zip(healths).collect(),
            limit,
            |(integrator, _)| integrator.id.uuid(),
            |(integrator, health)| IntegratorView {
                health: Some(health.into()),
                ..integrator.into()
            },
        )))
    }

    /// Connect an integrator
    ///
    /// The answer shows its secrets, only this once; a replayed answer does not, and a client that never received them
    /// rotates them. The integrator receives the orders of its stores that are placed from now on, and only the `events`
    /// that it listens to; their default depends on its `kind`. One that many stores use, such as an aggregator, is one
    /// integrator with all of them in `store_ids`: one address, one pair of secrets, one breaker, one concurrency and
    /// rate. The caller must manage all of them.
    #[oai(
        path = "/integrators",
        method = "post",
        operation_id = "create_integrator"
    )]
    async fn create(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewIntegratorBody>,
    ) -> Result<Created<CreatedIntegrator>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        caller.must_manage(new.store_id.into())?;
        for store in &new.store_ids {
            caller.must_manage((*store).into())?;
        }
        let new = new.parse(&self.0.settings)?;
        let made = once(
            &self.0,
            key,
            async |ledger| {
                let (integrator, secrets) = ledger.create_integrator(new).await?;
                Ok::<_, ChangeError<IntegratorRefused>>((integrator, Some(secrets)))
            },
            async |id| Ok((self.seen_integrator(&caller, id.into()).await?, None)),
        );
        let ((integrator, secrets), replayed) = made.await?;
        let location = format!("/api/v1/integrators/{}", integrator.id);
        let shown = |secret: fn(&NewSecrets) -> &SigningSecret| {
            let secrets = secrets.as_ref();
            secrets.map(|secrets| secret(secrets).reveal())
        };
        let created = CreatedIntegrator {
            integrator: integrator.into(),
            signing_secret: shown(|secrets| &secrets.signing),
            callback_secret: shown(|secrets| &secrets.callback),
        };
        Ok(Answer::of(created).at(location).replayed(replayed))
    }

    /// Get an integrator
    ///
    /// For managers of any of its stores, and for accounts that act for it. Shows its recent health, but no secrets. `health` is not part of the `ETag`,
    /// which changes with the settings only. An archived integrator returns 404.
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
        let integrator = if caller.represents(id.into()) {
            let found = self.0.ledger.integrator(id.into()).await?;
            found.ok_or_else(Problem::not_found)?
        } else if caller.is(Role::Integrator) {
            return Err(Problem::not_found());
        } else {
            self.seen_integrator(&caller, id.into()).await?
        };
        let health = self.0.ledger.health_of(&[integrator.id]).await?;
        let mut shown = IntegratorView::from(integrator);
        let etag = tag(&shown);
        shown.health = health.into_iter().next().map(Into::into);
        Ok(Answer::of(shown).tagged(etag))
    }

    /// Edit, enable or disable an integrator
    ///
    /// A disabled integrator is sent nothing: due handoffs wait until their `deadline`, and a new order that requires
    /// the integrator is left to staff. Enabling it resets its failures, and what waited is sent at once. A new `url`
    /// or `auth` applies from the next attempt; a body stays as it was first sent. A `url` on another host, scheme or
    /// port requires `auth` to be sent again, unless that is `none`, so that stored credentials go only to the address
    /// that they were given for. An integrator of several stores is edited, archived and given new secrets only by those
    /// who manage all of them; to change `store_ids`, the caller must manage those that join too.
    #[oai(
        path = "/integrators/:id",
        method = "patch",
        operation_id = "edit_integrator"
    )]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        Checked(patch): Checked<IntegratorPatch>,
    ) -> Result<Tagged<IntegratorView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let integrator = self.managed_integrator(&caller, id.into()).await?;
        for store in patch.joining() {
            caller.must_manage(store)?;
        }
        let edit = patch.parse(&self.0.settings)?;
        let (id, version) = (integrator.id, integrator.version);
        let shown = IntegratorView::from(integrator);
        let version = if_match.expected_version(&shown, version);
        once_tagged(
            &self.0,
            key,
            async |ledger| ledger.edit_integrator(id, version, edit).await,
            async |id| self.managed_integrator(&caller, id.into()).await,
        )
        .await
    }

    /// Archive an integrator
    ///
    /// It is sent nothing more; what it was sent stays readable. Open handoffs are withdrawn within seconds with the
    /// reason `integrator_archived`, but a request that is under way runs to its end. An order that waited for no other
    /// integrator is left to staff. Callbacks are refused from now on. Archiving cannot be undone: connect a new
    /// integrator instead.
    #[oai(
        path = "/integrators/:id",
        method = "delete",
        operation_id = "archive_integrator"
    )]
    async fn archive(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Done, Problem> {
        let integrator = self.managed_integrator(&caller, id.into()).await?;
        let (id, version) = (integrator.id, integrator.version);
        let version = if_match.match_version(&IntegratorView::from(integrator), version)?;
        self.0.ledger.archive_integrator(id, version).await?;
        Ok(Answer::empty())
    }

    /// Rotate a secret
    ///
    /// The old secret stays valid for another 24 hours. `signing` is the one that we sign with: during that time our
    /// requests carry a signature with each. `callback` is the one that the integrator signs with: during that time
    /// either is accepted. The secret before the old one is invalid at once. `version` increases.
    #[oai(
        path = "/integrators/:id/rotate-secret",
        method = "post",
        operation_id = "rotate_secret"
    )]
    async fn rotate_secret(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        key: IdempotencyKey,
        Checked(rotation): Checked<SecretRotation>,
    ) -> Result<Replayable<RotatedSecret>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &rotation)?;
        let integrator = self.managed_integrator(&caller, id.into()).await?;
        let kind = match rotation.secret {
            SecretName::Signing => SecretKind::Signing,
            SecretName::Callback => SecretKind::Callback,
        };
        let rotated = once(
            &self.0,
            key,
            async |ledger| {
                let (_, secret) = ledger.rotate_secret(integrator.id, kind).await?;
                Ok::<_, ChangeError<IntegratorRefused>>(Some(secret.reveal()))
            },
            async |_| Ok(None),
        );
        let (value, replayed) = rotated.await?;
        let secret = rotation.secret;
        Ok(Answer::of(RotatedSecret { secret, value }).replayed(replayed))
    }
}

impl Integrators {
    /// Returns an integrator of a store that the caller manages.
    async fn seen_integrator(
        &self,
        caller: &Caller,
        id: IntegratorId,
    ) -> Result<Integrator, Problem> {
        seen_integrator(&self.0, caller, id).await
    }

    /// Returns an integrator if the caller manages all its stores: what one does to it happens to all of them.
    async fn managed_integrator(
        &self,
        caller: &Caller,
        id: IntegratorId,
    ) -> Result<Integrator, Problem> {
        let integrator = self.seen_integrator(caller, id).await?;
        let mut stores = integrator.stores().into_iter();
        if stores.all(|store| caller.manages(store)) {
            Ok(integrator)
        } else {
            Err(Problem::forbidden()
                .detail("The integrator has stores that the caller does not manage."))
        }
    }
}

/// Returns an integrator if the caller manages one of its stores; 403 if the caller only serves one, otherwise 404.
pub(super) async fn seen_integrator(
    state: &ApiState,
    caller: &Caller,
    id: IntegratorId,
) -> Result<Integrator, Problem> {
    let integrator = state.ledger.integrator(id).await?;
    let integrator = integrator.ok_or_else(Problem::not_found)?;
    let stores = integrator.stores();
    let first_served = stores.iter().find(|store| caller.serves(**store));
    if !stores.iter().any(|store| caller.manages(*store)) {
        caller.must_manage(first_served.copied().unwrap_or(integrator.store_id))?;
    }
    Ok(integrator)
}

impl From<Integrator> for IntegratorView {
    fn from(integrator: Integrator) -> Self {
        let stores = integrator.stores();
        Self {
            id: integrator.id.uuid(),
            store_id: integrator.store_id.uuid(),
            store_ids: stores.into_iter().map(StoreId::uuid).collect(),
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
            answers: integrator.answers.into(),
            max_attempts: integrator.max_attempts,
            concurrency: integrator.concurrency,
            rate_per_s: integrator.rate_per_s,
            enabled: integrator.enabled,
            disabled_reason: integrator.disabled_reason,
            listens_until: integrator.listens_until.map(Into::into),
            version: integrator.version,
            created_at: integrator.created_at.into(),
            health: None,
        }
    }
}

impl From<IntegratorRefused> for Problem {
    fn from(refused: IntegratorRefused) -> Self {
        match refused {
            IntegratorRefused::NotFound => Self::not_found(),
            IntegratorRefused::NoSuchStore => Self::unknown_store(),
            IntegratorRefused::NoSuchFurtherStore { .. } | IntegratorRefused::FirstStoreMissing => {
                Self::invalid_field("/store_ids", refused.to_string())
            }
            IntegratorRefused::AuthRequired => Self::invalid_field(
                "/auth",
                "must be sent again if url changes its host, scheme or port",
            ),
            IntegratorRefused::Listener | IntegratorRefused::TooMany { .. } => {
                Self::new(Reason::Conflict).detail(format!("{refused}."))
            }
            IntegratorRefused::VersionConflict { current } => version_conflict(current),
        }
    }
}
