//! Edits of existing orders, and the deletion of drafts.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::insert_items;
use crate::{error::Result, execute, execute_in, fetch_in, fetch_scalar, fetch_scalars, tx::Tx};
use domain::{
    ids::{OrderId, min_id_at},
    order::{Item, Order},
};

/// Writes the columns that an edit or the placing of a draft changes, `updated_at` too; not the items.
pub async fn update(tx: &mut Tx, order: &Order) -> Result<()> {
    execute!(
        tx,
        "UPDATE orders SET number = ?, reference = ?, fulfilment = ?, status = ?, version = ?, stock_held = ?, \
             customer = ?, total_amount = ?, user_note = ?, accept_by = ?, \
             wanted_at = ?, ready_at = ?, hand_over_at = ?, cancel_until = ?, placed_at = ?, updated_at = ? WHERE id = ?",
        order.number,
        order.reference.as_deref().map(str::as_bytes),
        order.fulfilment,
        order.status,
        order.version,
        order.stock_held,
        Json(&order.customer),
        order.total.amount,
        order.user_note.as_deref(),
        order.accept_by,
        order.timing.wanted_at,
        order.timing.ready_at,
        order.timing.hand_over_at,
        order.timing.cancel_until,
        order.placed_at,
        order.updated_at,
        order.id
    );
    Ok(())
}

/// Replaces the order's items.
pub async fn replace_items(tx: &mut Tx, order: &Order) -> Result<()> {
    execute!(tx, "DELETE FROM order_items WHERE order_id = ?", order.id);
    let items: Vec<(OrderId, i32, &Item)> = (0..)
        .zip(&order.items)
        .map(|(position, item)| (order.id, position, item))
        .collect();
    insert_items(tx, &items).await
}

/// Deletes locked drafts with their items. No other rows refer to a draft.
pub async fn delete(tx: &mut Tx, drafts: &[OrderId]) -> Result<()> {
    execute_in!(tx, "DELETE FROM order_items WHERE order_id IN ("; drafts);
    execute_in!(tx, "DELETE FROM orders WHERE id IN ("; drafts);
    Ok(())
}

/// Returns drafts created at or before `created_before`, found by their ids however many are younger. Nothing is
/// locked: the caller must check again before acting.
pub async fn old_drafts(
    tx: &mut Tx,
    created_before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<OrderId>> {
    // The index is named, because by the primary key the way to a draft leads past all old orders.
    let sql = tx.pick(
        "SELECT id FROM orders FORCE INDEX (orders_of_status) \
         WHERE status = 'draft' AND id < ? AND created_at <= ? ORDER BY id LIMIT ?",
        "SELECT id FROM orders INDEXED BY orders_of_status \
         WHERE status = 'draft' AND id < ? AND created_at <= ? ORDER BY id LIMIT ?",
    );
    let next = min_id_at(created_before + TimeDelta::milliseconds(1));
    Ok(fetch_scalars!(tx, sql, next, created_before, limit))
}

/// Returns the owner among whose references the order's is unique: its account's id or, for a guest's order, its
/// session's.
pub async fn placed_by(tx: &mut Tx, id: OrderId) -> Result<Uuid> {
    Ok(fetch_scalar!(
        tx,
        "SELECT placed_by FROM orders WHERE id = ?",
        id
    ))
}

/// Returns which of these orders were replaced, and by which.
pub async fn replacements(tx: &mut Tx, replaced: &[OrderId]) -> Result<HashMap<OrderId, OrderId>> {
    let rows = fetch_in!(
        tx,
        "SELECT replaces, id FROM orders WHERE replaces IN (",
        replaced,
        ")"
    );
    Ok(rows.into_iter().collect())
}
