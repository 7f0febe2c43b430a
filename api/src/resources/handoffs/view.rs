//! Handoffs as the API shows them: in a list without the attempts' responses, and one with everything.

use domain::{handoff::Attempt, retry::Round};
use ledger::handoffs::{HandoffHistory, ListedHandoff};
use poem_openapi::Object;
use uuid::Uuid;

use crate::http::{enums, scalars::Time};

/// The task of sending one message about one order to one integrator, with every attempt.
#[derive(Debug, Object)]
#[oai(rename = "Handoff")]
pub(crate) struct HandoffView {
    #[oai(flatten)]
    facts: HandoffFacts,
    /// Attempts of all rounds, in order.
    attempts: Vec<AttemptView>,
    /// Rounds that somebody started by hand, in order; the first round starts by itself.
    rounds: Vec<RoundView>,
    /// Body of its requests, the same in each; before the first attempt, the body that would be sent now. Null if it
    /// will not be sent any more, and in answers to other operations than `GET /handoffs/{id}`.
    body: Option<String>,
}

/// A handoff in a list.
#[derive(Debug, Object)]
#[oai(rename = "ListedHandoff")]
pub(super) struct ListedView {
    #[oai(flatten)]
    facts: HandoffFacts,
    /// Number of attempts started in the current round, without those that do not count.
    attempts: u32,
    /// Number of attempts started in all rounds.
    attempts_in_all: u32,
    last_attempt: Option<LastAttempt>,
}

/// Fields that every handoff has.
#[derive(Debug, Object)]
struct HandoffFacts {
    /// Also the `webhook-id` of its requests.
    id: Uuid,
    store_id: Uuid,
    /// Null only for a `test`.
    order_id: Option<Uuid>,
    order_number: Option<i64>,
    integrator_id: Uuid,
    /// The integrator's name.
    integrator: String,
    event: enums::HandoffEvent,
    state: enums::HandoffState,
    required: bool,
    /// A retry by hand starts a new round.
    round: u32,
    max_attempts: u32,
    /// Earliest time of the next attempt, while the handoff waits.
    next_attempt_at: Option<Time>,
    /// Reason why it is not sent now: `schedule` (the time of its next attempt), `breaker` (the integrator fails, and
    /// is sent only a probe), `rate` (the integrator said "slow down", or has a rate), `concurrency` (as many requests
    /// as it allows are under way), `earlier_handoff` (of the same order). Null if it will be sent at any moment, or not
    /// at all.
    waiting_for: Option<enums::WaitingFor>,
    /// When that ends, if it is known.
    waiting_until: Option<Time>,
    /// Nothing is sent after this time.
    deadline: Time,
    confirmed_at: Option<Time>,
    /// The integrator's own reference for the order.
    reference: Option<String>,
    /// Why it failed or was withdrawn.
    reason: Option<String>,
    /// Why it could not be sent, if no attempt shows it: a failed claim, or a fault on our side.
    error: Option<String>,
    /// Why it cannot be retried by hand now; null if it can.
    not_retryable: Option<String>,
    created_at: Time,
    closed_at: Option<Time>,
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
    outcome: Option<enums::AttemptOutcome>,
    /// False if the integrator said "slow down" (429, or 503 with `Retry-After`): it uses up none of `max_attempts`.
    counted: bool,
    status: Option<u16>,
    error: Option<String>,
    /// The beginning of the response body.
    response: Option<String>,
}

/// The newest HTTP request, without the response body.
#[derive(Debug, Object)]
struct LastAttempt {
    round: u32,
    n: u32,
    started_at: Time,
    ended_at: Option<Time>,
    /// Null while it runs.
    outcome: Option<enums::AttemptOutcome>,
    /// False if the integrator said "slow down" (429, or 503 with `Retry-After`): it uses up none of `max_attempts`.
    counted: bool,
    status: Option<u16>,
    error: Option<String>,
}

/// A round of attempts that somebody started by hand.
#[derive(Debug, Object)]
#[oai(rename = "Round")]
struct RoundView {
    round: u32,
    /// Id of the call in `GET /handoffs/retries`.
    retry_id: Uuid,
    retried_by: Person,
    retried_at: Time,
    /// Earliest time of its first attempt.
    due_at: Time,
}

/// An account and its username.
#[derive(Debug, Object)]
pub(super) struct Person {
    pub(super) id: Uuid,
    /// Null if the caller is an integrator account.
    pub(super) username: Option<String>,
}

impl HandoffView {
    pub(crate) fn of(history: HandoffHistory) -> Self {
        Self {
            facts: HandoffFacts::of(history.listed),
            attempts: history.attempts.into_iter().map(AttemptView::of).collect(),
            rounds: history.rounds.into_iter().map(RoundView::of).collect(),
            body: None,
        }
    }

    pub(super) fn with_body(self, body: Option<String>) -> Self {
        Self { body, ..self }
    }

    /// Removes the usernames: an integrator must not learn what a store's staff sign in with.
    pub(super) fn without_usernames(mut self) -> Self {
        for round in &mut self.rounds {
            round.retried_by.username = None;
        }
        self
    }
}

impl ListedView {
    pub(super) fn of(mut listed: ListedHandoff) -> Self {
        Self {
            attempts: listed.handoff.counted_attempts(),
            attempts_in_all: listed.attempts_in_all,
            last_attempt: listed.last_attempt.take().map(LastAttempt::of),
            facts: HandoffFacts::of(listed),
        }
    }
}

impl HandoffFacts {
    fn of(listed: ListedHandoff) -> Self {
        let handoff = listed.handoff;
        Self {
            id: handoff.id.uuid(),
            store_id: handoff.store_id.uuid(),
            order_id: handoff.order_id.map(|id| id.uuid()),
            order_number: listed.order_number,
            integrator_id: handoff.integrator_id.uuid(),
            integrator: listed.integrator_name,
            event: handoff.event.into(),
            state: handoff.state.into(),
            required: handoff.required,
            round: handoff.round,
            max_attempts: handoff.max_attempts,
            next_attempt_at: handoff.next_attempt_at.map(Into::into),
            waiting_for: listed.waiting.map(|waiting| waiting.reason.into()),
            waiting_until: listed
                .waiting
                .and_then(|waiting| waiting.until)
                .map(Into::into),
            deadline: handoff.deadline.into(),
            confirmed_at: handoff.confirmed_at.map(Into::into),
            reference: handoff.reference,
            reason: handoff.reason,
            error: listed.error,
            not_retryable: listed.retry_refused.map(|why| why.to_string()),
            created_at: handoff.created_at.into(),
            closed_at: handoff.closed_at.map(Into::into),
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
            counted: attempt.counted,
            status: attempt.http_status,
            error: attempt.error,
            response: attempt.response,
        }
    }
}

impl LastAttempt {
    fn of(attempt: Attempt) -> Self {
        Self {
            round: attempt.round,
            n: attempt.n,
            started_at: attempt.started_at.into(),
            ended_at: attempt.ended_at.map(Into::into),
            outcome: attempt.outcome.map(Into::into),
            counted: attempt.counted,
            status: attempt.http_status,
            error: attempt.error,
        }
    }
}

impl RoundView {
    fn of(round: Round) -> Self {
        Self {
            round: round.round,
            retry_id: round.retry_id.uuid(),
            retried_by: Person {
                id: round.by.uuid(),
                username: round.by_username,
            },
            retried_at: round.opened_at.into(),
            due_at: round.due_at.into(),
        }
    }
}
