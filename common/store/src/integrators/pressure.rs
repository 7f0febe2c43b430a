//! Pace of integrators that said "slow down", changed under the row's lock.

use chrono::{DateTime, Utc};

use crate::{
    error::Result,
    execute, for_update, read_in, read_optional,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    breaker::Breaker, ids::IntegratorId, integrator::DisableReason, pressure::Pressure,
    sharing::Limits, waiting::Traffic,
};

/// Returns the paces of these integrators, in no particular order.
pub async fn pressures(
    tx: &mut Tx,
    integrators: &[IntegratorId],
) -> Result<Vec<(IntegratorId, Pressure)>> {
    Ok(read_in!(
        tx,
        "SELECT id, pressure FROM integrators WHERE id IN (",
        integrators,
        ")"
    ))
}

/// Returns what decides about requests to these integrators, archived or not, in no particular order, with no requests
/// under way. Reads none of their other columns: one that can't be read would hide a list of handoffs.
pub async fn traffic(
    tx: &mut Tx,
    integrators: &[IntegratorId],
) -> Result<Vec<(IntegratorId, Traffic)>> {
    Ok(read_in!(
        tx,
        "SELECT id, concurrency, rate_per_s, enabled, given_up_because, archived_at, breaker_state, breaker_until, \
         breaker_probe, breaker_openings, failures_in_a_row, failing_since, failing_handoffs, pressure \
         FROM integrators WHERE id IN (",
        integrators,
        ")"
    ))
}

/// Locks an integrator's row and returns its pace.
pub async fn lock_pressure(tx: &mut Tx, id: IntegratorId) -> Result<Option<Pressure>> {
    let sql = for_update!(tx, "SELECT id, pressure FROM integrators WHERE id = ?");
    Ok(read_optional!(tx, sql, id))
}

/// Writes the pace of a locked row.
pub async fn write_pressure(tx: &mut Tx, id: IntegratorId, pressure: &Pressure) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrators SET pressure = ? WHERE id = ?",
        to_text(pressure),
        id
    );
    Ok(())
}

/// Returns the pace as it is stored; `None` if nothing is known.
pub(super) fn to_text(pressure: &Pressure) -> Option<String> {
    (!pressure.is_none())
        .then(|| serde_json::to_string(pressure).expect("a pace has text keys only"))
}

impl ReadRow for (IntegratorId, Pressure) {
    const TABLE: &'static str = Pressure::TABLE;

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok((row.get("id")?, Pressure::read(row)?))
    }
}

impl ReadRow for (IntegratorId, Traffic) {
    const TABLE: &'static str = Pressure::TABLE;

    fn read(row: &Row<'_>) -> Result<Self> {
        let given_up: Option<DisableReason> = row.get("given_up_because")?;
        let archived_at: Option<DateTime<Utc>> = row.get("archived_at")?;
        let traffic = Traffic {
            is_sent_to: row.get::<bool>("enabled")? && given_up.is_none() && archived_at.is_none(),
            limits: Limits {
                concurrency: row.count("concurrency")?,
                rate_per_s: row.parse_optional("rate_per_s", |rate: i64| rate.try_into())?,
            },
            breaker: Breaker::read(row)?,
            pressure: Pressure::read(row)?,
            in_flight: 0,
        };
        Ok((row.get("id")?, traffic))
    }
}

impl ReadRow for Pressure {
    const TABLE: &'static str = "integrators";

    fn read(row: &Row<'_>) -> Result<Self> {
        let known = row.parse_optional("pressure", |text: String| serde_json::from_str(&text))?;
        Ok(known.unwrap_or_default())
    }
}
