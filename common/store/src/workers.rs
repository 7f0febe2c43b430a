//! Running workers, as they register themselves.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{error::Result, on, tx::Tx};
use domain::{ids::WorkerId, sharing::Member};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    label: String,
    started_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
}

/// Updates a worker's row; `false` if it has none.
pub async fn seen(tx: &mut Tx, member: &Member) -> Result<bool> {
    Ok(on!(tx, |conn| {
        sqlx::query("UPDATE workers SET label = ?, started_at = ?, seen_at = ? WHERE id = ?")
            .bind(&member.label)
            .bind(member.started_at)
            .bind(member.seen_at)
            .bind(member.id.uuid())
            .execute(conn)
            .await?
            .rows_affected()
    }) == 1)
}

pub async fn insert(tx: &mut Tx, member: &Member) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query("INSERT INTO workers (id, label, started_at, seen_at) VALUES (?, ?, ?, ?)")
            .bind(member.id.uuid())
            .bind(&member.label)
            .bind(member.started_at)
            .bind(member.seen_at)
            .execute(conn)
            .await?
            .rows_affected()
    });
    Ok(())
}

/// Returns all workers by id, including dead ones that are not pruned yet.
pub async fn all(tx: &mut Tx) -> Result<Vec<Member>> {
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(
        "SELECT id, label, started_at, seen_at FROM workers ORDER BY id"
    )
    .fetch_all(conn)
    .await?);
    Ok(rows.into_iter().map(Member::from).collect())
}

pub async fn delete(tx: &mut Tx, id: WorkerId) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query("DELETE FROM workers WHERE id = ?")
            .bind(id.uuid())
            .execute(conn)
            .await?
            .rows_affected()
    });
    Ok(())
}

/// Deletes the workers that were last seen at or before `seen_before`, and returns how many.
pub async fn prune(tx: &mut Tx, seen_before: DateTime<Utc>) -> Result<u64> {
    Ok(on!(tx, |conn| {
        sqlx::query("DELETE FROM workers WHERE seen_at <= ?")
            .bind(seen_before)
            .execute(conn)
            .await?
            .rows_affected()
    }))
}

impl From<Row> for Member {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            label: row.label,
            started_at: row.started_at,
            seen_at: row.seen_at,
        }
    }
}
