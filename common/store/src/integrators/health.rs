//! Outcomes of integrators' latest attempts, for people and for decisions of the breaker that need exact data.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use crate::{
    error::Result,
    explain::{QueryOutput, impl_query_output},
    rows::{ReadRow, Readable, Row, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{handoff::HandoffState, ids::IntegratorId};

/// Maximum handoffs of an integrator examined per state: those that fell due last.
const MAX_HANDOFFS_PER_STATE: u32 = 100;
/// Integrators per statement. Each takes a select per state, and SQLite allows 500 in one statement.
const INTEGRATORS_PER_STATEMENT: usize = 16;

/// Recent outcomes of an integrator. One without an ended attempt has none.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentOutcomes {
    pub integrator: IntegratorId,
    /// Number of the latest ended attempts, up to the requested number.
    pub attempts: u32,
    /// Number of those that were acknowledged.
    pub acknowledged: u32,
    /// Latest success among all attempts that were examined.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Latest of the counted attempts that was not acknowledged.
    pub last_failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub at: DateTime<Utc>,
    pub http_status: Option<u16>,
    pub error: Option<String>,
}

/// Returns the outcomes of each integrator's last `attempts` attempts that count, in no particular order.
pub async fn recent_outcomes(
    tx: &mut Tx,
    integrators: &[IntegratorId],
    attempts: u32,
) -> Result<Vec<RecentOutcomes>> {
    let mut outcomes = Vec::with_capacity(integrators.len());
    for some in integrators.chunks(INTEGRATORS_PER_STATEMENT) {
        let rows: Vec<Readable<RecentOutcomes>> = run_query(tx, some, attempts).await?;
        outcomes.append(&mut read_rows(rows)?);
    }
    Ok(outcomes)
}

/// Returns when the integrator last gave a response that needed no retry.
pub async fn last_response_at(
    tx: &mut Tx,
    integrator: IntegratorId,
) -> Result<Option<DateTime<Utc>>> {
    let rows: Vec<LastResponse> = last_response(tx, integrator).await?;
    Ok(rows.into_iter().find_map(|row| row.at))
}

/// Runs one statement of [`recent_outcomes`].
async fn run_query<A: QueryOutput>(
    tx: &mut Tx,
    integrators: &[IntegratorId],
    attempts: u32,
) -> Result<Vec<A>> {
    let (sql_prefix, attempts_join) = (A::sql_prefix(tx), attempts_join(tx));
    let mut query = Statement::new(tx, sql_prefix);
    query
            .push("SELECT integrator_id, COUNT(CASE WHEN nth <= ")
            .push_bind(attempts)
            .push(" THEN 1 END) AS attempts, COUNT(CASE WHEN success = 1 AND nth <= ")
            .push_bind(attempts)
            .push(
                " THEN 1 END) AS acknowledged, MAX(CASE WHEN success = 1 THEN ended_at END) AS last_success_at, \
                 MAX(CASE WHEN failed_last = 1 THEN ended_at END) AS failed_at, \
                 MAX(CASE WHEN failed_last = 1 THEN http_status END) AS http_status, \
                 MAX(CASE WHEN failed_last = 1 THEN error END) AS error \
                 FROM (SELECT integrator_id, nth, success, ended_at, http_status, error, \
                   CASE WHEN success = 0 AND nth_of_its_kind = 1 AND nth <= ",
            )
            .push_bind(attempts)
            .push(
                " THEN 1 ELSE 0 END AS failed_last FROM ( \
                   SELECT h.integrator_id, a.ended_at, a.http_status, a.error, \
                   CASE WHEN a.outcome = 'acknowledged' THEN 1 ELSE 0 END AS success, \
                   ROW_NUMBER() OVER (PARTITION BY h.integrator_id ORDER BY a.ended_at DESC, a.id DESC) AS nth, \
                   ROW_NUMBER() OVER (PARTITION BY h.integrator_id, CASE WHEN a.outcome = 'acknowledged' THEN 1 ELSE 0 END \
                     ORDER BY a.ended_at DESC, a.id DESC) AS nth_of_its_kind FROM (",
            );
    push_handoffs(&mut query, integrators);
    query
            .push(attempts_join)
            .push(" WHERE a.outcome IS NOT NULL AND a.counted = TRUE) numbered) lately GROUP BY integrator_id");
    query.fetch_all::<A>(tx).await
}

async fn last_response<A: QueryOutput>(tx: &mut Tx, integrator: IntegratorId) -> Result<Vec<A>> {
    let (sql_prefix, attempts_join) = (A::sql_prefix(tx), attempts_join(tx));
    let mut query = Statement::new(tx, sql_prefix);
    query.push("SELECT MAX(a.ended_at) AS at FROM (");
    push_handoffs(&mut query, &[integrator]);
    query
        .push(attempts_join)
        .push(" WHERE a.outcome IN ('acknowledged', 'refused')");
    query.fetch_all::<A>(tx).await
}

/// Returns the join from handoffs to their attempts. Each database may estimate the reverse order to be cheaper, and
/// their keywords for a fixed join order differ.
fn attempts_join(tx: &Tx) -> &'static str {
    tx.pick(
        ") h STRAIGHT_JOIN attempts a ON a.handoff_id = h.id",
        ") h CROSS JOIN attempts a ON a.handoff_id = h.id",
    )
}

/// Pushes selects of the handoffs that fell due last, per integrator and state: `handoffs_of_integrator` leads there,
/// however many there are. The integrators are padded with the nil id to a power of two, so that the statement has few
/// shapes.
fn push_handoffs(query: &mut Statement<'_>, integrators: &[IntegratorId]) {
    let nobody = integrators.len().next_power_of_two() - integrators.len();
    let ids = integrators.iter().copied();
    let mut selects = query.separated(" UNION ALL ");
    for id in ids.chain(std::iter::repeat_n(IntegratorId::MIN, nobody)) {
        for state in HandoffState::ALL {
            // SQLite allows a LIMIT inside a UNION only in a subselect.
            selects
                .push("SELECT id, integrator_id FROM (SELECT id, integrator_id FROM handoffs WHERE integrator_id = ")
                .push_bind_unseparated(id)
                .push_unseparated(format_args!(
                    " AND state = '{}' ORDER BY due_at DESC LIMIT {MAX_HANDOFFS_PER_STATE}) latest",
                    state
                ));
        }
    }
}

impl_query_output!(LastResponse);

struct LastResponse {
    at: Option<DateTime<Utc>>,
}

crate::rows::from_row!(LastResponse { at });

impl ReadRow for RecentOutcomes {
    const TABLE: &'static str = "attempts";
    const KEY: &'static str = "integrator_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        let failed_at: Option<DateTime<Utc>> = row.get("failed_at")?;
        let http_status = row.parse_optional("http_status", |status: i64| u16::try_from(status))?;
        let error = row.get("error")?;
        Ok(Self {
            integrator: row.get("integrator_id")?,
            attempts: row.count("attempts")?,
            acknowledged: row.count("acknowledged")?,
            last_success_at: row.get("last_success_at")?,
            last_failure: failed_at.map(|at| Failure {
                at,
                http_status,
                error,
            }),
        })
    }
}
