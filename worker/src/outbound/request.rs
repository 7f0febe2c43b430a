//! Builds an attempt's request: the claimed body with its signed headers.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    answers::JsonPointer,
    handoff::OutgoingMessage,
    ids::{HandoffId, IntegratorId},
    integrator::OutboundAuth,
    signature::SigningSecret,
    trace::TraceContext,
};
use http::{HeaderMap, HeaderName, HeaderValue};
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
    /// Place of the attempt in the order's trace; `None` if that is not recorded.
    pub trace: Option<TraceContext>,
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
    let message = OutgoingMessage {
        handoff: outgoing.handoff,
        n: outgoing.n,
        max_attempts: outgoing.max_attempts,
        signing: &outgoing.signing,
        body: &outgoing.body,
        trace: outgoing.trace,
    };
    let mut headers: HeaderMap = authorization.into_iter().collect();
    for (name, value) in message.headers(now, span) {
        let value = HeaderValue::try_from(value).expect("digits, hexadecimal and base64");
        headers.insert(HeaderName::from_static(name), value);
    }
    headers
}
