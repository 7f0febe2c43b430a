//! Handoffs: one row for each message that an integrator must receive.

mod claim;
pub mod list;
mod outcome;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

pub(crate) use claim::an_earlier_one_is_open;
pub use claim::{
    Candidate, Look, NewClaim, Place, blocked, candidates, claim, due_tests, lock_available,
    next_due_at, record_claim_failure, record_release_failure, record_withdrawal_failure,
};
pub use list::HandoffFilter;
pub use list::{Listed, Page, list, listed};
pub use outcome::{
    Moved, Reported, has_open_after, is_overtaken, put_back, renew_fence, reopen, reschedule,
    write_moved, write_reported,
};

use crate::{
    bulk::MAX_ROWS,
    error::Result,
    execute, fetch_all, fetch_in, fetch_optional_scalar, for_update, insert_many, push_ids,
    read_all, read_in, read_optional,
    rows::{ReadRow, Row},
    statements::Statement,
    tx::Tx,
};
use domain::{
    handoff::{Cause, Handoff, HandoffState},
    ids::{HandoffId, IntegratorId, OrderId, StoreId},
    integrator::HandoffEvent,
};

/// `SELECT` of a handoff's columns, with or without its body and cause, and the rest of the statement.
macro_rules! select {
    ($body:literal, $rest:literal) => {
        concat!(
            "SELECT id, store_id, order_id, integrator_id, position, event, state, required, confirmed_at, round, \
             attempts, uncounted, max_attempts, due_at, leased_until, fence, ",
            $body,
            ", deadline, reference, reason, created_at, closed_at FROM handoffs ",
            $rest
        )
    };
}
use select;

/// A handoff to insert in the state `due`.
#[derive(Clone, Debug)]
pub struct NewHandoff {
    pub id: HandoffId,
    pub store_id: StoreId,
    /// `None` only for a `test` event.
    pub order_id: Option<OrderId>,
    pub integrator_id: IntegratorId,
    pub position: i32,
    pub event: HandoffEvent,
    pub required: bool,
    pub max_attempts: u32,
    pub due_at: DateTime<Utc>,
    pub deadline: DateTime<Utc>,
    /// `None` only for a `test` event.
    pub cause: Option<Cause>,
    pub created_at: DateTime<Utc>,
}

/// A handoff with the columns that only the ledger needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub handoff: Handoff,
    /// Random number of its latest claim; an outcome with any other is void.
    pub fence: i64,
    pub leased_until: Option<DateTime<Utc>>,
    /// Request body; fixed at the first attempt.
    pub body: Option<Vec<u8>>,
    /// The change that its message tells; `None` for a test, and for one that an older version made.
    pub cause: Option<Cause>,
}

impl NewHandoff {
    /// Returns the handoff as it is once it is inserted.
    #[must_use]
    pub fn as_inserted(&self) -> Handoff {
        Handoff {
            id: self.id,
            store_id: self.store_id,
            order_id: self.order_id,
            integrator_id: self.integrator_id,
            event: self.event,
            state: HandoffState::Due,
            required: self.required,
            position: self.position,
            confirmed_at: None,
            round: 1,
            attempts: 0,
            uncounted: 0,
            max_attempts: self.max_attempts,
            next_attempt_at: Some(self.due_at),
            deadline: self.deadline,
            reference: None,
            reason: None,
            created_at: self.created_at,
            closed_at: None,
        }
    }
}

pub async fn insert(tx: &mut Tx, handoffs: &[NewHandoff]) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO handoffs (id, store_id, order_id, integrator_id, position, event, state, required, round, \
         attempts, max_attempts, due_at, fence, deadline, cause, claim_failures, created_at) ",
        handoffs,
        |push, new| push
            .push_bind(new.id)
            .push_bind(new.store_id)
            .push_bind(new.order_id)
            .push_bind(new.integrator_id)
            .push_bind(new.position)
            .push_bind(new.event)
            .push_bind(HandoffState::Due)
            .push_bind(new.required)
            .push_bind(1_i32)
            .push_bind(0_i32)
            .push_bind(new.max_attempts)
            .push_bind(new.due_at)
            .push_bind(0_i64)
            .push_bind(new.deadline)
            .push_bind(new.cause.as_ref().map(Json))
            .push_bind(0_i32)
            .push_bind(new.created_at)
    );
    Ok(())
}

pub async fn get(tx: &mut Tx, id: HandoffId) -> Result<Option<Handoff>> {
    let row = read_optional!(
        tx,
        select!("NULL AS body, NULL AS cause", "WHERE id = ?"),
        id
    );
    Ok(row.map(|stored: Stored| stored.handoff))
}

/// Returns the body of a handoff; `None` before its first attempt.
pub async fn body(tx: &mut Tx, id: HandoffId) -> Result<Option<Vec<u8>>> {
    let body: Option<Option<Vec<u8>>> =
        fetch_optional_scalar!(tx, "SELECT body FROM handoffs WHERE id = ?", id);
    Ok(body.flatten())
}

/// Returns a handoff with its body, without locking it.
pub async fn stored(tx: &mut Tx, id: HandoffId) -> Result<Option<Stored>> {
    Ok(read_optional!(
        tx,
        select!("body, cause", "WHERE id = ?"),
        id
    ))
}

/// Locks a handoff and returns it. Callers that change it must have locked its order before.
pub async fn lock(tx: &mut Tx, id: HandoffId) -> Result<Option<Stored>> {
    let sql = for_update!(tx, select!("body, cause", "WHERE id = ?"));
    Ok(read_optional!(tx, sql, id))
}

/// Returns all handoffs of one order, by integrator and position.
pub async fn of_order(tx: &mut Tx, order: OrderId) -> Result<Vec<Handoff>> {
    let rows = read_all!(
        tx,
        select!(
            "NULL AS body, NULL AS cause",
            "/*! FORCE INDEX (order_id) */ WHERE order_id = ? ORDER BY integrator_id, position"
        ),
        order
    );
    Ok(handoffs_of(rows))
}

/// Returns the handoffs of these orders, in no particular order.
pub async fn of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<Handoff>> {
    with_orders(tx, orders, ")").await
}

/// Returns the handoffs of these orders with their bodies, in no particular order.
pub(crate) async fn stored_of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<Stored>> {
    Ok(read_in!(
        tx,
        select!(
            "body, cause",
            "/*! FORCE INDEX (order_id) */ WHERE order_id IN ("
        ),
        orders,
        ")"
    ))
}

/// Returns the same as [`of_orders`], with the rows locked; fails at once if others hold one.
pub async fn lock_of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<Handoff>> {
    let end = tx.pick(") ORDER BY id FOR UPDATE NOWAIT", ")");
    with_orders(tx, orders, end).await
}

async fn with_orders(tx: &mut Tx, orders: &[OrderId], end: &str) -> Result<Vec<Handoff>> {
    let mut handoffs = Vec::new();
    for chunk in orders.chunks(MAX_ROWS) {
        let rows = read_in!(
            tx,
            select!(
                "NULL AS body, NULL AS cause",
                "/*! FORCE INDEX (order_id) */ WHERE order_id IN ("
            ),
            chunk,
            end
        );
        handoffs.extend(handoffs_of(rows));
    }
    Ok(handoffs)
}

/// Returns the same as [`of_order`], with the rows locked by id, for callers that are about to change them.
pub async fn lock_of_order(tx: &mut Tx, order: OrderId) -> Result<Vec<Handoff>> {
    let sql = for_update!(
        tx,
        select!(
            "NULL AS body, NULL AS cause",
            "/*! FORCE INDEX (order_id) */ WHERE order_id = ? ORDER BY id"
        )
    );
    let mut handoffs = handoffs_of(read_all!(tx, sql, order));
    handoffs.sort_by_key(|handoff| (handoff.integrator_id, handoff.position));
    Ok(handoffs)
}

/// Returns the number of handoffs that are being sent to each of these integrators; one without any is left out.
pub async fn count_sending(
    tx: &mut Tx,
    integrators: &[IntegratorId],
) -> Result<BTreeMap<IntegratorId, i64>> {
    let rows: Vec<(IntegratorId, i64)> = fetch_in!(
        tx,
        "SELECT integrator_id, COUNT(*) FROM handoffs WHERE state = 'sending' AND integrator_id IN (",
        integrators,
        ") GROUP BY integrator_id"
    );
    Ok(rows.into_iter().collect())
}

/// Withdraws those handoffs that are neither being sent nor closed.
pub async fn withdraw(
    tx: &mut Tx,
    ids: &[HandoffId],
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut query = Statement::new(tx, "UPDATE handoffs SET state = 'withdrawn', reason = ");
    query
        .push_bind(reason)
        .push(", closed_at = ")
        .push_bind(now)
        .push(" WHERE state IN ('due', 'waiting', 'held', 'parked') AND id IN (");
    push_ids(&mut query, ids);
    query.push(")");
    query.execute(tx).await?;
    Ok(())
}

/// Withdraws the open `order.placed` and `order.dispatched` handoffs of an order that has been delivered; those being
/// sent are left.
pub async fn withdraw_from_delivered(
    tx: &mut Tx,
    order: OrderId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs /*! FORCE INDEX (order_id) */ SET state = 'withdrawn', reason = ?, closed_at = ? WHERE order_id = ? \
         AND event IN ('order.placed', 'order.dispatched') AND state IN ('due', 'waiting', 'held', 'parked')",
        reason,
        now,
        order
    );
    Ok(())
}

/// Returns the last position of each integrator's handoffs of this order, whose row is locked. Positions begin at 1.
pub async fn last_positions(tx: &mut Tx, order: OrderId) -> Result<BTreeMap<IntegratorId, i32>> {
    let rows = fetch_all!(
        tx,
        "SELECT integrator_id, MAX(position) FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id = ? GROUP BY integrator_id",
        order
    );
    Ok(rows.into_iter().collect())
}

fn handoffs_of(stored: Vec<Stored>) -> Vec<Handoff> {
    stored.into_iter().map(|stored| stored.handoff).collect()
}

impl ReadRow for Stored {
    const TABLE: &'static str = "handoffs";

    fn read(row: &Row<'_>) -> Result<Self> {
        let state = row.get("state")?;
        let due_at = row.get("due_at")?;
        let is_scheduled = matches!(state, HandoffState::Due | HandoffState::Waiting);
        Ok(Self {
            handoff: Handoff {
                id: row.get("id")?,
                store_id: row.get("store_id")?,
                order_id: row.get("order_id")?,
                integrator_id: row.get("integrator_id")?,
                position: row.get("position")?,
                event: row.get("event")?,
                state,
                required: row.get("required")?,
                confirmed_at: row.get("confirmed_at")?,
                round: row.count("round")?,
                attempts: row.count("attempts")?,
                uncounted: row.count("uncounted")?,
                max_attempts: row.count("max_attempts")?,
                next_attempt_at: is_scheduled.then_some(due_at),
                deadline: row.get("deadline")?,
                reference: row.parse_optional("reference", String::from_utf8)?,
                reason: row.get("reason")?,
                created_at: row.get("created_at")?,
                closed_at: row.get("closed_at")?,
            },
            fence: row.get("fence")?,
            leased_until: row.get("leased_until")?,
            body: row.get("body")?,
            cause: row.get::<Option<Json<_>>>("cause")?.map(|Json(it)| it),
        })
    }
}
