//! Bodies of requests and answers about listeners.

use chrono::{DateTime, Utc};
use domain::{
    handoff::{OutgoingMessage, RetryAfter, SendResult, Verdict},
    integrator::Integrator,
    signature::SigningSecret,
};
use ledger::handoffs::{Claimed, Concluded};
use poem_openapi::{Enum, Object};
use uuid::Uuid;

use crate::{
    http::{
        enums::{AttemptOutcome, Format, HandoffEvent},
        problem::Problem,
        scalars::Time,
    },
    resources::handoffs::{HeaderView, text},
};

#[derive(Debug, Object)]
#[oai(rename = "NewListener")]
pub(super) struct ListenBody {
    pub(super) store_id: Uuid,
    /// Default: the caller's username.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub(super) name: Option<String>,
    /// Default `order`.
    pub(super) format: Option<Format>,
    /// Default: all, but for `test`, which is always listened to.
    #[oai(validator(min_items = 1, max_items = 10, unique_items))]
    pub(super) events: Option<Vec<HandoffEvent>>,
}

/// A listener. Its secret is shown only when it is made; one that is resumed keeps it.
#[derive(Debug, Object)]
#[oai(rename = "Listener")]
pub(super) struct ListenerView {
    /// Also its id among the integrators.
    id: Uuid,
    store_id: Uuid,
    name: String,
    format: Format,
    events: Vec<HandoffEvent>,
    /// Signs its messages (Standard Webhooks). Null for a listener that is resumed.
    signing_secret: Option<String>,
    /// It ends then, unless somebody claims before.
    listens_until: Option<Time>,
}

#[derive(Debug, Object)]
#[oai(rename = "ClaimMessages")]
pub(super) struct ClaimBody {
    /// Maximum number of messages.
    #[oai(validator(minimum(value = "1"), maximum(value = "10")))]
    pub(super) max: u32,
    /// Seconds to wait for a message if none is due. Default 0.
    #[oai(validator(maximum(value = "10")))]
    pub(super) wait_s: Option<u32>,
}

#[derive(Debug, Object)]
pub(super) struct ClaimedMessages {
    pub(super) messages: Vec<ListenerMessage>,
    /// Time that one request may take in all.
    pub(super) attempt_timeout_ms: u32,
    pub(super) listens_until: Time,
}

/// An attempt that must be made now. A report names it by handoff, round, number and fence.
#[derive(Debug, Object)]
pub(super) struct ListenerMessage {
    /// Also the `webhook-id` of the request.
    handoff_id: Uuid,
    event: HandoffEvent,
    /// Null only for a `test`.
    order_id: Option<Uuid>,
    order_number: Option<i64>,
    round: u32,
    n: u32,
    /// A number as text: an outcome with another one changes nothing.
    fence: String,
    /// An outcome that is reported later is lost: the attempt's is then `unknown`.
    leased_until: Time,
    headers: Vec<HeaderView>,
    /// The bytes of the body, which is JSON, as text.
    body: String,
}

#[derive(Debug, Object)]
#[oai(rename = "AttemptOutcomeReport")]
pub(super) struct OutcomeBody {
    pub(super) handoff_id: Uuid,
    #[oai(validator(minimum(value = "1")))]
    pub(super) round: u32,
    #[oai(validator(minimum(value = "1")))]
    pub(super) n: u32,
    #[oai(validator(min_length = 1, max_length = 20))]
    fence: String,
    /// Status of the answer. Exactly one of `status` and `error` is required.
    #[oai(validator(minimum(value = "100"), maximum(value = "999")))]
    status: Option<u16>,
    /// The answer's `Retry-After` header.
    #[oai(validator(max_length = 200))]
    retry_after: Option<String>,
    /// The answer's `Date` header, by which `retry_after` is read if it is a date.
    #[oai(validator(max_length = 200))]
    date: Option<String>,
    /// The beginning of the answer's body; 16 KiB are kept.
    #[oai(validator(max_length = 65536))]
    pub(super) response: Option<String>,
    /// Why there was no answer.
    #[oai(validator(min_length = 1, max_length = 500))]
    error: Option<String>,
    /// True if the request may have arrived although there was no answer. Default: true.
    may_have_arrived: Option<bool>,
}

#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum ReportResult {
    Recorded,
    /// Recorded, but the order has ended: there is no next attempt.
    CalledOff,
    /// This outcome was reported before.
    AlreadyRecorded,
    /// The lease had ended, or the fence is another one: the attempt is not changed.
    TooLate,
}

#[derive(Debug, Object)]
pub(super) struct RecordedOutcome {
    result: ReportResult,
    /// Null if it came too late.
    outcome: Option<AttemptOutcome>,
    /// Time of the next attempt; null if there is none.
    next_attempt_at: Option<Time>,
}

impl ListenerView {
    pub(super) fn of(listener: Integrator, signing: Option<SigningSecret>) -> Self {
        Self {
            id: listener.id.uuid(),
            store_id: listener.store_id.uuid(),
            name: listener.name,
            format: listener.format.into(),
            events: listener.events.into_iter().map(Into::into).collect(),
            signing_secret: signing.map(|secret| secret.reveal()),
            listens_until: listener.listens_until.map(Into::into),
        }
    }
}

impl ListenerMessage {
    /// Builds the request of an attempt, signed at `now`.
    pub(super) fn of(claimed: Claimed, now: DateTime<Utc>, span: [u8; 8]) -> Result<Self, Problem> {
        let handoff = &claimed.handoff;
        let outgoing = OutgoingMessage {
            handoff: handoff.id,
            n: handoff.counted_attempts(),
            max_attempts: handoff.max_attempts,
            signing: &claimed.signing,
            body: &claimed.body,
            trace: claimed.trace,
        };
        let headers = outgoing.headers(now, span);
        Ok(Self {
            handoff_id: handoff.id.uuid(),
            event: handoff.event.into(),
            order_id: handoff.order_id.map(|id| id.uuid()),
            order_number: claimed.order_number,
            round: handoff.round,
            n: claimed.n,
            fence: claimed.fence.to_string(),
            leased_until: claimed.leased_until.into(),
            headers: headers.into_iter().map(HeaderView::of).collect(),
            body: text(&claimed.body)?,
        })
    }
}

impl OutcomeBody {
    pub(super) fn fence(&self) -> Result<i64, Problem> {
        let fence = self.fence.parse();
        fence.map_err(|_| Problem::invalid_field("/fence", "must be the fence of a claim"))
    }

    pub(super) fn heard(&self) -> Result<SendResult, Problem> {
        let date = self.date.as_deref();
        match (self.status, &self.error) {
            (Some(status), None) => Ok(SendResult::Answer {
                status,
                retry_after: self
                    .retry_after
                    .as_deref()
                    .and_then(|text| RetryAfter::parse(text, date)),
            }),
            (None, Some(error)) if self.may_have_arrived == Some(false) => {
                let error = error.clone();
                Ok(SendResult::NotConnected { error })
            }
            (None, Some(error)) => Ok(SendResult::Lost {
                error: error.clone(),
            }),
            _ => Err(Problem::invalid_field(
                "/status",
                "exactly one of status and error is required",
            )),
        }
    }
}

impl RecordedOutcome {
    pub(super) fn of(concluded: Concluded) -> Self {
        let (result, outcome, next) = match concluded {
            Concluded::Recorded { outcome, verdict } => {
                let next = match verdict {
                    Verdict::TryAgain { at } | Verdict::Postpone { at } => Some(at),
                    Verdict::Acknowledged | Verdict::Hold | Verdict::Failed { .. } => None,
                };
                (ReportResult::Recorded, Some(outcome), next)
            }
            Concluded::CalledOff { outcome } => (ReportResult::CalledOff, Some(outcome), None),
            Concluded::AlreadyRecorded { outcome } => {
                (ReportResult::AlreadyRecorded, Some(outcome), None)
            }
            Concluded::Fenced | Concluded::Forgotten => (ReportResult::TooLate, None, None),
        };
        Self {
            result,
            outcome: outcome.map(Into::into),
            next_attempt_at: next.map(Into::into),
        }
    }
}
