//! Places orders with the store's current products, and counts refusals.

use domain::{
    ids::StoreId,
    money::Money,
    order::Order,
    status::{By, OrderStatus},
};
use ledger::{
    idempotency::Idempotency,
    intake::{PlaceOrder, Placed},
};

use super::{Orders, rights::visible_order};
use crate::{
    auth::Caller,
    http::{idempotency::once, problem::Problem},
    state::ApiState,
};

impl Orders {
    pub(super) async fn place_order(&self, wanted: PlaceOrder) -> Result<Placed, Problem> {
        refresh(&self.0, wanted.store_id, wanted.idempotency.as_ref()).await?;
        let placed = self.0.ledger.place_order(wanted).await;
        self.count_if_refused(placed.map_err(Into::into))
    }

    pub(super) async fn draft_order(
        &self,
        caller: &Caller,
        mut wanted: PlaceOrder,
    ) -> Result<Placed, Problem> {
        let key = wanted.idempotency.take();
        if !wanted.lines.is_empty() {
            refresh(&self.0, wanted.store_id, key.as_ref()).await?;
        }
        let (order, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.draft_order(&wanted).await,
            async |id| Ok(visible_order(&self.0, caller, id.into()).await?.0),
        )
        .await?;
        Ok(Placed { order, replayed })
    }

    /// Places a draft at current prices. An order that is already placed stays as it is.
    pub(super) async fn place_draft(
        &self,
        draft: &Order,
        seen: Option<&Order>,
        by: By,
        expected_total: Option<Money>,
    ) -> Result<Order, Problem> {
        if draft.status == OrderStatus::Draft {
            refresh(&self.0, draft.store_id, None).await?;
        }
        let ledger = &self.0.ledger;
        let placed = ledger.place_draft_if_unchanged(draft.id, seen, by, expected_total);
        self.count_if_refused(placed.await.map_err(Into::into))
    }

    /// Counts a refused order.
    fn count_if_refused<T>(&self, placed: Result<T, Problem>) -> Result<T, Problem> {
        if let Err(problem) = &placed {
            self.0
                .metrics
                .orders_refused
                .with_label_values(&[problem.reason().as_str()])
                .inc();
        }
        placed
    }
}

/// Brings our products up to date with what the store sells. A failure is ignored if the request was done before: its
/// replay needs no service.
pub(super) async fn refresh(
    state: &ApiState,
    store: StoreId,
    key: Option<&Idempotency>,
) -> Result<(), Problem> {
    let Err(problem) = state.outside.products.refresh(store).await else {
        return Ok(());
    };
    match key {
        Some(key) if state.ledger.find_completed(key).await?.is_some() => Ok(()),
        _ => Err(problem),
    }
}
