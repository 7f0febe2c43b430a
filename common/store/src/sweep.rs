//! Queries and deletions of the reconciler. Nothing here locks: callers must check again before they act.

pub mod delivered;
pub mod stuck;

use chrono::{DateTime, Utc};

use crate::{
    error::Result, execute, fetch_all, fetch_optional_scalar, fetch_scalar, fetch_scalars,
    rows::text, tx::Tx,
};
use domain::ids::{CallbackId, HandoffId, IntegratorId, OrderId, StoreId};

/// Number of failed withdrawals after which the sweep gives up on a handoff; five more than park it.
const MAX_WITHDRAWAL_FAILURES: i32 = 10;

/// Maximum integrators that one search for due work examines: two seeks each, and each worker may sweep once a second.
const MAX_EXAMINED: u32 = 2048;

/// A handoff, and the order that must be locked before it.
pub type FoundHandoff = (HandoffId, Option<OrderId>);

/// Returns handoffs with an attempt in flight whose lease has expired, longest first. Acknowledged ones were
/// acknowledged by a callback meanwhile.
pub async fn expired_leases(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<FoundHandoff>> {
    let mut found = Vec::new();
    for state in ["sending", "acknowledged"] {
        let rows: Vec<FoundHandoff> = fetch_all!(
            tx,
            "SELECT id, order_id FROM handoffs WHERE state = ? AND leased_until IS NOT NULL AND leased_until <= ? \
             ORDER BY leased_until LIMIT ?",
            state,
            now,
            limit
        );
        found.extend(rows);
    }
    Ok(found)
}

/// Returns due handoffs past their deadline, which nobody claims because their integrator is disabled.
pub async fn overdue_handoffs(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<FoundHandoff>> {
    Ok(fetch_all!(
        tx,
        "SELECT id, order_id FROM handoffs WHERE state IN ('due', 'waiting') AND due_at <= ? AND deadline <= ? LIMIT ?",
        now,
        now,
        limit
    ))
}

macro_rules! of_archived {
    ($join:literal) => {
        concat!(
            "SELECT h.id, h.order_id FROM integrators i ",
            $join,
            " handoffs h ON h.integrator_id = i.id AND h.state IN ('due', 'waiting', 'held', 'parked') \
             WHERE i.archived_at IS NOT NULL AND (h.claim_failures = 0 OR h.due_at <= ?) AND h.claim_failures < ? \
             LIMIT ?"
        )
    };
}

/// Returns handoffs of archived integrators that are neither closed nor being sent. One that could not be withdrawn is
/// deferred, and after [`MAX_WITHDRAWAL_FAILURES`] failures left to people.
pub async fn handoffs_of_archived(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<FoundHandoff>> {
    // Each database has its own keyword for a join in the written order: integrators are few, handoffs may be many.
    let sql = tx.pick(of_archived!("STRAIGHT_JOIN"), of_archived!("CROSS JOIN"));
    Ok(fetch_all!(tx, sql, now, MAX_WITHDRAWAL_FAILURES, limit))
}

/// Returns orders that nobody accepted in time, longest overdue first. Leaves out those with an unapplied callback that
/// was received in time.
pub async fn overdue_orders(tx: &mut Tx, now: DateTime<Utc>, limit: u32) -> Result<Vec<OrderId>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT o.id FROM orders o WHERE o.status IN ('pending', 'processing') AND o.accept_by <= ? AND NOT EXISTS ( \
           SELECT 1 FROM callbacks c WHERE c.order_id = o.id AND c.applied_at IS NULL AND c.received_at <= o.accept_by) \
         ORDER BY o.accept_by LIMIT ?",
        now,
        limit
    ))
}

/// Returns orders that wait for acceptance although the result is certain: a required handoff has failed; or every
/// required integrator that is not archived has confirmed and none was left out; or there is none and the store accepts
/// automatically. The conditions are those of `ledger::orders::settle`, so that no order is found again and again
/// without effect. Leaves out orders with unapplied callbacks.
pub async fn unsettled_orders(tx: &mut Tx, limit: u32) -> Result<Vec<OrderId>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT o.id FROM orders o WHERE o.status IN ('pending', 'processing') AND NOT EXISTS ( \
           SELECT 1 FROM callbacks c WHERE c.order_id = o.id AND c.applied_at IS NULL) AND ( \
           EXISTS (SELECT 1 FROM handoffs h WHERE h.order_id = o.id AND h.required = TRUE AND h.event = 'order.placed' \
             AND h.state = 'failed' AND h.confirmed_at IS NULL) \
           OR (EXISTS (SELECT 1 FROM handoffs h WHERE h.order_id = o.id AND h.required = TRUE \
               AND h.event = 'order.placed' AND h.confirmed_at IS NOT NULL) \
             AND NOT EXISTS (SELECT 1 FROM handoffs h WHERE h.order_id = o.id AND h.required = TRUE \
               AND h.event = 'order.placed' AND h.confirmed_at IS NULL \
               AND NOT (h.state IN ('acknowledged', 'withdrawn') AND EXISTS (SELECT 1 FROM integrators g \
                 WHERE g.id = h.integrator_id AND g.archived_at IS NOT NULL))) \
             AND NOT EXISTS (SELECT 1 FROM integrators i WHERE i.store_id = o.store_id AND i.required = TRUE \
               AND i.archived_at IS NULL AND CAST(i.events AS CHAR) LIKE '%\"order.placed\"%' \
               AND (i.enabled = FALSE OR i.created_at <= COALESCE(o.placed_at, o.created_at)) \
               AND NOT EXISTS (SELECT 1 FROM handoffs h WHERE h.order_id = o.id AND h.integrator_id = i.id \
                 AND h.required = TRUE AND h.event = 'order.placed'))) \
           OR (EXISTS (SELECT 1 FROM stores s WHERE s.id = o.store_id AND s.auto_accept = TRUE) \
             AND NOT EXISTS (SELECT 1 FROM handoffs h WHERE h.order_id = o.id AND h.required = TRUE \
               AND h.event = 'order.placed') \
             AND NOT EXISTS (SELECT 1 FROM integrators i WHERE i.store_id = o.store_id AND i.required = TRUE \
               AND i.archived_at IS NULL AND CAST(i.events AS CHAR) LIKE '%\"order.placed\"%'))) \
         ORDER BY o.accept_by LIMIT ?",
        limit
    ))
}

/// Integrators that could be sent something now, among those examined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueWork {
    /// Ordered by id.
    pub integrators: Vec<IntegratorId>,
    /// Integrator after which the next search continues; `None` if there are no more.
    pub continue_after: Option<IntegratorId>,
}

/// Selects by the earliest handoff of each state, so that `handoffs_of_integrator` leads to it past all that are
/// closed. Without the hint, MySQL 9 reads the due handoffs of all integrators for each of them, if it estimates that
/// to be cheaper.
macro_rules! with_due_work {
    ($index:literal) => {
        concat!(
            "SELECT i.id FROM integrators i WHERE i.id > ? AND i.id <= ? AND i.enabled = TRUE \
               AND i.archived_at IS NULL AND i.given_up_because IS NULL AND (i.breaker_state = 'closed' OR i.breaker_until <= ?) AND (",
            earliest!("due", $index),
            " <= ? OR ",
            earliest!("waiting", $index),
            " <= ?) ORDER BY i.id LIMIT ?"
        )
    };
}

macro_rules! earliest {
    ($state:literal, $index:literal) => {
        concat!(
            "(SELECT h.due_at FROM handoffs h ",
            $index,
            " WHERE h.integrator_id = i.id AND h.state = '",
            $state,
            "' AND NOT EXISTS (SELECT 1 FROM handoffs e WHERE e.order_id = h.order_id \
               AND e.integrator_id = h.integrator_id AND e.position < h.position \
               AND e.state NOT IN ('acknowledged', 'failed', 'withdrawn')) ORDER BY h.due_at LIMIT 1)"
        )
    };
}

const WITH_DUE_WORK_MYSQL: &str = with_due_work!("FORCE INDEX (handoffs_of_integrator)");
const WITH_DUE_WORK_SQLITE: &str = with_due_work!("");

/// Returns enabled integrators after `after` that have a claimable handoff and are not paused by their breaker.
pub async fn integrators_with_due_work(
    tx: &mut Tx,
    now: DateTime<Utc>,
    after: Option<IntegratorId>,
    limit: u32,
) -> Result<DueWork> {
    due_work_among(tx, now, after, MAX_EXAMINED, limit).await
}

/// Does the same for the next `max_examined` integrators, with or without due work.
pub async fn due_work_among(
    tx: &mut Tx,
    now: DateTime<Utc>,
    after: Option<IntegratorId>,
    max_examined: u32,
    limit: u32,
) -> Result<DueWork> {
    let after = after.unwrap_or(IntegratorId::MIN);
    let last: Option<IntegratorId> = fetch_optional_scalar!(
        tx,
        "SELECT id FROM integrators WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?",
        after,
        max_examined.saturating_sub(1)
    );
    let with_due_work = tx.pick(WITH_DUE_WORK_MYSQL, WITH_DUE_WORK_SQLITE);
    let integrators: Vec<IntegratorId> = fetch_scalars!(
        tx,
        with_due_work,
        after,
        last.unwrap_or(IntegratorId::MAX),
        now,
        now,
        now,
        limit
    );
    let is_full = integrators.len() >= limit as usize;
    let last_found = integrators.last().copied().filter(|_| is_full);
    Ok(DueWork {
        continue_after: last_found.or(last),
        integrators,
    })
}

/// Returns orders with unapplied callbacks, longest waiting first.
pub async fn orders_with_unapplied_callbacks(tx: &mut Tx, limit: u32) -> Result<Vec<OrderId>> {
    let rows: Vec<(_, DateTime<Utc>)> = fetch_all!(
        tx,
        "SELECT order_id, MIN(received_at) FROM callbacks WHERE applied_at IS NULL AND order_id IS NOT NULL \
         GROUP BY order_id ORDER BY MIN(received_at) LIMIT ?",
        limit
    );
    Ok(rows.into_iter().map(|(order, _)| order).collect())
}

/// A callback that waits for its reference to become known, with its integrator's store.
#[derive(Clone, Debug)]
pub struct Unmatched {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub store_id: StoreId,
    pub reference: String,
}

/// Returns callbacks after `after` whose reference has become known, by id. Includes references that two orders have.
pub async fn unmatched(
    tx: &mut Tx,
    after: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<Unmatched>> {
    let rows = fetch_all!(
        tx,
        "SELECT c.id, c.integrator_id, i.store_id, c.reference FROM callbacks c \
         JOIN integrators i ON i.id = c.integrator_id \
         WHERE c.applied_at IS NULL AND c.order_id IS NULL AND c.reference IS NOT NULL AND c.id > ? AND ( \
           EXISTS (SELECT 1 FROM handoffs h WHERE h.integrator_id = c.integrator_id AND h.reference = c.reference \
             AND h.order_id IS NOT NULL) \
           OR EXISTS (SELECT 1 FROM orders o JOIN handoffs g ON g.order_id = o.id AND g.integrator_id = c.integrator_id \
             WHERE o.store_id = i.store_id AND o.reference = c.reference)) \
         ORDER BY c.id LIMIT ?",
        after.unwrap_or(CallbackId::MIN),
        limit
    );
    Ok(rows
        .into_iter()
        .map(|(id, integrator_id, store_id, reference)| Unmatched {
            id,
            integrator_id,
            store_id,
            reference: text(reference),
        })
        .collect())
}

/// Gives up callbacks without an order that were received at or before `received_before`, and returns how many.
pub async fn give_up_unmatched(
    tx: &mut Tx,
    received_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64> {
    Ok(execute!(
        tx,
        "UPDATE callbacks SET applied_at = ?, result = 'unmatched', detail = 'no order has this reference' \
         WHERE applied_at IS NULL AND order_id IS NULL AND received_at <= ?",
        now,
        received_before
    ))
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
