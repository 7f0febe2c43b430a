//! The courier's own metrics, at `GET /metrics`.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder, core::Collector,
    process_collector::ProcessCollector,
};

use crate::status::Status;

/// Panic message for an invalid declaration: names and labels are literals, and every test makes them all.
const CONSTANT: &str = "the declared metrics are valid";

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    created: IntCounter,
    steps: IntCounterVec,
    notifications: IntCounterVec,
    waiting: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let created = IntCounter::new("courier_deliveries_created_total", "Deliveries created.");
        let steps = IntCounterVec::new(
            Opts::new("courier_steps_total", "Steps of deliveries, by new status."),
            &["status"],
        );
        let notifications = IntCounterVec::new(
            Opts::new(
                "courier_notifications_total",
                "Requests to receivers of updates, by result: taken, again or gone.",
            ),
            &["result"],
        );
        let waiting = IntGauge::new(
            "courier_notifications_waiting",
            "Updates that no receiver has taken yet.",
        );
        let metrics = Self {
            created: created.expect(CONSTANT),
            steps: steps.expect(CONSTANT),
            notifications: notifications.expect(CONSTANT),
            waiting: waiting.expect(CONSTANT),
            registry,
        };
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(metrics.created.clone()),
            Box::new(metrics.steps.clone()),
            Box::new(metrics.notifications.clone()),
            Box::new(metrics.waiting.clone()),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in collectors {
            metrics.registry.register(collector).expect(CONSTANT);
        }
        metrics
    }

    pub(crate) fn created(&self) {
        self.created.inc();
    }

    pub(crate) fn stepped(&self, to: Status) {
        self.steps.with_label_values(&[to.as_str()]).inc();
    }

    pub(crate) fn notified(&self, result: &str) {
        self.notifications.with_label_values(&[result]).inc();
    }

    /// Returns all metrics in the text format; `waiting` is counted by the caller.
    pub(crate) fn text(&self, waiting: i64) -> prometheus::Result<String> {
        self.waiting.set(waiting);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
