//! `GET /stats`: order counts by status, and the average time to acceptance.

use std::collections::BTreeMap;

use domain::{status::OrderStatus, tally::Tally};
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use crate::{
    access::topic::Topic, auth::Caller, http::problem::Problem,
    resources::stores::rights::visible_stores, state::ApiState,
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
}

#[OpenApi(tag = "Topic::Statistics")]
impl Stats {
    /// Get order statistics
    ///
    /// Managers and staff get those of their stores, operators those of all stores. `store_id` narrows them to one
    /// store.
    #[oai(path = "/stats", method = "get", operation_id = "get_stats")]
    async fn get(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
    ) -> Result<Json<StatsView>, Problem> {
        let stores = visible_stores(&caller, store_id.map(Into::into))?;
        let tally = self.0.ledger.stats(stores.as_deref()).await?;
        Ok(Json(tally.into()))
    }
}

impl From<Tally> for StatsView {
    fn from(tally: Tally) -> Self {
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
        }
    }
}
