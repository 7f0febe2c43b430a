//! Handoffs looked for, read and tried again, what stands still, and tests of integrators.

mod bulk_retry;
mod filter;
mod rights;
mod send_test;
mod stuck;
mod view;

use domain::{account::Role, ids::HandoffId};
use ledger::{
    LedgerError,
    handoffs::{HandoffFilter, HandoffHistory, RetryRefused},
};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use serde_json::Value;
use uuid::Uuid;

use self::view::ListedView;
pub(crate) use self::{
    bulk_retry::Retries, send_test::Trials, stuck::StuckList, view::HandoffView,
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        enums,
        idempotency::{IdempotencyKey, once},
        paging::{self, Page},
        problem::{Problem, Reason},
        query_list::Several,
        response::Replayable,
        scalars::Time,
    },
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Handoffs(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Handoffs")]
impl Handoffs {
    /// Look for handoffs, newest first
    ///
    /// Of managers and staff: their stores'; of an integrator's account: one integrator's that it speaks for; of an
    /// operator: all. Each with its last attempt;
    /// `GET /handoffs/{id}` has every one.
    #[oai(path = "/handoffs", method = "get", operation_id = "list_handoffs")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        Query(integrator_id): Query<Option<Uuid>>,
        Query(order_id): Query<Option<Uuid>>,
        /// One or several, repeated or with commas: `failed,held,parked`.
        Query(state): Query<Option<Several<enums::HandoffState>>>,
        Query(event): Query<Option<enums::HandoffEvent>>,
        /// Why it failed: `attempts_used_up`, `refused`, `gone`, `deadline` or `integrator_disabled`.
        Query(reason): Query<Option<String>>,
        /// Made then or later.
        Query(created_after): Query<Option<Time>>,
        /// Made before then.
        Query(created_before): Query<Option<Time>>,
        /// From 1 to 100; 50 unless said.
        Query(limit): Query<Option<u32>>,
        /// `next_cursor` of the page before.
        Query(cursor): Query<Option<String>>,
    ) -> Result<Json<Page<ListedView>>, Problem> {
        let limit = paging::limit(limit)?;
        let before = paging::after(cursor.as_deref())?.map(HandoffId::from);
        let mut states: Vec<_> = state
            .map(|several| several.0)
            .into_iter()
            .flatten()
            .map(|word| word.0)
            .collect();
        states.sort_unstable();
        states.dedup();
        let mut filter = HandoffFilter {
            stores: None,
            integrator: None,
            order: order_id.map(Into::into),
            states,
            event: event.map(Into::into),
            reason,
            created_after: created_after.map(|at| at.0),
            created_before: created_before.map(|at| at.0),
            with_order: false,
        };
        let (store, integrator) = (store_id.map(Into::into), integrator_id.map(Into::into));
        rights::narrow(&mut filter, &caller, store, integrator)?;
        let found = self.0.ledger.handoffs(&filter, before, limit + 1).await?;
        Ok(Json(Page::of(
            found,
            limit,
            |listed| listed.handoff.id.uuid(),
            ListedView::of,
        )))
    }

    /// Read a handoff, with its attempts and who had it tried again
    ///
    /// Of staff, managers and operators: their stores'; of an integrator's account: those of the integrators that it
    /// speaks for, without the names of people. Others' are as if they did not exist.
    #[oai(path = "/handoffs/:id", method = "get", operation_id = "get_handoff")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<HandoffView>, Problem> {
        let history = self.handoff_of(&caller, id.0).await?;
        let view = HandoffView::of(history);
        Ok(Json(if caller.is(Role::Integrator) {
            view.without_names()
        } else {
            view
        }))
    }

    /// Try a handoff again
    ///
    /// One that failed, is held or is parked, of an order that is still open, to an integrator that is not archived: a
    /// new round of attempts begins at once. Who asked for it is on record.
    #[oai(
        path = "/handoffs/:id/retry",
        method = "post",
        operation_id = "retry_handoff"
    )]
    async fn retry(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
    ) -> Result<Replayable<HandoffView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &Value::Null)?;
        let known = self.handoff_of(&caller, id.0).await?.listed.handoff;
        caller.must_manage(known.store_id)?;
        let by = caller.id();
        let retried = once(
            &self.0,
            key,
            async |ledger| {
                let retried = ledger.retry_handoff(known.id, by).await?;
                tracing::info!(handoff = %retried.id, round = retried.round, %by, "a handoff is retried by hand");
                Ok::<_, LedgerError<RetryRefused>>(())
            },
            async |_| Ok(()),
        );
        let ((), replayed) = retried.await?;
        let history = self.handoff_of(&caller, id.0).await?;
        Ok(Replayable::of(HandoffView::of(history), replayed))
    }
}

impl Handoffs {
    /// Others' are as if they did not exist.
    async fn handoff_of(&self, caller: &Caller, id: Uuid) -> Result<HandoffHistory, Problem> {
        let found = self
            .0
            .ledger
            .handoff_history(id.into())
            .await?
            .ok_or_else(Problem::not_found)?;
        rights::must_see(caller, &found.listed.handoff)?;
        Ok(found)
    }
}

impl From<RetryRefused> for Problem {
    fn from(refused: RetryRefused) -> Self {
        match refused {
            RetryRefused::Unknown => Self::not_found(),
            RetryRefused::OrderEnded
            | RetryRefused::NotRetryable { .. }
            | RetryRefused::IntegratorArchived
            | RetryRefused::Overtaken
            | RetryRefused::TooLate => {
                Self::new(Reason::NotRetryable).detail(format!("{refused}."))
            }
        }
    }
}
