//! One handoff in the hands of a person: reading it and retrying it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::conclude::lock;
use crate::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, records::About,
};
use domain::{
    handoff::{Attempt, Handoff, HandoffState},
    hint::Hint,
    ids::{AccountId, HandoffId, RetryId},
    integrator::HandoffEvent,
    record::{Action, Subject},
    retry::{Candidate, RetryRefused, reopen_deadline},
};
use store::retries::{NewRetry, Progress};

/// A new round of attempts: who asked for it, and when it falls due.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRound {
    pub(super) retry: RetryId,
    pub(super) by: AccountId,
    pub(super) due_at: DateTime<Utc>,
}

impl Refusal for RetryRefused {}

impl Ledger {
    /// Returns a handoff with all its attempts, in order.
    #[crate::boxed]
    pub async fn handoff(&self, id: HandoffId) -> Result<Option<(Handoff, Vec<Attempt>)>> {
        let mut tx = self.inner.db.read().await?;
        let Some(handoff) = store::handoffs::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let attempts = store::attempts::of_handoff(&mut tx, id).await?;
        Ok(Some((handoff, attempts)))
    }

    /// Opens a new round of attempts for a failed, held or parked handoff of an open order, unless its integrator is
    /// archived; `by` is recorded.
    #[crate::boxed]
    pub async fn retry_handoff(
        &self,
        id: HandoffId,
        by: AccountId,
    ) -> ChangeResult<Handoff, RetryRefused> {
        let known = self.handoff(id).await?;
        let Some((known, _)) = known else {
            return Err(RetryRefused::Unknown.into());
        };
        let filter: Value = json!({"handoff": id});
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            let retry: RetryId = change.inner.chance.id(now);
            let opening = NewRound {
                retry,
                by,
                due_at: now,
            };
            let opened = open(change, &known, opening).await?;
            let new = NewRetry {
                id: retry,
                by,
                store: Some(opened.store_id),
                filter: &filter,
                started_at: now,
            };
            store::retries::insert(&mut change.tx, new).await?;
            let done = Progress {
                matched: 1,
                retried: 1,
                refused: &Default::default(),
                finished_at: Some(now),
            };
            store::retries::update_progress(&mut change.tx, retry, done).await?;
            let about = About {
                subject: Subject::Handoff,
                id: id.uuid(),
                stores: &[opened.store_id],
            };
            let told = [
                ("integrator", json!(opened.integrator_id)),
                ("order", json!(opened.order_id)),
                ("round", json!(opened.round)),
            ];
            let fields = told.map(|(name, value)| (name.to_owned(), value));
            change.record_fields(about, Action::Retried, fields.into_iter().collect());
            change.hint(Hint::Handoffs {
                integrator: opened.integrator_id,
            });
            change.set_resource(id.uuid());
            Ok(opened)
        })
    }
}

/// Opens a new round under the locks of order and handoff if the retry rule allows it; wakes no lane.
pub(super) async fn open(
    change: &mut Change<'_>,
    known: &Handoff,
    opening: NewRound,
) -> ChangeResult<Handoff, RetryRefused> {
    let id = known.id;
    let Some((order, stored)) = lock(change, known.order_id, id).await? else {
        return Err(RetryRefused::Unknown.into());
    };
    let handoff = stored.handoff;
    let candidate = Candidate {
        state: handoff.state,
        order: order.as_ref().map(|order| (order.status, order.accept_by)),
        integrator_archived: store::integrators::is_archived(&mut change.tx, handoff.integrator_id)
            .await?,
        overtaken: store::handoffs::is_overtaken(&mut change.tx, &handoff).await?,
    };
    let NewRound { retry, by, due_at } = opening;
    let deadline = reopen_deadline(&candidate, due_at)?;
    let (now, round) = (change.now, handoff.round + 1);
    let position = next_position(change, &handoff).await?;
    store::handoffs::reopen(&mut change.tx, id, position, deadline, due_at).await?;
    store::retries::insert_round(&mut change.tx, id, round, retry, by, now, due_at).await?;
    Ok(Handoff {
        state: HandoffState::Due,
        position,
        round,
        attempts: 0,
        next_attempt_at: Some(due_at),
        deadline,
        reason: None,
        closed_at: None,
        ..handoff
    })
}

/// Returns the position of a new round. A dispatch goes behind the news that its integrator was told meanwhile, so that
/// its messages are sent one after the other; everything else is refused if it was overtaken.
async fn next_position(change: &mut Change<'_>, handoff: &Handoff) -> store::Result<i32> {
    let Some(order) = handoff
        .order_id
        .filter(|_| handoff.event == HandoffEvent::OrderDispatched)
    else {
        return Ok(handoff.position);
    };
    let last = store::handoffs::last_positions(&mut change.tx, order).await?;
    let last = last.get(&handoff.integrator_id).copied();
    Ok(match last {
        Some(last) if last > handoff.position => last + 1,
        _ => handoff.position,
    })
}
