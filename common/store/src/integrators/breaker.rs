//! Circuit breakers of integrators, changed under the row's lock or by compare-and-set.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    error::Result,
    execute, fetch_all, fetch_scalar, for_update, read_in,
    rows::{ReadRow, Row},
    sweep::Page,
    tx::Tx,
};
use domain::{
    breaker::Breaker,
    ids::{HandoffId, IntegratorId, StoreId},
    integrator::DisableReason,
};

/// Returns the breakers of these integrators, in no particular order.
pub async fn breakers(
    tx: &mut Tx,
    integrators: &[IntegratorId],
) -> Result<Vec<(IntegratorId, Breaker)>> {
    Ok(read_in!(tx, select!("WHERE id IN ("), integrators, ")"))
}

/// Locks these integrators' rows, by id, and returns their breakers.
pub async fn lock_breakers(
    tx: &mut Tx,
    ids: &[IntegratorId],
) -> Result<Vec<(IntegratorId, Breaker)>> {
    let end = for_update!(tx, ") ORDER BY id");
    Ok(read_in!(
        tx,
        select!("/*! FORCE INDEX (PRIMARY) */ WHERE id IN ("),
        ids,
        end
    ))
}

/// Writes the breaker of a locked row.
pub async fn write_breaker(tx: &mut Tx, id: IntegratorId, breaker: &Breaker) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrators SET breaker_state = ?, breaker_until = ?, breaker_probe = ?, breaker_openings = ?, \
         failures_in_a_row = ?, failing_since = ?, failing_handoffs = ? WHERE id = ?",
        breaker.state,
        breaker.until,
        breaker.probe,
        i64::from(breaker.openings),
        i64::from(breaker.failures_in_a_row),
        breaker.failing_since,
        concat_ids(&breaker.failing),
        id
    );
    Ok(())
}

/// Starts the one probe that an open breaker allows after its time, or replaces one that was lost; `false` if another
/// worker was faster. A probe without an outcome by `until` counts as lost.
pub async fn begin_probe(
    tx: &mut Tx,
    id: IntegratorId,
    handoff: HandoffId,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let taken = execute!(
        tx,
        "UPDATE integrators SET breaker_state = 'probing', breaker_probe = ?, breaker_until = ? \
         WHERE id = ? AND breaker_state IN ('open', 'probing') AND breaker_until <= ?",
        handoff,
        until,
        id,
        now
    );
    Ok(taken == 1)
}

/// Undoes a probe that was never sent; the next one may start at `until`.
pub async fn undo_probe(
    tx: &mut Tx,
    id: IntegratorId,
    handoff: HandoffId,
    until: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrators SET breaker_state = 'open', breaker_probe = NULL, breaker_until = ? \
         WHERE id = ? AND breaker_state = 'probing' AND breaker_probe = ?",
        until,
        id,
        handoff
    );
    Ok(())
}

/// Records that an enabled integrator is to be disabled, and why; the first reason is kept. Returns `false` if nothing
/// was recorded.
pub async fn give_up(tx: &mut Tx, id: IntegratorId, because: DisableReason) -> Result<bool> {
    let noted = execute!(
        tx,
        "UPDATE integrators SET given_up_because = ? \
         WHERE id = ? AND enabled = TRUE AND archived_at IS NULL AND given_up_because IS NULL",
        because,
        id
    );
    Ok(noted == 1)
}

/// Returns integrators that are still to be disabled, with their stores, in whose streams it is announced.
pub async fn given_up(tx: &mut Tx, page: impl Into<Page>) -> Result<Vec<(IntegratorId, StoreId)>> {
    let page = page.into();
    Ok(fetch_all!(
        tx,
        "SELECT id, store_id FROM integrators /*! FORCE INDEX (integrators_given_up) */ \
         WHERE given_up_because IS NOT NULL LIMIT ? OFFSET ?",
        page.limit,
        page.skip
    ))
}

/// Counts the enabled integrators whose breaker is not closed, for a gauge.
pub async fn count_open_breakers(tx: &mut Tx) -> Result<i64> {
    Ok(fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM integrators WHERE breaker_state <> 'closed' AND enabled = TRUE AND archived_at IS NULL"
    ))
}

/// `SELECT` of the id and the breaker's columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, breaker_state, breaker_until, breaker_probe, breaker_openings, failures_in_a_row, failing_since, \
             failing_handoffs FROM integrators ",
            $rest
        )
    };
}
use select;

impl ReadRow for (IntegratorId, Breaker) {
    const TABLE: &'static str = Breaker::TABLE;

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok((row.get("id")?, Breaker::read(row)?))
    }
}

impl ReadRow for Breaker {
    const TABLE: &'static str = "integrators";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            state: row.get("breaker_state")?,
            until: row.get("breaker_until")?,
            probe: row.get("breaker_probe")?,
            openings: row.count("breaker_openings")?,
            failures_in_a_row: row.count("failures_in_a_row")?,
            failing_since: row.get("failing_since")?,
            failing: row
                .parse_optional("failing_handoffs", |ids: Vec<u8>| split_ids(&ids))?
                .unwrap_or_default(),
        })
    }
}

/// Splits what [`concat_ids`] joined.
fn split_ids(bytes: &[u8]) -> std::result::Result<Vec<HandoffId>, uuid::Error> {
    bytes
        .chunks(size_of::<Uuid>())
        .map(|id| Uuid::from_slice(id).map(HandoffId::from))
        .collect()
}

/// Joins the ids as bytes; `None` if there are none.
pub(super) fn concat_ids(handoffs: &[HandoffId]) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = handoffs
        .iter()
        .flat_map(|handoff| handoff.uuid().into_bytes())
        .collect();
    (!bytes.is_empty()).then_some(bytes)
}
