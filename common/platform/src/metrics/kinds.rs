//! Construction of each prometheus type from one line of the list.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    core::Collector,
};

pub(super) trait Kind: Collector + Clone + Sized + 'static {
    const NAME: &'static str;

    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Self;
}

/// Panic message for an invalid declaration. Names, labels and buckets are literals in the list, and every test that
/// creates `Metrics` checks them all.
const CONSTANT: &str = "the declared metrics are valid";

impl Kind for IntCounter {
    const NAME: &'static str = "counter";

    fn make(name: &str, help: &str, _: &[&str], _: &[f64]) -> Self {
        Self::new(name, help).expect(CONSTANT)
    }
}

impl Kind for IntCounterVec {
    const NAME: &'static str = "counter";

    fn make(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Self {
        Self::new(Opts::new(name, help), labels).expect(CONSTANT)
    }
}

impl Kind for IntGauge {
    const NAME: &'static str = "gauge";

    fn make(name: &str, help: &str, _: &[&str], _: &[f64]) -> Self {
        Self::new(name, help).expect(CONSTANT)
    }
}

impl Kind for IntGaugeVec {
    const NAME: &'static str = "gauge";

    fn make(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Self {
        Self::new(Opts::new(name, help), labels).expect(CONSTANT)
    }
}

impl Kind for Histogram {
    const NAME: &'static str = "histogram";

    fn make(name: &str, help: &str, _: &[&str], buckets: &[f64]) -> Self {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Self::with_opts(opts).expect(CONSTANT)
    }
}

impl Kind for HistogramVec {
    const NAME: &'static str = "histogram";

    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Self {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Self::new(opts, labels).expect(CONSTANT)
    }
}
