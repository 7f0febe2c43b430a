//! The outbox: announcements that are committed but not yet confirmed by the broker.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    error::Result,
    execute, execute_in,
    failures::{MAX_FAILURES, shortened},
    fetch_all, fetch_one, fetch_optional, insert_many, skip_locked,
    tx::Tx,
};
use domain::{hint::Announcement, ids::OutboxId};

/// The announcement of one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    pub id: OutboxId,
    pub announcement: Announcement,
}

pub async fn insert(
    tx: &mut Tx,
    rows: &[OutboxRow],
    not_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO outbox (id, announcement, not_before, failures, parked, created_at) ",
        rows,
        |push, row| push
            .push_bind(row.id)
            .push_bind(Json(&row.announcement))
            .push_bind(not_before)
            .push_bind(0_i32)
            .push_bind(false)
            .push_bind(now)
    );
    Ok(())
}

/// Claims rows that are due and that nobody else is claiming, oldest first, and moves their `not_before`, so that
/// nobody else sends them for a while.
pub async fn claim(
    tx: &mut Tx,
    due: DateTime<Utc>,
    not_before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<OutboxRow>> {
    let sql = skip_locked!(
        tx,
        "SELECT id, announcement FROM outbox /*! FORCE INDEX (outbox_due) */ \
         WHERE parked = FALSE AND not_before <= ? ORDER BY not_before LIMIT ?"
    );
    let rows: Vec<(OutboxId, Json<Value>)> = fetch_all!(tx, sql, due, limit);
    let ids: Vec<OutboxId> = rows.iter().map(|(id, _)| *id).collect();
    execute_in!(tx, "UPDATE outbox SET not_before = ", not_before, " WHERE id IN ("; &ids);
    let mut claimed = Vec::with_capacity(rows.len());
    for (id, Json(announcement)) in rows {
        match serde_json::from_value(announcement) {
            Ok(announcement) => claimed.push(OutboxRow { id, announcement }),
            // A row that no version of this program wrote must not stop the others.
            Err(error) => record_failure(tx, id, &error.to_string()).await?,
        }
    }
    Ok(claimed)
}

pub async fn delete(tx: &mut Tx, ids: &[OutboxId]) -> Result<()> {
    for chunk in super::bulk::chunks(ids) {
        execute_in!(tx, "DELETE FROM outbox WHERE id IN ("; chunk);
    }
    Ok(())
}

/// Records a failed publish; the fifth failure parks the row.
pub async fn record_failure(tx: &mut Tx, id: OutboxId, error: &str) -> Result<()> {
    execute!(
        tx,
        "UPDATE outbox SET error = ?, parked = (failures + 1 >= ?), failures = failures + 1 WHERE id = ?",
        shortened(error),
        MAX_FAILURES,
        id
    );
    Ok(())
}

/// Maximum number of waiting rows that are counted; the count is "at least" this many if it is this many.
pub const MAX_COUNTED: i64 = 10_000;

/// `SELECT` of the number of waiting rows, at most [`MAX_COUNTED`], as `waiting`.
macro_rules! count_waiting {
    () => {
        "SELECT COUNT(*) AS waiting FROM (SELECT 1 AS one FROM outbox /*! FORCE INDEX (outbox_due) */ \
         WHERE parked = FALSE LIMIT 10000) c"
    };
}

/// `SELECT` of the waiting row that was written first. Ids ascend with time, and few rows are parked: the plus sign
/// keeps SQLite from reading all the others along `outbox_due`, too.
macro_rules! oldest_waiting {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM outbox /*! FORCE INDEX (PRIMARY) */ WHERE +parked = FALSE ORDER BY id LIMIT 1"
        )
    };
}
pub(crate) use {count_waiting, oldest_waiting};

/// Returns how many rows are waiting, at most [`MAX_COUNTED`], and since when the oldest has been.
pub async fn backlog(tx: &mut Tx) -> Result<(i64, Option<DateTime<Utc>>)> {
    Ok(fetch_one!(
        tx,
        concat!(
            "SELECT w.waiting, (",
            oldest_waiting!("created_at"),
            ") FROM (",
            count_waiting!(),
            ") w"
        )
    ))
}

/// Returns the row that was written first, parked or not, and its time.
pub async fn oldest(tx: &mut Tx) -> Result<Option<(OutboxId, DateTime<Utc>)>> {
    Ok(fetch_optional!(
        tx,
        "SELECT id, created_at FROM outbox /*! FORCE INDEX (PRIMARY) */ ORDER BY id LIMIT 1"
    ))
}
