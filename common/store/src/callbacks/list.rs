//! Callbacks as people look for them: by store, integrator, order, result and time, page by page.

use std::{cmp::Reverse, collections::BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{QueryBuilder, types::Json};
use uuid::Uuid;

use super::super::{
    error::{Result, StoreError},
    explain::{Answer, answers},
    on, push_ids,
    tx::Tx,
};
use domain::{
    callback::CallbackResult,
    ids::{CallbackId, IntegratorId, OrderId, StoreId, first_id_of},
};

/// Which callbacks are wanted. What is `None` or empty is not asked about.
#[derive(Clone, Debug, Default)]
pub struct CallbackFilter {
    /// Only of these stores' integrators; none at all where the list is empty.
    pub stores: Option<Vec<StoreId>>,
    pub integrator: Option<IntegratorId>,
    pub order: Option<OrderId>,
    /// One of these came of it; `None`: it waits to be applied.
    pub results: Vec<Option<CallbackResult>>,
    /// Came then or later.
    pub received_after: Option<DateTime<Utc>>,
    /// Came before then.
    pub received_before: Option<DateTime<Utc>>,
}

/// A callback as it came, with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptCallback {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub integrator_name: String,
    pub store_id: Option<StoreId>,
    /// The integrator's own name for it.
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
    /// Why it changed nothing, or why it could not be applied yet.
    pub detail: Option<String>,
    /// How often applying it failed.
    pub failures: u32,
}

/// What one statement walks along: one index, in the order of ids, so that it ends after `limit` rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    pub integrator: Option<IntegratorId>,
    /// `Some(None)`: what waits to be applied.
    pub result: Option<Option<CallbackResult>>,
}

/// Newest first, before one of them. A row that can't be read is left out and logged, and what comes after it takes its
/// place: it must not hide the others from whoever looks for them, nor look like the end.
pub async fn list(
    tx: &mut Tx,
    filter: &CallbackFilter,
    mut before: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<KeptCallback>> {
    let walks = walks(tx, filter).await?;
    let mut listed = Vec::new();
    loop {
        let rows = rows(tx, filter, &walks, before, limit).await?;
        let was_all = rows.len() < limit as usize;
        before = rows.last().map_or(before, |last| Some(last.id.into()));
        for row in rows {
            match KeptCallback::try_from(row) {
                Ok(one) => listed.push(one),
                Err(error) => {
                    tracing::error!(%error, "a callback can't be read, and is not listed")
                }
            }
        }
        listed.truncate(limit as usize);
        if was_all || listed.len() == limit as usize {
            return Ok(listed);
        }
    }
}

async fn rows(
    tx: &mut Tx,
    filter: &CallbackFilter,
    walks: &[Walk],
    before: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<KeptRow>> {
    let mut rows: Vec<KeptRow> = Vec::new();
    for walk in walks {
        rows.extend(walked::<KeptRow>(tx, filter, *walk, before, limit).await?);
    }
    rows.sort_unstable_by_key(|row| Reverse(row.id));
    rows.truncate(limit as usize);
    Ok(rows)
}

/// One walk for each result and, where nothing narrower is asked for, for each of the stores' integrators.
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
    let mut integrators = Vec::new();
    for store in stores {
        let ids: Vec<Uuid> = on!(&mut *tx, |conn| sqlx::query_scalar(
            "SELECT id FROM integrators WHERE store_id = ?"
        )
        .bind(store.uuid())
        .fetch_all(conn)
        .await?);
        integrators.extend(ids.into_iter().map(|id| Some(id.into())));
    }
    Ok(integrators)
}

pub async fn walked<A: Answer>(
    tx: &mut Tx,
    filter: &CallbackFilter,
    walk: Walk,
    before: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<A>> {
    let since = filter.received_after.map_or(Uuid::nil(), first_id_of);
    let before = before.map_or(Uuid::max(), CallbackId::uuid);
    let asked = A::asked(tx);
    // Of several indexes that begin with what is asked for, each database takes another one, and sorts.
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
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(asked);
        query.push(
            "SELECT c.id, c.integrator_id, i.name AS integrator_name, i.store_id, c.webhook_id, c.order_id, \
             o.number AS order_number, c.reference, c.sequence, c.payload, c.received_at, c.applied_at, c.result, \
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
            query
                .push(" AND c.integrator_id = ")
                .push_bind(integrator.uuid());
        }
        if let Some(order) = filter.order {
            query.push(" AND c.order_id = ").push_bind(order.uuid());
        }
        if let Some(stores) = &filter.stores {
            let stores: Vec<Uuid> = stores.iter().map(|id| id.uuid()).collect();
            query.push(" AND i.store_id IN (");
            push_ids(&mut query, &stores);
            query.push(")");
        }
        match walk.result {
            Some(Some(result)) => {
                query.push(" AND c.result = ").push_bind(result.as_str());
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
        query.build_query_as::<A>().fetch_all(conn).await?
    }))
}

answers!(KeptRow);

#[derive(sqlx::FromRow)]
struct KeptRow {
    id: Uuid,
    integrator_id: Uuid,
    integrator_name: Option<String>,
    store_id: Option<Uuid>,
    webhook_id: Vec<u8>,
    order_id: Option<Uuid>,
    order_number: Option<i64>,
    reference: Option<Vec<u8>>,
    sequence: Option<i64>,
    payload: Json<Value>,
    received_at: DateTime<Utc>,
    applied_at: Option<DateTime<Utc>>,
    result: Option<String>,
    detail: Option<String>,
    failures: i32,
}

impl TryFrom<KeptRow> for KeptCallback {
    type Error = StoreError;

    fn try_from(row: KeptRow) -> Result<Self> {
        let corrupt =
            |what: &dyn ToString| StoreError::corrupt("callbacks", row.id, what.to_string());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let result: Option<CallbackResult> = row
            .result
            .map(|word| word.parse())
            .transpose()
            .map_err(|error| corrupt(&error))?;
        Ok(Self {
            id: row.id.into(),
            integrator_id: row.integrator_id.into(),
            integrator_name: row.integrator_name.unwrap_or_default(),
            store_id: row.store_id.map(Into::into),
            webhook_id: text(row.webhook_id),
            order_id: row.order_id.map(Into::into),
            order_number: row.order_number,
            reference: row.reference.map(text),
            sequence: row.sequence,
            payload: row.payload.0,
            received_at: row.received_at,
            applied_at: row.applied_at,
            result,
            detail: row.detail,
            failures: u32::try_from(row.failures).map_err(|error| corrupt(&error))?,
        })
    }
}
