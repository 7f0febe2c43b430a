//! What integrators' latest attempts came to: read for people, and where the breaker must know it exactly.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

use super::super::{
    error::{Result, StoreError},
    explain::{Answer, answers},
    on,
    tx::Tx,
};
use domain::{handoff::HandoffState, ids::IntegratorId};

/// Of each state, so many handoffs of an integrator are looked at: those that fell due last.
const HANDOFFS: u32 = 100;
/// So many integrators to a statement: a select of each state of each of them, and SQLite takes 500 in one.
const INTEGRATORS: usize = 16;

/// How an integrator has answered lately. One without an ended attempt has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    pub integrator: IntegratorId,
    /// Of the last attempts that were asked about: how many there are,
    pub attempts: u32,
    /// and how many of them were acknowledged.
    pub acknowledged: u32,
    /// Of all attempts that were looked at.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The last of the same attempts that was not acknowledged.
    pub last_failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub at: DateTime<Utc>,
    pub http_status: Option<u16>,
    pub error: Option<String>,
}

/// What each integrator's last so many attempts came to, in no order.
pub async fn answered(
    tx: &mut Tx,
    integrators: &[IntegratorId],
    attempts: u32,
) -> Result<Vec<Answered>> {
    let mut answered = Vec::with_capacity(integrators.len());
    for some in integrators.chunks(INTEGRATORS) {
        let rows: Vec<Row> = looked(tx, some, attempts).await?;
        for row in rows {
            answered.push(row.try_into()?);
        }
    }
    Ok(answered)
}

/// When it last answered in a way that asked for no other try.
pub async fn last_sign_of_life_at(
    tx: &mut Tx,
    integrator: IntegratorId,
) -> Result<Option<DateTime<Utc>>> {
    let rows: Vec<LastSign> = last_sign(tx, integrator).await?;
    Ok(rows.into_iter().find_map(|row| row.at))
}

/// One statement of [`answered`].
async fn looked<A: Answer>(
    tx: &mut Tx,
    integrators: &[IntegratorId],
    attempts: u32,
) -> Result<Vec<A>> {
    let (asked, leads_to) = (A::asked(tx), leads_to(tx));
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(asked);
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
            .push(leads_to)
            .push(" WHERE a.outcome IS NOT NULL) numbered) lately GROUP BY integrator_id");
        query.build_query_as::<A>().fetch_all(conn).await?
    }))
}

async fn last_sign<A: Answer>(tx: &mut Tx, integrator: IntegratorId) -> Result<Vec<A>> {
    let (asked, leads_to) = (A::asked(tx), leads_to(tx));
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(asked);
        query.push("SELECT MAX(a.ended_at) AS at FROM (");
        push_handoffs(&mut query, &[integrator]);
        query
            .push(leads_to)
            .push(" WHERE a.outcome IN ('acknowledged', 'refused')");
        query.build_query_as::<A>().fetch_all(conn).await?
    }))
}

/// From the handoffs to their attempts: each database may think that the other way round is shorter, and the words that
/// keep a join's order differ.
fn leads_to(tx: &Tx) -> &'static str {
    tx.pick(
        ") h STRAIGHT_JOIN attempts a ON a.handoff_id = h.id",
        ") h CROSS JOIN attempts a ON a.handoff_id = h.id",
    )
}

/// The handoffs of each state of each integrator that fell due last: `handoffs_of_integrator` leads there, however many
/// there are. In few shapes: as many selects as the next power of two asks for, of nobody at the end.
fn push_handoffs<DB: Database>(query: &mut QueryBuilder<DB>, integrators: &[IntegratorId])
where
    Uuid: for<'t> Encode<'t, DB> + Type<DB>,
{
    let nobody = integrators.len().next_power_of_two() - integrators.len();
    let ids = integrators.iter().map(|integrator| integrator.uuid());
    let mut selects = query.separated(" UNION ALL ");
    for id in ids.chain(std::iter::repeat_n(Uuid::nil(), nobody)) {
        for state in HandoffState::ALL {
            // SQLite takes a LIMIT inside of a UNION only in a select of its own.
            selects
                .push("SELECT id, integrator_id FROM (SELECT id, integrator_id FROM handoffs WHERE integrator_id = ")
                .push_bind_unseparated(id)
                .push_unseparated(format_args!(
                    " AND state = '{}' ORDER BY due_at DESC LIMIT {HANDOFFS}) latest",
                    state.as_str()
                ));
        }
    }
}

answers!(Row, LastSign);

#[derive(sqlx::FromRow)]
struct LastSign {
    at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    integrator_id: Uuid,
    attempts: i64,
    acknowledged: i64,
    last_success_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    http_status: Option<i64>,
    error: Option<String>,
}

impl TryFrom<Row> for Answered {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let integrator = IntegratorId::from(row.integrator_id);
        let corrupt =
            |what: &dyn ToString| StoreError::corrupt("attempts", integrator, what.to_string());
        let count = |number: i64| u32::try_from(number).map_err(|error| corrupt(&error));
        let http_status = row.http_status.map(u16::try_from).transpose();
        let http_status = http_status.map_err(|error| corrupt(&error))?;
        Ok(Self {
            integrator,
            attempts: count(row.attempts)?,
            acknowledged: count(row.acknowledged)?,
            last_success_at: row.last_success_at,
            last_failure: row.failed_at.map(|at| Failure {
                at,
                http_status,
                error: row.error,
            }),
        })
    }
}
