//! The kitchen's own metrics, at `GET /metrics`.

use prometheus::{
    IntCounterVec, IntGauge, Opts, Registry, TextEncoder, core::Collector,
    process_collector::ProcessCollector,
};

use crate::{board::Board, callback::Sent, ticket::Outcome};

/// Panic message for an invalid declaration: names and labels are literals, and every test makes them all.
const CONSTANT: &str = "the declared metrics are valid";

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    callbacks: IntCounterVec,
    open: IntGauge,
    waiting: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let counter = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label])
        };
        let requests = counter(
            "kitchen_requests_total",
            "Requests to POST /orders, by outcome as on the board.",
            "outcome",
        );
        let callbacks = counter(
            "kitchen_callbacks_total",
            "Callbacks sent, by result: taken, again or refused.",
            "result",
        );
        let open = IntGauge::new("kitchen_orders_open", "Orders in preparation.");
        let waiting = IntGauge::new(
            "kitchen_callbacks_waiting",
            "Callbacks that wait for their first or next try.",
        );
        let metrics = Self {
            requests: requests.expect(CONSTANT),
            callbacks: callbacks.expect(CONSTANT),
            open: open.expect(CONSTANT),
            waiting: waiting.expect(CONSTANT),
            registry: Registry::new(),
        };
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.callbacks.clone()),
            Box::new(metrics.open.clone()),
            Box::new(metrics.waiting.clone()),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in collectors {
            metrics.registry.register(collector).expect(CONSTANT);
        }
        metrics
    }

    pub(crate) fn received(&self, outcome: Outcome) {
        let word = serde_json::to_value(outcome).unwrap_or_default();
        let word = word.as_str().unwrap_or_default();
        self.requests.with_label_values(&[word]).inc();
    }

    pub(crate) fn called_back(&self, sent: Sent) {
        let word = match sent {
            Sent::Taken(_) => "taken",
            Sent::TryAgain(_) => "again",
            Sent::Refused(_) => "refused",
        };
        self.callbacks.with_label_values(&[word]).inc();
    }

    /// Returns all metrics in the text format.
    pub(crate) fn text(&self, board: &Board) -> prometheus::Result<String> {
        let gauge = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
        self.open.set(gauge(board.open()));
        self.waiting.set(gauge(board.callbacks_waiting()));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
