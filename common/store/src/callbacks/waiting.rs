//! Callbacks that wait to be applied to many orders.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use super::Unapplied;
use crate::{error::Result, push_ids, statements::Statement, tx::Tx};
use domain::{
    callback::UpdateMark,
    ids::{CallbackId, IntegratorId, OrderId},
};

/// Rows that are needed to apply the callbacks of locked orders.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Unapplied callbacks of each order, in order of receipt.
    pub unapplied: BTreeMap<OrderId, Vec<Unapplied>>,
    /// The result of [`super::newest_marks`] for each order.
    pub marks: BTreeMap<OrderId, BTreeMap<IntegratorId, UpdateMark>>,
}

type Row = (
    OrderId,
    Option<CallbackId>,
    IntegratorId,
    Option<Json<Value>>,
    Option<i64>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
);

/// Returns at most `limit` unapplied callbacks of these orders, those that were received first, and the marks of those
/// that are applied, with one statement. The rows are not locked: nobody applies callbacks without the lock of their
/// order, which the caller has.
pub async fn of_orders(tx: &mut Tx, orders: &[OrderId], limit: usize) -> Result<Waiting> {
    if orders.is_empty() {
        return Ok(Waiting::default());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows: Vec<Row> = {
        let mut query = Statement::new(
            tx,
            "SELECT order_id, id, integrator_id, payload, sequence, occurred_at, received_at FROM ( \
             SELECT order_id, id, integrator_id, payload, sequence, occurred_at, received_at \
             FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ WHERE applied_at IS NULL AND order_id IN (",
        );
        push_ids(&mut query, orders);
        query
            .push(") ORDER BY received_at, id LIMIT ")
            .push_bind(limit)
            .push(
                ") w UNION ALL SELECT order_id, NULL, integrator_id, NULL, MAX(sequence), MAX(occurred_at), NULL \
                 FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
                 WHERE applied_at IS NOT NULL AND result IN ('applied', 'unchanged') AND order_id IN (",
            );
        push_ids(&mut query, orders);
        let query = query.push(") GROUP BY order_id, integrator_id");
        query.fetch_all(tx).await?
    };
    rows.sort_by_key(|(_, id, .., received_at)| (*received_at, *id));
    let mut waiting = Waiting::default();
    for (order, id, integrator_id, payload, sequence, occurred_at, _) in rows {
        if let Some((id, Json(payload))) = id.zip(payload) {
            let unapplied = waiting.unapplied.entry(order).or_default();
            unapplied.push(Unapplied {
                id,
                integrator_id,
                payload,
                occurred_at,
            });
        } else {
            let mark = UpdateMark {
                sequence,
                occurred_at,
            };
            let marks = waiting.marks.entry(order).or_default();
            marks.insert(integrator_id, mark);
        }
    }
    Ok(waiting)
}
