//! Orders and their items.

mod available;
mod calendar;
mod edit;
pub mod list;
mod row;

use std::collections::HashMap;

use sqlx::types::Json;
use uuid::Uuid;

pub use self::available::{Available, Availables, lock_available_with_sessions};
pub use self::calendar::calendar;
pub use self::edit::{delete, old_drafts, placed_by, replace_items, replacements, update};
pub use self::list::{OrderFilter, OrderPage};
use self::row::{ItemRow, OrderRow};
use crate::{
    error::Result, fetch_in, fetch_optional_scalar, fetch_scalars, for_update, insert_many,
    read_in, read_optional, rows::text, statements::Statement, tx::Tx, update_many,
};
use domain::{
    ids::{IntegratorId, OrderId, SessionId},
    order::{Item, Order},
};

macro_rules! columns {
    () => {
        "o.id, o.store_id, o.number, o.session_id, o.account_id, o.guest_key_hash, o.reference, o.fulfilment, \
         o.status, o.reason, o.version, o.stock_held, o.tallied, o.customer, o.total_amount, o.currency, o.user_note, \
         o.accept_by, o.wanted_at, o.ready_at, o.hand_over_at, o.cancel_until, o.delivery, o.replaces, o.traceparent, o.last_seq, o.created_at, \
         o.placed_at, o.accepted_at, o.ended_at, o.updated_at"
    };
}
use columns;

macro_rules! placed {
    ($index:literal) => {
        concat!(
            "SELECT id FROM orders ",
            $index,
            " WHERE session_id = ? AND id < ? AND status <> 'draft' ORDER BY id DESC LIMIT ?"
        )
    };
}

macro_rules! unfinished {
    ($index:literal) => {
        concat!(
            "SELECT id FROM orders ",
            $index,
            " WHERE session_id = ? \
             AND status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched') \
             ORDER BY id DESC LIMIT ?"
        )
    };
}

/// Maximum orders whose items one statement reads, because databases limit its bound values.
const MAX_ORDERS_PER_QUERY: usize = 4096;

/// An order to insert.
#[derive(Clone, Copy, Debug)]
pub struct NewOrder<'a> {
    pub order: &'a Order,
    /// Scope of its reference: the account's id or, for a guest's order, the guest's scope in the session.
    pub placed_by: Uuid,
    /// Last number of its own stream; 0 if its events are in a session's stream.
    pub last_seq: i64,
}

pub async fn insert(tx: &mut Tx, rows: &[NewOrder<'_>]) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO orders (id, store_id, number, session_id, account_id, placed_by, guest_key_hash, reference, \
         fulfilment, status, reason, version, stock_held, customer, total_amount, currency, user_note, accept_by, \
         wanted_at, ready_at, hand_over_at, cancel_until, replaces, traceparent, last_seq, created_at, placed_at, updated_at) ",
        rows,
        |push, row| {
            let order = row.order;
            push.push_bind(order.id)
                .push_bind(order.store_id)
                .push_bind(order.number)
                .push_bind(order.session.as_ref().map(|session| session.id))
                .push_bind(order.account_id)
                .push_bind(row.placed_by)
                .push_bind(order.guest_key_hash.as_deref())
                .push_bind(order.reference.as_deref().map(str::as_bytes))
                .push_bind(order.fulfilment)
                .push_bind(order.status)
                .push_bind(order.reason.as_deref())
                .push_bind(order.version)
                .push_bind(order.stock_held)
                .push_bind(Json(&order.customer))
                .push_bind(order.total.amount)
                .push_bind(order.total.currency)
                .push_bind(order.user_note.as_deref())
                .push_bind(order.accept_by)
                .push_bind(order.timing.wanted_at)
                .push_bind(order.timing.ready_at)
                .push_bind(order.timing.hand_over_at)
                .push_bind(order.timing.cancel_until)
                .push_bind(order.replaces)
                .push_bind(order.trace.map(|trace| trace.to_string()))
                .push_bind(row.last_seq)
                .push_bind(order.created_at)
                .push_bind(order.placed_at)
                .push_bind(order.updated_at)
        }
    );
    let items: Vec<(OrderId, i32, &Item)> = rows
        .iter()
        .flat_map(|row| {
            (0..)
                .zip(&row.order.items)
                .map(|(position, item)| (row.order.id, position, item))
        })
        .collect();
    insert_items(tx, &items).await
}

async fn insert_items(tx: &mut Tx, items: &[(OrderId, i32, &Item)]) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO order_items (id, order_id, position, product_id, sku, name, quantity, unit_amount, note, counted, options) ",
        items,
        |push, row| {
            let (order_id, position, item) = row;
            push.push_bind(item.id)
                .push_bind(*order_id)
                .push_bind(*position)
                .push_bind(item.product_id)
                .push_bind(item.sku.as_deref().map(str::as_bytes))
                .push_bind(item.name.as_str())
                .push_bind(i64::from(item.quantity))
                .push_bind(item.unit_price.amount)
                .push_bind(item.note.as_deref())
                .push_bind(item.counted)
                .push_bind((!item.options.is_empty()).then_some(Json(&item.options)))
        }
    );
    Ok(())
}

/// A locked order whose status, delivery or time when it is ready changed.
#[derive(Clone, Debug)]
pub struct Changed {
    pub order: Order,
    /// New last number of its own stream; `None` keeps the last one.
    pub last_seq: Option<i64>,
}

/// Writes the columns that a change of status, of the delivery, or of the time when it is ready changes, with the time
/// of the change, `updated_at`.
pub async fn write_changed(tx: &mut Tx, changed: &[Changed]) -> Result<()> {
    update_many!(
        tx,
        "id",
        "UPDATE orders /*! FORCE INDEX (PRIMARY) */ SET ",
        changed,
        |row| row.order.id,
        [
            "status = " row.order.status, ", ";
            "reason = " row.order.reason.as_deref(), ", ";
            "stock_held = " row.order.stock_held, ", ";
            "accepted_at = " row.order.accepted_at, ", ";
            "ended_at = " row.order.ended_at, ", ";
            "delivery = " row.order.delivery.as_ref().map(Json), ", ";
            "ready_at = " row.order.timing.ready_at, ", ";
            "updated_at = " row.order.updated_at, ", ";
            "last_seq = COALESCE(" row.last_seq, ", last_seq) WHERE id IN (";
        ]
    );
    Ok(())
}

pub async fn get(tx: &mut Tx, id: OrderId) -> Result<Option<Order>> {
    Ok(many(tx, &[id]).await?.pop())
}

/// Returns the orders that exist, in no particular order.
pub async fn many(tx: &mut Tx, ids: &[OrderId]) -> Result<Vec<Order>> {
    let rows = read_in!(
        tx,
        concat!(
            "SELECT ",
            columns!(),
            ", s.name AS session_name FROM orders o LEFT JOIN sessions s ON s.id = o.session_id WHERE o.id IN ("
        ),
        ids,
        ")"
    );
    with_items(tx, rows).await
}

/// Returns an order's session; the outer `None` means that there is no such order.
pub async fn session_of(tx: &mut Tx, id: OrderId) -> Result<Option<Option<SessionId>>> {
    Ok(fetch_optional_scalar!(
        tx,
        "SELECT session_id FROM orders WHERE id = ?",
        id
    ))
}

/// Locks the order's row and returns it with the last number of its own stream. The session's row must be locked
/// before. The session's name is left out; the caller has it.
pub async fn lock(tx: &mut Tx, id: OrderId) -> Result<Option<(Order, i64)>> {
    let sql = for_update!(
        tx,
        concat!(
            "SELECT ",
            columns!(),
            ", NULL AS session_name FROM orders o WHERE o.id = ?"
        )
    );
    let row: Option<OrderRow> = read_optional!(tx, sql, id);
    Ok(with_last_seqs(tx, row.into_iter().collect()).await?.pop())
}

/// Locks several orders as [`lock`] does, by id, and skips those that another transaction has locked.
pub async fn lock_available(tx: &mut Tx, ids: &[OrderId]) -> Result<Vec<(Order, i64)>> {
    // SQLite has one writer and no row locks.
    let end = tx.pick(") ORDER BY o.id FOR UPDATE SKIP LOCKED", ") ORDER BY o.id");
    let rows = read_in!(
        tx,
        concat!(
            "SELECT ",
            columns!(),
            ", NULL AS session_name FROM orders o /*! FORCE INDEX (PRIMARY) */ WHERE o.id IN ("
        ),
        ids,
        end
    );
    with_last_seqs(tx, rows).await
}

/// Returns the ids of at most `limit` placed orders of a session, newest first, that are older than `before`.
pub async fn of_session(
    tx: &mut Tx,
    session: SessionId,
    before: Option<OrderId>,
    limit: u32,
) -> Result<Vec<OrderId>> {
    let before = before.unwrap_or(OrderId::MAX);
    // Databases prefer the index by status, and then sort.
    let sql = tx.pick(
        placed!("FORCE INDEX (orders_of_session)"),
        placed!("INDEXED BY orders_of_session"),
    );
    Ok(fetch_scalars!(tx, sql, session, before, limit))
}

/// Returns the ids of at most `limit` placed orders of a session that have not ended, newest first.
pub async fn unfinished_of_session(
    tx: &mut Tx,
    session: SessionId,
    limit: u32,
) -> Result<Vec<OrderId>> {
    let sql = tx.pick(
        unfinished!("FORCE INDEX (orders_of_session_by_status)"),
        unfinished!("INDEXED BY orders_of_session_by_status"),
    );
    Ok(fetch_scalars!(tx, sql, session, limit))
}

/// Returns the orders that have these references. The pairs are of `placed_by` and reference.
pub async fn find_by_references(
    tx: &mut Tx,
    wanted: &[(Uuid, &str)],
) -> Result<HashMap<(Uuid, String), OrderId>> {
    let mut found = HashMap::new();
    for chunk in super::bulk::chunks(wanted) {
        let rows: Vec<(Uuid, Vec<u8>, OrderId)> = {
            let mut query =
                Statement::new(tx, "SELECT placed_by, reference, id FROM orders WHERE ");
            let mut list = query.separated(" OR ");
            for (placed_by, reference) in chunk {
                list.push("(placed_by = ")
                    .push_bind_unseparated(*placed_by)
                    .push_unseparated(" AND reference = ")
                    .push_bind_unseparated(reference.as_bytes())
                    .push_unseparated(")");
            }
            query.fetch_all(tx).await?
        };
        for (placed_by, reference, id) in rows {
            found.insert((placed_by, text(reference)), id);
        }
    }
    Ok(found)
}

/// Returns the hashes of the guest keys that placed these orders; `None` for those without one.
pub async fn guests_of(tx: &mut Tx, ids: &[OrderId]) -> Result<HashMap<OrderId, Option<Vec<u8>>>> {
    let rows = fetch_in!(
        tx,
        "SELECT id, guest_key_hash FROM orders WHERE id IN (",
        ids,
        ")"
    );
    Ok(rows.into_iter().collect())
}

/// Returns which of these orders exist, after a COMMIT whose answer was lost. Waits for one that is still running.
pub async fn find_existing(tx: &mut Tx, ids: &[OrderId]) -> Result<Vec<OrderId>> {
    // SQLite has one writer, which is this transaction.
    let end = tx.pick(") FOR UPDATE", ")");
    let existing: Vec<(OrderId,)> = fetch_in!(tx, "SELECT id FROM orders WHERE id IN (", ids, end);
    Ok(existing.into_iter().map(|(id,)| id).collect())
}

/// Returns the integrators that may have received each of these orders: those with an attempt that is open,
/// `acknowledged` or `unknown`, or that is to be retried after an HTTP response. A 429 is given before the order is
/// looked at.
pub async fn integrators_reached(
    tx: &mut Tx,
    orders: &[OrderId],
) -> Result<Vec<(OrderId, IntegratorId)>> {
    Ok(fetch_in!(
        tx,
        "SELECT DISTINCT /*! STRAIGHT_JOIN */ h.order_id, h.integrator_id FROM handoffs h /*! FORCE INDEX (order_id) */ \
         JOIN attempts a /*! FORCE INDEX (handoff_id) */ ON a.handoff_id = h.id \
         WHERE h.event IN ('order.placed', 'order.dispatched') \
         AND (a.outcome IS NULL OR a.outcome IN ('acknowledged', 'unknown') \
              OR (a.outcome = 'retry' AND a.http_status <> 429)) AND h.order_id IN (",
        orders,
        ")"
    ))
}

async fn with_last_seqs(tx: &mut Tx, rows: Vec<OrderRow>) -> Result<Vec<(Order, i64)>> {
    let last_seqs: Vec<i64> = rows.iter().map(|row| row.last_seq).collect();
    let orders = with_items(tx, rows).await?;
    Ok(orders.into_iter().zip(last_seqs).collect())
}

async fn with_items(tx: &mut Tx, rows: Vec<OrderRow>) -> Result<Vec<Order>> {
    let mut orders: Vec<Order> = rows.into_iter().map(|row| row.order).collect();
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    let mut by_order: HashMap<OrderId, Vec<ItemRow>> = HashMap::new();
    for ids in ids.chunks(MAX_ORDERS_PER_QUERY) {
        let items: Vec<ItemRow> = read_in!(
            tx,
            "SELECT id, order_id, product_id, sku, name, quantity, unit_amount, note, counted, options \
             FROM order_items WHERE order_id IN (",
            ids,
            ") ORDER BY order_id, position"
        );
        for item in items {
            by_order.entry(item.order_id).or_default().push(item);
        }
    }
    for order in &mut orders {
        let items = by_order.remove(&order.id).unwrap_or_default();
        let items = items.into_iter();
        order.items = items
            .map(|item| item.into_item(order.total.currency))
            .collect::<Result<_>>()?;
    }
    Ok(orders)
}
