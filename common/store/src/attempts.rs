//! Attempts: one row per request, written before the request is sent.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    error::{Result, StoreError},
    execute, fetch_all, fetch_optional_scalar, insert_many, on, push_ids,
    tx::Tx,
};
use domain::{
    handoff::{Attempt, AttemptOutcome},
    ids::{AttemptId, HandoffId},
};

/// Maximum stored length of a response body, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 16 * 1024;
/// Maximum stored length of an error text, in characters.
const MAX_ERROR_CHARS: usize = 500;

/// An attempt that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt {
    pub id: AttemptId,
    pub handoff_id: HandoffId,
    pub round: u32,
    /// Number in its round, from 1.
    pub n: u32,
    pub fence: i64,
    pub started_at: DateTime<Utc>,
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub outcome: AttemptOutcome,
    pub http_status: Option<u16>,
    pub error: Option<&'a str>,
    pub answer: Option<&'a [u8]>,
    pub at: DateTime<Utc>,
}

pub async fn insert(tx: &mut Tx, attempts: &[NewAttempt]) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO attempts (id, handoff_id, round, n, fence, started_at) ",
        attempts,
        |push, new| push
            .push_bind(new.id)
            .push_bind(new.handoff_id)
            .push_bind(new.round)
            .push_bind(new.n)
            .push_bind(new.fence)
            .push_bind(new.started_at)
    );
    Ok(())
}

/// Records the end of an open attempt; an ended one is left as it is.
pub async fn end(
    tx: &mut Tx,
    handoff: HandoffId,
    round: u32,
    n: u32,
    ended: Ended<'_>,
) -> Result<()> {
    let error: Option<String> = ended
        .error
        .map(|error| error.chars().take(MAX_ERROR_CHARS).collect());
    let answer = ended
        .answer
        .map(|answer| &answer[..answer.len().min(MAX_RESPONSE_BYTES)]);
    execute!(
        tx,
        "UPDATE attempts SET ended_at = ?, outcome = ?, http_status = ?, error = ?, response = ? \
         WHERE handoff_id = ? AND round = ? AND n = ? AND outcome IS NULL",
        ended.at,
        ended.outcome,
        ended.http_status.map(i32::from),
        error,
        answer,
        handoff,
        round,
        n
    );
    Ok(())
}

/// Returns the outcome of the attempt that was claimed with this fence; `None` if it is open or was taken back.
pub async fn outcome_of(
    tx: &mut Tx,
    handoff: HandoffId,
    round: u32,
    n: u32,
    fence: i64,
) -> Result<Option<AttemptOutcome>> {
    let word: Option<Option<String>> = fetch_optional_scalar!(
        tx,
        "SELECT outcome FROM attempts WHERE handoff_id = ? AND round = ? AND n = ? AND fence = ?",
        handoff,
        round,
        n,
        fence
    );
    word.flatten()
        .map(|word| word.parse())
        .transpose()
        .map_err(|error| StoreError::corrupt("attempts", handoff, error))
}

/// Deletes an attempt whose request was never sent.
pub async fn take_back(tx: &mut Tx, handoff: HandoffId, round: u32, n: u32) -> Result<()> {
    execute!(
        tx,
        "DELETE FROM attempts WHERE handoff_id = ? AND round = ? AND n = ? AND outcome IS NULL",
        handoff,
        round,
        n
    );
    Ok(())
}

/// Returns all attempts of one handoff, in order.
pub async fn of_handoff(tx: &mut Tx, handoff: HandoffId) -> Result<Vec<Attempt>> {
    let rows: Vec<Row> = fetch_all!(
        tx,
        "SELECT id, round, n, started_at, ended_at, outcome, http_status, error, response FROM attempts \
         WHERE handoff_id = ? ORDER BY round, n",
        handoff
    );
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Returns all attempts of these handoffs, in order, without the response bodies.
pub async fn of_handoffs(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<(HandoffId, Attempt)>> {
    if handoffs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = handoffs.iter().map(|id| id.uuid()).collect();
    let rows: Vec<(Uuid, Row)> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT handoff_id, id, round, n, started_at, ended_at, outcome, http_status, error, NULL AS response \
             FROM attempts WHERE handoff_id IN (",
        );
        push_ids(&mut query, &ids);
        query.push(") ORDER BY handoff_id, round, n");
        let rows: Vec<HandoffAttemptRow> = query.build_query_as().fetch_all(conn).await?;
        rows.into_iter()
            .map(|row| (row.handoff_id, row.row))
            .collect()
    });
    rows.into_iter()
        .map(|(handoff, row)| Ok((handoff.into(), row.try_into()?)))
        .collect()
}

#[derive(sqlx::FromRow)]
struct HandoffAttemptRow {
    handoff_id: Uuid,
    #[sqlx(flatten)]
    row: Row,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    round: i32,
    n: i32,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    http_status: Option<i32>,
    error: Option<String>,
    response: Option<Vec<u8>>,
}

impl TryFrom<Row> for Attempt {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let corrupt =
            |what: &dyn ToString| StoreError::corrupt("attempts", row.id, what.to_string());
        let outcome: Option<AttemptOutcome> = row
            .outcome
            .map(|word| word.parse())
            .transpose()
            .map_err(|error| corrupt(&error))?;
        let http_status = row.http_status.map(u16::try_from).transpose();
        Ok(Self {
            round: u32::try_from(row.round).map_err(|error| corrupt(&error))?,
            n: u32::try_from(row.n).map_err(|error| corrupt(&error))?,
            started_at: row.started_at,
            ended_at: row.ended_at,
            outcome,
            http_status: http_status.map_err(|error| corrupt(&error))?,
            error: row.error,
            response: row
                .response
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        })
    }
}
