//! Bulk retry: retries the handoffs that match a filter at a set pace, each by the rule for one, and records it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    list::candidate,
    retry::{NewRound, open},
};
use crate::{
    ChangeError, ChangeResult, CrashPoints, Ledger, Result, in_one_transaction, records::About,
};
use domain::{
    handoff::Handoff,
    hint::Hint,
    ids::{AccountId, HandoffId, IntegratorId, RetryId, StoreId},
    record::{Action, Subject},
    retry::{Retry, RetryRefused, reopen_deadline},
};
use store::{
    handoffs::{HandoffFilter, Listed, Page},
    retries::{NewRetry, Progress, RetryScope},
};

/// Maximum number of handoffs that one call retries.
pub const MAX_BULK_RETRY: u32 = 1000;
/// Maximum number of handoffs that one call examines; most of them may be refused.
const MAX_EXAMINED: u32 = 10_000;
/// Page size; progress is recorded after each page.
const PAGE_SIZE: u32 = 200;
/// Maximum number of examples of each kind (retried, refused) in the result.
const EXAMPLES: usize = 10;

/// Request for a bulk retry.
#[derive(Clone, Debug)]
pub struct BulkRetryRequest {
    pub filter: HandoffFilter,
    /// Cursor, oldest first: the handoff after which the previous call stopped.
    pub after: Option<HandoffId>,
    /// Number of handoffs that fall due per second; `None` makes all due at once.
    pub per_s: Option<f64>,
    /// Maximum number to retry, at most [`MAX_BULK_RETRY`].
    pub limit: u32,
    /// True to count only, without changing anything.
    pub dry_run: bool,
    pub by: AccountId,
}

/// Result of a bulk retry, or of its dry run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BulkRetryResult {
    /// Id of the retry record; `None` for a dry run.
    pub id: Option<RetryId>,
    /// Number of handoffs that matched the filter and were examined.
    pub matched: u32,
    pub retried: u32,
    /// Number of refusals by [`RetryRefused::as_str`].
    pub refused: BTreeMap<&'static str, u32>,
    /// Some of each kind, oldest first.
    pub examples: Vec<Example>,
    pub first_due_at: Option<DateTime<Utc>>,
    pub last_due_at: Option<DateTime<Utc>>,
    /// Cursor for the next call if the limit was hit and more are left.
    pub stopped_after: Option<HandoffId>,
}

/// New due time, or why the handoff is not retried.
pub type RetryOutcome = Result<DateTime<Utc>, RetryRefused>;

/// A matching handoff and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub handoff: Handoff,
    pub order_number: Option<i64>,
    pub integrator_name: String,
    pub outcome: RetryOutcome,
}

/// A bulk retry in progress.
struct BulkRetryRun {
    wanted: BulkRetryRequest,
    started_at: DateTime<Utc>,
    done: BulkRetryResult,
    /// Integrators whose lanes have something to do now.
    to_wake: BTreeSet<IntegratorId>,
}

impl Ledger {
    /// Retries the matching handoffs, each in a transaction of its own, so that a long run blocks nobody. An
    /// interrupted run has done what it recorded and can be repeated: a retried handoff no longer matches the filter.
    #[crate::boxed]
    pub async fn retry_handoffs(&self, wanted: BulkRetryRequest) -> Result<BulkRetryResult> {
        let mut run = BulkRetryRun {
            started_at: self.inner.clock.now(),
            wanted,
            done: BulkRetryResult::default(),
            to_wake: BTreeSet::new(),
        };
        if !run.wanted.dry_run {
            run.done.id = Some(self.record_retry(&run).await?);
        }
        let mut after = run.wanted.after;
        while run.done.stopped_after.is_none() {
            let page = self.page(&run.wanted.filter, after).await?;
            let Some(last) = page.last().map(|one| one.handoff.id) else {
                break;
            };
            for one in page {
                if run.is_full() {
                    run.done.stopped_after = after;
                    break;
                }
                after = Some(one.handoff.id);
                self.retry_or_refuse(&mut run, one).await?;
            }
            if run.done.stopped_after.is_none() {
                after = Some(last);
            }
            self.record_progress(&mut run, false).await?;
        }
        self.record_progress(&mut run, true).await?;
        Ok(run.done)
    }

    /// Lists retries by people, newest first: all of them, or those that concern these stores or were made by this
    /// account.
    #[crate::boxed]
    pub async fn retries(
        &self,
        of: Option<(&[StoreId], AccountId)>,
        before: Option<RetryId>,
        limit: u32,
    ) -> Result<Vec<Retry>> {
        let whose = match of {
            None => RetryScope::Everyone,
            Some((stores, by)) => RetryScope::Of(stores.to_vec(), by),
        };
        let mut tx = self.inner.db.read().await?;
        Ok(store::retries::list(&mut tx, &whose, before, limit).await?)
    }

    /// Returns a retry with its progress.
    #[crate::boxed]
    pub async fn retry(&self, id: RetryId) -> Result<Option<Retry>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::retries::get(&mut tx, id).await?)
    }

    async fn page(&self, filter: &HandoffFilter, after: Option<HandoffId>) -> Result<Vec<Listed>> {
        let mut tx = self.inner.db.read().await?;
        let page = Page::OldestFirst { after };
        Ok(store::handoffs::list(&mut tx, filter, page, PAGE_SIZE).await?)
    }

    /// Judges one handoff, the same way for a dry run and (before any lock) for a real one, and retries it if allowed.
    async fn retry_or_refuse(&self, run: &mut BulkRetryRun, one: Listed) -> Result<()> {
        let due_at = run.next_due_at();
        let judged = reopen_deadline(&candidate(&one), due_at);
        let outcome = match (judged, run.done.id) {
            (Err(refused), _) => Err(refused),
            (Ok(_), None) => Ok(due_at),
            (Ok(_), Some(retry)) => {
                let by = run.wanted.by;
                let opening = NewRound { retry, by, due_at };
                match self.open_round(&one.handoff, opening).await {
                    Ok(_) => Ok(due_at),
                    Err(ChangeError::Refused(refused)) => Err(refused),
                    Err(ChangeError::Failed(failure)) => {
                        // Record the progress before returning the error.
                        self.record_progress(run, false).await?;
                        return Err(failure);
                    }
                }
            }
        };
        run.count(one, outcome);
        Ok(())
    }

    async fn open_round(
        &self,
        handoff: &Handoff,
        opening: NewRound,
    ) -> ChangeResult<Handoff, RetryRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            open(change, handoff, opening).await
        })
    }

    async fn record_retry(&self, run: &BulkRetryRun) -> Result<RetryId> {
        let filter = run.stored_filter();
        let store = match run.wanted.filter.stores.as_deref() {
            Some([store]) => Some(*store),
            _ => None,
        };
        let id: RetryId = self.inner.chance.id(run.started_at);
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let new = NewRetry {
                id,
                by: run.wanted.by,
                store,
                filter: &filter,
                started_at: run.started_at,
            };
            store::retries::insert(&mut change.tx, new).await?;
            let about = About {
                subject: Subject::Retry,
                id: id.uuid(),
                stores: store.as_slice(),
            };
            let fields = filter.as_object().cloned().unwrap_or_default();
            change.record_fields(about, Action::Retried, fields);
            change.set_resource(id.uuid());
            Ok(id)
        })
    }

    /// Records the progress, and wakes the lanes that have something to do.
    async fn record_progress(&self, run: &mut BulkRetryRun, is_finished: bool) -> Result<()> {
        let Some(id) = run.done.id else {
            return Ok(());
        };
        let to_wake = std::mem::take(&mut run.to_wake);
        let done = &run.done;
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let progress = Progress {
                matched: done.matched,
                retried: done.retried,
                refused: &done.refused,
                finished_at: is_finished.then_some(change.now),
            };
            store::retries::update_progress(&mut change.tx, id, progress).await?;
            for integrator in &to_wake {
                change.hint(Hint::Handoffs {
                    integrator: *integrator,
                });
            }
            Ok(())
        })
    }
}

impl BulkRetryRun {
    fn is_full(&self) -> bool {
        self.done.retried >= self.wanted.limit.min(MAX_BULK_RETRY)
            || self.done.matched >= MAX_EXAMINED
    }

    fn next_due_at(&self) -> DateTime<Utc> {
        let wait_s = self
            .wanted
            .per_s
            .map_or(0.0, |per_s| f64::from(self.done.retried) / per_s);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an hour in microseconds is far below an i64's bound"
        )]
        let wait_us = (wait_s * 1e6) as i64;
        self.started_at + TimeDelta::microseconds(wait_us)
    }

    fn count(&mut self, one: Listed, outcome: RetryOutcome) {
        let done = &mut self.done;
        done.matched += 1;
        let is_like = |example: &&Example| example.outcome.is_ok() == outcome.is_ok();
        let wanted = done.examples.iter().filter(is_like).count() < EXAMPLES;
        match &outcome {
            Ok(due_at) => {
                done.retried += 1;
                done.first_due_at = done.first_due_at.or(Some(*due_at));
                done.last_due_at = Some(*due_at);
                if *due_at <= self.started_at {
                    self.to_wake.insert(one.handoff.integrator_id);
                }
            }
            Err(refused) => *done.refused.entry(refused.as_str()).or_default() += 1,
        }
        if wanted {
            done.examples.push(Example {
                order_number: one.order.and_then(|order| order.number),
                handoff: one.handoff,
                integrator_name: one.integrator_name,
                outcome,
            });
        }
    }

    /// Returns the request as it is stored.
    fn stored_filter(&self) -> Value {
        let mut filter = serde_json::to_value(&self.wanted.filter).expect("a filter is JSON");
        if let (Some(members), Some(per_s)) = (filter.as_object_mut(), self.wanted.per_s) {
            members.insert("per_s".to_owned(), per_s.into());
        }
        filter
    }
}
