//! Listeners: integrators whose handoffs are claimed over the API, for as long as somebody listens.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{error::Result, execute, fetch_in, fetch_scalars, tx::Tx};
use domain::{
    ids::IntegratorId,
    integrator::{Format, HandoffEvent},
};

/// Keeps a listener that is not archived until the given time; `false` if there is none.
pub async fn renew_listener(tx: &mut Tx, id: IntegratorId, until: DateTime<Utc>) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE integrators SET listens_until = ? WHERE id = ? AND archived_at IS NULL AND listens_until IS NOT NULL",
        until,
        id
    );
    Ok(changed == 1)
}

/// Does the same, and changes what it is sent from now on.
pub async fn resume_listener(
    tx: &mut Tx,
    id: IntegratorId,
    format: Format,
    events: &[HandoffEvent],
    until: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrators SET format = ?, events = ?, listens_until = ?, version = version + 1 \
         WHERE id = ? AND archived_at IS NULL AND listens_until IS NOT NULL",
        format,
        Json(events),
        until,
        id
    );
    Ok(())
}

/// Returns listeners that were not heard of until now and are not archived.
pub async fn expired_listeners(
    tx: &mut Tx,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<IntegratorId>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT id FROM integrators WHERE listens_until <= ? AND archived_at IS NULL LIMIT ?",
        now,
        limit
    ))
}

/// Returns those of these integrators that are listeners, archived or not.
pub async fn listeners_among(tx: &mut Tx, ids: &[IntegratorId]) -> Result<Vec<IntegratorId>> {
    let found: Vec<(IntegratorId,)> = fetch_in!(
        tx,
        "SELECT id FROM integrators WHERE listens_until IS NOT NULL AND id IN (",
        ids,
        ")"
    );
    Ok(found.into_iter().map(|(id,)| id).collect())
}
