//! The request body of a bulk retry, and the stores whose data a caller may see.

use domain::{
    handoff::HandoffState,
    ids::{HandoffId, StoreId},
};
use ledger::handoffs::{BulkRetryRequest, HandoffFilter, MAX_BULK_RETRY};
use poem_openapi::Object;
use uuid::Uuid;

use crate::{
    auth::Caller,
    http::{
        enums, paging,
        problem::{FieldError, Problem},
        scalars::Time,
    },
    resources::stores::rights::visible_stores,
};

/// Selects the handoffs to retry: those that match every given field. At least one field that selects handoffs is
/// required.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct RetryHandoffs {
    store_id: Option<Uuid>,
    integrator_id: Option<Uuid>,
    order_id: Option<Uuid>,
    /// Any of `failed`, `held` and `parked`. Default `failed`.
    state: Option<Vec<enums::HandoffState>>,
    event: Option<enums::HandoffEvent>,
    /// The recorded reason: `attempts_used_up`, `refused`, `gone`, `deadline` or `integrator_disabled`.
    #[oai(validator(min_length = 1, max_length = 200))]
    reason: Option<String>,
    /// Created at or after this time.
    created_after: Option<Time>,
    /// Created before this time.
    created_before: Option<Time>,
    /// Changes nothing: returns the counts, and what would be refused and why.
    dry_run: Option<bool>,
    /// Spreads the due times so that this many fall due per second. Default: all at once.
    #[oai(validator(minimum(value = "0.1"), maximum(value = "1000")))]
    per_s: Option<f64>,
    /// Maximum number of handoffs to retry in this call. Default 1000.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    limit: Option<u32>,
    /// `next_cursor` of the previous call, to continue where it stopped.
    #[oai(validator(max_length = 100))]
    cursor: Option<String>,
}

impl RetryHandoffs {
    pub(super) fn into_command(self, caller: &Caller) -> Result<BulkRetryRequest, Problem> {
        let mut errors = Vec::new();
        let mut wrong = |pointer: String, detail: &str| {
            errors.push(FieldError::new(pointer, detail));
        };
        if !self.has_filter() {
            wrong(
                String::new(),
                "must have at least one field that selects handoffs",
            );
        }
        let mut states: Vec<HandoffState> = Vec::new();
        for (place, state) in self.state.iter().flatten().enumerate() {
            match state.0 {
                HandoffState::Failed | HandoffState::Held | HandoffState::Parked => {
                    if !states.contains(&state.0) {
                        states.push(state.0);
                    }
                }
                _ => wrong(
                    format!("/state/{place}"),
                    "must be failed, held or parked; other states cannot be retried",
                ),
            }
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        if states.is_empty() {
            states.push(HandoffState::Failed);
        }
        let after = self.cursor.as_deref().map(paging::decode).transpose();
        let after: Option<HandoffId> =
            after.map_err(|_| Problem::invalid_field("/cursor", "is not a valid cursor"))?;
        let store = self.store_id.map(StoreId::from);
        if let Some(store) = store {
            caller.must_manage(store)?;
        }
        Ok(BulkRetryRequest {
            filter: HandoffFilter {
                stores: visible_stores(caller, store)?,
                integrator: self.integrator_id.map(Into::into),
                order: self.order_id.map(Into::into),
                states,
                event: self.event.map(Into::into),
                reason: self.reason,
                created_after: self.created_after.map(|at| at.0),
                created_before: self.created_before.map(|at| at.0),
                with_order: true,
            },
            after,
            per_s: self.per_s,
            limit: self.limit.unwrap_or(MAX_BULK_RETRY),
            dry_run: self.dry_run.unwrap_or(false),
            by: caller.id(),
        })
    }

    fn has_filter(&self) -> bool {
        self.store_id.is_some()
            || self.integrator_id.is_some()
            || self.order_id.is_some()
            || self.state.is_some()
            || self.event.is_some()
            || self.reason.is_some()
            || self.created_after.is_some()
            || self.created_before.is_some()
    }
}
