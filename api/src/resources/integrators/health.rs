//! How an integrator has answered lately, as it is shown.

use ledger::integrators::{Health, LastFailure};
use poem_openapi::Object;

use crate::http::{enums::BreakerState, scalars::Time};

/// How it has answered lately.
#[derive(Debug, Object)]
#[oai(rename = "IntegratorHealth")]
pub(super) struct HealthView {
    breaker: BreakerView,
    /// Failed attempts since it last answered in a way that asked for no other try.
    failures_in_a_row: u32,
    failing_since: Option<Time>,
    /// The part of its last hundred attempts that it acknowledged, from 0 to 1; `null` without any.
    success_rate: Option<f64>,
    last_success_at: Option<Time>,
    /// The last of its last hundred attempts that it did not acknowledge.
    last_failure: Option<LastFailureView>,
}

/// Whether it is spoken to for now.
#[derive(Debug, Object)]
#[oai(rename = "IntegratorBreaker")]
struct BreakerView {
    state: BreakerState,
    /// Open: when one request goes out to see whether it answers again. Probing: when that counts as lost.
    until: Option<Time>,
}

#[derive(Debug, Object)]
#[oai(rename = "IntegratorFailure")]
struct LastFailureView {
    at: Time,
    /// The HTTP status that it answered with, if it did.
    status: Option<u16>,
    error: Option<String>,
}

impl From<Health> for HealthView {
    fn from(health: Health) -> Self {
        let breaker = health.breaker;
        Self {
            breaker: BreakerView {
                state: breaker.state.into(),
                until: breaker.until.map(Into::into),
            },
            failures_in_a_row: breaker.failures_in_a_row,
            failing_since: breaker.failing_since.map(Into::into),
            success_rate: health.success_rate,
            last_success_at: health.last_success_at.map(Into::into),
            last_failure: health.last_failure.map(Into::into),
        }
    }
}

impl From<LastFailure> for LastFailureView {
    fn from(failure: LastFailure) -> Self {
        Self {
            at: failure.at.into(),
            status: failure.http_status,
            error: failure.error,
        }
    }
}
