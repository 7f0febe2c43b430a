//! State changes of a handoff after an attempt, a callback or a person's decision.

use chrono::{DateTime, Utc};

use super::{
    super::{error::Result, on, tx::Tx},
    shortened,
};
use domain::{
    handoff::{Handoff, HandoffState},
    ids::HandoffId,
};

/// Closes a handoff (failed, withdrawn) or holds it for a person, and releases its lease.
pub async fn close(
    tx: &mut Tx,
    id: HandoffId,
    state: HandoffState,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    let closed_at = state.is_closed().then_some(now);
    on!(tx, |conn| {
        sqlx::query(
        "UPDATE handoffs SET state = ?, reason = ?, closed_at = ?, leased_until = NULL WHERE id = ?"
    )
    .bind(state.as_str())
    .bind(reason)
    .bind(closed_at)
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}

/// Marks a handoff as acknowledged by a response, and releases its lease; with `confirms`, also records that the order
/// is confirmed. An earlier confirmation is kept, and so is the reference unless there is a new one.
pub async fn acknowledged(
    tx: &mut Tx,
    id: HandoffId,
    reference: Option<&str>,
    confirms: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query(
        "UPDATE handoffs SET state = 'acknowledged', reason = NULL, reference = COALESCE(?, reference), closed_at = ?, \
         confirmed_at = COALESCE(confirmed_at, ?), leased_until = NULL WHERE id = ?"
    )
    .bind(reference.map(str::as_bytes))
    .bind(now)
    .bind(confirms.then_some(now))
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}

/// Marks a handoff as acknowledged by a callback. If an attempt is in flight, its lease stays until the outcome arrives
/// or the lease expires.
pub async fn acknowledged_by_callback(
    tx: &mut Tx,
    id: HandoffId,
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE handoffs SET state = 'acknowledged', reason = NULL, closed_at = ? WHERE id = ?"
    )
    .bind(now)
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Releases the lease of a handoff that a callback had acknowledged, now that its attempt has an outcome.
pub async fn release(tx: &mut Tx, id: HandoffId, reference: Option<&str>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE handoffs SET leased_until = NULL, reference = COALESCE(?, reference) WHERE id = ?"
    )
    .bind(reference.map(str::as_bytes))
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Schedules a retry at `due_at`, and releases the lease.
pub async fn wait(tx: &mut Tx, id: HandoffId, due_at: DateTime<Utc>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE handoffs SET state = 'waiting', due_at = ?, leased_until = NULL WHERE id = ?"
    )
    .bind(due_at)
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Invalidates every outstanding lease.
pub async fn raise_fence(tx: &mut Tx, id: HandoffId) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE handoffs SET fence = fence + 1 WHERE id = ?"
    )
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Undoes a claim: one attempt fewer, in the given state, due at the given time.
pub async fn put_back(
    tx: &mut Tx,
    id: HandoffId,
    state: HandoffState,
    due_at: DateTime<Utc>,
    why: &str,
) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query(
        "UPDATE handoffs SET state = ?, due_at = ?, error = ?, leased_until = NULL, attempts = attempts - 1 \
         WHERE id = ?"
    )
    .bind(state.as_str())
    .bind(due_at)
    .bind(shortened(why))
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}

/// Records that its integrator confirmed the order; an earlier confirmation is kept.
pub async fn confirm(tx: &mut Tx, id: HandoffId, now: DateTime<Utc>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE handoffs SET confirmed_at = ? WHERE id = ? AND confirmed_at IS NULL"
    )
    .bind(now)
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Returns whether a later handoff of the same order to the same integrator is waiting for this one.
pub async fn has_open_after(tx: &mut Tx, handoff: &Handoff) -> Result<bool> {
    let Some(order) = handoff.order_id else {
        return Ok(false);
    };
    let waiting: i64 = on!(tx, |conn| {
        sqlx::query_scalar(
        "SELECT COUNT(*) FROM handoffs WHERE order_id = ? AND integrator_id = ? AND position > ? \
         AND state IN ('due', 'waiting')"
    )
    .bind(order.uuid())
    .bind(handoff.integrator_id.uuid())
    .bind(handoff.position)
    .fetch_one(conn)
    .await?
    });
    Ok(waiting > 0)
}

/// Returns whether its integrator was sent something newer about its order, in any round.
pub async fn is_overtaken(tx: &mut Tx, handoff: &Handoff) -> Result<bool> {
    let Some(order) = handoff.order_id else {
        return Ok(false);
    };
    let newer: i64 = on!(tx, |conn| {
        sqlx::query_scalar(
        "SELECT COUNT(*) FROM handoffs l WHERE l.order_id = ? AND l.integrator_id = ? AND l.position > ? \
         AND (l.attempts > 0 OR (l.round > 1 AND (SELECT COUNT(*) FROM attempts a WHERE a.handoff_id = l.id) > 0))"
    )
    .bind(order.uuid())
    .bind(handoff.integrator_id.uuid())
    .bind(handoff.position)
    .fetch_one(conn)
    .await?
    });
    Ok(newer > 0)
}

/// Opens a new round of attempts, due at once.
pub async fn reopen(
    tx: &mut Tx,
    id: HandoffId,
    deadline: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query(
        "UPDATE handoffs SET state = 'due', round = round + 1, attempts = 0, due_at = ?, deadline = ?, reason = NULL, \
         error = NULL, claim_failures = 0, leased_until = NULL, closed_at = NULL WHERE id = ?"
    )
    .bind(now)
    .bind(deadline)
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}
