//! Sends traces and metrics to an OpenTelemetry collector, by
//! [OTLP over HTTP](https://opentelemetry.io/docs/specs/otlp/#otlphttp) in protobuf.
//!
//! Nothing waits for the collector, and nothing is kept for it: each request is made once, and of more than [`MAX_SPANS`]
//! spans that wait, the newest are dropped. `expediter_telemetry_exports_total` counts the requests.

mod client; // requests to the collector
mod metrics; // the metrics of `/metrics`, as OTLP has them

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use platform::{chance::Chance, metrics::Metrics};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::client::{Collector, Signal};
use crate::{config, traces};

/// Maximum number of spans that wait to be sent.
const MAX_SPANS: usize = 2048;
const SEND_INTERVAL: Duration = Duration::from_secs(5);
/// Time that the last spans and metrics have to be sent when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Traces and metrics of this process on their way to the collector.
#[derive(Debug)]
pub struct Otlp {
    provider: SdkTracerProvider,
    collector: Collector,
    resource: Resource,
    metrics: Arc<Metrics>,
    interval: Duration,
}

impl Otlp {
    /// Reports traces from now on; `None` if no collector is set. `service` is its name there.
    #[must_use]
    pub fn start(
        settings: &config::Telemetry,
        service: &str,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        let url = settings.otlp_url.as_ref()?;
        let collector = Collector::new(url, settings.otlp_headers.expose(), metrics);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector.clone())
            .with_endpoint(collector.address(Signal::Traces))
            .with_timeout(client::TIMEOUT)
            // What waits is dropped instead.
            .with_retry_policy(RetryPolicy::disabled());
        let exporter = match exporter.build() {
            Ok(exporter) => exporter,
            Err(error) => {
                tracing::error!(%error, "traces are not sent to telemetry.otlp_url: {error}");
                return None;
            }
        };
        let instance: Uuid = Chance::system().id(DateTime::from(traces::machine_time()));
        let resource = Resource::builder()
            .with_service_name(service.to_owned())
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", instance.to_string()),
            ])
            .build();
        let chosen = Sampler::TraceIdRatioBased(settings.otlp_trace_ratio);
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_SPANS)
            .with_max_export_batch_size(MAX_SPANS / 4)
            .with_scheduled_delay(SEND_INTERVAL);
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor.build())
            .with_sampler(Sampler::ParentBased(Box::new(chosen)))
            .with_resource(resource.clone())
            .build();
        global::set_tracer_provider(provider.clone());
        traces::switch_on();
        Some(Self {
            provider,
            collector,
            resource,
            metrics: Arc::clone(metrics),
            interval: settings.otlp_metrics_interval,
        })
    }

    /// Sends the metrics at each interval until the process ends, then everything that is left.
    pub async fn run(self, ended: CancellationToken) {
        let sequence = metrics::Sequence::new(&self.resource);
        if !self.interval.is_zero() {
            let again_and_again = async {
                loop {
                    tokio::time::sleep(self.interval).await;
                    self.send_metrics(&sequence).await;
                }
            };
            tokio::select! {
                () = again_and_again => {}
                () = ended.cancelled() => {}
            }
        }
        ended.cancelled().await;
        let provider = self.provider.clone();
        let spans = spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        let metrics = async {
            if !self.interval.is_zero() {
                self.send_metrics(&sequence).await;
            }
        };
        // A collector that does not take them in time loses them.
        let (_, _) = tokio::join!(spans, tokio::time::timeout(FLUSH_TIMEOUT, metrics));
    }

    async fn send_metrics(&self, sequence: &metrics::Sequence) {
        let request = sequence.request(&self.metrics.families());
        self.collector.send_metrics(request).await;
    }
}
