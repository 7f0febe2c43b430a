//! Lists stored callbacks and their results.

use domain::{
    callback::CallbackResult,
    ids::{CallbackId, StoreId},
};
use ledger::callbacks::{CallbackFilter, KeptCallback};
use poem_openapi::{Enum, Object, OpenApi, param::Query, payload::Json};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        paging::{Cursor, Limit, Page},
        problem::Problem,
        query_list::CommaSeparated,
        scalars::Time,
    },
    resources::handoffs::visible,
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct CallbackList(pub(crate) ApiState);

/// The result of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum CallbackState {
    /// Not applied yet.
    Waiting,
    Applied,
    /// Repeats the current state.
    Unchanged,
    /// Older than an update that was already applied.
    Stale,
    /// Its status is neither one of ours nor in the integrator's `status_map`.
    Unmapped,
    /// The order cannot move to that status from its current one.
    Illegal,
    /// No order had its reference within ten minutes.
    Unmatched,
    /// Applying it failed five times.
    Parked,
    /// Refused, because its `webhook-id` came before with another body.
    Conflict,
}

#[OpenApi(tag = "Topic::Callbacks")]
impl CallbackList {
    /// List callbacks, newest first
    ///
    /// Shows each callback as received, and its result: applied, or why it changed nothing. Managers and staff see
    /// those of their stores' integrators, an integrator account those of one integrator that it acts for, operators all.
    #[oai(path = "/callbacks", method = "get", operation_id = "list_callbacks")]
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
        /// One or more results, repeated or comma-separated: `stale,illegal`.
        Query(result): Query<Option<CommaSeparated<CallbackState>>>,
        /// Received at or after this time.
        Query(received_after): Query<Option<Time>>,
        /// Received before this time.
        Query(received_before): Query<Option<Time>>,
        limit: Limit,
        cursor: Cursor<CallbackId>,
    ) -> Result<Json<Page<CallbackView>>, Problem> {
        let results = result.map(|several| several.0).into_iter().flatten();
        let (store, integrator) = (store_id.map(StoreId::from), integrator_id.map(Into::into));
        let (stores, integrator) = visible(&caller, store, integrator)?;
        let filter = CallbackFilter {
            stores,
            integrator,
            order: order_id.map(Into::into),
            results: results.map(CallbackState::result).collect(),
            received_after: received_after.map(|at| at.0),
            received_before: received_before.map(|at| at.0),
        };
        let found = self
            .0
            .ledger
            .callbacks(&filter, cursor.0, limit.0 + 1)
            .await?;
        Ok(Json(Page::of(
            found,
            limit,
            |kept| kept.id.uuid(),
            CallbackView::of,
        )))
    }
}

/// A stored callback and its result.
#[derive(Debug, Object)]
#[oai(rename = "KeptCallback")]
struct CallbackView {
    id: Uuid,
    store_id: Option<Uuid>,
    integrator_id: Uuid,
    /// The integrator's name.
    integrator: String,
    /// The `webhook-id` that the integrator sent.
    webhook_id: String,
    /// Null while no order has the reference.
    order_id: Option<Uuid>,
    order_number: Option<i64>,
    reference: Option<String>,
    sequence: Option<i64>,
    payload: Value,
    received_at: Time,
    applied_at: Option<Time>,
    result: CallbackState,
    /// Why it changed nothing, or why it could not be applied yet.
    detail: Option<String>,
    /// Number of failed attempts to apply it.
    failures: u32,
}

impl CallbackView {
    fn of(kept: KeptCallback) -> Self {
        Self {
            id: kept.id.uuid(),
            store_id: kept.store_id.map(|id| id.uuid()),
            integrator_id: kept.integrator_id.uuid(),
            integrator: kept.integrator_name,
            webhook_id: kept.webhook_id,
            order_id: kept.order_id.map(|id| id.uuid()),
            order_number: kept.order_number,
            reference: kept.reference,
            sequence: kept.sequence,
            payload: kept.payload,
            received_at: kept.received_at.into(),
            applied_at: kept.applied_at.map(Into::into),
            result: CallbackState::of(kept.result),
            detail: kept.detail,
            failures: kept.failures,
        }
    }
}

impl CallbackState {
    fn of(result: Option<CallbackResult>) -> Self {
        match result {
            None => Self::Waiting,
            Some(CallbackResult::Applied) => Self::Applied,
            Some(CallbackResult::Unchanged) => Self::Unchanged,
            Some(CallbackResult::Stale) => Self::Stale,
            Some(CallbackResult::Unmapped) => Self::Unmapped,
            Some(CallbackResult::Illegal) => Self::Illegal,
            Some(CallbackResult::Unmatched) => Self::Unmatched,
            Some(CallbackResult::Parked) => Self::Parked,
            Some(CallbackResult::Conflict) => Self::Conflict,
        }
    }

    fn result(self) -> Option<CallbackResult> {
        CallbackResult::ALL
            .iter()
            .copied()
            .find(|result| Self::of(Some(*result)) == self)
    }
}
