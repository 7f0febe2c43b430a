//! Queries of a worker's claim: due handoffs of one integrator, taken under a lease.

use chrono::{DateTime, Utc};

use super::{Stored, select};
use crate::{
    error::Result,
    execute,
    failures::{MAX_FAILURES, shortened},
    fetch_all, fetch_in, fetch_scalars,
    rows::{Readable, from_row},
    tx::Tx,
    update_many,
};
use domain::ids::{HandoffId, IntegratorId, OrderId, SessionId};

/// A due handoff that no earlier one of the same order and integrator blocks, as read before any lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: HandoffId,
    pub order_id: Option<OrderId>,
    pub session_id: Option<SessionId>,
}

from_row!(Candidate {
    id,
    order_id,
    session_id
});

/// `EXISTS` of an earlier handoff of the same order and integrator as `h` that is not closed yet. The index is named:
/// with other statistics, MariaDB walks all handoffs of the integrator for each `h` instead.
macro_rules! an_earlier_one_is_open {
    () => {
        "EXISTS (SELECT 1 FROM handoffs e /*! FORCE INDEX (order_id) */ WHERE e.order_id = h.order_id \
         AND e.integrator_id = h.integrator_id AND e.position < h.position \
         AND e.state NOT IN ('acknowledged', 'failed', 'withdrawn'))"
    };
}
pub(crate) use an_earlier_one_is_open;

/// States of handoffs that may be due, first attempts before retries: each is one walk along `handoffs_of_integrator`.
const CLAIMABLE: [&str; 2] = ["due", "waiting"];

/// Place in the order of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index into [`CLAIMABLE`].
    state: usize,
    due_at: DateTime<Utc>,
    id: HandoffId,
}

impl Place {
    /// Place before all candidates.
    pub const START: Self = Self::before(0);

    const fn before(state: usize) -> Self {
        Self {
            state,
            due_at: DateTime::UNIX_EPOCH,
            id: HandoffId::MIN,
        }
    }
}

struct Found {
    id: HandoffId,
    order_id: Option<OrderId>,
    session_id: Option<SessionId>,
    due_at: DateTime<Utc>,
}

from_row!(Found {
    id,
    order_id,
    session_id,
    due_at
});

/// Candidates of one look, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub candidates: Vec<Candidate>,
    /// Place after the last one; `None` if there are no more.
    pub next: Option<Place>,
}

/// Returns at most `limit` candidates after a place: first attempts before retries, each by due time.
pub async fn candidates(
    tx: &mut Tx,
    integrator: IntegratorId,
    now: DateTime<Utc>,
    after: Place,
    limit: u32,
) -> Result<Look> {
    let mut look = Look {
        candidates: Vec::new(),
        next: None,
    };
    for (at, state) in CLAIMABLE.iter().enumerate().skip(after.state) {
        let after = if at == after.state {
            after
        } else {
            Place::before(at)
        };
        let found = u32::try_from(look.candidates.len()).unwrap_or(u32::MAX);
        let left = limit.saturating_sub(found);
        let rows: Vec<Found> = fetch_all!(
            tx,
            concat!(
                "SELECT h.id, h.order_id, o.session_id, h.due_at \
                 FROM handoffs h /*! FORCE INDEX (handoffs_of_integrator) */ \
                 LEFT JOIN orders o /*! FORCE INDEX (PRIMARY) */ ON o.id = h.order_id \
                 WHERE h.integrator_id = ? AND h.state = ? AND h.due_at >= ? AND h.due_at <= ? \
                 AND (h.due_at > ? OR h.id > ?) AND NOT ",
                an_earlier_one_is_open!(),
                " ORDER BY h.due_at, h.id LIMIT ?"
            ),
            integrator,
            *state,
            after.due_at,
            now,
            after.due_at,
            after.id,
            left
        );
        let is_full = rows.len() >= left as usize;
        look.next = rows.last().map(|last| Place {
            state: at,
            due_at: last.due_at,
            id: last.id,
        });
        let candidates = rows.into_iter().map(|found| Candidate {
            id: found.id,
            order_id: found.order_id,
            session_id: found.session_id,
        });
        look.candidates.extend(candidates);
        if is_full {
            return Ok(look);
        }
    }
    look.next = None;
    Ok(look)
}

/// Returns the test that a person sent first, if one is due. Tests have no order, and so nothing to wait for. An
/// integrator has few tests, but may have very many due handoffs.
pub async fn due_tests(
    tx: &mut Tx,
    integrator: IntegratorId,
    now: DateTime<Utc>,
) -> Result<Vec<Candidate>> {
    Ok(fetch_all!(
        tx,
        "SELECT id, order_id, NULL AS session_id FROM handoffs /*! FORCE INDEX (order_id) */ \
         WHERE order_id IS NULL AND integrator_id = ? AND state = 'due' AND due_at <= ? ORDER BY id LIMIT 1",
        integrator,
        now
    ))
}

/// Locks those handoffs that no other transaction has locked, by id.
pub async fn lock_available(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<Result<Stored>>> {
    // SQLite has neither FOR UPDATE nor a need for it: it has one writer.
    let end = tx.pick(") ORDER BY id FOR UPDATE SKIP LOCKED", ") ORDER BY id");
    let rows: Vec<Readable<Stored>> = fetch_in!(
        tx,
        select!("body, cause", "/*! FORCE INDEX (PRIMARY) */ WHERE id IN ("),
        handoffs,
        end
    );
    Ok(rows.into_iter().map(|row| row.read).collect())
}

/// Returns those handoffs that an earlier one of the same order and integrator blocks.
pub async fn blocked(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<HandoffId>> {
    let blocked: Vec<(HandoffId,)> = fetch_in!(
        tx,
        concat!(
            "SELECT h.id FROM handoffs h /*! FORCE INDEX (PRIMARY) */ WHERE ",
            an_earlier_one_is_open!(),
            " AND h.id IN ("
        ),
        handoffs,
        ")"
    );
    Ok(blocked.into_iter().map(|(id,)| id).collect())
}

/// Maximum total length of the bodies that one statement writes, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// A claim of a locked handoff, as attempt number `attempts` of its round.
#[derive(Clone, Debug)]
pub struct NewClaim {
    pub id: HandoffId,
    pub attempts: u32,
    pub fence: i64,
    pub leased_until: DateTime<Utc>,
    /// Body of the request; `None` if it was fixed before.
    pub body: Option<Vec<u8>>,
}

/// Claims locked handoffs under their leases.
pub async fn claim(tx: &mut Tx, mut claims: &[NewClaim]) -> Result<()> {
    while !claims.is_empty() {
        let (some, rest) = claims.split_at(count_within(claims, MAX_BODY_BYTES));
        claims = rest;
        update_many!(
            tx,
            "id",
            "UPDATE handoffs /*! FORCE INDEX (PRIMARY) */ SET state = 'sending', claim_failures = 0, error = NULL, ",
            some,
            |row| row.id,
            [
                "attempts = " row.attempts, ", ";
                "fence = " row.fence, ", ";
                "leased_until = " row.leased_until, ", ";
                "body = COALESCE(body, " row.body.as_deref(), ") WHERE id IN (";
            ]
        );
    }
    Ok(())
}

/// Returns how many of the claims, from the first, have bodies of at most so many bytes together; at least one.
fn count_within(claims: &[NewClaim], max_bytes: usize) -> usize {
    let mut bytes = 0;
    let fits = claims.iter().take_while(|claim| {
        bytes += claim.body.as_ref().map_or(0, Vec::len);
        bytes <= max_bytes
    });
    fits.count().max(1)
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
/// The fifth failure parks it and ends its lease, and its former holder is fenced off by `fence`; one that a callback has
/// acknowledged stays acknowledged. The attempt that was open under the lease is then `unknown`.
pub async fn record_release_failure(
    tx: &mut Tx,
    id: HandoffId,
    error: &str,
    not_before: DateTime<Utc>,
    now: DateTime<Utc>,
    fence: i64,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE handoffs SET error = ?, leased_until = CASE WHEN claim_failures + 1 >= ? THEN NULL ELSE ? END, \
         fence = CASE WHEN claim_failures + 1 >= ? THEN ? ELSE fence END, \
         state = CASE WHEN claim_failures + 1 >= ? AND state = 'sending' THEN 'parked' ELSE state END, \
         claim_failures = claim_failures + 1 WHERE id = ? AND leased_until IS NOT NULL",
        shortened(error),
        MAX_FAILURES,
        not_before,
        MAX_FAILURES,
        fence,
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
    macro_rules! first_in {
        ($state:literal) => {
            concat!(
                "SELECT MIN(due_at) AS due_at FROM handoffs /*! FORCE INDEX (handoffs_of_integrator) */ \
                 WHERE integrator_id = ? AND state = '",
                $state,
                "' AND due_at > ?"
            )
        };
    }
    let firsts: Vec<Option<DateTime<Utc>>> = fetch_scalars!(
        tx,
        concat!(first_in!("due"), " UNION ALL ", first_in!("waiting")),
        integrator,
        now,
        integrator,
        now
    );
    Ok(firsts.into_iter().flatten().min())
}
