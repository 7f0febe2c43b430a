//! All metrics in one list, each with its help text and low-cardinality labels.

mod kinds;

use std::sync::Arc;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder, process_collector::ProcessCollector, proto::MetricFamily,
};

use self::kinds::Kind;

/// Declaration of one metric, as listed in `docs/metrics.md`.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub name: &'static str,
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Generates the struct, its registration and the list from one declaration.
macro_rules! metrics {
    ($(
        $field:ident: $kind:ty, $name:literal, [$($label:literal),*], $help:literal
            $(, buckets $buckets:expr)? $(, begins [$($begins:literal),+])?;
    )*) => {
        /// All metrics. The fields are prometheus' own types:
        /// `metrics.orders_ended.with_label_values(&["delivered"]).inc()`.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $kind,)*
        }

        impl Metrics {
            #[must_use]
            pub fn new() -> Arc<Self> {
                // Without a prefix: it would rename process_* too.
                let registry = Registry::new();
                let process = Box::new(ProcessCollector::for_self());
                registry.register(process).expect("a new registry is empty");
                $(
                    let buckets: &[f64] = &[];
                    $(let buckets = [buckets, $buckets].concat();)?
                    let $field = <$kind as Kind>::make($name, $help, &[$($label),*], buckets.as_ref());
                    registry.register(Box::new($field.clone())).expect("a test checks that names are unique");
                    // A counter that begins at 1 has no increase that an alert could see.
                    $($($field.with_label_values(&[$begins]);)+)?
                )*
                Arc::new(Self { registry, $($field,)* })
            }
        }

        /// All metrics, in the sequence in which an order meets them.
        pub const DECLARED: &[Declared] = &[$(Declared {
            name: $name,
            kind: <$kind as Kind>::NAME,
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

/// Histogram buckets from a commit on a fast disk to a timeout.
const SHORT_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Histogram buckets from a machine's response to a person's, and to the ten minutes after which an order ends by
/// itself.
const LONG_SECONDS: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0,
];

metrics! {
    build_info: IntGaugeVec, "expediter_build_info", ["version"],
        "Always 1; the label tells the version of this process.";
    orders_placed: IntCounter, "expediter_orders_placed_total", [],
        "Orders committed as placed.";
    orders_refused: IntCounterVec, "expediter_orders_refused_total", ["reason"],
        "Orders refused, by the reason in the problem response.";
    orders_ended: IntCounterVec, "expediter_orders_ended_total", ["status"],
        "Orders that reached a final status, by status.", begins ["delivered", "rejected", "failed", "cancelled"];
    intake_batch_orders: Histogram, "expediter_intake_batch_orders", [],
        "Orders committed together in one transaction.", buckets &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
    intake_commit_seconds: Histogram, "expediter_intake_commit_seconds", [],
        "Time from the start of a batch to the end of its commit.", buckets SHORT_SECONDS;
    order_acceptance_seconds: Histogram, "expediter_order_acceptance_seconds", [],
        "Time from the placement of an order to its acceptance.", buckets LONG_SECONDS;
    outbox_waiting: IntGauge, "expediter_outbox_waiting", [],
        "Unpublished outbox rows, as of the last sweep; 10000 if there are at least so many.";
    outbox_oldest_seconds: IntGauge, "expediter_outbox_oldest_seconds", [],
        "Age of the oldest unpublished outbox row.";
    publishes: IntCounterVec, "expediter_publishes_total", ["result"],
        "Messages published to the broker, by result: confirmed, failed, timed_out (unknown), or dropped (a hint that the full work queue refused).", begins ["confirmed", "failed", "timed_out", "dropped"];
    handoff_attempts: IntCounterVec, "expediter_handoff_attempts_total", ["outcome"],
        "Handoff attempts, by outcome: acknowledged, retry, refused, gone, unknown.",
        begins ["acknowledged", "retry", "refused", "gone", "unknown"];
    claim_wait_seconds: Histogram, "expediter_claim_wait_seconds", [],
        "Longest time for which one of a claim's handoffs was due before its first attempt.", buckets LONG_SECONDS;
    attempt_seconds: Histogram, "expediter_attempt_seconds", [],
        "Time from the first byte of an attempt to its outcome.", buckets SHORT_SECONDS;
    handoffs: IntGaugeVec, "expediter_handoffs", ["state"],
        "Handoffs that are not closed, by state. One worker counts them for all; the others do not have it.";
    given_up: IntCounterVec, "expediter_given_up_total", ["reason"],
        "Handoffs that failed permanently, by reason: attempts_used_up, refused, gone, deadline, integrator_disabled.",
        begins ["attempts_used_up", "refused", "gone", "deadline", "integrator_disabled"];
    integrators_disabled: IntCounterVec, "expediter_integrators_disabled_total", ["reason"],
        "Integrators disabled automatically, by reason: gone (responded 410), failing. Each needs an operator.", begins ["gone", "failing"];
    breakers_open: IntGauge, "expediter_breakers_open", [],
        "Enabled integrators with an open circuit breaker. One worker counts them for all; the others have 0.";
    lanes_in_flight: IntGauge, "expediter_lanes_in_flight", [],
        "Attempts currently running in this process.";
    workers_live: IntGauge, "expediter_workers_live", [],
        "Workers that share the integrators' caps and rates, as last counted by this worker; 0 in a process without one.";
    callbacks: IntCounterVec, "expediter_callbacks_total", ["result"],
        "Callbacks, by result: stored, applied, duplicate, stale, unmapped, illegal, unmatched, conflict, bad_signature.",
        begins ["stored", "applied", "duplicate", "stale", "unmapped", "illegal", "unmatched", "conflict", "bad_signature"];
    sweep_findings: IntCounterVec, "expediter_sweep_findings_total", ["kind"],
        "Repairs made by the reconciler, by kind. Steady growth means that another component loses work.";
    retention_rows: IntCounterVec, "expediter_retention_rows_total", ["kind"],
        "Rows that retention has ended, by kind: contact and messages (orders stripped of them), event, order, session, callback (deleted).",
        begins ["contact", "messages", "event", "order", "session", "callback"];
    stuck: IntGaugeVec, "expediter_stuck", ["kind"],
        "Entries of GET /stuck, by kind. Anything but 0 needs an operator. One worker counts them for all; the others do not have it.";
    sockets_open: IntGauge, "expediter_sockets_open", [],
        "Live channels open in this process, on WebSockets and as event streams.";
    event_streams_open: IntGauge, "expediter_event_streams_open", [],
        "Event streams (server-sent events) open in this process.";
    feed_messages: IntCounter, "expediter_feed_messages_total", [],
        "Events received over the feed by this process.";
    feed_gaps_filled: IntCounter, "expediter_feed_gaps_filled_total", [],
        "Stream gaps filled from the database.";
    slow_clients: IntCounter, "expediter_slow_clients_total", [],
        "Live channels closed because their client did not keep up.";
    broker_connected: IntGauge, "expediter_broker_connected", [],
        "1 while this process is connected to its broker, else 0.";
    tls_certificate_ends_seconds: IntGauge, "expediter_tls_certificate_ends_seconds", [],
        "Time at which the served TLS certificate ends, in seconds since 1970; 0 without TLS.";
    tls_renewal_refused: IntGauge, "expediter_tls_renewal_refused", [],
        "1 while this process serves an older TLS certificate, because the files have one that it cannot use, else 0.";
    telemetry_exports: IntCounterVec, "expediter_telemetry_exports_total", ["signal", "result"],
        "Requests to the OpenTelemetry collector, by signal (traces, metrics) and result: ok, failed. Spans of a failed one are lost.";
    database_errors: IntCounterVec, "expediter_database_errors_total", ["kind"],
        "Database errors, by kind: deadlock, lock_timeout, connection, commit_unknown, other.",
        begins ["deadlock", "lock_timeout", "connection", "commit_unknown", "other"];
    database_host_changes: IntCounter, "expediter_database_host_changes_total", [],
        "Times that this process went to another host of database.url.";
    http_requests: IntCounterVec, "expediter_http_requests_total", ["method", "route", "status"],
        "HTTP requests, by method, route pattern (empty: no route matched) and response status.";
    http_request_seconds: HistogramVec, "expediter_http_request_seconds", ["method", "route"],
        "Time from the head of a request to the start of its response, by method and route pattern.", buckets SHORT_SECONDS;
    sign_ins: IntCounterVec, "expediter_sign_ins_total", ["result"],
        "Sign-in attempts, by result: ok, incorrect, limited.", begins ["ok", "incorrect", "limited"];
}

impl Metrics {
    /// Returns all metrics with their values.
    #[must_use]
    pub fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Renders the text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.families(), &mut text)
            .expect("gathered families have at least one metric, and a String takes every write");
        text
    }
}

/// Renders the expected content of `docs/metrics.md`.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Every process serves these metrics at `/metrics`, beside the usual `process_*`. Generated from \
         `common/platform/src/metrics.rs` (`cargo test -p platform --lib -- --ignored metrics::tests::write_the_document`); \
         a test compares them.\n\n\
         | name | type | labels | help |\n|---|---|---|---|\n",
    );
    for Declared {
        name,
        kind,
        labels,
        help,
    } in DECLARED
    {
        text.push_str(&format!(
            "| `{name}` | {kind} | {} | {help} |\n",
            labels.join(", ")
        ));
    }
    text.push_str(
        "\nThe reference kitchen and courier have some of their own at their `/metrics`: `kitchen_…` and `courier_…`, each with \
         its help.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;

    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md")
    }

    #[test]
    fn the_document_is_the_list() {
        assert_eq!(
            fs::read_to_string(path()).unwrap(),
            document(),
            "regenerate it as its first lines say"
        );
    }

    #[test]
    #[ignore = "writes docs/metrics.md, when the list has changed"]
    fn write_the_document() {
        fs::write(path(), document()).unwrap();
    }

    #[test]
    fn names_are_ours_unique_and_tell_their_type() {
        let names: BTreeSet<_> = DECLARED.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), DECLARED.len());
        for metric in DECLARED {
            assert!(metric.name.starts_with("expediter_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == "counter",
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn every_metric_without_labels_is_there_from_the_start_beside_the_processs_own() {
        let text = Metrics::new().render();
        for metric in DECLARED.iter().filter(|metric| metric.labels.is_empty()) {
            let line = format!("# TYPE {} {}\n", metric.name, metric.kind);
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("\nprocess_open_fds "), "{text}");
    }

    #[test]
    fn counters_begin_at_zero_and_the_version_is_told() {
        let text = Metrics::new().render();
        for counter in [
            "orders_ended_total{status=\"failed\"}",
            "publishes_total{result=\"timed_out\"}",
            "handoff_attempts_total{outcome=\"gone\"}",
            "given_up_total{reason=\"deadline\"}",
            "integrators_disabled_total{reason=\"gone\"}",
            "callbacks_total{result=\"bad_signature\"}",
            "database_errors_total{kind=\"deadlock\"}",
            "sign_ins_total{result=\"limited\"}",
        ] {
            assert!(
                text.contains(&format!("\nexpediter_{counter} 0\n")),
                "{counter} in {text}"
            );
        }
    }

    #[test]
    fn what_is_counted_shows() {
        let metrics = Metrics::new();
        metrics
            .orders_ended
            .with_label_values(&["delivered"])
            .inc_by(2);
        metrics.intake_batch_orders.observe(3.0);
        metrics.broker_connected.set(1);
        let text = metrics.render();
        assert!(
            text.contains("\nexpediter_orders_ended_total{status=\"delivered\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("\nexpediter_intake_batch_orders_bucket{le=\"2\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("\nexpediter_intake_batch_orders_bucket{le=\"4\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("\nexpediter_broker_connected 1\n"), "{text}");
    }
}
