//! Handoffs and their attempts: states, outcomes, and the one table that judges what an attempt met with.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{HandoffId, IntegratorId, OrderId, StoreId},
    integrator::{HandoffEvent, UnknownPolicy},
    words::words,
};

words! {
    pub enum HandoffState {
        /// To be sent as soon as its integrator's lane has room.
        Due = "due",
        /// A worker holds its lease; an attempt row stands open.
        Sending = "sending",
        /// To be tried again at `next_attempt_at`.
        Waiting = "waiting",
        Acknowledged = "acknowledged",
        Failed = "failed",
        /// Called off before any attempt, or while waiting for the next one.
        Withdrawn = "withdrawn",
        /// After an unknown outcome, where the integrator's policy is `hold`: a person decides.
        Held = "held",
        /// Its claim failed five times without an outcome.
        Parked = "parked",
    }
}

impl HandoffState {
    /// Nothing more will be sent by itself.
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
        /// The request may have arrived: a crash, a time-out, a connection lost after sending.
        Unknown = "unknown",
    }
}

/// The duty to bring one message about one order to one integrator.
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
    /// Counts the handoffs of one order to one integrator, which are strictly serial.
    pub position: i32,
    /// When its integrator confirmed the order: by acknowledgement or by callback, as its settings say.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Retrying by hand opens a new round of attempts.
    pub round: u32,
    /// Attempts begun in this round.
    pub attempts: u32,
    pub max_attempts: u32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Past this nothing is sent any more.
    pub deadline: DateTime<Utc>,
    /// The integrator's own word for the order, from its acknowledgement.
    pub reference: Option<String>,
    /// Why it failed or was withdrawn.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// One HTTP request of a handoff.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub round: u32,
    pub n: u32,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<AttemptOutcome>,
    pub http_status: Option<u16>,
    pub error: Option<String>,
    /// The first 16 KiB of the answer.
    pub response: Option<String>,
}

/// What a request met with, as seen on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Answer {
        status: u16,
        retry_after: Option<RetryAfter>,
    },
    /// Nothing reached the integrator: no connection, no such name, TLS refused, address not allowed.
    NotConnected { error: String },
    /// Something may have: time-out or connection lost after sending, or a crash.
    Lost { error: String },
}

/// RFC 9110 section 10.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    After(Duration),
    At(DateTime<Utc>),
}

/// Of RFC 850, and of C's asctime.
const OBSOLETE_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

impl RetryAfter {
    /// From the header's value: seconds, or an HTTP date in one of its three forms (RFC 9110 section 5.6.7). Nonsense is
    /// no hint.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // As many digits as anybody likes: longer than an order waits is long enough.
            let seconds = text.parse().unwrap_or(u32::MAX);
            return Some(Self::After(Duration::from_secs(seconds.into())));
        }
        let at = match DateTime::parse_from_rfc2822(text) {
            Ok(at) => at.to_utc(),
            Err(_) => OBSOLETE_DATES
                .iter()
                .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?
                .and_utc(),
        };
        Some(Self::At(at))
    }

    #[must_use]
    pub fn from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::After(wait) => now + wait,
            Self::At(at) => at,
        }
    }
}

/// What decides about a handoff, beside what was heard.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Attempts of this round, the judged one included.
    pub attempts: u32,
    pub max_attempts: u32,
    pub unknown_policy: UnknownPolicy,
    /// A 401 on a cached token is worth another try; on a fresh one it is final.
    pub used_cached_token: bool,
    pub deadline: DateTime<Utc>,
}

/// What becomes of the handoff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Acknowledged,
    /// Not before this time.
    TryAgain {
        at: DateTime<Utc>,
    },
    Hold,
    Failed {
        reason: FailReason,
    },
}

words! {
    /// Why a handoff failed: few-valued, a metric's label.
    pub enum FailReason {
        AttemptsUsedUp = "attempts_used_up",
        Refused = "refused",
        Gone = "gone",
        Deadline = "deadline",
        IntegratorDisabled = "integrator_disabled",
    }
}

/// design.md section 6, "Outcome": the class of what was heard.
#[must_use]
pub fn outcome(heard: &Heard, used_cached_token: bool) -> AttemptOutcome {
    match heard {
        Heard::NotConnected { .. } => AttemptOutcome::Retry,
        Heard::Lost { .. } => AttemptOutcome::Unknown,
        Heard::Answer { status, .. } => match status {
            200..=299 => AttemptOutcome::Acknowledged,
            408 | 425 | 429 | 500..=599 => AttemptOutcome::Retry,
            401 if used_cached_token => AttemptOutcome::Retry,
            410 => AttemptOutcome::Gone,
            _ => AttemptOutcome::Refused,
        },
    }
}

/// The one decision after an attempt. `jitter` is a fraction from 0 to 1.
#[must_use]
pub fn judge(
    heard: &Heard,
    standing: &Standing,
    now: DateTime<Utc>,
    jitter: f64,
) -> (AttemptOutcome, Verdict) {
    let outcome = outcome(heard, standing.used_cached_token);
    let failed = |reason| Verdict::Failed { reason };
    let verdict = match outcome {
        AttemptOutcome::Acknowledged => Verdict::Acknowledged,
        AttemptOutcome::Refused => failed(FailReason::Refused),
        AttemptOutcome::Gone => failed(FailReason::Gone),
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

/// The schedule's time or the integrator's `Retry-After`, whichever is later.
fn next_attempt_at(heard: &Heard, attempts: u32, now: DateTime<Utc>, jitter: f64) -> DateTime<Utc> {
    let scheduled = now + super::schedule::delay_after(attempts, jitter);
    match heard {
        Heard::Answer {
            retry_after: Some(hint),
            ..
        } => scheduled.max(hint.from(now)),
        _ => scheduled,
    }
}

/// The integrator's own word for the order, from its answer: `reference`, else `tracking_number`, else `id`.
#[must_use]
pub fn reference_in(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize, Serialize)]
    struct Fields {
        reference: Option<serde_json::Value>,
        tracking_number: Option<serde_json::Value>,
        id: Option<serde_json::Value>,
    }
    let fields: Fields = serde_json::from_slice(answer).ok()?;
    [fields.reference, fields.tracking_number, fields.id]
        .into_iter()
        .flatten()
        .find_map(|value| match value {
            serde_json::Value::String(text) if !text.is_empty() && text.len() <= 200 => Some(text),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
}

#[cfg(test)]
mod tests;
