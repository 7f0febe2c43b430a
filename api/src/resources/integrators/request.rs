//! Request bodies that create and edit integrators; checks what their schema cannot express.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use domain::{ids::StoreId, integrator, status};
use ledger::integrators::{IntegratorEdit, NewIntegrator};
use poem_openapi::{Object, types::MaybeUndefined};
use runtime::config::Settings;
use url::{Host, Url};
use uuid::Uuid;

use super::{
    answers::{AnswersBody, AnswersPatch},
    outbound_auth::OutboundAuthBody,
};
use crate::http::{
    body::format::WebAddress,
    enums::{
        CallbackAuth, Confirms, Format, HandoffEvent, IntegratorKind, OrderStatus, UnknownPolicy,
    },
    merge_patch::{RequiredFields, said},
    problem::{FieldError, Problem},
};

#[derive(Debug, Object)]
#[oai(rename = "NewIntegrator")]
pub(super) struct NewIntegratorBody {
    /// Its first store.
    pub(super) store_id: Uuid,
    /// Its stores, if it has several: they share its settings, secrets and limits. `store_id` is always one of them.
    #[oai(default, validator(max_items = 500, unique_items))]
    pub(super) store_ids: Vec<Uuid>,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// A label; it only sets defaults.
    kind: IntegratorKind,
    /// Default `order`.
    format: Option<Format>,
    /// Default: placed and cancelled; for `delivery`, dispatched and cancelled; for `push`, every change.
    #[oai(validator(min_items = 1, max_items = 6, unique_items))]
    events: Option<Vec<HandoffEvent>>,
    /// An https address without credentials.
    url: WebAddress,
    /// True if an order is accepted only after this integrator has confirmed it. Default `true`; `false` for `push`.
    required: Option<bool>,
    /// Default `acknowledgement`.
    confirms: Option<Confirms>,
    /// Default `resend`.
    unknown_policy: Option<UnknownPolicy>,
    /// Default `signature`.
    callback_auth: Option<CallbackAuth>,
    /// Our authentication to the integrator. Default `none`.
    auth: Option<OutboundAuthBody>,
    /// Maps the integrator's words for an order's status to ours.
    #[oai(validator(max_properties = 100))]
    status_map: Option<BTreeMap<String, OrderStatus>>,
    /// Default: the usual places.
    answers: Option<AnswersBody>,
    /// Default 5.
    #[oai(validator(minimum(value = "1"), maximum(value = "5")))]
    max_attempts: Option<u32>,
    /// Maximum number of concurrent requests to it, over all workers.
    #[oai(validator(minimum(value = "1"), maximum(value = "256")))]
    concurrency: Option<u32>,
    /// Maximum number of requests to it per second, over all workers. Default: unlimited.
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    rate_per_s: Option<u32>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` clears a nullable field and is refused for any other.
#[derive(Debug, Object)]
pub(super) struct IntegratorPatch {
    /// All its stores, `store_id` among them. It is handed no new orders of a store that it leaves; what it was handed
    /// before goes on.
    #[oai(validator(min_items = 1, max_items = 500, unique_items))]
    pub(super) store_ids: MaybeUndefined<Vec<Uuid>>,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: MaybeUndefined<String>,
    kind: MaybeUndefined<IntegratorKind>,
    format: MaybeUndefined<Format>,
    #[oai(validator(min_items = 1, max_items = 6, unique_items))]
    events: MaybeUndefined<Vec<HandoffEvent>>,
    url: MaybeUndefined<WebAddress>,
    required: MaybeUndefined<bool>,
    confirms: MaybeUndefined<Confirms>,
    unknown_policy: MaybeUndefined<UnknownPolicy>,
    callback_auth: MaybeUndefined<CallbackAuth>,
    auth: MaybeUndefined<OutboundAuthBody>,
    /// Replaced as a whole.
    #[oai(validator(max_properties = 100))]
    status_map: MaybeUndefined<BTreeMap<String, OrderStatus>>,
    /// Null: the usual places.
    answers: MaybeUndefined<AnswersPatch>,
    #[oai(validator(minimum(value = "1"), maximum(value = "5")))]
    max_attempts: MaybeUndefined<u32>,
    #[oai(validator(minimum(value = "1"), maximum(value = "256")))]
    concurrency: MaybeUndefined<u32>,
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    rate_per_s: MaybeUndefined<u32>,
    /// Enabling resets its failures.
    enabled: MaybeUndefined<bool>,
    /// Why it is disabled; allowed only with `"enabled": false`. Null: no reason given.
    #[oai(validator(min_length = 1, max_length = 200))]
    disabled_reason: Option<String>,
}

impl NewIntegratorBody {
    pub(super) fn parse(self, settings: &Settings) -> Result<NewIntegrator, Problem> {
        let mut errors = Vec::new();
        let url = address(settings, "/url", &self.url, &mut errors);
        let auth = self.auth.unwrap_or_default();
        let auth = auth.parse(&mut errors, |at, url, errors| {
            address(settings, at, url, errors)
        });
        let answers = self.answers.unwrap_or_default().parse(&mut errors);
        check(
            settings,
            self.events.as_deref(),
            self.callback_auth,
            self.status_map.as_ref(),
            &mut errors,
        );
        let (Some(url), Some(auth), []) = (url, auth, errors.as_slice()) else {
            return Err(Problem::invalid(errors));
        };
        Ok(NewIntegrator {
            store_id: self.store_id.into(),
            further_stores: self.store_ids.into_iter().map(Into::into).collect(),
            name: self.name,
            kind: self.kind.0,
            format: self.format.map_or(integrator::Format::Order, Into::into),
            events: self.events.map(words),
            url,
            required: self.required,
            confirms: self
                .confirms
                .map_or(integrator::Confirms::Acknowledgement, Into::into),
            unknown_policy: self
                .unknown_policy
                .map_or(integrator::UnknownPolicy::Resend, Into::into),
            callback_auth: self
                .callback_auth
                .map_or(integrator::CallbackAuth::Signature, Into::into),
            auth,
            status_map: self.status_map.map(statuses).unwrap_or_default(),
            answers,
            max_attempts: self.max_attempts.unwrap_or(5),
            concurrency: self
                .concurrency
                .unwrap_or(settings.worker.default_concurrency),
            rate_per_s: self.rate_per_s,
        })
    }
}

impl IntegratorPatch {
    /// Returns the stores that the integrator is to have.
    pub(super) fn joining(&self) -> impl Iterator<Item = StoreId> + '_ {
        let stores = self.store_ids.value().into_iter().flatten();
        stores.copied().map(Into::into)
    }

    pub(super) fn parse(self, settings: &Settings) -> Result<IntegratorEdit, Problem> {
        let mut filled = RequiredFields::default();
        let stores = filled.said("store_ids", self.store_ids);
        let name = filled.said("name", self.name);
        let kind = filled.said("kind", self.kind);
        let format = filled.said("format", self.format);
        let events = filled.said("events", self.events);
        let url = filled.said("url", self.url);
        let required = filled.said("required", self.required);
        let confirms = filled.said("confirms", self.confirms);
        let unknown_policy = filled.said("unknown_policy", self.unknown_policy);
        let callback_auth = filled.said("callback_auth", self.callback_auth);
        let auth = filled.said("auth", self.auth);
        let status_map = filled.said("status_map", self.status_map);
        let max_attempts = filled.said("max_attempts", self.max_attempts);
        let concurrency = filled.said("concurrency", self.concurrency);
        let enabled = filled.said("enabled", self.enabled);

        let mut errors = filled.wrong();
        let url = url.and_then(|url| address(settings, "/url", &url, &mut errors));
        let auth = auth.and_then(|auth| {
            auth.parse(&mut errors, |at, url, errors| {
                address(settings, at, url, errors)
            })
        });
        let answers = AnswersPatch::parse(self.answers, &mut errors);
        check(
            settings,
            events.as_deref(),
            callback_auth,
            status_map.as_ref(),
            &mut errors,
        );
        if self.disabled_reason.is_some() && enabled != Some(false) {
            errors.push(FieldError::new(
                "/disabled_reason",
                "is allowed only with \"enabled\": false",
            ));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(IntegratorEdit {
            stores: stores.map(|stores| stores.into_iter().map(Into::into).collect()),
            name,
            kind: kind.map(Into::into),
            format: format.map(Into::into),
            events: events.map(words),
            url,
            required,
            confirms: confirms.map(Into::into),
            unknown_policy: unknown_policy.map(Into::into),
            callback_auth: callback_auth.map(Into::into),
            auth,
            status_map: status_map.map(statuses),
            answers,
            max_attempts,
            concurrency,
            rate_per_s: said(self.rate_per_s),
            enabled,
            disabled_reason: self.disabled_reason,
        })
    }
}

/// Checks what the schema cannot express.
fn check(
    settings: &Settings,
    events: Option<&[HandoffEvent]>,
    callback_auth: Option<CallbackAuth>,
    status_map: Option<&BTreeMap<String, OrderStatus>>,
    errors: &mut Vec<FieldError>,
) {
    let test_event = HandoffEvent(integrator::HandoffEvent::Test);
    if events.is_some_and(|events| events.contains(&test_event)) {
        errors.push(FieldError::new("/events", "test is only sent on request"));
    }
    if callback_auth == Some(CallbackAuth(integrator::CallbackAuth::Bearer))
        && !settings.callbacks.allow_bearer
    {
        let detail = "bearer is not allowed here (setting callbacks.allow_bearer)";
        errors.push(FieldError::new("/callback_auth", detail));
    }
    let words = status_map.into_iter().flat_map(BTreeMap::keys);
    if words
        .into_iter()
        .any(|word| !(1..=100).contains(&word.chars().count()))
    {
        errors.push(FieldError::new(
            "/status_map",
            "its keys must have from 1 to 100 characters",
        ));
    }
}

/// Parses and checks a URL that an order or a password may be sent to.
fn address(
    settings: &Settings,
    at: &str,
    url: &WebAddress,
    errors: &mut Vec<FieldError>,
) -> Option<Url> {
    let Ok(url) = url.0.parse::<Url>() else {
        errors.push(FieldError::new(
            at,
            "must be an http:// or https:// address",
        ));
        return None;
    };
    let worker = &settings.worker;
    let may_be_plain =
        worker.allow_http || worker.own_address.is_some_and(|own| leads_to(&url, own));
    if url.scheme() != "https" && !may_be_plain {
        errors.push(FieldError::new(
            at,
            "must be https (setting worker.allow_http)",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        errors.push(FieldError::new(
            at,
            "must not contain credentials; send them in auth",
        ));
    }
    if url.fragment().is_some() {
        errors.push(FieldError::new(at, "must not have a fragment"));
    }
    Some(url)
}

/// Returns true if the URL names this address, not a name that leads there: nothing is resolved here.
fn leads_to(url: &Url, address: SocketAddr) -> bool {
    let ip: IpAddr = match url.host() {
        Some(Host::Ipv4(ip)) => ip.into(),
        Some(Host::Ipv6(ip)) => ip.into(),
        _ => return false,
    };
    url.port_or_known_default()
        .is_some_and(|port| SocketAddr::new(ip, port) == address)
}

fn words(events: Vec<HandoffEvent>) -> Vec<integrator::HandoffEvent> {
    events.into_iter().map(Into::into).collect()
}

fn statuses(map: BTreeMap<String, OrderStatus>) -> BTreeMap<String, status::OrderStatus> {
    map.into_iter()
        .map(|(word, status)| (word, status.0))
        .collect()
}
