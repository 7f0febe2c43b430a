//! The look for integrators that could be sent something now.

use chrono::{DateTime, Utc};

use crate::{
    error::Result, fetch_optional_scalar, fetch_scalars, handoffs::an_earlier_one_is_open, tx::Tx,
};
use domain::ids::IntegratorId;

/// Maximum integrators that one search for due work examines: two seeks each, and each worker may sweep once a second.
const MAX_EXAMINED: u32 = 2048;

/// Integrators that could be sent something now, among those examined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueWork {
    /// Ordered by id.
    pub integrators: Vec<IntegratorId>,
    /// Integrator after which the next search continues; `None` if there are no more.
    pub continue_after: Option<IntegratorId>,
}

/// `SELECT` of one due handoff of integrator `i`, found along an index past all that are closed. A scalar instead of an
/// `EXISTS`, which MySQL 9 may answer by collecting the due handoffs of all integrators first.
macro_rules! one_due {
    ($state:literal) => {
        concat!(
            "(SELECT 1 FROM handoffs h /*! FORCE INDEX (handoffs_of_integrator) */ WHERE h.integrator_id = i.id \
             AND h.state = '",
            $state,
            "' AND h.due_at <= ? AND NOT ",
            an_earlier_one_is_open!(),
            " LIMIT 1) = 1"
        )
    };
}

const WITH_DUE_WORK: &str = concat!(
    "SELECT i.id FROM integrators i /*! FORCE INDEX (PRIMARY) */ WHERE i.id > ? AND i.id <= ? AND i.enabled = TRUE \
     AND i.archived_at IS NULL AND i.listens_until IS NULL AND i.given_up_because IS NULL AND (i.breaker_state = 'closed' OR i.breaker_until <= ?) \
     AND (",
    one_due!("due"),
    " OR ",
    one_due!("waiting"),
    ") ORDER BY i.id LIMIT ?"
);

/// Returns enabled integrators after `after` that have a claimable handoff and are not paused by their breaker. Leaves
/// out listeners, which no worker sends to.
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
    let integrators: Vec<IntegratorId> = fetch_scalars!(
        tx,
        WITH_DUE_WORK,
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
