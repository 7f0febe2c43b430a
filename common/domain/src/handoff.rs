//! Handoffs and their attempts: states, outcomes, and the one decision after an attempt.

mod headers;
mod reference;
mod retry_after;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    headers::OutgoingMessage,
    reference::{parse_ready_at, parse_reference, parse_tracking_number},
    retry_after::RetryAfter,
};
use super::{
    delivery::DeliveryStatus,
    ids::{HandoffId, IntegratorId, OrderId, StoreId},
    integrator::{HandoffEvent, UnknownPolicy},
    status::OrderStatus,
    words::words,
};

words! {
    pub enum HandoffState {
        /// Will be sent as soon as its integrator's lane has room.
        Due = "due",
        /// A worker holds its lease; an attempt row is open.
        Sending = "sending",
        /// Will be retried at `next_attempt_at`.
        Waiting = "waiting",
        Acknowledged = "acknowledged",
        Failed = "failed",
        /// Cancelled before any attempt, or while waiting for the next one.
        Withdrawn = "withdrawn",
        /// The outcome is unknown and the integrator's policy is `hold`: a person decides.
        Held = "held",
        /// Its claim failed five times without an outcome.
        Parked = "parked",
    }
}

impl HandoffState {
    /// Returns true for the final states, after which nothing more is sent unless a person retries the handoff.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Failed | Self::Withdrawn)
    }
}

words! {
    pub enum AttemptOutcome {
        Acknowledged = "acknowledged",
        Retry = "retry",
        Refused = "refused",
        Gone = "gone",
        /// The request may have arrived: a crash, a timeout, a connection lost after sending.
        Unknown = "unknown",
    }
}

/// The duty to deliver one message about one order to one integrator.
#[derive(Clone, Debug, PartialEq)]
pub struct Handoff {
    pub id: HandoffId,
    pub store_id: StoreId,
    /// `None` only for a `test`.
    pub order_id: Option<OrderId>,
    pub integrator_id: IntegratorId,
    pub event: HandoffEvent,
    pub state: HandoffState,
    pub required: bool,
    /// Number among the handoffs of one order to one integrator, which are sent strictly one after the other.
    pub position: i32,
    /// Time at which its integrator confirmed the order: by acknowledgement or by callback, as its settings say.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Number of the round of attempts; a manual retry opens a new one.
    pub round: u32,
    /// Attempts started in this round.
    pub attempts: u32,
    /// Those of them that do not count, because the integrator said "slow down".
    pub uncounted: u32,
    pub max_attempts: u32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Nothing is sent after this time.
    pub deadline: DateTime<Utc>,
    /// The integrator's own id of the order, from its acknowledgement.
    pub reference: Option<String>,
    /// Why it failed or was withdrawn.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// The change of an order that made a handoff, as its message tells it: as of that change, however late it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Number of its event in the stream of the order.
    pub number: i64,
    /// `None` if the change placed a new order, or began its delivery.
    pub from: Option<Stage>,
    pub to: Stage,
    pub reason: Option<String>,
    pub at: DateTime<Utc>,
}

/// Status before or after a change: of the order, or of its delivery. No word belongs to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stage {
    Order(OrderStatus),
    Delivery(DeliveryStatus),
}

impl Stage {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order(status) => status.as_str(),
            Self::Delivery(status) => status.as_str(),
        }
    }
}

impl From<OrderStatus> for Stage {
    fn from(status: OrderStatus) -> Self {
        Self::Order(status)
    }
}

impl From<DeliveryStatus> for Stage {
    fn from(status: DeliveryStatus) -> Self {
        Self::Delivery(status)
    }
}

impl Handoff {
    /// Returns the number of this round's attempts that count towards `max_attempts`.
    #[must_use]
    pub const fn counted_attempts(&self) -> u32 {
        self.attempts.saturating_sub(self.uncounted)
    }
}

/// One HTTP request of a handoff.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub round: u32,
    pub n: u32,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<AttemptOutcome>,
    /// False if the integrator said "slow down": it uses up none of `max_attempts`.
    pub counted: bool,
    pub http_status: Option<u16>,
    pub error: Option<String>,
    /// The first 16 KiB of the response.
    pub response: Option<String>,
}

/// Result of a request, as seen on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    Answer {
        status: u16,
        retry_after: Option<RetryAfter>,
    },
    /// Nothing reached the integrator (no connection, unknown host name, TLS refused, address not allowed), or the
    /// protocol says that nothing was processed (HTTP/2: a refused stream, or one beyond the last of a GOAWAY).
    NotConnected { error: String },
    /// The request may have reached it: a timeout or lost connection before the answer's status, or a crash.
    Lost { error: String },
}

impl SendResult {
    /// Returns true if the answer means "slow down": a 429, or a 503 that says when to come back. It is meant for the
    /// caller, and says nothing about the order.
    #[must_use]
    pub const fn asks_to_slow_down(&self) -> bool {
        matches!(
            self,
            Self::Answer { status: 429, .. }
                | Self::Answer {
                    status: 503,
                    retry_after: Some(_),
                }
        )
    }

    #[must_use]
    pub const fn retry_after(&self) -> Option<RetryAfter> {
        match self {
            Self::Answer { retry_after, .. } => *retry_after,
            Self::NotConnected { .. } | Self::Lost { .. } => None,
        }
    }
}

/// Facts that decide about a handoff, beside the result of the request.
#[derive(Clone, Copy, Debug)]
pub struct AttemptContext {
    /// Attempts of this round that count, including the judged one if it does.
    pub attempts: u32,
    pub max_attempts: u32,
    pub unknown_policy: UnknownPolicy,
    /// A 401 for a cached token is retried; for a fresh one it is final.
    pub used_cached_token: bool,
    /// End of the integrator's pause, if the answer means "slow down".
    pub paused_until: Option<DateTime<Utc>>,
    pub deadline: DateTime<Utc>,
}

/// Decision about a handoff after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Acknowledged,
    /// Retry at this time, not earlier.
    TryAgain {
        at: DateTime<Utc>,
    },
    /// The attempt does not count; send again once the integrator's pause is over. The deadline ends the handoff.
    Postpone {
        at: DateTime<Utc>,
    },
    Hold,
    Failed {
        reason: FailReason,
    },
}

words! {
    /// Reason of a failed handoff; low-cardinality, used as a metric label.
    pub enum FailReason {
        AttemptsUsedUp = "attempts_used_up",
        Refused = "refused",
        Gone = "gone",
        Deadline = "deadline",
        IntegratorDisabled = "integrator_disabled",
    }
}

/// Classifies the result of a request (docs/design.md section 6, "Outcome").
#[must_use]
pub fn outcome(heard: &SendResult, used_cached_token: bool) -> AttemptOutcome {
    match heard {
        SendResult::NotConnected { .. } => AttemptOutcome::Retry,
        SendResult::Lost { .. } => AttemptOutcome::Unknown,
        SendResult::Answer { status, .. } => match status {
            200..=299 => AttemptOutcome::Acknowledged,
            408 | 425 | 429 | 500..=599 => AttemptOutcome::Retry,
            401 if used_cached_token => AttemptOutcome::Retry,
            410 => AttemptOutcome::Gone,
            _ => AttemptOutcome::Refused,
        },
    }
}

/// Decides about a handoff after an attempt. `jitter` is a fraction from 0 to 1.
#[must_use]
pub fn judge(
    heard: &SendResult,
    standing: &AttemptContext,
    now: DateTime<Utc>,
    jitter: f64,
) -> (AttemptOutcome, Verdict) {
    let outcome = outcome(heard, standing.used_cached_token);
    let failed = |reason| Verdict::Failed { reason };
    let verdict = match outcome {
        AttemptOutcome::Acknowledged => Verdict::Acknowledged,
        AttemptOutcome::Refused => failed(FailReason::Refused),
        AttemptOutcome::Gone => failed(FailReason::Gone),
        AttemptOutcome::Retry if standing.paused_until.is_some() => Verdict::Postpone {
            at: standing
                .paused_until
                .map_or(standing.deadline, |until| until.min(standing.deadline)),
        },
        AttemptOutcome::Unknown if standing.unknown_policy == UnknownPolicy::Hold => Verdict::Hold,
        AttemptOutcome::Retry | AttemptOutcome::Unknown
            if standing.attempts >= standing.max_attempts =>
        {
            failed(FailReason::AttemptsUsedUp)
        }
        AttemptOutcome::Retry | AttemptOutcome::Unknown => {
            let at = next_attempt_at(heard, standing.attempts, now, jitter);
            if at >= standing.deadline {
                failed(FailReason::Deadline)
            } else {
                Verdict::TryAgain { at }
            }
        }
    };
    (outcome, verdict)
}

/// Returns the scheduled time or the integrator's `Retry-After`, whichever is later.
fn next_attempt_at(
    heard: &SendResult,
    attempts: u32,
    now: DateTime<Utc>,
    jitter: f64,
) -> DateTime<Utc> {
    let scheduled = now + super::schedule::delay_after(attempts, jitter);
    match heard {
        SendResult::Answer {
            retry_after: Some(hint),
            ..
        } => scheduled.max(hint.from(now)),
        _ => scheduled,
    }
}

#[cfg(test)]
mod tests;
