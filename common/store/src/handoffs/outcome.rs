//! State changes of a handoff after an attempt, a callback or a person's decision.

use chrono::{DateTime, Utc};

use crate::{error::Result, execute, failures::shortened, fetch_scalar, tx::Tx};
use domain::{
    handoff::{Handoff, HandoffState},
    ids::{HandoffId, OrderId},
    integrator::HandoffEvent,
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
    execute!(
        tx,
        "UPDATE handoffs SET state = ?, reason = ?, closed_at = ?, leased_until = NULL WHERE id = ?",
        state,
        reason,
        closed_at,
        id
    );
    Ok(())
}

/// Marks a handoff as acknowledged by a response, and releases its lease; with `confirms`, also records that the order
/// is confirmed. An earlier confirmation is kept, and so is the reference unless there is a new one.
pub async fn acknowledge(
    tx: &mut Tx,
    id: HandoffId,
    reference: Option<&str>,
    confirms: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = 'acknowledged', reason = NULL, reference = COALESCE(?, reference), closed_at = ?, \
         confirmed_at = COALESCE(confirmed_at, ?), leased_until = NULL WHERE id = ?",
        reference.map(str::as_bytes),
        now,
        confirms.then_some(now),
        id
    );
    Ok(())
}

/// Marks a handoff as acknowledged by a callback. If an attempt is in flight, its lease stays until the outcome arrives
/// or the lease expires.
pub async fn acknowledge_by_callback(tx: &mut Tx, id: HandoffId, now: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = 'acknowledged', reason = NULL, closed_at = ? WHERE id = ?",
        now,
        id
    );
    Ok(())
}

/// Releases the lease of a handoff that a callback had acknowledged, now that its attempt has an outcome.
pub async fn release(tx: &mut Tx, id: HandoffId, reference: Option<&str>) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET leased_until = NULL, reference = COALESCE(?, reference) WHERE id = ?",
        reference.map(str::as_bytes),
        id
    );
    Ok(())
}

/// Schedules a retry at `due_at`, and releases the lease.
pub async fn schedule_retry(tx: &mut Tx, id: HandoffId, due_at: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = 'waiting', due_at = ?, leased_until = NULL WHERE id = ?",
        due_at,
        id
    );
    Ok(())
}

/// Records that the latest attempt does not count.
pub async fn count_off(tx: &mut Tx, id: HandoffId) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET uncounted = uncounted + 1 WHERE id = ?",
        id
    );
    Ok(())
}

/// Schedules a handoff whose integrator said "slow down" for the end of its pause, and releases the lease.
pub async fn postpone(
    tx: &mut Tx,
    id: HandoffId,
    state: HandoffState,
    due_at: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = ?, due_at = ?, leased_until = NULL WHERE id = ?",
        state,
        due_at,
        id
    );
    Ok(())
}

/// Invalidates every outstanding lease by a new fence.
pub async fn renew_fence(tx: &mut Tx, id: HandoffId, fence: i64) -> Result<()> {
    execute!(tx, "UPDATE handoffs SET fence = ? WHERE id = ?", fence, id);
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
    execute!(
        tx,
        "UPDATE handoffs SET state = ?, due_at = ?, error = ?, leased_until = NULL, attempts = attempts - 1 \
         WHERE id = ?",
        state,
        due_at,
        shortened(why),
        id
    );
    Ok(())
}

/// Records that its integrator confirmed the order; an earlier confirmation is kept.
pub async fn confirm(tx: &mut Tx, id: HandoffId, now: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET confirmed_at = ? WHERE id = ? AND confirmed_at IS NULL",
        now,
        id
    );
    Ok(())
}

/// Returns whether a later handoff of the same order to the same integrator is waiting for this one.
pub async fn has_open_after(tx: &mut Tx, handoff: &Handoff) -> Result<bool> {
    let Some(order) = handoff.order_id else {
        return Ok(false);
    };
    let waiting: i64 = fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id = ? AND integrator_id = ? AND position > ? \
         AND state IN ('due', 'waiting')",
        order,
        handoff.integrator_id,
        handoff.position
    );
    Ok(waiting > 0)
}

/// Returns whether its integrator was sent something newer about its order, in any round. News never overtake a
/// dispatch: as long as the order is on its way, somebody must bring it. It is sent after them.
pub async fn is_overtaken(tx: &mut Tx, handoff: &Handoff) -> Result<bool> {
    let order = handoff
        .order_id
        .filter(|_| handoff.event != HandoffEvent::OrderDispatched);
    let Some(order) = order else {
        return Ok(false);
    };
    let newer: i64 = fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM handoffs l /*! FORCE INDEX (order_id) */ WHERE l.order_id = ? AND l.integrator_id = ? AND l.position > ? \
         AND (l.attempts > 0 OR (l.round > 1 AND (SELECT COUNT(*) FROM attempts a WHERE a.handoff_id = l.id) > 0))",
        order,
        handoff.integrator_id,
        handoff.position
    );
    Ok(newer > 0)
}

/// Opens a new round of attempts at this position, due at once.
pub async fn reopen(
    tx: &mut Tx,
    id: HandoffId,
    position: i32,
    deadline: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = 'due', round = round + 1, attempts = 0, due_at = ?, deadline = ?, reason = NULL, \
         error = NULL, claim_failures = 0, leased_until = NULL, closed_at = NULL, uncounted = 0, position = ? \
         WHERE id = ?",
        now,
        deadline,
        position,
        id
    );
    Ok(())
}

/// Sets a new time for the first attempt of an order's handoffs that nobody has tried, with its deadline, and the
/// deadline of what is to be sent after it.
pub async fn reschedule(
    tx: &mut Tx,
    order: OrderId,
    due_at: DateTime<Utc>,
    deadline: DateTime<Utc>,
    later_deadline: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs /*! FORCE INDEX (order_id) */ SET \
         due_at = CASE WHEN event = 'order.placed' THEN ? ELSE due_at END, \
         deadline = CASE WHEN event = 'order.placed' THEN ? ELSE ? END \
         WHERE order_id = ? AND state = 'due' AND round = 1 AND attempts = 0",
        due_at,
        deadline,
        later_deadline,
        order
    );
    Ok(())
}
