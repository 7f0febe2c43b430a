//! Retries by people: who, when, what matched their filter, and which rounds they opened.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    error::Result,
    execute,
    explain::QueryOutput,
    read_in,
    rows::{ReadRow, Readable, Row, optional_text, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::{AccountId, HandoffId, RetryId, StoreId},
    retry::{Retry, Round},
};

/// A retry to insert.
#[derive(Clone, Debug)]
pub struct NewRetry<'a> {
    pub id: RetryId,
    pub by: AccountId,
    /// Set if it is about one store.
    pub store: Option<StoreId>,
    pub filter: &'a Value,
    pub started_at: DateTime<Utc>,
}

/// Progress of a retry.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub matched: u32,
    pub retried: u32,
    pub refused: &'a BTreeMap<&'static str, u32>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// A choice of retries by store and account.
#[derive(Clone, Debug)]
pub enum RetryScope {
    Everyone,
    /// Retries about one of these stores, and those by this account.
    Of(Vec<StoreId>, AccountId),
}

/// The part that one statement reads, along one index.
#[derive(Clone, Copy, Debug)]
pub enum Walk {
    All,
    One(RetryId),
    OfStore(StoreId),
    By(AccountId),
}

pub async fn insert(tx: &mut Tx, new: NewRetry<'_>) -> Result<()> {
    let nothing: BTreeMap<&str, u32> = BTreeMap::new();
    execute!(
        tx,
        "INSERT INTO retries (id, account_id, store_id, filter, matched, retried, refused, started_at) \
         VALUES (?, ?, ?, ?, 0, 0, ?, ?)",
        new.id,
        new.by,
        new.store,
        Json(new.filter),
        Json(&nothing),
        new.started_at
    );
    Ok(())
}

pub async fn update_progress(tx: &mut Tx, id: RetryId, now: Progress<'_>) -> Result<()> {
    execute!(
        tx,
        "UPDATE retries SET matched = ?, retried = ?, refused = ?, finished_at = ? WHERE id = ?",
        now.matched,
        now.retried,
        Json(now.refused),
        now.finished_at,
        id
    );
    Ok(())
}

/// Records who opened a round manually. The handoff is locked, and the round is its newest.
pub async fn insert_round(
    tx: &mut Tx,
    handoff: HandoffId,
    round: u32,
    retry: RetryId,
    by: AccountId,
    opened_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO handoff_rounds (handoff_id, round, retry_id, account_id, opened_at, due_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
        handoff,
        round,
        retry,
        by,
        opened_at,
        due_at
    );
    Ok(())
}

/// Returns the manually opened rounds of these handoffs, in order.
pub async fn rounds_of(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<(HandoffId, Round)>> {
    Ok(read_in!(
        tx,
        "SELECT r.handoff_id, r.round, r.retry_id, r.account_id, a.username, r.opened_at, r.due_at \
             FROM handoff_rounds r LEFT JOIN accounts a ON a.id = r.account_id WHERE r.handoff_id IN (",
        handoffs,
        ") ORDER BY r.handoff_id, r.round"
    ))
}

pub async fn get(tx: &mut Tx, id: RetryId) -> Result<Option<Retry>> {
    let rows: Vec<Readable<Retry>> = run_walk(tx, Walk::One(id), None, 1).await?;
    Ok(read_rows::<_, Vec<_>>(rows)?.pop())
}

/// Returns retries before `before`, newest first.
pub async fn list(
    tx: &mut Tx,
    whose: &RetryScope,
    before: Option<RetryId>,
    limit: u32,
) -> Result<Vec<Retry>> {
    let walks: Vec<Walk> = match whose {
        RetryScope::Everyone => vec![Walk::All],
        RetryScope::Of(stores, by) => {
            let of_stores = stores.iter().copied().map(Walk::OfStore);
            of_stores.chain([Walk::By(*by)]).collect()
        }
    };
    let mut rows: Vec<Readable<Retry>> = Vec::new();
    for walk in walks {
        rows.extend(run_walk::<Readable<Retry>>(tx, walk, before, limit).await?);
    }
    rows.sort_unstable_by_key(|row| Reverse(row.key));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.key));
    rows.truncate(limit as usize);
    read_rows(rows)
}

pub(crate) async fn run_walk<A: QueryOutput>(
    tx: &mut Tx,
    walk: Walk,
    before: Option<RetryId>,
    limit: u32,
) -> Result<Vec<A>> {
    let before = before.unwrap_or(RetryId::MAX);
    let sql_prefix = A::sql_prefix(tx);
    let mut query = Statement::new(tx, sql_prefix);
    query.push(
            "SELECT r.id, r.account_id, a.username, r.store_id, r.filter, r.matched, r.retried, r.refused, \
             r.started_at, r.finished_at FROM retries r LEFT JOIN accounts a ON a.id = r.account_id WHERE r.id < ",
        );
    query.push_bind(before);
    match walk {
        Walk::All => {}
        Walk::One(id) => {
            query.push(" AND r.id = ").push_bind(id);
        }
        Walk::OfStore(store) => {
            query.push(" AND r.store_id = ").push_bind(store);
        }
        Walk::By(account) => {
            query.push(" AND r.account_id = ").push_bind(account);
        }
    }
    query.push(" ORDER BY r.id DESC LIMIT ").push_bind(limit);
    query.fetch_all::<A>(tx).await
}

impl ReadRow for Retry {
    const TABLE: &'static str = "retries";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            by: row.get("account_id")?,
            by_username: row.get("username").map(optional_text)?,
            store_id: row.get("store_id")?,
            matched: row.count("matched")?,
            retried: row.count("retried")?,
            filter: row.get("filter").map(|Json(filter)| filter)?,
            refused: row.get("refused").map(|Json(refused)| refused)?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
        })
    }
}

impl ReadRow for (HandoffId, Round) {
    const TABLE: &'static str = "handoff_rounds";
    const KEY: &'static str = "handoff_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        let opened = Round {
            round: row.count("round")?,
            retry_id: row.get("retry_id")?,
            by: row.get("account_id")?,
            by_username: row.get("username").map(optional_text)?,
            opened_at: row.get("opened_at")?,
            due_at: row.get("due_at")?,
        };
        Ok((row.get("handoff_id")?, opened))
    }
}
