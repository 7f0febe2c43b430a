//! The metric that tells which version runs.

use prometheus::IntGaugeVec;

/// Version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Sets the metric, once for a process.
pub(crate) fn set(build_info: &IntGaugeVec) {
    build_info.with_label_values(&[VERSION]).set(1);
}
