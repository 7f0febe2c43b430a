//! An integrator's recent health, as the API shows it.

use ledger::integrators::{Health, LastFailure};
use poem_openapi::Object;

use crate::http::{enums::BreakerState, scalars::Time};

/// The integrator's recent health.
#[derive(Debug, Object)]
#[oai(rename = "IntegratorHealth")]
pub(super) struct HealthView {
    breaker: BreakerView,
    pace: PaceView,
    /// Number of failed attempts since its last answer that asked for no retry.
    failures_in_a_row: u32,
    failing_since: Option<Time>,
    /// Share of its last hundred attempts that it acknowledged, from 0 to 1; `null` if there are none.
    success_rate: Option<f64>,
    last_success_at: Option<Time>,
    /// The latest of its last hundred attempts that it did not acknowledge.
    last_failure: Option<LastFailureView>,
}

/// The circuit breaker, which decides whether requests are sent.
#[derive(Debug, Object)]
#[oai(rename = "IntegratorBreaker")]
struct BreakerView {
    state: BreakerState,
    /// While open: when one request is sent as a probe. While probing: when that request counts as lost.
    until: Option<Time>,
}

/// The pace that an integrator asked for by saying "slow down" (429, or 503 with `Retry-After`), for all its messages.
#[derive(Debug, Object)]
#[oai(rename = "IntegratorPace")]
struct PaceView {
    /// Nothing is sent before this time. Null, or a time that has passed, if it is not paused.
    paused_until: Option<Time>,
    /// Requests a second that it is found to take. Null if it never said "slow down", or takes a thousand and more.
    rate_per_s: Option<u32>,
}

#[derive(Debug, Object)]
#[oai(rename = "IntegratorFailure")]
struct LastFailureView {
    at: Time,
    /// The HTTP status of its answer, if there was one.
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
            pace: PaceView {
                paused_until: health.pressure.paused_until.map(Into::into),
                rate_per_s: health.pressure.rate_per_s,
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
