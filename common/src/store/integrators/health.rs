//! What an integrator's latest attempts came to: read for people, and where the breaker must know it exactly.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::{
    error::{Result, StoreError},
    on,
    tx::Tx,
};
use crate::domain::{handoff::AttemptOutcome, ids::IntegratorId};

/// An attempt that has its outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) at: DateTime<Utc>,
    pub(crate) outcome: AttemptOutcome,
    pub(crate) http_status: Option<u16>,
    pub(crate) error: Option<String>,
}

/// The integrator's attempts that have an outcome, the last first. Looked for among the hundred handoffs of each state
/// that fell due last (`handoffs_of_integrator` leads there); those that are still due have none.
pub(crate) async fn latest_attempts(
    tx: &mut Tx,
    integrator: IntegratorId,
    limit: u32,
) -> Result<Vec<Heard>> {
    let id = integrator.uuid();
    // The words that keep a join's order differ.
    let sql = tx.pick(LATEST_ON_MYSQL, LATEST_ON_SQLITE);
    let rows: Vec<Row> = on!(tx, |conn| {
        sqlx::query_as(sql)
            .bind(id)
            .bind(id)
            .bind(id)
            .bind(id)
            .bind(id)
            .bind(id)
            .bind(id)
            .bind(limit)
            .fetch_all(conn)
            .await?
    });
    rows.into_iter().map(TryInto::try_into).collect()
}

/// From the handoffs to their attempts: each database may think that the other way round is shorter.
const LATEST_ON_MYSQL: &str = latest!(
    "SELECT a.handoff_id, a.ended_at, a.outcome, a.http_status, a.error FROM (",
    [
        "acknowledged",
        "failed",
        "waiting",
        "sending",
        "withdrawn",
        "held",
        "parked"
    ],
    ") h STRAIGHT_JOIN attempts a ON a.handoff_id = h.id WHERE a.outcome IS NOT NULL ORDER BY a.ended_at DESC LIMIT ?"
);
const LATEST_ON_SQLITE: &str = latest!(
    "SELECT a.handoff_id, a.ended_at, a.outcome, a.http_status, a.error FROM (",
    [
        "acknowledged",
        "failed",
        "waiting",
        "sending",
        "withdrawn",
        "held",
        "parked"
    ],
    ") h CROSS JOIN attempts a ON a.handoff_id = h.id WHERE a.outcome IS NOT NULL ORDER BY a.ended_at DESC LIMIT ?"
);

/// When the integrator's last 2xx came.
pub(crate) async fn last_success_at(
    tx: &mut Tx,
    integrator: IntegratorId,
) -> Result<Option<DateTime<Utc>>> {
    Ok(on!(tx, |conn| sqlx::query_scalar(latest!(
        "SELECT MAX(a.ended_at) FROM (",
        ["acknowledged"],
        ") h JOIN attempts a ON a.handoff_id = h.id WHERE a.outcome = 'acknowledged'"
    ))
    .bind(integrator.uuid())
    .fetch_one(conn)
    .await?))
}

/// When it last answered in a way that asked for no other try.
pub(crate) async fn last_sign_of_life_at(
    tx: &mut Tx,
    integrator: IntegratorId,
) -> Result<Option<DateTime<Utc>>> {
    let id = integrator.uuid();
    Ok(on!(tx, |conn| sqlx::query_scalar(latest!(
        "SELECT MAX(a.ended_at) FROM (",
        ["acknowledged", "failed"],
        ") h JOIN attempts a ON a.handoff_id = h.id WHERE a.outcome IN ('acknowledged', 'refused')"
    ))
    .bind(id)
    .bind(id)
    .fetch_one(conn)
    .await?))
}

/// What comes before, the ids of the hundred handoffs of each state that fell due last, and what follows. Each state
/// has the integrator's id as its one bound value.
macro_rules! latest {
    ($before:literal, [$first:literal $(, $state:literal)*], $after:literal) => {
        concat!(
            $before,
            latest!(@ $first),
            $(" UNION ALL ", latest!(@ $state),)*
            $after
        )
    };
    (@ $state:literal) => {
        // SQLite takes a LIMIT inside of a UNION only in a select of its own.
        concat!(
            "SELECT id FROM (SELECT id FROM handoffs WHERE integrator_id = ? AND state = '",
            $state,
            "' ORDER BY due_at DESC LIMIT 100) of_",
            $state
        )
    };
}
use latest;

#[derive(sqlx::FromRow)]
struct Row {
    handoff_id: Uuid,
    ended_at: Option<DateTime<Utc>>,
    outcome: String,
    http_status: Option<i32>,
    error: Option<String>,
}

impl TryFrom<Row> for Heard {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let corrupt =
            |what: &dyn ToString| StoreError::corrupt("attempts", row.handoff_id, what.to_string());
        let http_status = row.http_status.map(u16::try_from).transpose();
        Ok(Self {
            at: row
                .ended_at
                .ok_or_else(|| corrupt(&"an outcome without its time"))?,
            outcome: row.outcome.parse().map_err(|error| corrupt(&error))?,
            http_status: http_status.map_err(|error| corrupt(&error))?,
            error: row.error,
        })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::{
        super::super::{
            attempts::{self, NewAttempt},
            plan::{Answer, Step, fill_handoffs},
        },
        *,
    };
    use crate::testing::{House, each_database, noon};

    async fn plan(tx: &mut Tx, of: Uuid) -> Result<Vec<Step>> {
        let statement = format!(
            "{}{}",
            Step::asked(tx),
            tx.pick(LATEST_ON_MYSQL, LATEST_ON_SQLITE)
        );
        Ok(on!(tx, |conn| {
            let mut query = sqlx::query_as(AssertSqlSafe(statement));
            for _ in 0..7 {
                query = query.bind(of);
            }
            query.bind(100).fetch_all(conn).await?
        }))
    }

    /// An attempt of each handoff: of an empty table no database would use an index.
    async fn attempt_each(house: &House) -> Result<()> {
        let mut tx = house.db.begin().await?;
        let handoffs: Vec<Uuid> = on!(&mut tx, |conn| sqlx::query_scalar(
            "SELECT id FROM handoffs"
        )
        .fetch_all(conn)
        .await?);
        let attempts: Vec<NewAttempt> = handoffs
            .into_iter()
            .map(|handoff| NewAttempt {
                id: house.chance.id(noon()),
                handoff_id: handoff.into(),
                round: 1,
                n: 1,
                fence: 1,
                started_at: noon(),
            })
            .collect();
        attempts::insert(&mut tx, &attempts).await?;
        tx.commit().await?;
        let mut tx = house.db.begin().await?;
        let analyze = tx.pick("ANALYZE TABLE attempts", "ANALYZE attempts");
        on!(&mut tx, |conn| {
            sqlx::query(analyze).fetch_all(conn).await?;
        });
        tx.commit().await
    }

    each_database! {
        async fn the_latest_attempts_are_found_by_indexes(house: House) {
            let (_, integrator, _) = fill_handoffs(&house).await;
            attempt_each(&house).await.unwrap();
            let mut tx = house.db.read().await.unwrap();
            let plan = format!("{:?}", plan(&mut tx, integrator).await.unwrap());
            for scan in ["SCAN handoffs", "SCAN a", "handoffs: ALL", "handoffs: index", "a: ALL", "a: index"] {
                assert!(!plan.contains(scan), "{scan} in {plan}");
            }
            assert!(plan.contains("handoffs_of_integrator"), "{plan}");
        }
    }
}
