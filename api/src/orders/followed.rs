//! What happened to an order, and who was told of it, as it is shown to those who follow it.

use chrono::{DateTime, Utc};
use common::domain::{
    event::Event,
    handoff::{Attempt, Handoff},
};
use poem_openapi::Object;
use serde_json::Value;
use uuid::Uuid;

/// One line of a stream.
#[derive(Debug, Object)]
#[oai(rename = "Event")]
pub(crate) struct EventView {
    /// The session's, or the order's own.
    stream: Uuid,
    /// Without gaps in its stream.
    seq: i64,
    #[oai(rename = "type")]
    kind: String,
    at: DateTime<Utc>,
    data: Value,
}

impl EventView {
    pub(crate) fn of(event: Event) -> Self {
        Self {
            stream: event.stream.uuid(),
            seq: event.seq,
            kind: event.kind.to_string(),
            at: event.at,
            data: event.data,
        }
    }
}

/// The duty to bring one message about one order to one integrator.
#[derive(Debug, Object)]
#[oai(rename = "Handoff")]
pub(super) struct HandoffView {
    /// Also the `webhook-id` of its requests.
    id: Uuid,
    integrator_id: Uuid,
    event: String,
    state: String,
    required: bool,
    /// Retrying by hand opens a new round.
    round: u32,
    max_attempts: u32,
    /// Not before this, while it waits.
    next_attempt_at: Option<DateTime<Utc>>,
    /// Past this nothing is sent any more.
    deadline: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
    /// The integrator's own word for the order.
    reference: Option<String>,
    /// Why it failed or was withdrawn.
    reason: Option<String>,
    created_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    attempts: Vec<AttemptView>,
}

/// One HTTP request.
#[derive(Debug, Object)]
#[oai(rename = "Attempt")]
struct AttemptView {
    round: u32,
    n: u32,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// `acknowledged`, `retry`, `refused`, `gone` or `unknown`; null while it runs.
    outcome: Option<String>,
    status: Option<u16>,
    error: Option<String>,
    /// The beginning of the answer.
    response: Option<String>,
}

impl HandoffView {
    pub(super) fn of(handoff: Handoff, attempts: Vec<Attempt>) -> Self {
        Self {
            id: handoff.id.uuid(),
            integrator_id: handoff.integrator_id.uuid(),
            event: handoff.event.to_string(),
            state: handoff.state.to_string(),
            required: handoff.required,
            round: handoff.round,
            max_attempts: handoff.max_attempts,
            next_attempt_at: handoff.next_attempt_at,
            deadline: handoff.deadline,
            confirmed_at: handoff.confirmed_at,
            reference: handoff.reference,
            reason: handoff.reason,
            created_at: handoff.created_at,
            closed_at: handoff.closed_at,
            attempts: attempts.into_iter().map(AttemptView::of).collect(),
        }
    }
}

impl AttemptView {
    fn of(attempt: Attempt) -> Self {
        Self {
            round: attempt.round,
            n: attempt.n,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            outcome: attempt.outcome.map(|outcome| outcome.to_string()),
            status: attempt.http_status,
            error: attempt.error,
            response: attempt.response,
        }
    }
}
