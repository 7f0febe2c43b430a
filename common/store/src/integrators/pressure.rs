//! Pace of integrators that said "slow down", changed under the row's lock.

use crate::{
    error::Result,
    execute, for_update, read_in, read_optional,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{ids::IntegratorId, pressure::Pressure};

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

impl ReadRow for Pressure {
    const TABLE: &'static str = "integrators";

    fn read(row: &Row<'_>) -> Result<Self> {
        let known = row.parse_optional("pressure", |text: String| serde_json::from_str(&text))?;
        Ok(known.unwrap_or_default())
    }
}
