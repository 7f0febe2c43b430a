//! Handoff endpoints: list, read and retry; also the stuck list and test messages.

mod bulk_retry;
mod filter;
mod message;
mod rights;
mod send_test;
mod stuck;
mod view;

use domain::{account::Role, ids::HandoffId};
use ledger::{
    ChangeError,
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
    bulk_retry::Retries,
    message::{HeaderView, Messages, text},
    rights::visible,
    send_test::IntegratorTests,
    stuck::StuckList,
    view::HandoffView,
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        enums,
        idempotency::{IdempotencyKey, once},
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        query_list::CommaSeparated,
        response::{Answer, Replayable},
        scalars::Time,
    },
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Handoffs(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Handoffs")]
impl Handoffs {
    /// List handoffs, newest first
    ///
    /// Managers and staff see those of their stores, an integrator account those of one integrator that it acts for,
    /// operators all. Each is shown with its last attempt; `GET /handoffs/{id}` shows every attempt.
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
        /// One or more states, repeated or comma-separated: `failed,held,parked`.
        Query(state): Query<Option<CommaSeparated<enums::HandoffState>>>,
        Query(event): Query<Option<enums::HandoffEvent>>,
        /// Reason for the failure: `attempts_used_up`, `refused`, `gone`, `deadline` or `integrator_disabled`.
        Query(reason): Query<Option<String>>,
        /// Created at or after this time.
        Query(created_after): Query<Option<Time>>,
        /// Created before this time.
        Query(created_before): Query<Option<Time>>,
        limit: Limit,
        cursor: Cursor<HandoffId>,
    ) -> Result<Json<Page<ListedView>>, Problem> {
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
        rights::restrict_to_visible(&mut filter, &caller, store, integrator)?;
        let found = self
            .0
            .ledger
            .handoffs(&filter, cursor.0, limit.0 + 1)
            .await?;
        Ok(Json(Page::of(
            found,
            limit,
            |listed| listed.handoff.id.uuid(),
            ListedView::of,
        )))
    }

    /// Get a handoff with its attempts and retries
    ///
    /// Staff, managers and operators see those of their stores. An integrator account sees those of the integrators
    /// that it acts for, without usernames. Any other handoff returns 404.
    #[oai(path = "/handoffs/:id", method = "get", operation_id = "get_handoff")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<HandoffView>, Problem> {
        let history = self.visible_handoff(&caller, id.0).await?;
        let body = self.0.ledger.handoff_body(id.0.into()).await?;
        let body = body.as_deref().map(text).transpose()?;
        let view = HandoffView::of(history).with_body(body);
        Ok(Json(if caller.is(Role::Integrator) {
            view.without_usernames()
        } else {
            view
        }))
    }

    /// Retry a handoff
    ///
    /// Starts a new round of attempts at once. The handoff must be failed, held or parked, its order still open, and
    /// its integrator not archived. The caller is recorded.
    #[oai(
        path = "/handoffs/:id/retry",
        method = "post",
        operation_id = "retry_handoff"
    )]
    async fn retry(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        key: IdempotencyKey,
    ) -> Result<Replayable<HandoffView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &Value::Null)?;
        let known = self.visible_handoff(&caller, id.0).await?.listed.handoff;
        caller.must_manage(known.store_id)?;
        let by = caller.id();
        let retried = once(
            &self.0,
            key,
            async |ledger| {
                let retried = ledger.retry_handoff(known.id, by).await?;
                tracing::info!(handoff = %retried.id, round = retried.round, %by, "handoff retried by hand");
                Ok::<_, ChangeError<RetryRefused>>(())
            },
            async |_| Ok(()),
        );
        let ((), replayed) = retried.await?;
        let history = self.visible_handoff(&caller, id.0).await?;
        Ok(Answer::of(HandoffView::of(history)).replayed(replayed))
    }
}

impl Handoffs {
    /// Returns the handoff, or 404 if the caller may not see it.
    async fn visible_handoff(&self, caller: &Caller, id: Uuid) -> Result<HandoffHistory, Problem> {
        let found = self
            .0
            .ledger
            .handoff_history(id.into())
            .await?
            .ok_or_else(Problem::not_found)?;
        rights::check_visible(caller, &found.listed.handoff)?;
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
