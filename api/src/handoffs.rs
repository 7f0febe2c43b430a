//! Handoffs with their attempts, what stands still, and what people do about it.

use common::{
    domain::{
        account::Role,
        handoff::{Attempt, Handoff},
        stuck::Stuck,
    },
    ledger::handoffs::RetryRefused,
};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use crate::{
    auth::Caller,
    problem::{Problem, Reason},
    state::ApiState,
    values::Time,
    words,
};

#[derive(Clone, Debug)]
pub(crate) struct Handoffs(pub(crate) ApiState);

#[OpenApi]
impl Handoffs {
    /// Read a handoff, with its attempts
    #[oai(path = "/handoffs/:id", method = "get", operation_id = "get_handoff")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<HandoffView>, Problem> {
        let (handoff, attempts) = self.handoff_of(&caller, id.0).await?;
        Ok(Json(HandoffView::of(handoff, attempts)))
    }

    /// Try a handoff again
    ///
    /// One that failed, is held or is parked, of an order that is still open: a new round of attempts begins at once.
    #[oai(
        path = "/handoffs/:id/retry",
        method = "post",
        operation_id = "retry_handoff"
    )]
    async fn retry(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<HandoffView>, Problem> {
        let (handoff, attempts) = self.handoff_of(&caller, id.0).await?;
        caller.must_manage(handoff.store_id)?;
        let retried = self.0.ledger.retry_handoff(handoff.id).await?;
        tracing::info!(handoff = %retried.id, round = retried.round, by = %caller.id(), "a handoff is retried by hand");
        Ok(Json(HandoffView::of(retried, attempts)))
    }

    /// What stands still until a person looks at it
    ///
    /// Of a manager and of staff: in their stores. Anything here wants a person; the metric `expediter_stuck` counts it.
    #[oai(path = "/stuck", method = "get", operation_id = "list_stuck")]
    async fn stuck(&self, caller: Caller) -> Result<Json<Vec<StuckView>>, Problem> {
        let stuck = self.0.ledger.stuck().await?;
        let theirs = |one: &Stuck| {
            caller.is(Role::Operator) || one.store_id.is_some_and(|store| caller.serves(store))
        };
        Ok(Json(
            stuck
                .into_iter()
                .filter(theirs)
                .map(StuckView::of)
                .collect(),
        ))
    }
}

impl Handoffs {
    /// Others' are as if they did not exist.
    async fn handoff_of(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<(Handoff, Vec<Attempt>), Problem> {
        let found = self
            .0
            .ledger
            .handoff(id.into())
            .await?
            .ok_or_else(Problem::not_found)?;
        caller.must_serve(found.0.store_id)?;
        Ok(found)
    }
}

impl From<RetryRefused> for Problem {
    fn from(refused: RetryRefused) -> Self {
        match refused {
            RetryRefused::Unknown => Self::not_found(),
            RetryRefused::OrderEnded
            | RetryRefused::NotRetryable { .. }
            | RetryRefused::Overtaken => {
                Self::new(Reason::NotRetryable).detail(format!("{refused}."))
            }
        }
    }
}

/// One thing that stands still.
#[derive(Debug, Object)]
#[oai(rename = "Stuck")]
struct StuckView {
    kind: words::StuckKind,
    store_id: Option<Uuid>,
    order_id: Option<Uuid>,
    integrator_id: Option<Uuid>,
    handoff_id: Option<Uuid>,
    callback_id: Option<Uuid>,
    since: Time,
    /// The last error, or the reason on record.
    why: Option<String>,
}

impl StuckView {
    fn of(stuck: Stuck) -> Self {
        Self {
            kind: stuck.kind.into(),
            store_id: stuck.store_id.map(|id| id.uuid()),
            order_id: stuck.order_id.map(|id| id.uuid()),
            integrator_id: stuck.integrator_id.map(|id| id.uuid()),
            handoff_id: stuck.handoff_id.map(|id| id.uuid()),
            callback_id: stuck.callback_id.map(|id| id.uuid()),
            since: stuck.since.into(),
            why: stuck.why,
        }
    }
}

/// The duty to bring one message about one order to one integrator.
#[derive(Debug, Object)]
#[oai(rename = "Handoff")]
pub(crate) struct HandoffView {
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
    pub(crate) fn of(handoff: Handoff, attempts: Vec<Attempt>) -> Self {
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
