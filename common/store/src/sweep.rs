//! What the reconciler looks for, and what it clears away. Nothing here locks: whoever acts on it looks again.

pub mod stuck;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{error::Result, on, tx::Tx};
use domain::ids::{CallbackId, HandoffId, IntegratorId, OrderId, StoreId};

/// Five more than what parks it.
const MOST_WITHDRAWAL_FAILURES: i32 = 10;

/// Integrators that one look for due work walks over: two seeks each, and there may be a sweep a second of each worker.
const MOST_LOOKED_AT: u32 = 2048;

/// A handoff and the order whose lock comes first.
pub type Found = (HandoffId, Option<OrderId>);

/// Handoffs with an attempt on the wire whose lease is over, longest first. Acknowledged ones are those that a
/// callback acknowledged meanwhile.
pub async fn expired_leases(tx: &mut Tx, now: DateTime<Utc>, limit: u32) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for state in ["sending", "acknowledged"] {
        let rows: Vec<(Uuid, Option<Uuid>)> = on!(&mut *tx, |conn| {
            sqlx::query_as(
            "SELECT id, order_id FROM handoffs WHERE state = ? AND leased_until IS NOT NULL AND leased_until <= ? \
             ORDER BY leased_until LIMIT ?"
        )
        .bind(state)
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await?
        });
        found.extend(rows.into_iter().map(of_row));
    }
    Ok(found)
}

/// Handoffs that nobody claims, and whose time is over: their integrator is disabled.
pub async fn overdue_handoffs(tx: &mut Tx, now: DateTime<Utc>, limit: u32) -> Result<Vec<Found>> {
    let rows: Vec<(Uuid, Option<Uuid>)> = on!(tx, |conn| {
        sqlx::query_as(
        "SELECT id, order_id FROM handoffs WHERE state IN ('due', 'waiting') AND due_at <= ? AND deadline <= ? LIMIT ?"
    )
    .bind(now)
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?
    });
    Ok(rows.into_iter().map(of_row).collect())
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

/// Handoffs of archived integrators that are not closed, nor on the wire. One that could not be withdrawn is put off,
/// and after so many failures left to people.
pub async fn handoffs_of_archived(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Found>> {
    // Each has its own word for a join in the order as written: integrators are few, handoffs may be many.
    let sql = tx.pick(of_archived!("STRAIGHT_JOIN"), of_archived!("CROSS JOIN"));
    let rows: Vec<(Uuid, Option<Uuid>)> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(now)
        .bind(MOST_WITHDRAWAL_FAILURES)
        .bind(limit)
        .fetch_all(conn)
        .await?);
    Ok(rows.into_iter().map(of_row).collect())
}

fn of_row((handoff, order): (Uuid, Option<Uuid>)) -> Found {
    (handoff.into(), order.map(Into::into))
}

/// Orders that nobody accepted in time, longest overdue first. Not one with a callback that came in time and is still
/// to be applied.
pub async fn overdue_orders(tx: &mut Tx, now: DateTime<Utc>, limit: u32) -> Result<Vec<OrderId>> {
    let rows: Vec<Uuid> = on!(tx, |conn| {
        sqlx::query_scalar(
        "SELECT o.id FROM orders o WHERE o.status IN ('pending', 'processing') AND o.accept_by <= ? AND NOT EXISTS ( \
           SELECT 1 FROM callbacks c WHERE c.order_id = o.id AND c.applied_at IS NULL AND c.received_at <= o.accept_by) \
         ORDER BY o.accept_by LIMIT ?"
    )
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?
    });
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Orders that wait for acceptance although everybody has had their say: one that had to confirm can't any more, or
/// all have who are not archived and nobody was left out, or there is nobody and their store accepts by itself: as
/// `ledger::orders::settle` decides it, so that none is found again and again for nothing. Not one with callbacks left
/// to apply.
pub async fn unsettled_orders(tx: &mut Tx, limit: u32) -> Result<Vec<OrderId>> {
    let rows: Vec<Uuid> = on!(tx, |conn| {
        sqlx::query_scalar(
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
         ORDER BY o.accept_by LIMIT ?"
    )
    .bind(limit)
    .fetch_all(conn)
    .await?
    });
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Integrators that could be sent something now, as far as was looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueWork {
    /// By id.
    pub integrators: Vec<IntegratorId>,
    /// Where the next look goes on; `None`: there are no more.
    pub go_on_after: Option<IntegratorId>,
}

/// The earliest handoff of each state is asked for, so that `handoffs_of_integrator` leads to it past all that is
/// closed. Unforced, MySQL 9 reads what is due of all integrators, for each of them, where it takes that for less.
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

/// Enabled integrators that are not left alone for now, with a handoff that could be claimed, after one of them.
pub async fn integrators_with_due_work(
    tx: &mut Tx,
    now: DateTime<Utc>,
    after: Option<IntegratorId>,
    limit: u32,
) -> Result<DueWork> {
    due_work_among(tx, now, after, MOST_LOOKED_AT, limit).await
}

/// Of the next `most` integrators, with or without work.
pub async fn due_work_among(
    tx: &mut Tx,
    now: DateTime<Utc>,
    after: Option<IntegratorId>,
    most: u32,
    limit: u32,
) -> Result<DueWork> {
    let after = after.map_or(Uuid::nil(), IntegratorId::uuid);
    let last: Option<Uuid> = on!(&mut *tx, |conn| sqlx::query_scalar(
        "SELECT id FROM integrators WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
    )
    .bind(after)
    .bind(most.saturating_sub(1))
    .fetch_optional(conn)
    .await?);
    let with_due_work = tx.pick(WITH_DUE_WORK_MYSQL, WITH_DUE_WORK_SQLITE);
    let rows: Vec<Uuid> = on!(tx, |conn| {
        sqlx::query_scalar(with_due_work)
            .bind(after)
            .bind(last.unwrap_or(Uuid::max()))
            .bind(now)
            .bind(now)
            .bind(now)
            .bind(limit)
            .fetch_all(conn)
            .await?
    });
    let integrators: Vec<IntegratorId> = rows.into_iter().map(Into::into).collect();
    let is_full = integrators.len() >= limit as usize;
    let last_found = integrators.last().copied().filter(|_| is_full);
    Ok(DueWork {
        go_on_after: last_found.or(last.map(Into::into)),
        integrators,
    })
}

/// Orders with callbacks left to apply, longest waiting first.
pub async fn orders_with_callbacks_left(tx: &mut Tx, limit: u32) -> Result<Vec<OrderId>> {
    let rows: Vec<(Uuid, DateTime<Utc>)> = on!(tx, |conn| {
        sqlx::query_as(
        "SELECT order_id, MIN(received_at) FROM callbacks WHERE applied_at IS NULL AND order_id IS NOT NULL \
         GROUP BY order_id ORDER BY MIN(received_at) LIMIT ?"
    )
    .bind(limit)
    .fetch_all(conn)
    .await?
    });
    Ok(rows.into_iter().map(|(order, _)| order.into()).collect())
}

/// A callback that waits for its reference to be known, with its integrator's store.
#[derive(Clone, Debug)]
pub struct Unmatched {
    pub id: CallbackId,
    pub integrator_id: IntegratorId,
    pub store_id: StoreId,
    pub reference: String,
}

/// Those that wait for a reference that is known by now, by id, after one of them. One that two orders have is found too.
pub async fn unmatched(
    tx: &mut Tx,
    after: Option<CallbackId>,
    limit: u32,
) -> Result<Vec<Unmatched>> {
    let rows: Vec<(Uuid, Uuid, Uuid, Vec<u8>)> = on!(tx, |conn| {
        sqlx::query_as(
        "SELECT c.id, c.integrator_id, i.store_id, c.reference FROM callbacks c \
         JOIN integrators i ON i.id = c.integrator_id \
         WHERE c.applied_at IS NULL AND c.order_id IS NULL AND c.reference IS NOT NULL AND c.id > ? AND ( \
           EXISTS (SELECT 1 FROM handoffs h WHERE h.integrator_id = c.integrator_id AND h.reference = c.reference \
             AND h.order_id IS NOT NULL) \
           OR EXISTS (SELECT 1 FROM orders o JOIN handoffs g ON g.order_id = o.id AND g.integrator_id = c.integrator_id \
             WHERE o.store_id = i.store_id AND o.reference = c.reference)) \
         ORDER BY c.id LIMIT ?"
    )
    .bind(after.map_or(Uuid::nil(), CallbackId::uuid))
    .bind(limit)
    .fetch_all(conn)
    .await?
    });
    Ok(rows
        .into_iter()
        .map(|(id, integrator, store, reference)| Unmatched {
            id: id.into(),
            integrator_id: integrator.into(),
            store_id: store.into(),
            reference: String::from_utf8_lossy(&reference).into_owned(),
        })
        .collect())
}

/// Gives up callbacks whose reference nobody knows since before a time; how many.
pub async fn give_up_unmatched(
    tx: &mut Tx,
    received_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64> {
    Ok(on!(tx, |conn| {
        sqlx::query(
        "UPDATE callbacks SET applied_at = ?, result = 'unmatched', detail = 'no order has this reference' \
         WHERE applied_at IS NULL AND order_id IS NULL AND received_at <= ?"
    )
    .bind(now)
    .bind(received_before)
    .execute(conn)
    .await?
    .rows_affected()
    }))
}

/// Deletes at most `limit` rows of each kind that nobody needs any more; how many.
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
        pruned += on!(&mut *tx, |conn| sqlx::query(sql)
            .bind(before)
            .bind(limit)
            .execute(conn)
            .await?
            .rows_affected());
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

/// How many handoffs stand in each of these states.
pub async fn count_handoffs(tx: &mut Tx, states: &[&'static str]) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    for state in states {
        counts.push(on!(&mut *tx, |conn| sqlx::query_scalar(
            "SELECT COUNT(*) FROM handoffs WHERE state = ?"
        )
        .bind(*state)
        .fetch_one(conn)
        .await?));
    }
    Ok(counts)
}

/// How many callbacks are left to apply.
pub async fn count_callbacks_left(tx: &mut Tx) -> Result<i64> {
    Ok(on!(tx, |conn| sqlx::query_scalar(
        "SELECT COUNT(*) FROM callbacks WHERE applied_at IS NULL"
    )
    .fetch_one(conn)
    .await?))
}
