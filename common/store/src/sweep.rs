//! Queries and deletions of the reconciler. Nothing here locks: callers must check again before they act.

pub mod delivered;
mod due_work;
pub mod stuck;
mod unsettled;

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

pub use self::{
    due_work::{DueWork, due_work_among, integrators_with_due_work},
    unsettled::{Unsettled, newest_unsettled, unsettled_orders},
};
use crate::{
    error::Result, execute, execute_in, fetch_all, fetch_optional_scalar, fetch_scalar,
    fetch_scalars, rows::text, skip_locked, tx::Tx,
};
use domain::ids::{CallbackId, HandoffId, IntegratorId, OrderId};

/// Number of failed withdrawals after which the sweep gives up on a handoff; five more than park it.
const MAX_WITHDRAWAL_FAILURES: i32 = 10;

/// A handoff, and the order that must be locked before it.
pub type FoundHandoff = (HandoffId, Option<OrderId>);

/// A page of what a step of the sweep looks for. `skip` rows before it were found and left: others held them, or they
/// are other workers'.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub skip: u32,
    pub limit: u32,
}

impl From<u32> for Page {
    fn from(limit: u32) -> Self {
        Self { skip: 0, limit }
    }
}

/// Returns handoffs with an attempt in flight whose lease has expired, longest first. Acknowledged ones were
/// acknowledged by a callback meanwhile.
pub async fn expired_leases(
    tx: &mut Tx,
    now: DateTime<Utc>,
    page: impl Into<Page>,
) -> Result<Vec<FoundHandoff>> {
    let (page, mut found) = (page.into(), Vec::new());
    for state in ["sending", "acknowledged"] {
        let rows: Vec<FoundHandoff> = fetch_all!(
            tx,
            "SELECT id, order_id FROM handoffs /*! FORCE INDEX (handoffs_by_lease) */ \
             WHERE state = ? AND leased_until IS NOT NULL AND leased_until <= ? \
             ORDER BY leased_until LIMIT ? OFFSET ?",
            state,
            now,
            page.limit,
            page.skip
        );
        found.extend(rows);
    }
    Ok(found)
}

/// Returns due handoffs past their deadline, which nobody claims because their integrator is disabled.
pub async fn overdue_handoffs(
    tx: &mut Tx,
    now: DateTime<Utc>,
    page: impl Into<Page>,
) -> Result<Vec<FoundHandoff>> {
    let (page, mut found) = (page.into(), Vec::new());
    for state in ["due", "waiting"] {
        let rows: Vec<FoundHandoff> = fetch_all!(
            tx,
            "SELECT id, order_id FROM handoffs /*! FORCE INDEX (handoffs_by_deadline) */ \
             WHERE state = ? AND deadline <= ? AND due_at <= ? ORDER BY deadline LIMIT ? OFFSET ?",
            state,
            now,
            now,
            page.limit,
            page.skip
        );
        found.extend(rows);
    }
    Ok(found)
}

macro_rules! of_archived {
    ($join:literal) => {
        concat!(
            "SELECT h.id, h.order_id FROM integrators i ",
            $join,
            " handoffs h /*! FORCE INDEX (handoffs_of_integrator) */ ON h.integrator_id = i.id AND h.state IN ('due', 'waiting', 'held', 'parked') \
             WHERE i.archived_at IS NOT NULL AND (h.claim_failures = 0 OR h.due_at <= ?) AND h.claim_failures < ? \
             LIMIT ? OFFSET ?"
        )
    };
}

/// Returns handoffs of archived integrators that are neither closed nor being sent. One that could not be withdrawn is
/// deferred, and after [`MAX_WITHDRAWAL_FAILURES`] failures left to people.
pub async fn handoffs_of_archived(
    tx: &mut Tx,
    now: DateTime<Utc>,
    page: impl Into<Page>,
) -> Result<Vec<FoundHandoff>> {
    let page = page.into();
    // Each database has its own keyword for a join in the written order: integrators are few, handoffs may be many.
    let sql = tx.pick(of_archived!("STRAIGHT_JOIN"), of_archived!("CROSS JOIN"));
    Ok(fetch_all!(
        tx,
        sql,
        now,
        MAX_WITHDRAWAL_FAILURES,
        page.limit,
        page.skip
    ))
}

/// Returns the last id that can have been made at a time.
fn last_id_at(at: DateTime<Utc>) -> Uuid {
    let unix_ms = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(unix_ms, &[0xff; 10]).into_uuid()
}

/// Statuses of orders that wait for acceptance.
const UNACCEPTED: [&str; 2] = ["pending", "processing"];

/// Returns orders that nobody accepted in time, longest overdue first within each status. Leaves out those with an
/// unapplied callback that was received in time.
pub async fn overdue_orders(
    tx: &mut Tx,
    now: DateTime<Utc>,
    page: impl Into<Page>,
) -> Result<Vec<OrderId>> {
    let (page, mut found) = (page.into(), Vec::new());
    for status in UNACCEPTED {
        let orders: Vec<OrderId> = fetch_scalars!(
            tx,
            "SELECT o.id FROM orders o /*! FORCE INDEX (orders_by_status) */ \
             WHERE o.status = ? AND o.accept_by <= ? AND NOT EXISTS ( \
               SELECT 1 FROM callbacks c /*! FORCE INDEX (callbacks_of_order) */ \
               WHERE c.order_id = o.id AND c.applied_at IS NULL AND c.received_at <= o.accept_by) \
             ORDER BY o.accept_by LIMIT ? OFFSET ?",
            status,
            now,
            page.limit,
            page.skip
        );
        found.extend(orders);
    }
    Ok(found)
}

/// Returns orders with unapplied callbacks, longest waiting first. `page` is of callbacks, so that an order may be on
/// several pages.
pub async fn orders_with_unapplied_callbacks(
    tx: &mut Tx,
    page: impl Into<Page>,
) -> Result<Vec<OrderId>> {
    let page = page.into();
    Ok(fetch_scalars!(
        tx,
        "SELECT order_id FROM callbacks /*! FORCE INDEX (callbacks_left_over) */ \
         WHERE applied_at IS NULL AND order_id IS NOT NULL ORDER BY received_at LIMIT ? OFFSET ?",
        page.limit,
        page.skip
    ))
}

/// A callback that waits for its reference to become known.
#[derive(Clone, Debug)]
pub struct Unmatched {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub reference: String,
}

/// Callbacks whose reference has become known, among those examined.
#[derive(Clone, Debug, Default)]
pub struct Matchable {
    pub callbacks: Vec<Unmatched>,
    /// Callback after which the next search continues; `None` if there are no more.
    pub continue_after: Option<CallbackId>,
}

/// Returns callbacks whose reference has become known, among the next `max_examined` after `after`, by id. Includes
/// references that two orders have.
pub async fn unmatched(
    tx: &mut Tx,
    after: Option<CallbackId>,
    max_examined: u32,
) -> Result<Matchable> {
    let after = after.unwrap_or(CallbackId::MIN);
    let last: Option<CallbackId> = fetch_optional_scalar!(
        tx,
        "SELECT id FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
         WHERE order_id IS NULL AND applied_at IS NULL AND id > ? ORDER BY id LIMIT 1 OFFSET ?",
        after,
        max_examined.saturating_sub(1)
    );
    let rows = fetch_all!(
        tx,
        "SELECT /*! STRAIGHT_JOIN */ c.id, c.integrator_id, c.reference \
         FROM callbacks c /*! FORCE INDEX (callbacks_of_order) */ \
         JOIN integrators i /*! FORCE INDEX (PRIMARY) */ ON i.id = c.integrator_id \
         WHERE c.applied_at IS NULL AND c.order_id IS NULL AND c.reference IS NOT NULL AND c.id > ? AND c.id <= ? AND ( \
           EXISTS (SELECT 1 FROM handoffs h /*! FORCE INDEX (handoffs_by_reference) */ WHERE h.integrator_id = c.integrator_id AND h.reference = c.reference \
             AND h.order_id IS NOT NULL) \
           OR EXISTS (SELECT /*! STRAIGHT_JOIN */ 1 FROM orders o /*! FORCE INDEX (orders_by_reference) */ \
             JOIN handoffs g /*! FORCE INDEX (order_id) */ ON g.order_id = o.id AND g.integrator_id = c.integrator_id \
             WHERE o.store_id = i.store_id AND o.reference = c.reference) \
           OR EXISTS (SELECT /*! STRAIGHT_JOIN */ 1 FROM integrator_stores m \
             JOIN orders o /*! FORCE INDEX (orders_by_reference) */ ON o.store_id = m.store_id AND o.reference = c.reference \
             JOIN handoffs g /*! FORCE INDEX (order_id) */ ON g.order_id = o.id AND g.integrator_id = c.integrator_id \
             WHERE m.integrator_id = c.integrator_id)) \
         ORDER BY c.id",
        after,
        last.unwrap_or(CallbackId::MAX)
    );
    let callbacks = rows
        .into_iter()
        .map(|(id, integrator_id, reference)| Unmatched {
            id,
            integrator_id,
            reference: text(reference),
        })
        .collect();
    Ok(Matchable {
        callbacks,
        continue_after: last,
    })
}

/// Gives up callbacks without an order that were received at or before `received_before`, at most `limit` of them and
/// none that another transaction has locked.
pub async fn give_up_unmatched(
    tx: &mut Tx,
    received_before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<()> {
    let sql = skip_locked!(
        tx,
        "SELECT id FROM callbacks /*! FORCE INDEX (callbacks_left_over) */ \
         WHERE applied_at IS NULL AND order_id IS NULL AND received_at <= ? ORDER BY received_at LIMIT ?"
    );
    let given_up: Vec<CallbackId> = fetch_scalars!(tx, sql, received_before, limit);
    execute_in!(
        tx,
        "UPDATE callbacks SET result = 'unmatched', detail = 'no order has this reference', applied_at = ",
        now,
        " WHERE id IN (";
        &given_up
    );
    Ok(())
}

/// Deletes at most `limit` expired rows of each kind, and returns how many.
pub async fn prune(
    tx: &mut Tx,
    keys_before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<u64> {
    let mut pruned = 0;
    for (mysql, sqlite, before) in PRUNED.map(|(mysql, sqlite, what)| {
        let before = match what {
            Pruned::AtAge => keys_before,
            Pruned::AtExpiry => now,
        };
        (mysql, sqlite, before)
    }) {
        // SQLite is built without LIMIT for DELETE; MySQL has no rowid.
        let sql = tx.pick(mysql, sqlite);
        pruned += execute!(tx, sql, before, limit);
    }
    Ok(pruned)
}

#[derive(Clone, Copy)]
enum Pruned {
    AtAge,
    AtExpiry,
}

const PRUNED: [(&str, &str, Pruned); 5] = [
    (
        "DELETE FROM idempotency_keys WHERE created_at <= ? LIMIT ?",
        "DELETE FROM idempotency_keys WHERE rowid IN (SELECT rowid FROM idempotency_keys WHERE created_at <= ? LIMIT ?)",
        Pruned::AtAge,
    ),
    (
        "DELETE FROM live_tickets WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM live_tickets WHERE rowid IN (SELECT rowid FROM live_tickets WHERE expires_at <= ? LIMIT ?)",
        Pruned::AtExpiry,
    ),
    (
        "DELETE FROM refresh_tokens WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM refresh_tokens WHERE rowid IN (SELECT rowid FROM refresh_tokens WHERE expires_at <= ? LIMIT ?)",
        Pruned::AtExpiry,
    ),
    (
        "DELETE FROM sign_in_failures WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM sign_in_failures WHERE rowid IN (SELECT rowid FROM sign_in_failures WHERE expires_at <= ? LIMIT ?)",
        Pruned::AtExpiry,
    ),
    (
        "DELETE FROM known_addresses WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM known_addresses WHERE rowid IN (SELECT rowid FROM known_addresses WHERE expires_at <= ? LIMIT ?)",
        Pruned::AtExpiry,
    ),
];

/// Counts the handoffs in each of these states.
pub async fn count_handoffs(tx: &mut Tx, states: &[&'static str]) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    for state in states {
        counts.push(fetch_scalar!(
            tx,
            "SELECT COUNT(*) FROM handoffs WHERE state = ?",
            *state
        ));
    }
    Ok(counts)
}

/// Counts the unapplied callbacks.
pub async fn count_callbacks_left(tx: &mut Tx) -> Result<i64> {
    Ok(fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM callbacks WHERE applied_at IS NULL"
    ))
}
