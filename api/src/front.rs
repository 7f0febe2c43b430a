//! Around everything that a process serves: request ids, the body limit, CORS, panics, headers, and errors as problems.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use common::{chance::Chance, clock::Clock, metrics::Metrics};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    body::{self, BodyLimit},
    pages,
    problem::Problem,
    state::ApiState,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// An id from outside longer than this is not taken over.
const LONGEST_REQUEST_ID: usize = 64;
/// What other origins' pages may send and read, where they may call at all.
const CORS_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const CORS_REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, expediter-guest, x-request-id";
const CORS_ANSWER_HEADERS: &str =
    "etag, location, retry-after, x-request-id, idempotency-replayed, allow";
const CORS_MAX_AGE_S: &str = "600";

/// A poem middleware: `routes.with(Front::new(&state))`, once, around everything.
#[derive(Clone, Debug)]
pub struct Front {
    chance: Chance,
    clock: Clock,
    metrics: Arc<Metrics>,
    body_limit_bytes: usize,
    allowed_origins: Arc<[String]>,
}

/// In every answer's `X-Request-Id`; an incoming one is kept if it is sane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is logged of a request's path: `/sessions/{code}`. The path itself may carry the code.
#[derive(Clone, Copy, Debug)]
pub struct RoutePattern(pub &'static str);

impl Front {
    #[must_use]
    pub fn new(state: &ApiState) -> Self {
        let http = &state.settings.http;
        Self {
            chance: state.ledger.chance().clone(),
            clock: state.ledger.clock().clone(),
            metrics: Arc::clone(&state.metrics),
            body_limit_bytes: http.body_limit_bytes,
            allowed_origins: http.allowed_origins.clone().into(),
        }
    }

    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let sane = |id: &&str| {
            (1..=LONGEST_REQUEST_ID).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        let theirs = headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(sane);
        let ours = || self.chance.id::<Uuid>(self.clock.now()).to_string();
        RequestId(theirs.map_or_else(ours, str::to_owned).into())
    }

    /// The origin that the answer must name, if the request comes from a page that may call.
    fn cors_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let listed = self
            .allowed_origins
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes());
        listed.then(|| origin.clone())
    }

    fn is_too_large(&self, headers: &HeaderMap) -> bool {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        length
            .and_then(|length| length.parse::<u64>().ok())
            .is_some_and(|length| length > self.body_limit_bytes as u64)
    }
}

impl<E: Endpoint> Middleware<E> for Front {
    type Output = Fronted<E>;

    fn transform(&self, inner: E) -> Fronted<E> {
        Fronted {
            front: self.clone(),
            inner,
        }
    }
}

/// What [`Front`] makes of an endpoint: it answers always, never with an error.
#[derive(Debug)]
pub struct Fronted<E> {
    front: Front,
    inner: E,
}

impl<E: Endpoint> Endpoint for Fronted<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let began_at = Instant::now();
        let request_id = self.front.request_id(request.headers());
        let cors_origin = self.front.cors_origin(request.headers());
        let method = request.method().clone();
        request.extensions_mut().insert(request_id.clone());
        request
            .extensions_mut()
            .insert(BodyLimit(self.front.body_limit_bytes));
        let span = tracing::info_span!("request", %request_id, %method);
        let mut response = self
            .answer(request, &request_id, cors_origin.is_some())
            .instrument(span)
            .await;
        finish(&mut response, &request_id, cors_origin);
        let route = response
            .data::<RoutePattern>()
            .map_or("", |pattern| pattern.0);
        let status = response.status();
        let took = began_at.elapsed();
        let metrics = &self.front.metrics;
        metrics
            .http_requests
            .with_label_values(&[route, status.as_str()])
            .inc();
        metrics.http_request_seconds.observe(took.as_secs_f64());
        let (status, took_ms) = (status.as_u16(), took.as_millis());
        tracing::debug!(%request_id, %method, route, status, took_ms, "answered");
        Ok(response)
    }
}

impl<E: Endpoint> Fronted<E> {
    async fn answer(
        &self,
        request: Request,
        request_id: &RequestId,
        from_listed_origin: bool,
    ) -> Response {
        if from_listed_origin && is_preflight(&request) {
            return preflight();
        }
        let path = request.uri().path().to_owned();
        if self.front.is_too_large(request.headers()) {
            return body::too_large(self.front.body_limit_bytes).answer(request_id, "");
        }
        let done = AssertUnwindSafe(self.inner.call(request))
            .catch_unwind()
            .await;
        match done {
            Ok(Ok(response)) => response.into_response(),
            Ok(Err(error)) if error.is_from_response() => error.into_response(),
            Ok(Err(error)) => Problem::of_framework(error, &path).answer(request_id, ""),
            // The panic itself was logged by its hook.
            Err(_) => Problem::internal("a panic").answer(request_id, ""),
        }
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS)
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_REQUEST_HEADERS)
        .header(header::ACCESS_CONTROL_MAX_AGE, CORS_MAX_AGE_S)
        .finish()
}

fn finish(response: &mut Response, request_id: &RequestId, cors_origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    let defaults = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The session's code stands in the address of the guests' page.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, pages::NO_PAGE_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = cors_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(CORS_ANSWER_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
