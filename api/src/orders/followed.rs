//! What happened to an order, and who was told of it, as it is shown to those who follow it.

use crate::{values::Time, words};
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
    at: Time,
    data: Value,
}

impl EventView {
    pub(crate) fn of(event: Event) -> Self {
        Self {
            stream: event.stream.uuid(),
            seq: event.seq,
            kind: event.kind.to_string(),
            at: event.at.into(),
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
    event: words::HandoffEvent,
    state: words::HandoffState,
    required: bool,
    /// Retrying by hand opens a new round.
    round: u32,
    max_attempts: u32,
    /// Not before this, while it waits.
    next_attempt_at: Option<Time>,
    /// Past this nothing is sent any more.
    deadline: Time,
    confirmed_at: Option<Time>,
    /// The integrator's own word for the order.
    reference: Option<String>,
    /// Why it failed or was withdrawn.
    reason: Option<String>,
    created_at: Time,
    closed_at: Option<Time>,
    attempts: Vec<AttemptView>,
}

/// One HTTP request.
#[derive(Debug, Object)]
#[oai(rename = "Attempt")]
struct AttemptView {
    round: u32,
    n: u32,
    started_at: Time,
    ended_at: Option<Time>,
    /// Null while it runs.
    outcome: Option<words::AttemptOutcome>,
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
            event: handoff.event.into(),
            state: handoff.state.into(),
            required: handoff.required,
            round: handoff.round,
            max_attempts: handoff.max_attempts,
            next_attempt_at: handoff.next_attempt_at.map(Into::into),
            deadline: handoff.deadline.into(),
            confirmed_at: handoff.confirmed_at.map(Into::into),
            reference: handoff.reference,
            reason: handoff.reason,
            created_at: handoff.created_at.into(),
            closed_at: handoff.closed_at.map(Into::into),
            attempts: attempts.into_iter().map(AttemptView::of).collect(),
        }
    }
}

impl AttemptView {
    fn of(attempt: Attempt) -> Self {
        Self {
            round: attempt.round,
            n: attempt.n,
            started_at: attempt.started_at.into(),
            ended_at: attempt.ended_at.map(Into::into),
            outcome: attempt.outcome.map(Into::into),
            status: attempt.http_status,
            error: attempt.error,
            response: attempt.response,
        }
    }
}
