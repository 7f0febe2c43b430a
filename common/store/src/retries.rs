//! Retries by people: who, when, what matched their filter, and which rounds they opened.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{QueryBuilder, types::Json};
use uuid::Uuid;

use super::{
    error::{Result, StoreError},
    execute,
    explain::{QueryOutput, impl_query_output},
    on, push_ids,
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

pub async fn progress(tx: &mut Tx, id: RetryId, now: Progress<'_>) -> Result<()> {
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
    if handoffs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = handoffs.iter().map(|id| id.uuid()).collect();
    let rows: Vec<RoundRow> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT r.handoff_id, r.round, r.retry_id, r.account_id, a.username, r.opened_at, r.due_at \
             FROM handoff_rounds r LEFT JOIN accounts a ON a.id = r.account_id WHERE r.handoff_id IN (",
        );
        push_ids(&mut query, &ids);
        query.push(") ORDER BY r.handoff_id, r.round");
        query.build_query_as().fetch_all(conn).await?
    });
    rows.into_iter().map(TryInto::try_into).collect()
}

pub async fn get(tx: &mut Tx, id: RetryId) -> Result<Option<Retry>> {
    let rows = run_walk::<RetryRow>(tx, Walk::One(id), None, 1).await?;
    rows.into_iter().next().map(TryInto::try_into).transpose()
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
    let mut rows: Vec<RetryRow> = Vec::new();
    for walk in walks {
        rows.extend(run_walk::<RetryRow>(tx, walk, before, limit).await?);
    }
    rows.sort_unstable_by_key(|row| Reverse(row.id));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.id));
    rows.truncate(limit as usize);
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(crate) async fn run_walk<A: QueryOutput>(
    tx: &mut Tx,
    walk: Walk,
    before: Option<RetryId>,
    limit: u32,
) -> Result<Vec<A>> {
    let before = before.map_or(Uuid::max(), RetryId::uuid);
    let sql_prefix = A::sql_prefix(tx);
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(sql_prefix);
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
        query.build_query_as::<A>().fetch_all(conn).await?
    }))
}

impl_query_output!(RetryRow);

#[derive(sqlx::FromRow)]
struct RetryRow {
    id: Uuid,
    account_id: Uuid,
    username: Option<Vec<u8>>,
    store_id: Option<Uuid>,
    filter: Json<Value>,
    matched: i32,
    retried: i32,
    refused: Json<BTreeMap<String, u32>>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RetryRow> for Retry {
    type Error = StoreError;

    fn try_from(row: RetryRow) -> Result<Self> {
        let count = |n: i32| {
            u32::try_from(n).map_err(|error| StoreError::corrupt("retries", row.id, error))
        };
        Ok(Self {
            id: row.id.into(),
            by: row.account_id.into(),
            by_username: name(row.username),
            store_id: row.store_id.map(Into::into),
            matched: count(row.matched)?,
            retried: count(row.retried)?,
            filter: row.filter.0,
            refused: row.refused.0,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RoundRow {
    handoff_id: Uuid,
    round: i32,
    retry_id: Uuid,
    account_id: Uuid,
    username: Option<Vec<u8>>,
    opened_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
}

impl TryFrom<RoundRow> for (HandoffId, Round) {
    type Error = StoreError;

    fn try_from(row: RoundRow) -> Result<Self> {
        let round = u32::try_from(row.round)
            .map_err(|error| StoreError::corrupt("handoff_rounds", row.handoff_id, error))?;
        let opened = Round {
            round,
            retry_id: row.retry_id.into(),
            by: row.account_id.into(),
            by_username: name(row.username),
            opened_at: row.opened_at,
            due_at: row.due_at,
        };
        Ok((row.handoff_id.into(), opened))
    }
}

fn name(username: Option<Vec<u8>>) -> Option<String> {
    username.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
