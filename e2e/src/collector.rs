//! An OpenTelemetry collector inside the test: takes traces and metrics over HTTP, and keeps them.

use std::{net::TcpListener, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value},
};
use parking_lot::Mutex;
use poem::{
    Body, EndpointExt, Request, Route, Server, handler, http::StatusCode, listener::TcpAcceptor,
    post, web::Data,
};
use prost::Message;
use tokio::task::JoinHandle;

use crate::until;

/// Header and value that requests must have.
const AUTHORIZATION: &str = "Bearer hunter2";

/// A running collector; dropping it stops the server.
#[derive(Debug)]
pub struct Collector {
    /// `http://127.0.0.1:port`
    pub url: String,
    kept: Arc<Mutex<Kept>>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Seen>,
    metrics: Vec<(String, String)>,
}

/// A span, with its ids in hexadecimal.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Name of the process that reported it.
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub attributes: Vec<(String, String)>,
    /// Milliseconds that it lasted.
    pub took_ms: f64,
}

impl Collector {
    /// Starts the server.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let unblocked = listener.set_nonblocking(true);
        unblocked.expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let kept = Arc::<Mutex<Kept>>::default();
        let routes = Route::new()
            .at("/v1/traces", post(take_traces))
            .at("/v1/metrics", post(take_metrics))
            .data(Arc::clone(&kept));
        let acceptor = TcpAcceptor::from_std(listener).expect("it is non-blocking");
        let server = tokio::spawn(async move {
            let served = Server::new_with_acceptor(acceptor).run(routes);
            served.await.expect("the server runs until it is dropped");
        });
        Self {
            url: format!("http://{address}"),
            kept,
            server,
        }
    }

    /// Returns the headers that it wants, as the setting writes them.
    #[must_use]
    pub fn headers() -> String {
        format!("authorization={AUTHORIZATION}")
    }

    /// Returns the spans of a trace that have come so far.
    #[must_use]
    pub fn trace(&self, id: &str) -> Vec<Seen> {
        let kept = self.kept.lock();
        let of_it = kept.spans.iter().filter(|span| span.trace == id);
        of_it.cloned().collect()
    }

    /// Returns all spans that have come so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        self.kept.lock().spans.clone()
    }

    /// Waits until a trace has a span of each of these names; returns the trace.
    ///
    /// # Panics
    /// If it does not get them.
    pub async fn until_has(&self, trace: &str, names: &[&str]) -> Vec<Seen> {
        until(&format!("spans {names:?}"), || async {
            let spans = self.trace(trace);
            let has = |name: &&str| spans.iter().any(|span| span.name == *name);
            names.iter().all(has).then_some(spans)
        })
        .await
    }

    /// Waits until a process of this service has sent this metric.
    ///
    /// # Panics
    /// If it does not.
    pub async fn until_metric(&self, service: &str, name: &str) {
        until(&format!("metric {name} of {service}"), || async {
            let kept = self.kept.lock();
            let mut metrics = kept.metrics.iter();
            metrics
                .find(|(of, what)| of == service && what == name)
                .map(drop)
        })
        .await;
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Seen {
    /// Returns an attribute; empty if it has none of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }
}

#[handler]
async fn take_traces(request: &Request, body: Body, kept: Data<&Arc<Mutex<Kept>>>) -> StatusCode {
    let Some(sent) = decode::<ExportTraceServiceRequest>(request, body).await else {
        return StatusCode::BAD_REQUEST;
    };
    let mut kept = kept.lock();
    for sent in sent.resource_spans {
        let service = service(sent.resource.unwrap_or_default().attributes);
        for span in sent.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "milliseconds are to be looked at"
            )]
            let took_ms = (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e6;
            kept.spans.push(Seen {
                service: service.clone(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: span.attributes.into_iter().map(shown).collect(),
                took_ms,
            });
        }
    }
    StatusCode::OK
}

#[handler]
async fn take_metrics(request: &Request, body: Body, kept: Data<&Arc<Mutex<Kept>>>) -> StatusCode {
    let Some(sent) = decode::<ExportMetricsServiceRequest>(request, body).await else {
        return StatusCode::BAD_REQUEST;
    };
    let mut kept = kept.lock();
    for sent in sent.resource_metrics {
        let service = service(sent.resource.unwrap_or_default().attributes);
        for scope in sent.scope_metrics {
            let named = scope.metrics.into_iter().map(|metric| metric.name);
            kept.metrics
                .extend(named.map(|name| (service.clone(), name)));
        }
    }
    StatusCode::OK
}

async fn decode<M: Message + Default>(request: &Request, body: Body) -> Option<M> {
    let is_protobuf = request.content_type() == Some("application/x-protobuf");
    if !is_protobuf || request.header("authorization") != Some(AUTHORIZATION) {
        return None;
    }
    M::decode(body.into_bytes().await.ok()?).ok()
}

fn service(attributes: Vec<KeyValue>) -> String {
    let mut attributes = attributes.into_iter().map(shown);
    let name = attributes.find(|(key, _)| key == "service.name");
    name.map_or_else(String::new, |(_, name)| name)
}

fn shown(attribute: KeyValue) -> (String, String) {
    let value = match attribute.value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key, value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
