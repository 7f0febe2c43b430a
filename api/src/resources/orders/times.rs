//! Times of orders: the calendar of what is to come, and when an order is expected to be ready.

use chrono::{Datelike, TimeDelta};
use domain::{
    ids::{OrderId, StoreId},
    order::{rfc3339, times::ReadyRefused},
    status::By,
    timing::WantedRefused,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    rights::{capacity, visible_order},
    view::{OrderView, check_if_match},
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        etag::IfMatch,
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Tagged},
        scalars::Time,
    },
    state::ApiState,
};

/// Maximum range of one calendar.
const MAX_RANGE: TimeDelta = TimeDelta::days(31);

pub(crate) struct OrderTimes(pub(crate) ApiState);

/// The time at which an order is expected to be ready.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ReadyTime {
    ready_at: Time,
}

#[OpenApi(tag = "Topic::Orders")]
impl OrderTimes {
    /// Set when an order is expected to be ready
    ///
    /// For staff, managers and operators, until the order is ready. The time lies between its placing and 24 hours from
    /// now, or from the time for which it is wanted. A change is sent as `order.ready_at_changed` to guests and screens,
    /// and to integrators that listen to it.
    #[oai(
        path = "/orders/:id/ready-time",
        method = "put",
        operation_id = "set_ready_time"
    )]
    async fn set_ready_time(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        if_match: IfMatch,
        Checked(wanted): Checked<ReadyTime>,
    ) -> Result<Tagged<OrderView>, Problem> {
        let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
        if by == By::Owner {
            return Err(Problem::forbidden());
        }
        let seen = check_if_match(&if_match, &order, by)?;
        let ready_at = wanted.ready_at.0;
        let changed = self.0.ledger.set_ready_at(order.id, seen, ready_at).await?;
        Ok(Answer::of(OrderView::of(&changed, Some(by))).etag())
    }

    /// List a store's orders for later
    ///
    /// The orders that have not ended, by the time for which they are wanted. For those who serve the store.
    #[oai(
        path = "/stores/:id/calendar",
        method = "get",
        operation_id = "get_calendar"
    )]
    async fn calendar(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        /// Wanted at or after this time. Default: 24 hours ago, so that late ones are shown.
        Query(from): Query<Option<Time>>,
        /// Wanted before this time, at most 31 days after `from`. Default: 31 days after `from`.
        Query(to): Query<Option<Time>>,
        limit: Limit,
        cursor: Cursor<OrderId>,
    ) -> Result<Json<Page<OrderView>>, Problem> {
        let store = StoreId::from(id);
        caller.must_serve(store)?;
        let ledger = &self.0.ledger;
        let day_ago = ledger.clock().now() - TimeDelta::days(1);
        let from = from.map_or(day_ago, |from| from.0);
        // Databases know no later year.
        let last = from.checked_add_signed(MAX_RANGE);
        let last = last.filter(|last| last.year() <= 9999).unwrap_or(from);
        let to = to.map_or(last, |to| to.0);
        if to < from || to > last {
            let detail = "must be from `from` to 31 days after it";
            return Err(Problem::invalid_field("to", detail));
        }
        let range = (from, to);
        let orders = ledger.calendar(store, range, cursor.0, limit.0 + 1).await?;
        Ok(Json(Page::of(
            orders,
            limit,
            |order| order.id.uuid(),
            |order| OrderView::of(&order, capacity(&caller, &order)),
        )))
    }
}

impl From<WantedRefused> for Problem {
    fn from(refused: WantedRefused) -> Self {
        let (detail, bound) = match refused {
            WantedRefused::NotForLater => (
                "must be null: the store takes no orders for later".to_owned(),
                None,
            ),
            WantedRefused::TooSoon { earliest } => (
                format!(
                    "must not be before {}: the store needs so much time",
                    rfc3339(earliest)
                ),
                Some(("earliest", rfc3339(earliest))),
            ),
            WantedRefused::TooFarAhead { latest } => (
                format!(
                    "must not be after {}: the store takes no orders so far ahead",
                    rfc3339(latest)
                ),
                Some(("latest", rfc3339(latest))),
            ),
        };
        let problem = Self::invalid_field("/wanted_at", detail);
        match bound {
            Some((name, at)) => problem.with(name, json!(at)),
            None => problem,
        }
    }
}

impl From<ReadyRefused> for Problem {
    fn from(refused: ReadyRefused) -> Self {
        match refused {
            ReadyRefused::NotExpected { status } => Self::new(Reason::Conflict)
                .detail(format!(
                    "The order is {status}: no time when it is ready can be set."
                ))
                .with("order_status", status.as_str()),
            ReadyRefused::OutOfRange { earliest, latest } => Self::invalid_field(
                "/ready_at",
                format!("must be from {} to {}", rfc3339(earliest), rfc3339(latest)),
            ),
        }
    }
}
