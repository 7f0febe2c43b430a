//! The outbox: announcements that are committed but not yet confirmed by the broker.
//!
//! A row names its events, which the same transaction writes: most rows are deleted and never read, because the process
//! that committed them publishes what it has in memory (docs/adr/0097-an-event-is-stored-once.md).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    error::Result,
    execute, execute_in,
    failures::{MAX_FAILURES, shortened},
    fetch_all, fetch_one, fetch_optional, insert_many, skip_locked,
    tx::Tx,
};
use domain::{
    event::Event,
    hint::{Announcement, Hint},
    ids::{OrderId, OutboxId, StreamId},
};

/// The announcement of one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    pub id: OutboxId,
    pub announcement: Announcement,
}

/// An announcement as this version writes it.
#[derive(Serialize)]
struct Written<'a> {
    /// For the previous release, which announces the hints of such a row, and deletes it.
    events: [Event; 0],
    hints: &'a [Hint],
    named: Vec<Name>,
}

/// An announcement as this version or the previous one has written it.
#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    announcement: Announcement,
    #[serde(default)]
    named: Vec<Name>,
}

/// The name of an event.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Name {
    stream: StreamId,
    seq: i64,
    /// An erasure looks for its order's.
    order: Option<OrderId>,
}

impl<'a> Written<'a> {
    fn of(announcement: &'a Announcement) -> Self {
        let name = |event: &Event| Name {
            stream: event.stream,
            seq: event.seq,
            order: event.order_id,
        };
        Self {
            events: [],
            hints: &announcement.hints,
            named: announcement.events.iter().map(name).collect(),
        }
    }
}

/// Writes rows. Their events are written too, by [`crate::events::insert`].
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
            .push_bind(Json(Written::of(&row.announcement)))
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
    let mut readable = Vec::with_capacity(rows.len());
    for (id, Json(announcement)) in rows {
        match serde_json::from_value(announcement) {
            Ok(read) => readable.push((id, read)),
            // A row that no version of this program wrote must not stop the others.
            Err(error) => record_failure(tx, id, &error.to_string()).await?,
        }
    }
    with_events(tx, readable).await
}

/// Reads the events that these rows name. One that retention has deleted meanwhile is not announced.
async fn with_events(tx: &mut Tx, rows: Vec<(OutboxId, Read)>) -> Result<Vec<OutboxRow>> {
    match events_of(tx, &rows).await {
        Err(error) if error.is_row_fault() => {}
        found => return Ok(complete(rows, found?)),
    }
    // One by one, so that an event that can't be read fails its row only.
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let row = [row];
        match events_of(tx, &row).await {
            Err(error) if error.is_row_fault() => {
                record_failure(tx, row[0].0, &error.public_message()).await?;
            }
            found => claimed.extend(complete(row, found?)),
        }
    }
    Ok(claimed)
}

async fn events_of(
    tx: &mut Tx,
    rows: &[(OutboxId, Read)],
) -> Result<HashMap<(StreamId, i64), Event>> {
    let names = rows.iter().flat_map(|(_, read)| &read.named);
    let names: Vec<(StreamId, i64)> = names.map(|name| (name.stream, name.seq)).collect();
    let found = crate::events::named(tx, &names).await?;
    let by_name = found
        .into_iter()
        .map(|event| ((event.stream, event.seq), event));
    Ok(by_name.collect())
}

/// Gives each row its events, in the order in which it names them.
fn complete(
    rows: impl IntoIterator<Item = (OutboxId, Read)>,
    mut events: HashMap<(StreamId, i64), Event>,
) -> Vec<OutboxRow> {
    let complete = |(id, read): (OutboxId, Read)| {
        let mut announcement = read.announcement;
        let named = read.named.iter();
        announcement
            .events
            .extend(named.filter_map(|name| events.remove(&(name.stream, name.seq))));
        OutboxRow { id, announcement }
    };
    rows.into_iter().map(complete).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noon;
    use domain::event::EventKind;
    use platform::chance::Chance;

    #[test]
    fn the_previous_release_reads_a_row_as_its_hints() {
        let chance = Chance::seeded(1);
        let order: OrderId = chance.id(noon());
        let announcement = Announcement {
            events: vec![Event {
                stream: order.into(),
                seq: 7,
                store_id: chance.id(noon()),
                order_id: Some(order),
                kind: EventKind::OrderPlaced,
                at: noon(),
                actor: None,
                data: Value::Null,
            }],
            hints: vec![Hint::Accept { order }],
        };
        let written = serde_json::to_value(Written::of(&announcement)).unwrap();
        let hints_only = Announcement {
            events: Vec::new(),
            hints: announcement.hints.clone(),
        };
        assert_eq!(
            serde_json::from_value::<Announcement>(written.clone()).unwrap(),
            hints_only
        );
        let read: Read = serde_json::from_value(written).unwrap();
        let names: Vec<_> = read
            .named
            .iter()
            .map(|name| (name.stream, name.seq, name.order))
            .collect();
        assert_eq!(names, [(order.into(), 7, Some(order))]);
    }
}
