//! `GET /stats`: order counts by status, the average time to acceptance, and for operators the work that waits.

use std::collections::BTreeMap;

use domain::{account::Role, status::OrderStatus, tally::Tally};
use ledger::backlog::{Backlog, Waiting};
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{problem::Problem, scalars::Time},
    resources::stores::rights::visible_stores,
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Stats(pub(crate) ApiState);

/// Statistics at one moment, over all orders ever placed.
#[derive(Debug, Object)]
#[oai(rename = "Stats")]
struct StatsView {
    /// All placed orders.
    total_orders: i64,
    pending_orders: i64,
    processing_orders: i64,
    /// Orders that were ever accepted, whatever happened to them afterwards.
    completed_orders: i64,
    /// Average seconds from placing to acceptance, over the accepted orders; two decimals, 0 if there are none.
    avg_processing_time_seconds: f64,
    /// Number of orders in each status. Drafts are left out: they are not placed yet.
    by_status: BTreeMap<String, i64>,
    /// Work of Expediter itself that is due and not done yet, in all stores. Only for operators who name no `store_id`.
    backlog: Option<BacklogView>,
}

/// Work that is due and not done yet. A growing age means that a process, the broker or the database is away or too slow.
#[derive(Debug, Object)]
#[oai(rename = "Backlog")]
struct BacklogView {
    /// Announcements that the broker has not confirmed. They are published from the database meanwhile.
    outbox: WaitingView,
    /// Handoffs that a worker should send now, without those of integrators that are disabled or left alone.
    handoffs: WaitingView,
    /// Callbacks of known orders that are not applied yet.
    callbacks: WaitingView,
}

/// Number of waiting pieces of work, and the time from which the oldest waits.
#[derive(Debug, Object)]
#[oai(rename = "WaitingWork")]
struct WaitingView {
    /// At most 10 000 are counted.
    waiting: i64,
    since: Option<Time>,
}

#[OpenApi(tag = "Topic::Statistics")]
impl Stats {
    /// Get order statistics
    ///
    /// Managers and staff get those of their stores, operators those of all stores, with the `backlog` of Expediter
    /// itself. `store_id` narrows them to one store.
    #[oai(path = "/stats", method = "get", operation_id = "get_stats")]
    async fn get(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
    ) -> Result<Json<StatsView>, Problem> {
        let stores = visible_stores(&caller, store_id.map(Into::into))?;
        let tally = self.0.ledger.stats(stores.as_deref()).await?;
        let backlog = match stores {
            None if caller.is(Role::Operator) => Some(self.0.ledger.backlog().await?),
            _ => None,
        };
        Ok(Json(StatsView::new(tally, backlog)))
    }
}

impl StatsView {
    fn new(tally: Tally, backlog: Option<Backlog>) -> Self {
        let placed = OrderStatus::ALL
            .iter()
            .filter(|status| **status != OrderStatus::Draft);
        Self {
            total_orders: tally.orders(),
            pending_orders: tally.in_status(OrderStatus::Pending),
            processing_orders: tally.in_status(OrderStatus::Processing),
            completed_orders: tally.ever_accepted(),
            avg_processing_time_seconds: tally.mean_acceptance_s(),
            by_status: placed
                .map(|status| (status.as_str().to_owned(), tally.in_status(*status)))
                .collect(),
            backlog: backlog.map(|backlog| BacklogView {
                outbox: backlog.outbox.into(),
                handoffs: backlog.handoffs.into(),
                callbacks: backlog.callbacks.into(),
            }),
        }
    }
}

impl From<Waiting> for WaitingView {
    fn from((waiting, since): Waiting) -> Self {
        Self {
            waiting,
            since: since.map(Into::into),
        }
    }
}
