//! Records of people's changes, newest first.

mod trail;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    error::Result,
    execute,
    explain::QueryOutput,
    fetch_optional_scalar, insert_many, push_ids,
    rows::{ReadRow, Readable, Row, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::{RecordId, StoreId, min_id_at},
    record::{Action, Record},
};

pub(crate) use self::trail::read;
pub use self::trail::{TrailFilter, TrailPage, trail};

/// `SELECT` of a record's columns.
macro_rules! columns {
    () => {
        "SELECT id, store_id, subject, subject_id, action, at, actor, address, fields FROM changes WHERE "
    };
}
use columns;

/// A choice of records. Fields that are `None` restrict nothing.
#[derive(Clone, Debug, Default)]
pub struct RecordFilter {
    pub stores: Option<Vec<StoreId>>,
    /// Id of what was changed.
    pub subject: Option<Uuid>,
}

/// The part that one statement reads, along one index.
#[derive(Clone, Copy, Debug)]
enum Walk {
    All,
    OfStore(StoreId),
    OfSubject(Uuid),
}

pub async fn insert(tx: &mut Tx, records: &[Record]) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO changes (id, store_id, subject, subject_id, action, at, actor, actor_id, address, fields) ",
        records,
        |push, record| push
            .push_bind(record.id)
            .push_bind(record.store_id)
            .push_bind(record.subject)
            .push_bind(record.subject_id)
            .push_bind(record.action)
            .push_bind(record.at)
            .push_bind(Json(&record.actor))
            .push_bind(record.actor.id)
            .push_bind(record.address.as_deref())
            .push_bind(Json(&record.fields))
    );
    Ok(())
}

/// Deletes the oldest records from before a time, at most `limit`; returns how many.
pub async fn prune(tx: &mut Tx, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    // SQLite is built without LIMIT for DELETE.
    let sql = tx.pick(
        "DELETE FROM changes WHERE id < ? ORDER BY id LIMIT ?",
        "DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE id < ? ORDER BY id LIMIT ?)",
    );
    Ok(execute!(tx, sql, min_id_at(before), limit))
}

/// Returns true if a thing has a record of this action since a time.
pub async fn has(tx: &mut Tx, subject: Uuid, action: Action, since: DateTime<Utc>) -> Result<bool> {
    let found: Option<RecordId> = fetch_optional_scalar!(
        tx,
        "SELECT id FROM changes /*! FORCE INDEX (changes_of_subject) */ \
         WHERE subject_id = ? AND id >= ? AND action = ? LIMIT 1",
        subject,
        min_id_at(since),
        action
    );
    Ok(found.is_some())
}

/// Returns at most `limit` records, newest first, that are older than `before`.
pub async fn list(
    tx: &mut Tx,
    filter: &RecordFilter,
    before: Option<RecordId>,
    limit: u32,
) -> Result<Vec<Record>> {
    let mut found: Vec<Record> = Vec::new();
    for walk in walks(filter) {
        let rows: Vec<Readable<Record>> = run_walk(tx, filter, walk, before, limit).await?;
        let read: Vec<Record> = read_rows(rows)?;
        found.extend(read);
    }
    found.sort_by_key(|record| std::cmp::Reverse(record.id));
    found.truncate(limit as usize);
    Ok(found)
}

fn walks(filter: &RecordFilter) -> Vec<Walk> {
    match (filter.subject, &filter.stores) {
        (Some(subject), _) => vec![Walk::OfSubject(subject)],
        (None, Some(stores)) => stores.iter().copied().map(Walk::OfStore).collect(),
        (None, None) => vec![Walk::All],
    }
}

async fn run_walk<A: QueryOutput>(
    tx: &mut Tx,
    filter: &RecordFilter,
    walk: Walk,
    before: Option<RecordId>,
    limit: u32,
) -> Result<Vec<A>> {
    let sql_prefix = A::sql_prefix(tx);
    let mut query = Statement::new(tx, sql_prefix);
    query.push(columns!()).push("id < ");
    query.push_bind(before.unwrap_or(RecordId::MAX));
    match walk {
        Walk::All => {}
        Walk::OfStore(store) => {
            query.push(" AND store_id = ").push_bind(store);
        }
        Walk::OfSubject(subject) => {
            query.push(" AND subject_id = ").push_bind(subject);
            if let Some(stores) = &filter.stores {
                query.push(" AND store_id IN (");
                push_ids(&mut query, stores);
                query.push(")");
            }
        }
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query.fetch_all::<A>(tx).await
}

impl ReadRow for Record {
    const TABLE: &'static str = "changes";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            store_id: row.get("store_id")?,
            subject: row.get("subject")?,
            subject_id: row.get("subject_id")?,
            action: row.get("action")?,
            at: row.get("at")?,
            actor: row.get("actor").map(|Json(actor)| actor)?,
            address: row.get("address")?,
            fields: row.get("fields").map(|Json(fields)| fields)?,
        })
    }
}
