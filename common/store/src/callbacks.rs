//! Callbacks of integrators, stored as received, with their results.

pub mod list;
mod waiting;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    bulk::{MAX_ROWS, different},
    error::Result,
    execute,
    failures::{MAX_FAILURES, shortened},
    fetch_all, fetch_optional, fetch_optional_scalar, fetch_scalars, for_update, push_ids,
    rows::text,
    statements::Statement,
    tx::Tx,
    update_many,
};
use domain::{
    callback::{CallbackResult, Update, UpdateMark},
    ids::{CallbackId, IntegratorId, OrderId},
    status::OrderStatus,
};

pub use list::{CallbackFilter, KeptCallback};
pub use waiting::{Waiting, of_orders};

/// A callback to insert.
#[derive(Clone, Copy, Debug)]
pub struct NewCallback<'a> {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub webhook_id: &'a str,
    /// `None` while its reference is unknown.
    pub order_id: Option<OrderId>,
    pub update: &'a Update,
    /// The update's time as it counts, which may differ from what it says.
    pub occurred_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
}

/// A callback that waits to be applied. Its payload is parsed only when it is applied, so that a corrupt one does not
/// stop the others.
#[derive(Clone, Debug)]
pub struct Unapplied {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub payload: Value,
    /// [`NewCallback::occurred_at`].
    pub occurred_at: Option<DateTime<Utc>>,
}

/// Inserts a callback; [`super::StoreError::UniqueKeyTaken`] if this integrator has used this webhook id before.
pub async fn insert(tx: &mut Tx, new: NewCallback<'_>) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO callbacks (id, integrator_id, webhook_id, order_id, reference, payload, received_at, sequence, \
         occurred_at, failures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        new.id,
        new.integrator_id,
        new.webhook_id.as_bytes(),
        new.order_id,
        new.update.reference.as_deref().map(str::as_bytes),
        Json(new.update),
        new.received_at,
        new.update.sequence,
        new.occurred_at
    );
    Ok(())
}

/// Inserts a callback that was refused because its webhook id came before with another body. It is listed under that
/// id; `key` stands for its id and body, and is unique in its place. [`super::StoreError::UniqueKeyTaken`] if the same
/// body was refused before.
pub async fn insert_refused(
    tx: &mut Tx,
    new: NewCallback<'_>,
    key: &[u8; 32],
    detail: &str,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO callbacks (id, integrator_id, webhook_id, repeated_id, order_id, reference, payload, received_at,          applied_at, result, detail, sequence, occurred_at, failures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        new.id,
        new.integrator_id,
        &key[..],
        new.webhook_id.as_bytes(),
        new.order_id,
        new.update.reference.as_deref().map(str::as_bytes),
        Json(new.update),
        new.received_at,
        new.received_at,
        CallbackResult::Conflict,
        shortened(detail),
        new.update.sequence,
        new.occurred_at
    );
    Ok(())
}

/// Returns the id and the payload of the callback that this integrator sent with this webhook id first.
pub async fn find(
    tx: &mut Tx,
    integrator: IntegratorId,
    webhook_id: &str,
) -> Result<Option<(CallbackId, Value)>> {
    let row = fetch_optional!(
        tx,
        "SELECT id, payload FROM callbacks WHERE integrator_id = ? AND webhook_id = ?",
        integrator,
        webhook_id.as_bytes()
    );
    Ok(row.map(|(id, Json(payload))| (id, payload)))
}

/// Returns the status of an order that this integrator was handed; `None` if it never was.
pub async fn status_if_handed(
    tx: &mut Tx,
    integrator: IntegratorId,
    order: OrderId,
) -> Result<Option<OrderStatus>> {
    // A scalar subquery, so that the order's row is found by its key and its handoffs by theirs.
    Ok(fetch_optional_scalar!(
        tx,
        "SELECT status FROM orders WHERE id = ? AND \
         (SELECT COUNT(*) FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id = ? AND integrator_id = ?) > 0",
        order,
        order,
        integrator
    ))
}

/// Returns the order that an integrator's reference means: by the reference that its own response gave, else by ours,
/// if exactly one order that it was handed has it.
pub async fn order_of_reference(
    tx: &mut Tx,
    integrator: IntegratorId,
    reference: &str,
) -> Result<Option<OrderId>> {
    let theirs: Vec<OrderId> = fetch_scalars!(
        tx,
        "SELECT DISTINCT order_id FROM handoffs /*! FORCE INDEX (handoffs_by_reference) */ \
         WHERE integrator_id = ? AND reference = ? AND order_id IS NOT NULL LIMIT 2",
        integrator,
        reference.as_bytes()
    );
    if let [order] = theirs[..] {
        return Ok(Some(order));
    }
    let ours: Vec<OrderId> = fetch_scalars!(
        tx,
        "SELECT /*! STRAIGHT_JOIN */ DISTINCT o.id FROM ( \
           SELECT store_id AS at_store FROM integrators WHERE id = ? \
           UNION ALL SELECT store_id FROM integrator_stores WHERE integrator_id = ?) m \
         JOIN orders o /*! FORCE INDEX (orders_by_reference) */ ON o.store_id = m.at_store AND o.reference = ? \
         JOIN handoffs h /*! FORCE INDEX (order_id) */ ON h.order_id = o.id AND h.integrator_id = ? LIMIT 2",
        integrator,
        integrator,
        reference.as_bytes(),
        integrator
    );
    Ok(match ours[..] {
        [order] if theirs.is_empty() => Some(order),
        _ => None,
    })
}

/// Locks the callbacks that wait for this reference.
pub async fn lock_unattached(tx: &mut Tx, integrator: IntegratorId, reference: &str) -> Result<()> {
    let sql = for_update!(
        tx,
        "SELECT id FROM callbacks /*! FORCE INDEX (callbacks_by_reference) */ \
         WHERE integrator_id = ? AND reference = ? AND applied_at IS NULL AND order_id IS NULL"
    );
    let _: Vec<CallbackId> = fetch_scalars!(tx, sql, integrator, reference.as_bytes());
    Ok(())
}

/// Locks the callbacks that wait for one of these references, each with its integrator, and returns which do.
pub async fn lock_waiting(
    tx: &mut Tx,
    references: &[(IntegratorId, String)],
) -> Result<Vec<(IntegratorId, String)>> {
    let mut waiting = Vec::new();
    // SQLite has one writer and no row locks.
    let end = tx.pick(") FOR UPDATE", ")");
    for chunk in different(references) {
        let rows: Vec<(IntegratorId, Vec<u8>)> = {
            let mut query = Statement::new(
                tx,
                "SELECT integrator_id, reference FROM callbacks /*! FORCE INDEX (callbacks_by_reference) */ \
                 WHERE applied_at IS NULL AND order_id IS NULL AND (",
            );
            let mut list = query.separated(" OR ");
            for (integrator, reference) in chunk {
                list.push("(integrator_id = ")
                    .push_bind_unseparated(*integrator)
                    .push_unseparated(" AND reference = ")
                    .push_bind_unseparated(reference.as_bytes())
                    .push_unseparated(")");
            }
            query.push(end);
            query.fetch_all(tx).await?
        };
        waiting.extend(
            rows.into_iter()
                .map(|(id, reference)| (id, text(reference))),
        );
    }
    Ok(waiting)
}

/// Assigns an order to the callbacks that wait for this reference, and returns how many.
pub async fn attach(
    tx: &mut Tx,
    integrator: IntegratorId,
    reference: &str,
    order: OrderId,
) -> Result<u64> {
    Ok(execute!(
        tx,
        "UPDATE callbacks /*! FORCE INDEX (callbacks_by_reference) */ SET order_id = ? WHERE integrator_id = ? AND reference = ? AND applied_at IS NULL \
         AND order_id IS NULL",
        order,
        integrator,
        reference.as_bytes()
    ))
}

/// Locks and returns the unapplied callbacks of one order, in order of receipt. The order must be locked before.
pub async fn lock_unapplied(tx: &mut Tx, order: OrderId, limit: usize) -> Result<Vec<Unapplied>> {
    let sql = for_update!(
        tx,
        "SELECT id, integrator_id, payload, occurred_at FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
         WHERE order_id = ? AND applied_at IS NULL \
         ORDER BY received_at, id LIMIT ?"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = fetch_all!(tx, sql, order, limit);
    let unapplied = |(id, integrator_id, Json(payload), occurred_at)| Unapplied {
        id,
        integrator_id,
        payload,
        occurred_at,
    };
    Ok(rows.into_iter().map(unapplied).collect())
}

/// Returns the highest sequence and time among the callbacks of this order that counted (`applied` or `unchanged`), by
/// integrator.
pub async fn newest_marks(
    tx: &mut Tx,
    order: OrderId,
) -> Result<BTreeMap<IntegratorId, UpdateMark>> {
    let rows: Vec<(IntegratorId, _, _)> = fetch_all!(
        tx,
        "SELECT integrator_id, MAX(sequence), MAX(occurred_at) FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
         WHERE order_id = ? \
         AND applied_at IS NOT NULL AND result IN ('applied', 'unchanged') GROUP BY integrator_id",
        order
    );
    Ok(rows
        .into_iter()
        .map(|(integrator, sequence, occurred_at)| {
            let mark = UpdateMark {
                sequence,
                occurred_at,
            };
            (integrator, mark)
        })
        .collect())
}

/// Result of a callback that was applied.
#[derive(Clone, Debug)]
pub struct Judged {
    pub id: CallbackId,
    pub result: CallbackResult,
    pub detail: Option<String>,
}

pub async fn record_results(tx: &mut Tx, judged: &[Judged], now: DateTime<Utc>) -> Result<()> {
    update_many!(
        tx,
        "id",
        "UPDATE callbacks /*! FORCE INDEX (PRIMARY) */ SET ",
        judged,
        |row| row.id,
        [
            "applied_at = " now, ", ";
            "result = " row.result, ", ";
            "detail = " row.detail.as_deref().map(shortened), " WHERE id IN (";
        ]
    );
    Ok(())
}

macro_rules! applying_failed {
    ($key:literal) => {
        concat!(
            "UPDATE callbacks SET detail = ?, applied_at = CASE WHEN failures + 1 >= ? THEN ? ELSE NULL END, \
             result = CASE WHEN failures + 1 >= ? THEN 'parked' ELSE NULL END, failures = failures + 1 WHERE ",
            $key,
            " = ? AND applied_at IS NULL"
        )
    };
}

/// Records that applying it failed; the fifth failure parks it.
pub async fn record_failure(
    tx: &mut Tx,
    id: CallbackId,
    error: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let (sql, error) = (applying_failed!("id"), shortened(error));
    execute!(tx, sql, error, MAX_FAILURES, now, MAX_FAILURES, id);
    Ok(())
}

/// Does the same as [`record_failure`] for all unapplied callbacks of an order, if the order itself is the cause.
pub async fn record_failure_of_order(
    tx: &mut Tx,
    order: OrderId,
    error: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let (sql, error) = (applying_failed!("order_id"), shortened(error));
    execute!(tx, sql, error, MAX_FAILURES, now, MAX_FAILURES, order);
    Ok(())
}

/// Returns whether the order has an unapplied callback that was received at or before `received_by`.
pub async fn has_unapplied(
    tx: &mut Tx,
    order: OrderId,
    received_by: DateTime<Utc>,
) -> Result<bool> {
    Ok(!with_unapplied(tx, &[order], received_by).await?.is_empty())
}

/// Returns those of these orders that have callbacks which were received by this time and are not applied.
pub async fn with_unapplied(
    tx: &mut Tx,
    orders: &[OrderId],
    received_by: DateTime<Utc>,
) -> Result<Vec<OrderId>> {
    let mut found: Vec<OrderId> = Vec::new();
    for chunk in orders.chunks(MAX_ROWS) {
        let rows: Vec<(OrderId,)> = {
            let mut query = Statement::new(
                tx,
                "SELECT DISTINCT order_id FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
                 WHERE applied_at IS NULL AND received_at <= ",
            );
            query.push_bind(received_by).push(" AND order_id IN (");
            push_ids(&mut query, chunk);
            query.push(")").fetch_all(tx).await?
        };
        found.extend(rows.into_iter().map(|(id,)| id));
    }
    Ok(found)
}

/// Returns the results of all callbacks, in order of receipt.
#[cfg(any(test, feature = "testing"))]
pub async fn results(tx: &mut Tx) -> Result<Vec<Option<CallbackResult>>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT result FROM callbacks ORDER BY received_at, id"
    ))
}

/// Returns the results of one order's callbacks, in order of receipt.
#[cfg(any(test, feature = "testing"))]
pub async fn results_of(tx: &mut Tx, order: OrderId) -> Result<Vec<Option<CallbackResult>>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT result FROM callbacks WHERE order_id = ? ORDER BY received_at, id",
        order
    ))
}
