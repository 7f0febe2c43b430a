//! Running workers, as they register themselves.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    error::Result,
    execute, read_all,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    ids::{IntegratorId, WorkerId},
    sharing::Member,
};

/// Returns the column's value: `NULL` unless it is behind.
fn lags(member: &Member) -> Option<Json<&Vec<(IntegratorId, u32)>>> {
    (!member.lags.is_empty()).then_some(Json(&member.lags))
}

/// Updates a worker's row; `false` if it has none.
pub async fn update(tx: &mut Tx, member: &Member) -> Result<bool> {
    Ok(execute!(
        tx,
        "UPDATE workers SET label = ?, started_at = ?, seen_at = ?, lags = ? WHERE id = ?",
        &member.label,
        member.started_at,
        member.seen_at,
        lags(member),
        member.id
    ) == 1)
}

pub async fn insert(tx: &mut Tx, member: &Member) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO workers (id, label, started_at, seen_at, lags) VALUES (?, ?, ?, ?, ?)",
        member.id,
        &member.label,
        member.started_at,
        member.seen_at,
        lags(member)
    );
    Ok(())
}

/// Returns all workers by id, including dead ones that are not pruned yet.
pub async fn all(tx: &mut Tx) -> Result<Vec<Member>> {
    Ok(read_all!(
        tx,
        "SELECT id, label, started_at, seen_at, lags FROM workers ORDER BY id"
    ))
}

pub async fn delete(tx: &mut Tx, id: WorkerId) -> Result<()> {
    execute!(tx, "DELETE FROM workers WHERE id = ?", id);
    Ok(())
}

/// Deletes the workers that were last seen at or before `seen_before`, and returns how many.
pub async fn prune(tx: &mut Tx, seen_before: DateTime<Utc>) -> Result<u64> {
    Ok(execute!(
        tx,
        "DELETE FROM workers WHERE seen_at <= ?",
        seen_before
    ))
}

impl ReadRow for Member {
    const TABLE: &'static str = "workers";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            label: row.get("label")?,
            started_at: row.get("started_at")?,
            seen_at: row.get("seen_at")?,
            lags: row
                .get::<Option<Json<_>>>("lags")?
                .map_or_else(Vec::new, |Json(lags)| lags),
        })
    }
}
