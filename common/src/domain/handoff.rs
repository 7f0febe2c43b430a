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
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn standing(attempts: u32) -> Standing {
        Standing {
            attempts,
            max_attempts: 5,
            unknown_policy: UnknownPolicy::Resend,
            used_cached_token: false,
            deadline: now() + Duration::from_secs(600),
        }
    }

    fn answer(status: u16) -> Heard {
        Heard::Answer {
            status,
            retry_after: None,
        }
    }

    fn lost() -> Heard {
        Heard::Lost {
            error: "time-out".into(),
        }
    }

    #[test]
    fn each_status_has_its_class() {
        use AttemptOutcome::{Acknowledged, Gone, Refused, Retry};
        for status in 100..=599_u16 {
            let expected = match status {
                200..=299 => Acknowledged,
                408 | 425 | 429 => Retry,
                410 => Gone,
                500..=599 => Retry,
                _ => Refused,
            };
            assert_eq!(outcome(&answer(status), false), expected, "{status}");
        }
        assert_eq!(outcome(&answer(401), true), Retry);
        assert_eq!(outcome(&lost(), false), AttemptOutcome::Unknown);
        assert_eq!(
            outcome(
                &Heard::NotConnected {
                    error: "refused".into()
                },
                false
            ),
            Retry
        );
    }

    #[test]
    fn the_fifth_failure_is_the_last() {
        for attempts in 1..=4 {
            let (_, verdict) = judge(&answer(500), &standing(attempts), now(), 0.0);
            assert!(
                matches!(verdict, Verdict::TryAgain { .. }),
                "after {attempts}"
            );
        }
        let (outcome, verdict) = judge(&answer(500), &standing(5), now(), 0.0);
        assert_eq!(
            (outcome, verdict),
            (
                AttemptOutcome::Retry,
                Verdict::Failed {
                    reason: FailReason::AttemptsUsedUp
                }
            )
        );
        let (outcome, verdict) = judge(&lost(), &standing(5), now(), 0.0);
        assert_eq!(
            (outcome, verdict),
            (
                AttemptOutcome::Unknown,
                Verdict::Failed {
                    reason: FailReason::AttemptsUsedUp
                }
            )
        );
    }

    #[test]
    fn a_refusal_is_final_at_once() {
        assert_eq!(
            judge(&answer(422), &standing(1), now(), 0.0).1,
            Verdict::Failed {
                reason: FailReason::Refused
            }
        );
        assert_eq!(
            judge(&answer(302), &standing(1), now(), 0.0).1,
            Verdict::Failed {
                reason: FailReason::Refused
            }
        );
        assert_eq!(
            judge(&answer(410), &standing(1), now(), 0.0).1,
            Verdict::Failed {
                reason: FailReason::Gone
            }
        );
    }

    #[test]
    fn retry_after_is_a_floor_and_never_shortens() {
        let at = |retry_after, jitter| {
            let heard = Heard::Answer {
                status: 429,
                retry_after,
            };
            match judge(&heard, &standing(2), now(), jitter).1 {
                Verdict::TryAgain { at } => (at - now()).num_seconds(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at(None, 0.0), 8);
        assert_eq!(at(Some(RetryAfter::After(Duration::from_secs(1))), 0.0), 8);
        assert_eq!(
            at(Some(RetryAfter::After(Duration::from_secs(100))), 1.0),
            100
        );
        assert_eq!(
            at(RetryAfter::parse("Fri, 15 Jan 2027 08:01:00 GMT"), 0.0),
            60
        );
    }

    #[test]
    fn a_next_attempt_past_the_deadline_ends_the_handoff() {
        let heard = Heard::Answer {
            status: 503,
            retry_after: RetryAfter::parse("601"),
        };
        assert_eq!(
            judge(&heard, &standing(1), now(), 0.0).1,
            Verdict::Failed {
                reason: FailReason::Deadline
            }
        );
    }

    #[test]
    fn an_unknown_outcome_is_sent_again_or_held_as_the_integrator_wants() {
        assert!(matches!(
            judge(&lost(), &standing(1), now(), 0.0).1,
            Verdict::TryAgain { .. }
        ));
        let hold = Standing {
            unknown_policy: UnknownPolicy::Hold,
            ..standing(1)
        };
        assert_eq!(judge(&lost(), &hold, now(), 0.0).1, Verdict::Hold);
    }

    #[test]
    fn nonsense_in_retry_after_is_no_hint() {
        for nonsense in ["", "soon", "-5", "+5", "1.5"] {
            assert_eq!(RetryAfter::parse(nonsense), None, "{nonsense}");
        }
        let for_ever = Some(RetryAfter::After(Duration::from_secs(u32::MAX.into())));
        assert_eq!(RetryAfter::parse("99999999999999999"), for_ever);
        assert_eq!(RetryAfter::parse(&"9".repeat(40)), for_ever);
    }

    #[test]
    fn a_date_in_retry_after_may_have_any_of_its_three_forms() {
        let at = Some(RetryAfter::At(
            DateTime::from_timestamp(784_111_777, 0).unwrap(),
        ));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(RetryAfter::parse(text), at, "{text}");
        }
    }

    #[test]
    fn the_reference_is_the_first_of_three_fields() {
        assert_eq!(
            reference_in(br#"{"id":7,"tracking_number":"T1"}"#).as_deref(),
            Some("T1")
        );
        assert_eq!(reference_in(br#"{"id":7}"#).as_deref(), Some("7"));
        assert_eq!(
            reference_in(br#"{"id":"","reference":"R"}"#).as_deref(),
            Some("R")
        );
        assert_eq!(reference_in(b"OK"), None);
    }
}
