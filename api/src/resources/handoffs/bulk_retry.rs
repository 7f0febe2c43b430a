//! Bulk retries of handoffs, and the record of who retried what.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{account::Role, ids::RetryId, retry::Retry};
use ledger::{
    Failure,
    handoffs::{BulkRetryResult, Example},
};
use poem_openapi::{Object, OpenApi, payload::Json};
use serde_json::Value;
use uuid::Uuid;

use super::{filter::RetryHandoffs, view::Person};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        enums,
        idempotency::{IdempotencyKey, once},
        paging::{self, Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Replayable},
        scalars::Time,
    },
    resources::stores::rights::visible_stores,
    state::ApiState,
};

/// Age after which an unfinished call counts as interrupted: a call of the maximum size takes seconds.
const INTERRUPTED_AFTER: TimeDelta = TimeDelta::minutes(2);

#[derive(Clone, Debug)]
pub(crate) struct Retries(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Handoffs")]
impl Retries {
    /// Retry many handoffs
    ///
    /// Retries all matching handoffs, oldest first, each by the rules of `POST /handoffs/{id}/retry`; a manager's call
    /// covers their own stores. `dry_run` returns the same answer and changes nothing. One call retries at most 1000
    /// handoffs and examines at most 10 000; if it stopped at a limit, continue with `next_cursor`. The caller, the
    /// request and the result are recorded (`GET /handoffs/retries`). Repeating a call retries nothing twice, because a
    /// handoff that is due again no longer matches. A replayed answer holds what was recorded: the counts, but no
    /// sample, times or cursor. A dry run stores no idempotency key.
    #[oai(
        path = "/handoffs/retry",
        method = "post",
        operation_id = "retry_handoffs"
    )]
    async fn retry(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(asked): Checked<RetryHandoffs>,
    ) -> Result<Replayable<HandoffsRetried>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &asked)?;
        let wanted = asked.into_command(&caller)?;
        let done = once(
            &self.0,
            key,
            async |ledger| {
                let retried = ledger.retry_handoffs(wanted).await?;
                if let Some(retry) = retried.id {
                    tracing::info!(%retry, retried = retried.retried, matched = retried.matched, by = %caller.id(),
                        "handoffs retried by hand");
                }
                Ok::<_, Failure>(HandoffsRetried::of(retried))
            },
            async |id| {
                let known = self.0.ledger.retry(id.into()).await?;
                let known = known.ok_or_else(Problem::not_found)?;
                if known.finished_at.is_some() {
                    return Ok(HandoffsRetried::from_record(known));
                }
                let age = self.0.ledger.clock().now() - known.started_at;
                Err(if age < INTERRUPTED_AFTER {
                    Problem::new(Reason::IdempotencyInProgress).retry_after_s(1)
                } else {
                    Problem::new(Reason::Conflict).detail(
                        "That call was interrupted. GET /handoffs/retries shows what it had done; a new call with \
                         another key retries the rest.",
                    )
                })
            },
        );
        let (retried, replayed) = done.await?;
        Ok(Answer::of(retried).replayed(replayed))
    }

    /// List retries, newest first
    ///
    /// One entry per call, including retries of a single handoff. A manager sees their own calls and those about one of
    /// their stores.
    #[oai(
        path = "/handoffs/retries",
        method = "get",
        operation_id = "list_retries"
    )]
    async fn list(
        &self,
        caller: Caller,
        limit: Limit,
        cursor: Cursor<RetryId>,
    ) -> Result<Json<Page<RetryView>>, Problem> {
        let stores = visible_stores(&caller, None)?.unwrap_or_default();
        let of = (!caller.is(Role::Operator)).then_some((stores.as_slice(), caller.id()));
        let found = self.0.ledger.retries(of, cursor.0, limit.0 + 1).await?;
        Ok(Json(Page::of(
            found,
            limit,
            |retry| retry.id.uuid(),
            RetryView::of,
        )))
    }
}

/// The result of a bulk retry, or of its dry run.
#[derive(Debug, Object)]
struct HandoffsRetried {
    /// Id of the recorded call; null for a dry run.
    id: Option<Uuid>,
    dry_run: bool,
    /// Number of matching handoffs that were examined.
    matched: u32,
    retried: u32,
    refused: Vec<RefusedCount>,
    /// Some of the retried and some of the refused handoffs, oldest first.
    sample: Vec<SampleView>,
    first_due_at: Option<Time>,
    last_due_at: Option<Time>,
    /// `cursor` for the next call. Null if there are no more, or if this is a replayed answer.
    next_cursor: Option<String>,
}

/// Number of handoffs that were refused for one reason.
#[derive(Debug, Object)]
struct RefusedCount {
    /// `order_ended`, `integrator_archived`, `overtaken`, `too_late`, `not_retryable` or `unknown`.
    reason: String,
    count: u32,
}

/// One matching handoff.
#[derive(Debug, Object)]
#[oai(rename = "RetrySample")]
struct SampleView {
    handoff_id: Uuid,
    order_id: Option<Uuid>,
    order_number: Option<i64>,
    integrator_id: Uuid,
    integrator: String,
    event: enums::HandoffEvent,
    /// Its state before the retry.
    state: enums::HandoffState,
    reason: Option<String>,
    /// Start of its new round; null if it was refused.
    due_at: Option<Time>,
    /// Why it was refused; null if it was retried.
    refused: Option<String>,
}

/// One call that retried handoffs.
#[derive(Debug, Object)]
#[oai(rename = "Retry")]
struct RetryView {
    id: Uuid,
    retried_by: Person,
    /// Set if the call was about one store.
    store_id: Option<Uuid>,
    /// The filter of the call.
    filter: Value,
    matched: u32,
    retried: u32,
    refused: Vec<RefusedCount>,
    started_at: Time,
    /// Null while the call runs, or if it was interrupted; what it had done by then is counted.
    finished_at: Option<Time>,
}

impl HandoffsRetried {
    fn of(done: BulkRetryResult) -> Self {
        Self {
            id: done.id.map(RetryId::uuid),
            dry_run: done.id.is_none(),
            matched: done.matched,
            retried: done.retried,
            refused: counts(done.refused),
            sample: done.examples.into_iter().map(SampleView::of).collect(),
            first_due_at: done.first_due_at.map(Into::into),
            last_due_at: done.last_due_at.map(Into::into),
            next_cursor: done.stopped_after.map(|id| paging::cursor(id.uuid())),
        }
    }
}

impl HandoffsRetried {
    fn from_record(retry: Retry) -> Self {
        Self {
            id: Some(retry.id.uuid()),
            dry_run: false,
            matched: retry.matched,
            retried: retry.retried,
            refused: counts(retry.refused),
            sample: Vec::new(),
            first_due_at: None,
            last_due_at: None,
            next_cursor: None,
        }
    }
}

impl SampleView {
    fn of(example: Example) -> Self {
        let handoff = example.handoff;
        Self {
            handoff_id: handoff.id.uuid(),
            order_id: handoff.order_id.map(|id| id.uuid()),
            order_number: example.order_number,
            integrator_id: handoff.integrator_id.uuid(),
            integrator: example.integrator_name,
            event: handoff.event.into(),
            state: handoff.state.into(),
            reason: handoff.reason,
            due_at: example.outcome.ok().map(Into::into),
            refused: example.outcome.err().map(|why| why.as_str().to_owned()),
        }
    }
}

impl RetryView {
    fn of(retry: Retry) -> Self {
        Self {
            id: retry.id.uuid(),
            retried_by: Person {
                id: retry.by.uuid(),
                username: retry.by_username,
            },
            store_id: retry.store_id.map(|id| id.uuid()),
            filter: retry.filter,
            matched: retry.matched,
            retried: retry.retried,
            refused: counts(retry.refused),
            started_at: retry.started_at.into(),
            finished_at: retry.finished_at.map(Into::into),
        }
    }
}

fn counts<W: Into<String>>(refused: BTreeMap<W, u32>) -> Vec<RefusedCount> {
    let counted = refused.into_iter().map(|(reason, count)| RefusedCount {
        reason: reason.into(),
        count,
    });
    counted.collect()
}
