//! CORS: methods and headers for pages of the origins that the settings allow.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, expediter-guest, \
     last-event-id, x-request-id, traceparent, tracestate";
/// Headers of answers that pages may read: all that the API document names, which a test compares.
pub const ANSWER_HEADERS: &str = "etag, location, allow, retry-after, ratelimit, ratelimit-policy, x-request-id, \
     idempotency-replayed, content-disposition, expediter-next-cursor, www-authenticate, accept-encoding";
const MAX_AGE_S: &str = "600";

/// CORS policy. It allows no credentials: a page sends its token in a header, never in a cookie.
#[derive(Clone, Debug)]
pub struct Cors {
    allowed_origins: Arc<[String]>,
}

impl Cors {
    #[must_use]
    pub fn new(allowed_origins: &[String]) -> Self {
        Self {
            allowed_origins: allowed_origins.into(),
        }
    }

    /// Returns the request's origin if it is allowed, to be repeated in the response.
    #[must_use]
    pub fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let mut allowed = self.allowed_origins.iter();
        allowed
            .any(|allowed| allowed.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }
}

/// Returns true if a browser asks if its page may send another request.
#[must_use]
pub fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns the response to a preflight of an allowed origin; [`finish`] adds the origin.
#[must_use]
pub fn preflight() -> Response {
    let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
    ] {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Adds the CORS headers to a response. Every response has `Vary`: a cache must not serve one origin's response to
/// another origin.
pub fn finish(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(ANSWER_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
