//! Builds an attempt's request: the claimed body, signed according to Standard Webhooks (standardwebhooks.com).

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    answers::JsonPointer,
    ids::{HandoffId, IntegratorId},
    integrator::OutboundAuth,
    signature::SigningSecret,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

/// Data that an attempt's request is built from.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub handoff: HandoffId,
    pub integrator: IntegratorId,
    pub url: Url,
    pub auth: OutboundAuth,
    /// Place of the token in the answer to a sign-in; `None` for the usual ones.
    pub token_at: Option<JsonPointer>,
    /// Newest first; each of them signs.
    pub signing: Vec<SigningSecret>,
    pub body: Bytes,
    /// Number of the attempt, from 1.
    pub n: u32,
    pub max_attempts: u32,
    /// End of the lease; nothing is sent whose response could arrive later.
    pub leased_until: DateTime<Utc>,
}

/// Builds the headers. `authorization` is inserted first, so that a header of the integrator's never overrides ours.
pub(super) fn headers(
    outgoing: &Outgoing,
    authorization: Option<(HeaderName, HeaderValue)>,
    now: DateTime<Utc>,
    span: [u8; 8],
) -> HeaderMap {
    let id = outgoing.handoff.to_string();
    let timestamp_s = now.timestamp();
    let mut headers: HeaderMap = authorization.into_iter().collect();
    let ours = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (WEBHOOK_ID, id.clone()),
        (WEBHOOK_TIMESTAMP, timestamp_s.to_string()),
        (WEBHOOK_SIGNATURE, signatures(outgoing, &id, timestamp_s)),
        (IDEMPOTENCY_KEY, id),
        (ATTEMPT, format!("{}/{}", outgoing.n, outgoing.max_attempts)),
        (TRACEPARENT, traceparent(outgoing.handoff, span)),
    ];
    for (name, value) in ours {
        let value = HeaderValue::try_from(value).expect("digits, hexadecimal and base64");
        headers.insert(name, value);
    }
    headers
}

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ATTEMPT: HeaderName = HeaderName::from_static("expediter-attempt");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

fn signatures(outgoing: &Outgoing, id: &str, timestamp_s: i64) -> String {
    let signed: Vec<String> = outgoing
        .signing
        .iter()
        .map(|secret| secret.sign(id, timestamp_s, &outgoing.body))
        .collect();
    signed.join(" ")
}

/// Returns the W3C Trace Context header: the attempts of a handoff share one trace, each with a span of its own.
fn traceparent(handoff: HandoffId, span: [u8; 8]) -> String {
    let span = u64::from_be_bytes(span).max(1);
    format!("00-{}-{span:016x}-01", handoff.uuid().simple())
}
