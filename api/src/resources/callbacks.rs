//! Receives integrators' signed callbacks: verifies them over the raw bytes and stores them; a worker applies them.

mod list;

use domain::{
    callback::{CallbackResult, DeliveryUpdate, Update},
    integrator::{CallbackAuth, Integrator},
    signature::{Signed, SigningSecret, verify},
};
use ledger::callbacks::{CallbackRefused, Received};
use poem::Request;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path},
};
use uuid::Uuid;

pub(crate) use self::list::CallbackList;
use crate::{
    access::topic::Topic,
    http::{
        body::{RawBody, format::OutsideReference},
        limits::ClientAddress,
        problem::{FieldError, Problem, Reason},
        response::{Answer, StoredCallback},
        scalars::Time,
    },
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Callbacks(pub(crate) ApiState);

/// An integrator's update of one order, identified by either `order_id` or `reference`. Other fields are ignored.
#[derive(Debug, Object)]
struct Callback {
    order_id: Option<Uuid>,
    /// The integrator's own reference for the order.
    reference: Option<OutsideReference>,
    /// One of our order statuses, or a word that the integrator's `status_map` maps to one.
    #[oai(validator(min_length = 1, max_length = 100))]
    status: Option<String>,
    /// Required to reject or cancel.
    #[oai(validator(max_length = 200))]
    reason: Option<String>,
    /// Increases per order. An update that is not newer than the last applied one changes nothing.
    sequence: Option<i64>,
    /// Used like `sequence` if there is none. Among updates with the same time, forward moves and ends count.
    occurred_at: Option<Time>,
    /// Time at which the order is expected to be ready: from its placing to 24 hours from now, or from `wanted_at`. It
    /// counts until the order is ready.
    ready_at: Option<Time>,
    delivery: Option<CallbackDelivery>,
}

#[derive(Debug, Object)]
struct CallbackDelivery {
    #[oai(validator(min_length = 1, max_length = 200))]
    tracking_number: Option<String>,
    /// One of `READY_FOR_PICK_UP`, `AT_ORIGIN`, `EN_ROUTE_OF_DELIVERY`, `NOT_DELIVERED` and `DELIVERED`.
    #[oai(validator(min_length = 1, max_length = 100))]
    status: Option<String>,
}

#[derive(Debug, Object)]
struct CallbackKept {
    /// `stored`, or `duplicate` if this update was received before with this `webhook-id`. `unmapped` and `illegal`: it is
    /// stored, and it is known already that it will change nothing, because its status is neither one of ours nor in the
    /// `status_map`, or because the order has ended.
    result: String,
}

#[OpenApi(tag = "Topic::Callbacks")]
impl Callbacks {
    /// Send an update about an order
    ///
    /// Sign the request as in Standard Webhooks, over the raw body, with the integrator's callback secret. The signed
    /// timestamp may differ from our clock by up to five minutes (setting `callbacks.tolerance_s`). An integrator whose
    /// `callback_auth` is `bearer` may instead send that secret as `Authorization: Bearer`.
    ///
    /// A new `webhook-id` names a new update. The same id with another update gets a 422, and is listed with the result
    /// `conflict`.
    #[oai(
        path = "/integrators/:id/callbacks",
        method = "post",
        operation_id = "receive_callback"
    )]
    async fn receive(
        &self,
        id: Path<Uuid>,
        /// Identifies this update; a repeated one counts once.
        #[oai(name = "webhook-id")]
        webhook_id: Header<Option<String>>,
        /// Unix time in seconds.
        #[oai(name = "webhook-timestamp")]
        timestamp: Header<Option<String>>,
        /// `v1,` followed by the base64 HMAC-SHA256 of `id.timestamp.body`. Separate several signatures with spaces.
        #[oai(name = "webhook-signature")]
        signature: Header<Option<String>>,
        request: &Request,
        body: RawBody<Callback>,
    ) -> Result<Answer<CallbackKept, StoredCallback>, Problem> {
        let ledger = &self.0.ledger;
        let bad_signature = || {
            self.0
                .metrics
                .callbacks
                .with_label_values(&["bad_signature"])
                .inc();
            Problem::new(Reason::BadSignature)
        };
        // An unknown integrator must look exactly like a wrong signature: same answer, same work. So its request is
        // verified against a random secret.
        let (integrator, secrets) = match ledger.callback_secrets(id.0.into()).await? {
            Some((integrator, secrets)) => (Some(integrator), secrets),
            None => (None, vec![self.random_secret()?]),
        };
        let Some(webhook_id) = webhook_id.0 else {
            return Err(bad_signature().detail("The webhook-id header is required."));
        };
        if !self.has_valid_token(integrator.as_ref(), &secrets, request) {
            let (Some(timestamp), Some(signature)) = (timestamp.0, signature.0) else {
                return Err(bad_signature()
                    .detail("The webhook-timestamp and webhook-signature headers are required."));
            };
            let signed = Signed {
                id: &webhook_id,
                timestamp: &timestamp,
                signature: &signature,
            };
            let tolerance = self.0.settings.callbacks.tolerance;
            verify(
                &secrets,
                signed,
                &body.bytes,
                ledger.clock().now(),
                tolerance,
            )
            .map_err(|refused| bad_signature().detail(refused.to_string()))?;
        }
        let integrator = integrator.ok_or_else(bad_signature)?;
        self.0
            .limits
            .record_signature(integrator.id, ClientAddress::of(request));

        if webhook_id.len() > 200 {
            return Err(Problem::invalid_field(
                "webhook-id",
                "must have at most 200 bytes",
            ));
        }
        let update = body.parse()?.into_update()?;
        let received = ledger
            .receive_callback(&integrator, &webhook_id, update)
            .await?;
        let result = match received {
            Received::Stored { .. } => "stored",
            Received::Duplicate => "duplicate",
            Received::Conflict => "conflict",
        };
        self.0.metrics.callbacks.with_label_values(&[result]).inc();
        if received == Received::Conflict {
            return Err(Problem::new(Reason::WebhookIdReused));
        }
        let judged = match received {
            Received::Stored { judged, .. } => judged,
            Received::Duplicate | Received::Conflict => None,
        };
        Ok(Answer::of(CallbackKept {
            result: judged.map_or(result, CallbackResult::as_str).to_owned(),
        }))
    }
}

impl Callbacks {
    /// Returns a random secret, which nobody can know.
    fn random_secret(&self) -> Result<SigningSecret, Problem> {
        let bytes: [u8; 32] = self.0.ledger.chance().bytes();
        SigningSecret::new(bytes).map_err(Problem::internal)
    }

    /// Returns true if the request carries a valid bearer token. Tokens count only if both the settings and the
    /// integrator allow them, because anybody who reads one can replay it.
    fn has_valid_token(
        &self,
        integrator: Option<&Integrator>,
        secrets: &[SigningSecret],
        request: &Request,
    ) -> bool {
        let is_allowed = self.0.settings.callbacks.allow_bearer
            && integrator.is_some_and(|one| one.callback_auth == CallbackAuth::Bearer);
        let token = request
            .header("authorization")
            .and_then(|said| said.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        is_allowed && token.is_some_and(|token| secrets.iter().any(|one| one.matches_text(token)))
    }
}

impl Callback {
    fn into_update(self) -> Result<Update, Problem> {
        let mut errors = Vec::new();
        let mut wrong = |pointer: &str, detail: &str| {
            errors.push(FieldError::new(pointer, detail));
        };
        if self.order_id.is_some() == self.reference.is_some() {
            wrong(
                "/order_id",
                "exactly one of order_id and reference is required",
            );
        }
        if self.status.is_none() && self.delivery.is_none() && self.ready_at.is_none() {
            wrong("/status", "status, delivery or ready_at is required");
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(Update {
            order_id: self.order_id.map(Into::into),
            reference: self.reference.map(|reference| reference.0),
            status: self.status,
            reason: self.reason,
            sequence: self.sequence,
            occurred_at: self.occurred_at.map(|at| at.0),
            ready_at: self.ready_at.map(|at| at.0),
            delivery: self.delivery.map(|delivery| DeliveryUpdate {
                tracking_number: delivery.tracking_number,
                status: delivery.status,
            }),
        })
    }
}

impl From<CallbackRefused> for Problem {
    fn from(refused: CallbackRefused) -> Self {
        match refused {
            CallbackRefused::UnknownOrder(_) => Self::not_found(),
        }
    }
}
