//! The stuck list: what stands still until a person looks at it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::{
    error::{Result, StoreError},
    on,
    tx::Tx,
};
use crate::domain::stuck::Stuck;

/// Kinds of one query each; the first column says which kind a row is of.
const QUERIES: &[&str] = &[
    "SELECT CASE state WHEN 'parked' THEN 'handoff_parked' ELSE 'handoff_held' END AS kind, store_id, order_id, \
     integrator_id, id AS handoff_id, NULL AS callback_id, due_at AS since, COALESCE(error, reason) AS why \
     FROM handoffs WHERE state IN ('parked', 'held') LIMIT ?",
    "SELECT 'handoff_failed' AS kind, h.store_id, h.order_id, h.integrator_id, h.id AS handoff_id, \
     NULL AS callback_id, COALESCE(h.closed_at, h.created_at) AS since, h.reason AS why \
     FROM orders o JOIN handoffs h ON h.order_id = o.id AND h.state = 'failed' \
     WHERE o.status IN ('accepted', 'preparing', 'ready', 'dispatched') \
     AND ((h.required = TRUE AND h.event = 'order.placed') OR h.event = 'order.dispatched') \
     AND NOT EXISTS (SELECT 1 FROM handoffs l WHERE l.order_id = h.order_id AND l.integrator_id = h.integrator_id \
       AND l.event = h.event AND l.position > h.position) LIMIT ?",
    "SELECT CASE c.result WHEN 'parked' THEN 'callback_parked' ELSE 'callback_unmatched' END AS kind, i.store_id, \
     c.order_id, c.integrator_id, NULL AS handoff_id, c.id AS callback_id, c.received_at AS since, c.detail AS why \
     FROM callbacks c JOIN integrators i ON i.id = c.integrator_id WHERE c.result IN ('parked', 'unmatched') \
     AND c.applied_at >= ? LIMIT ?",
    "SELECT 'order_overdue' AS kind, o.store_id, o.id AS order_id, NULL AS integrator_id, NULL AS handoff_id, \
     NULL AS callback_id, o.accept_by AS since, o.status AS why FROM orders o \
     WHERE o.status IN ('pending', 'processing') AND o.accept_by <= ? LIMIT ?",
    "SELECT 'outbox_parked' AS kind, NULL AS store_id, NULL AS order_id, NULL AS integrator_id, NULL AS handoff_id, \
     NULL AS callback_id, created_at AS since, error AS why FROM outbox WHERE parked = TRUE LIMIT ?",
];

/// At most `limit` of each kind. Callbacks are listed that ended since `callbacks_since`, orders that should have
/// ended by `overdue_by`.
pub(crate) async fn stuck(
    tx: &mut Tx,
    callbacks_since: DateTime<Utc>,
    overdue_by: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Stuck>> {
    let bounds = [None, None, Some(callbacks_since), Some(overdue_by), None];
    let mut found = Vec::new();
    for (sql, bound) in QUERIES.iter().zip(bounds) {
        let rows: Vec<Row> = on!(&mut *tx, |conn| {
            let mut query = sqlx::query_as(*sql);
            if let Some(bound) = bound {
                query = query.bind(bound);
            }
            query.bind(limit).fetch_all(conn).await?
        });
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    store_id: Option<Uuid>,
    order_id: Option<Uuid>,
    integrator_id: Option<Uuid>,
    handoff_id: Option<Uuid>,
    callback_id: Option<Uuid>,
    since: DateTime<Utc>,
    why: Option<String>,
}

impl TryFrom<Row> for Stuck {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            kind: row
                .kind
                .parse()
                .map_err(|error| StoreError::corrupt("stuck", "?", error))?,
            store_id: row.store_id.map(Into::into),
            order_id: row.order_id.map(Into::into),
            integrator_id: row.integrator_id.map(Into::into),
            handoff_id: row.handoff_id.map(Into::into),
            callback_id: row.callback_id.map(Into::into),
            since: row.since,
            why: row.why,
        })
    }
}
