//! Attempts: one row per request, written before the request is sent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    error::Result,
    execute,
    failures::shortened,
    insert_many, read_all, read_in,
    rows::{ReadRow, Row, optional_text},
    tx::Tx,
    update_many,
};
use domain::{
    handoff::{Attempt, AttemptOutcome},
    ids::{AttemptId, HandoffId},
};

/// Maximum stored length of a response body, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 16 * 1024;

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

/// The end of an open attempt.
#[derive(Clone, Debug)]
pub struct Ended {
    pub handoff_id: HandoffId,
    pub round: u32,
    pub n: u32,
    pub outcome: AttemptOutcome,
    /// False if it uses up none of `max_attempts`.
    pub counted: bool,
    pub http_status: Option<u16>,
    pub error: Option<String>,
    /// Response body, as far as it is stored.
    pub answer: Option<Vec<u8>>,
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

/// Records the ends of open attempts of different handoffs; those that have ended are left as they are.
pub async fn end(tx: &mut Tx, ended: &[Ended]) -> Result<()> {
    update_many!(
        tx,
        "handoff_id",
        "UPDATE attempts /*! FORCE INDEX (handoff_id) */ SET ",
        ended,
        |row| row.handoff_id,
        [
            "ended_at = " row.at, ", ";
            "outcome = " row.outcome, ", ";
            "counted = " row.counted, ", ";
            "http_status = " row.http_status.map(i32::from), ", ";
            "error = " row.error.as_deref().map(shortened), ", ";
            "response = " row.answer.as_deref(), " WHERE outcome IS NULL AND ";
            "n = " row.n, " AND ";
            "round = " row.round, " AND handoff_id IN (";
        ]
    );
    Ok(())
}

/// An attempt as its claim knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    pub handoff_id: HandoffId,
    pub round: u32,
    pub n: u32,
    pub fence: i64,
}

/// Returns the attempts of these handoffs, with their outcomes, if they have one. An attempt that is missing was taken
/// back, or the database has lost its claim.
pub async fn outcomes_of(
    tx: &mut Tx,
    handoffs: &[HandoffId],
) -> Result<BTreeMap<Claim, Option<AttemptOutcome>>> {
    let rows: Vec<(Claim, Option<AttemptOutcome>)> = read_in!(
        tx,
        "SELECT handoff_id, round, n, fence, outcome FROM attempts /*! FORCE INDEX (handoff_id) */ WHERE handoff_id IN (",
        handoffs,
        ")"
    );
    Ok(rows.into_iter().collect())
}

impl ReadRow for (Claim, Option<AttemptOutcome>) {
    const TABLE: &'static str = Attempt::TABLE;
    const KEY: &'static str = "handoff_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        let claim = Claim {
            handoff_id: row.get("handoff_id")?,
            round: row.count("round")?,
            n: row.count("n")?,
            fence: row.get("fence")?,
        };
        Ok((claim, row.get("outcome")?))
    }
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
    Ok(read_all!(
        tx,
        "SELECT id, round, n, started_at, ended_at, outcome, counted, http_status, error, response FROM attempts \
         WHERE handoff_id = ? ORDER BY round, n",
        handoff
    ))
}

/// Returns all attempts of these handoffs, in order, without the response bodies.
pub async fn of_handoffs(tx: &mut Tx, handoffs: &[HandoffId]) -> Result<Vec<(HandoffId, Attempt)>> {
    Ok(read_in!(
        tx,
        "SELECT handoff_id, id, round, n, started_at, ended_at, outcome, counted, http_status, error, \
         NULL AS response FROM attempts WHERE handoff_id IN (",
        handoffs,
        ") ORDER BY handoff_id, round, n"
    ))
}

/// Returns the same with the response bodies.
pub(crate) async fn with_responses(
    tx: &mut Tx,
    handoffs: &[HandoffId],
) -> Result<Vec<(HandoffId, Attempt)>> {
    Ok(read_in!(
        tx,
        "SELECT handoff_id, id, round, n, started_at, ended_at, outcome, counted, http_status, error, response \
         FROM attempts WHERE handoff_id IN (",
        handoffs,
        ") ORDER BY handoff_id, round, n"
    ))
}

impl ReadRow for (HandoffId, Attempt) {
    const TABLE: &'static str = Attempt::TABLE;

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok((row.get("handoff_id")?, Attempt::read(row)?))
    }
}

impl ReadRow for Attempt {
    const TABLE: &'static str = "attempts";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            round: row.count("round")?,
            n: row.count("n")?,
            started_at: row.get("started_at")?,
            ended_at: row.get("ended_at")?,
            outcome: row.get("outcome")?,
            counted: row.get("counted")?,
            http_status: row.parse_optional("http_status", |status: i64| status.try_into())?,
            error: row.get("error")?,
            response: row.get("response").map(optional_text)?,
        })
    }
}
