//! Queries of a worker's claim: due handoffs of one integrator, taken under a lease.

use chrono::{DateTime, Utc};

use super::{Stored, select};
use crate::{
    error::Result,
    execute,
    failures::{MAX_FAILURES, shortened},
    fetch_all, fetch_in, fetch_scalar,
    rows::Readable,
    tx::Tx,
};
use domain::ids::{HandoffId, IntegratorId, OrderId, SessionId};

/// A due handoff that no earlier one of the same order and integrator blocks, as read before any lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Candidate {
    pub id: HandoffId,
    pub order_id: Option<OrderId>,
    pub session_id: Option<SessionId>,
}

/// Returns at most `limit` candidates: first attempts before retries, each by due time. State `due` means first
/// attempts and `waiting` means retries, so that each half is one walk along `handoffs_of_integrator`.
pub async fn candidates(
    tx: &mut Tx,
    integrator: IntegratorId,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Candidate>> {
    let mut found: Vec<Candidate> = Vec::new();
    for state in ["due", "waiting"] {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let more: Vec<Candidate> = fetch_all!(
            tx,
            "SELECT h.id, h.order_id, o.session_id FROM handoffs h LEFT JOIN orders o ON o.id = h.order_id \
             WHERE h.integrator_id = ? AND h.state = ? AND h.due_at <= ? AND NOT EXISTS ( \
               SELECT 1 FROM handoffs e WHERE e.order_id = h.order_id AND e.integrator_id = h.integrator_id \
               AND e.position < h.position AND e.state NOT IN ('acknowledged', 'failed', 'withdrawn')) \
             ORDER BY h.due_at, h.id LIMIT ?",
            integrator,
            state,
            now,
            left
        );
        found.extend(more);
    }
    Ok(found)
}

/// Returns the handoff to use as a probe, if there is one: with the fewest attempts, then by due time. Those in the
/// state `due` have no attempts.
pub async fn probe_candidates(
    tx: &mut Tx,
    integrator: IntegratorId,
    now: DateTime<Utc>,
) -> Result<Vec<Candidate>> {
    for order_by in [BY_DUE_TIME, BY_ATTEMPTS] {
        let found: Vec<Candidate> = fetch_all!(tx, order_by, integrator, now);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

const BY_DUE_TIME: &str = "SELECT h.id, h.order_id, o.session_id FROM handoffs h LEFT JOIN orders o ON o.id = h.order_id \
     WHERE h.integrator_id = ? AND h.state = 'due' AND h.due_at <= ? AND NOT EXISTS ( \
       SELECT 1 FROM handoffs e WHERE e.order_id = h.order_id AND e.integrator_id = h.integrator_id \
       AND e.position < h.position AND e.state NOT IN ('acknowledged', 'failed', 'withdrawn')) \
     ORDER BY h.due_at, h.id LIMIT 1";
const BY_ATTEMPTS: &str = "SELECT h.id, h.order_id, o.session_id FROM handoffs h LEFT JOIN orders o ON o.id = h.order_id \
     WHERE h.integrator_id = ? AND h.state = 'waiting' AND h.due_at <= ? AND NOT EXISTS ( \
       SELECT 1 FROM handoffs e WHERE e.order_id = h.order_id AND e.integrator_id = h.integrator_id \
       AND e.position < h.position AND e.state NOT IN ('acknowledged', 'failed', 'withdrawn')) \
     ORDER BY h.attempts, h.due_at, h.id LIMIT 1";

/// Locks those handoffs that no other transaction has locked, by id.
pub async fn lock_available(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<Result<Stored>>> {
    // SQLite has neither FOR UPDATE nor a need for it: it has one writer.
    let end = tx.pick(") ORDER BY id FOR UPDATE SKIP LOCKED", ") ORDER BY id");
    let rows: Vec<Readable<Stored>> =
        fetch_in!(tx, select!("body, cause", "WHERE id IN ("), handoffs, end);
    Ok(rows.into_iter().map(|row| row.read).collect())
}

/// Returns those handoffs that an earlier one of the same order and integrator blocks.
pub async fn blocked(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<HandoffId>> {
    let blocked: Vec<(HandoffId,)> = fetch_in!(
        tx,
        "SELECT h.id FROM handoffs h WHERE EXISTS ( \
           SELECT 1 FROM handoffs e WHERE e.order_id = h.order_id AND e.integrator_id = h.integrator_id \
           AND e.position < h.position AND e.state NOT IN ('acknowledged', 'failed', 'withdrawn')) AND h.id IN (",
        handoffs,
        ")"
    );
    Ok(blocked.into_iter().map(|(id,)| id).collect())
}

/// Claims a locked handoff under a lease, as attempt number `attempts` of its round.
pub async fn claim(
    tx: &mut Tx,
    id: HandoffId,
    attempts: u32,
    fence: i64,
    leased_until: DateTime<Utc>,
    body: &[u8],
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET state = 'sending', attempts = ?, fence = ?, leased_until = ?, body = ?, \
         claim_failures = 0, error = NULL WHERE id = ?",
        attempts,
        fence,
        leased_until,
        body,
        id
    );
    Ok(())
}

/// Records a claim that failed because of the row itself, and defers the handoff until `not_before`; the fifth failure
/// parks it.
pub async fn record_claim_failure(
    tx: &mut Tx,
    id: HandoffId,
    error: &str,
    not_before: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET error = ?, due_at = ?, \
         state = CASE WHEN claim_failures + 1 >= ? THEN 'parked' ELSE state END, \
         claim_failures = claim_failures + 1 WHERE id = ? AND state IN ('due', 'waiting')",
        shortened(error),
        not_before,
        MAX_FAILURES,
        id
    );
    Ok(())
}

/// Records that an expired lease was not freed, as [`record_claim_failure`] does, and defers the handoff.
/// The fifth failure parks it and ends its lease, so that its former holder is fenced off; one that a callback has
/// acknowledged stays acknowledged. The attempt that was open under the lease is then `unknown`.
pub async fn record_release_failure(
    tx: &mut Tx,
    id: HandoffId,
    error: &str,
    not_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET error = ?, leased_until = CASE WHEN claim_failures + 1 >= ? THEN NULL ELSE ? END, \
         fence = CASE WHEN claim_failures + 1 >= ? THEN fence + 1 ELSE fence END, \
         state = CASE WHEN claim_failures + 1 >= ? AND state = 'sending' THEN 'parked' ELSE state END, \
         claim_failures = claim_failures + 1 WHERE id = ? AND leased_until IS NOT NULL",
        shortened(error),
        MAX_FAILURES,
        not_before,
        MAX_FAILURES,
        MAX_FAILURES,
        id
    );
    execute!(
        tx,
        "UPDATE attempts SET ended_at = ?, outcome = 'unknown', error = 'its worker was not heard of again' \
         WHERE handoff_id = ? AND outcome IS NULL \
         AND EXISTS (SELECT 1 FROM handoffs h WHERE h.id = ? AND h.leased_until IS NULL)",
        now,
        id,
        id
    );
    Ok(())
}

/// Records a failed withdrawal, as [`record_claim_failure`] does: the handoff is deferred, and the fifth failure parks it.
pub async fn record_withdrawal_failure(
    tx: &mut Tx,
    id: HandoffId,
    error: &str,
    not_before: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET error = ?, due_at = ?, \
         state = CASE WHEN claim_failures + 1 >= ? THEN 'parked' ELSE state END, \
         claim_failures = claim_failures + 1 WHERE id = ? AND state IN ('due', 'waiting', 'held', 'parked')",
        shortened(error),
        not_before,
        MAX_FAILURES,
        id
    );
    Ok(())
}

/// Returns when the integrator's next handoff falls due, not counting those that are due already.
pub async fn next_due_at(
    tx: &mut Tx,
    integrator: IntegratorId,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let mut next: Option<DateTime<Utc>> = None;
    for state in ["due", "waiting"] {
        let at: Option<DateTime<Utc>> = fetch_scalar!(
            tx,
            "SELECT MIN(due_at) FROM handoffs WHERE integrator_id = ? AND state = ? AND due_at > ?",
            integrator,
            state,
            now
        );
        next = match (next, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(next)
}
