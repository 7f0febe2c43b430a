//! Middleware around all routes: request ids, body limit, CORS, panics, headers, and errors as problems.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, header};
use platform::{chance::Chance, clock::Clock, metrics::Metrics};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use runtime::{
    client::Proxies,
    cors::{self, Cors},
    request_id::{REQUEST_ID, RequestId},
    traces::{self, Span},
};
use tokio::sync::Semaphore;
use tracing::{Instrument, field::Empty};

use crate::{
    http::{
        body::{self, BodyLimit},
        policy,
        problem::Problem,
    },
    pages,
    state::ApiState,
};

/// Outermost poem middleware. Use it once, around all routes: `routes.with(Front::new(&state))`.
#[derive(Clone, Debug)]
pub struct Front {
    chance: Chance,
    clock: Clock,
    metrics: Arc<Metrics>,
    body_limit_bytes: usize,
    /// Bytes of bodies that may still be received at one time.
    bodies: Arc<Semaphore>,
    cors: Cors,
    proxies: Proxies,
}

/// Route pattern that is logged instead of the path, such as `/sessions/{code}`: the path may contain a session's code.
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
            bodies: Arc::new(Semaphore::new(http.bodies_bytes)),
            cors: Cors::new(&http.allowed_origins),
            proxies: Proxies::new(&http.trusted_proxies),
        }
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
    type Output = FrontEndpoint<E>;

    fn transform(&self, inner: E) -> FrontEndpoint<E> {
        FrontEndpoint {
            front: self.clone(),
            inner,
        }
    }
}

/// Endpoint wrapped by [`Front`]; it always returns a response, never an error.
#[derive(Debug)]
pub struct FrontEndpoint<E> {
    front: Front,
    inner: E,
}

impl<E: Endpoint> Endpoint for FrontEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let began_at = Instant::now();
        let front = &self.front;
        let request_id = RequestId::of(request.headers(), &front.chance, &front.clock);
        let cors_origin = front.cors.origin(request.headers());
        let client = front
            .proxies
            .client(request.remote_addr(), request.headers());
        let method = request.method().clone();
        request.extensions_mut().insert(request_id.clone());
        // For routes that are not the api's, such as the notifier's.
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            request.headers_mut().insert(REQUEST_ID, id);
        }
        request.extensions_mut().insert(BodyLimit {
            each_bytes: front.body_limit_bytes,
            all: Arc::clone(&front.bodies),
        });
        request.extensions_mut().insert(client);
        let reader = pages::Reader::of(&request);
        let mut traced = Span::of_request(request.headers(), known(&method));
        let trace = traced.as_ref().and_then(Span::context);
        let span = tracing::info_span!("request", %request_id, %method, trace_id = Empty);
        if let Some((traced, trace)) = traced.as_mut().zip(trace) {
            span.record("trace_id", trace.trace_id());
            traced.set("http.request.method", known(&method));
            traced.set("expediter.request.id", request_id.to_string());
        }
        let answer = self.answer(request, &request_id, cors_origin.is_some());
        let mut response = traces::within(trace, answer.instrument(span)).await;
        if let Some(reader) = reader {
            pages::missing(&mut response, reader);
        }
        finish(&mut response, &request_id, cors_origin);
        let route = response
            .data::<RoutePattern>()
            .map_or("", |pattern| pattern.0);
        let status = response.status();
        let took = began_at.elapsed();
        let metrics = &self.front.metrics;
        metrics
            .http_requests
            .with_label_values(&[known(&method), route, status.as_str()])
            .inc();
        metrics
            .http_request_seconds
            .with_label_values(&[known(&method), route])
            .observe(took.as_secs_f64());
        let (status, took_ms) = (status.as_u16(), took.as_millis());
        if let Some(span) = &mut traced
            && trace.is_some()
        {
            describe(span, known(&method), route, status);
        }
        let trace_id = trace.map(|trace| trace.trace_id());
        tracing::debug!(%request_id, trace_id, %method, route, status, took_ms, "request answered");
        Ok(response)
    }
}

impl<E: Endpoint> FrontEndpoint<E> {
    async fn answer(
        &self,
        request: Request,
        request_id: &RequestId,
        from_listed_origin: bool,
    ) -> Response {
        if from_listed_origin && cors::is_preflight(&request) {
            return cors::preflight();
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
            Ok(Err(error)) => Problem::from_framework(error, &path).answer(request_id, ""),
            // The panic hook has logged the panic itself.
            Err(_) => Problem::internal("handler panicked").answer(request_id, ""),
        }
    }
}

/// Gives the span of an answered request its name and its answer, as OpenTelemetry has them for HTTP. The path is not
/// among them: it may have a session's code.
fn describe(span: &mut Span, method: &'static str, route: &'static str, status: u16) {
    if !route.is_empty() {
        span.rename(format!("{method} {route}"));
        span.set("http.route", route);
    }
    span.set("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.fail("");
    }
}

/// Returns the method as metrics show it: clients may invent others without end.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn finish(response: &mut Response, request_id: &RequestId, cors_origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    let defaults = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The address of the guest page contains the session's code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy::NO_PAGE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    cors::finish(headers, cors_origin);
}
