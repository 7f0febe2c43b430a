//! Lists callbacks by store, integrator, order, result and time, page by page.

use std::{cmp::Reverse, collections::BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    error::Result,
    explain::QueryOutput,
    fetch_scalars, push_ids,
    rows::{ListPage, ReadRow, Readable, Row, optional_text, text},
    statements::Statement,
    tx::Tx,
};
use domain::{
    callback::CallbackResult,
    ids::{CallbackId, IntegratorId, OrderId, StoreId, min_id_at},
};

/// A filter for callbacks. Fields that are `None` or empty restrict nothing.
#[derive(Clone, Debug, Default)]
pub struct CallbackFilter {
    /// Stores of the integrators; an empty list matches none.
    pub stores: Option<Vec<StoreId>>,
    pub integrator: Option<IntegratorId>,
    pub order: Option<OrderId>,
    /// Results to include; `None` stands for callbacks that wait to be applied.
    pub results: Vec<Option<CallbackResult>>,
    /// Earliest time of receipt, inclusive.
    pub received_after: Option<DateTime<Utc>>,
    /// Latest time of receipt, exclusive.
    pub received_before: Option<DateTime<Utc>>,
}

/// A callback as received, with its result.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptCallback {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub integrator_name: String,
    pub store_id: Option<StoreId>,
    /// The integrator's id for it.
    pub webhook_id: String,
    pub order_id: Option<OrderId>,
    pub order_number: Option<i64>,
    pub reference: Option<String>,
    pub sequence: Option<i64>,
    pub payload: Value,
    pub received_at: DateTime<Utc>,
    pub applied_at: Option<DateTime<Utc>>,
    /// `None` until it is applied.
    pub result: Option<CallbackResult>,
    /// Reason why it changed nothing, or could not be applied yet.
    pub detail: Option<String>,
    /// Number of failed tries to apply it.
    pub failures: u32,
}

/// The part that one statement reads: along one index, in the order of ids, so that it stops after `limit` rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    pub integrator: Option<IntegratorId>,
    /// `Some(None)` selects callbacks that wait to be applied.
    pub result: Option<Option<CallbackResult>>,
}

/// Returns callbacks before `before`, newest first. A row that can't be read is logged and left out, and the next one
/// takes its place: it must neither hide the others nor look like the end of the list.
pub async fn list(
    tx: &mut Tx,
    filter: &CallbackFilter,
    before: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<KeptCallback>> {
    let walks = walks(tx, filter).await?;
    let mut listed = ListPage::new("callback", limit);
    while listed.wants_rows() {
        let before = listed.last().map(CallbackId::from).or(before);
        listed.add(rows(tx, filter, &walks, before, limit).await?);
    }
    Ok(listed.into_listed())
}

async fn rows(
    tx: &mut Tx,
    filter: &CallbackFilter,
    walks: &[Walk],
    before: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<Readable<KeptCallback>>> {
    let mut rows: Vec<Readable<KeptCallback>> = Vec::new();
    for walk in walks {
        rows.extend(run_walk(tx, filter, *walk, before, limit).await?);
    }
    rows.sort_unstable_by_key(|row| Reverse(row.key));
    rows.truncate(limit as usize);
    Ok(rows)
}

/// Returns one walk per result and, unless the filter names an integrator or an order, per integrator of the stores.
async fn walks(tx: &mut Tx, filter: &CallbackFilter) -> Result<Vec<Walk>> {
    let results: BTreeSet<Option<CallbackResult>> = filter.results.iter().copied().collect();
    let results: Vec<_> = if results.is_empty() {
        vec![None]
    } else {
        results.into_iter().map(Some).collect()
    };
    let integrators = integrators(tx, filter).await?;
    Ok(integrators
        .into_iter()
        .flat_map(|integrator| {
            let along = |result: &_| Walk {
                integrator,
                result: *result,
            };
            results.iter().map(along).collect::<Vec<_>>()
        })
        .collect())
}

async fn integrators(tx: &mut Tx, filter: &CallbackFilter) -> Result<Vec<Option<IntegratorId>>> {
    if filter.integrator.is_some() || filter.order.is_some() {
        return Ok(vec![filter.integrator]);
    }
    let Some(stores) = &filter.stores else {
        return Ok(vec![None]);
    };
    // One of several of these stores is walked once.
    let mut integrators = BTreeSet::new();
    for store in stores {
        let ids: Vec<IntegratorId> = fetch_scalars!(
            tx,
            "SELECT id FROM integrators WHERE store_id = ? \
             UNION ALL SELECT integrator_id FROM integrator_stores WHERE store_id = ?",
            store,
            store
        );
        integrators.extend(ids.into_iter().map(Some));
    }
    Ok(integrators.into_iter().collect())
}

pub(crate) async fn run_walk<A: QueryOutput>(
    tx: &mut Tx,
    filter: &CallbackFilter,
    walk: Walk,
    before: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<A>> {
    let since = filter.received_after.map_or(Uuid::nil(), min_id_at);
    let before = before.unwrap_or(CallbackId::MAX);
    let sql_prefix = A::sql_prefix(tx);
    // Without a hint, each database takes another one of the indexes that fit, and sorts.
    let hint = match (walk.integrator, walk.result, filter.order) {
        (Some(_), Some(_), None) => tx.pick(
            "FORCE INDEX (callbacks_of_integrator_by_result) ",
            "INDEXED BY callbacks_of_integrator_by_result ",
        ),
        (None, Some(_), None) => tx.pick(
            "FORCE INDEX (callbacks_of_result) ",
            "INDEXED BY callbacks_of_result ",
        ),
        _ => "",
    };
    let mut query = Statement::new(tx, sql_prefix);
    query.push(
            "SELECT c.id, c.integrator_id, i.name AS integrator_name, \
             COALESCE(o.store_id, i.store_id) AS store_id, \
             COALESCE(c.repeated_id, c.webhook_id) AS webhook_id, c.order_id, o.number AS order_number, c.reference, c.sequence, c.payload, c.received_at, c.applied_at, c.result, \
             c.detail, c.failures FROM callbacks c ",
        );
    query
            .push(hint)
            .push(
                "LEFT JOIN integrators i ON i.id = c.integrator_id LEFT JOIN orders o ON o.id = c.order_id \
                 WHERE c.id > ",
            )
            .push_bind(since)
            .push(" AND c.id < ")
            .push_bind(before);
    if let Some(integrator) = walk.integrator {
        query.push(" AND c.integrator_id = ").push_bind(integrator);
    }
    if let Some(order) = filter.order {
        query.push(" AND c.order_id = ").push_bind(order);
    }
    if let Some(stores) = &filter.stores {
        // Without an order, it counts for the integrator's first store.
        query.push(" AND COALESCE(o.store_id, i.store_id) IN (");
        push_ids(&mut query, stores);
        query.push(")");
    }
    match walk.result {
        Some(Some(result)) => {
            query.push(" AND c.result = ").push_bind(result);
        }
        Some(None) => {
            query.push(" AND c.result IS NULL");
        }
        None => {}
    }
    if let Some(after) = filter.received_after {
        query.push(" AND c.received_at >= ").push_bind(after);
    }
    if let Some(before) = filter.received_before {
        query.push(" AND c.received_at < ").push_bind(before);
    }
    query.push(" ORDER BY c.id DESC LIMIT ").push_bind(limit);
    query.fetch_all::<A>(tx).await
}

impl ReadRow for KeptCallback {
    const TABLE: &'static str = "callbacks";

    fn read(row: &Row<'_>) -> Result<Self> {
        let integrator_name: Option<String> = row.get("integrator_name")?;
        Ok(Self {
            id: row.get("id")?,
            integrator_id: row.get("integrator_id")?,
            integrator_name: integrator_name.unwrap_or_default(),
            store_id: row.get("store_id")?,
            webhook_id: row.get("webhook_id").map(text)?,
            order_id: row.get("order_id")?,
            order_number: row.get("order_number")?,
            reference: row.get("reference").map(optional_text)?,
            sequence: row.get("sequence")?,
            payload: row.get("payload").map(|Json(payload)| payload)?,
            received_at: row.get("received_at")?,
            applied_at: row.get("applied_at")?,
            result: row.get("result")?,
            detail: row.get("detail")?,
            failures: row.count("failures")?,
        })
    }
}
