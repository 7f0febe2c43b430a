//! Requests to the collector.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use opentelemetry_http::{HttpClient, HttpError};
use platform::metrics::Metrics;
use reqwest::Client;
use tokio::runtime::Handle;

use crate::config::{ServiceUrl, parse_headers};

/// Timeout of one request.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of an answer that is read to its end, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A kind of data, with a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// A collector, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    client: Client,
    base: Arc<str>,
    headers: HeaderMap,
    metrics: Arc<Metrics>,
    /// For each signal, true while it takes none, so that this is logged once and not for each request.
    is_away: Arc<[AtomicBool; 2]>,
    /// Runtime of the requests: the exporter of spans has a thread of its own.
    runtime: Handle,
}

impl Collector {
    /// `headers` are those of the setting, which were checked.
    pub(super) fn new(url: &ServiceUrl, headers: &str, metrics: &Arc<Metrics>) -> Self {
        // Fails if another part of this process has already installed a provider, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .timeout(TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                // The headers are for this address alone.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
        };
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build())
            .expect("a client without certificates can be built");
        Self {
            client,
            base: url.expose().trim_end_matches('/').into(),
            headers: parse_headers(headers).unwrap_or_default(),
            metrics: Arc::clone(metrics),
            is_away: Arc::default(),
            runtime: Handle::current(),
        }
    }

    pub(super) fn address(&self, signal: Signal) -> String {
        format!("{}/v1/{}", self.base, signal.name())
    }

    pub(super) async fn send_metrics(&self, body: Vec<u8>) {
        let request = Request::post(self.address(Signal::Metrics))
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .body(Bytes::from(body));
        if let Ok(request) = request {
            // The failure was counted and logged.
            let _ = self.send(request, Signal::Metrics).await;
        }
    }

    async fn send(
        &self,
        request: Request<Bytes>,
        signal: Signal,
    ) -> Result<Response<Bytes>, HttpError> {
        let sent = self.try_send(request).await;
        let failure = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let result = if failure.is_some() { "failed" } else { "ok" };
        let exports = &self.metrics.telemetry_exports;
        exports.with_label_values(&[signal.name(), result]).inc();
        self.tell(signal, failure);
        sent
    }

    /// Sends a request; only the status of its answer is of interest.
    async fn try_send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        // The exporter's own come from environment variables, which may be meant for another collector.
        let mut headers = self.headers.clone();
        headers.extend(
            head.headers
                .get(header::CONTENT_TYPE)
                .map(|kind| (header::CONTENT_TYPE, kind.clone())),
        );
        let sent = self
            .client
            .post(head.uri.to_string())
            .headers(headers)
            .body(body);
        let mut answer = sent.send().await.map_err(told)?;
        let mut left = MAX_ANSWER_BYTES;
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
        Ok(Response::builder()
            .status(answer.status())
            .body(Bytes::new())?)
    }

    /// Logs that the collector is away when it becomes so, and that it is back.
    fn tell(&self, signal: Signal, failure: Option<String>) {
        let (is_away, name) = (&self.is_away[signal as usize], signal.name());
        match failure {
            Some(why) => {
                if !is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the collector of telemetry.otlp_url takes no {name}: {why}");
                }
            }
            None => {
                if is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector of telemetry.otlp_url takes {name} again");
                }
            }
        }
    }
}

/// Returns an error with its causes, without the address.
fn told(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text.into()
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let this = self.clone();
        let sent = self
            .runtime
            .spawn(async move { this.send(request, Signal::Traces).await });
        sent.await?
    }
}
