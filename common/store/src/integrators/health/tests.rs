//! Tests that a page's health takes few statements, each along indexes, and reads only the latest handoffs of each
//! state.

use each_database::each_database;
use std::collections::HashMap;

use chrono::TimeDelta;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    super::super::{
        attempts::{self, NewAttempt},
        explain::{Step, fill_handoffs},
        testing,
    },
    *,
};
use crate::on;
use crate::rows::Text;
use crate::testing::TestDb;
use crate::testing::noon;

/// Inserts an ended attempt for each handoff of [`fill_handoffs`], one second apart: refused if the handoff failed,
/// else acknowledged.
async fn attempt_each(house: &TestDb) -> Result<()> {
    let mut tx = house.db.begin().await?;
    let handoffs: Vec<Uuid> = on!(&mut tx, |conn| {
        sqlx::query_scalar("SELECT id FROM handoffs ORDER BY position")
            .fetch_all(conn)
            .await?
    });
    let attempts: Vec<NewAttempt> = (0..)
        .zip(handoffs)
        .map(|(n, handoff)| NewAttempt {
            id: house.chance.id(noon()),
            handoff_id: handoff.into(),
            round: 1,
            n: 1,
            fence: 1,
            started_at: noon() + TimeDelta::seconds(n),
        })
        .collect();
    attempts::insert(&mut tx, &attempts).await?;
    for statement in [
        "UPDATE attempts SET outcome = 'acknowledged', http_status = 200, ended_at = started_at",
        "UPDATE attempts SET outcome = 'refused', http_status = 422, error = 'no such dish' \
         WHERE handoff_id IN (SELECT id FROM handoffs WHERE state = 'failed')",
    ] {
        testing::run(&mut tx, statement).await?;
    }
    tx.commit().await?;
    let mut tx = house.db.begin().await?;
    let analyze = tx.pick("ANALYZE TABLE handoffs, attempts", "ANALYZE");
    on!(&mut tx, |conn| {
        sqlx::query(analyze).fetch_all(conn).await?;
    });
    tx.commit().await
}

async fn integrators(tx: &mut Tx) -> Result<Vec<IntegratorId>> {
    let ids: Vec<Uuid> = on!(tx, |conn| {
        sqlx::query_scalar("SELECT DISTINCT integrator_id FROM handoffs")
            .fetch_all(conn)
            .await?
    });
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Returns the integrator, outcome and end of each attempt.
async fn all(tx: &mut Tx) -> Result<Vec<(Uuid, Text, DateTime<Utc>)>> {
    Ok(on!(tx, |conn| {
        sqlx::query_as(
            "SELECT h.integrator_id, a.outcome, a.ended_at FROM attempts a JOIN handoffs h ON h.id = a.handoff_id",
        )
        .fetch_all(conn)
        .await?
    }))
}

async fn all_to(tx: &mut Tx, integrator: IntegratorId) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query("UPDATE handoffs SET integrator_id = ?")
            .bind(integrator.uuid())
            .execute(conn)
            .await?;
    });
    Ok(())
}

/// Returns the sum of MySQL's counters for this connection; `None` with SQLite, which counts nothing.
async fn counted(tx: &mut Tx, what: &'static str) -> Result<Option<i64>> {
    let Tx::MySql(tx, ..) = tx else {
        return Ok(None);
    };
    let rows = sqlx::query(what).fetch_all(&mut **tx).await?;
    let counts = rows.iter().map(|row| row.try_get_unchecked::<String, _>(1));
    let counts: Vec<String> = counts.collect::<std::result::Result<_, _>>()?;
    Ok(Some(
        counts
            .iter()
            .filter_map(|count| count.parse::<i64>().ok())
            .sum(),
    ))
}

const STATEMENTS: &str = "SHOW SESSION STATUS LIKE 'Com_stmt_execute'";
/// Rows read in sequence, as a scan does.
const READS: &str = "SHOW SESSION STATUS WHERE Variable_name IN \
     ('Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd', 'Handler_read_rnd_next')";

#[each_database(store)]
async fn the_latest_attempts_are_found_by_indexes_from_their_handoffs(house: TestDb) {
    fill_handoffs(&house).await;
    attempt_each(&house).await.unwrap();
    let mut tx = house.db.read().await.unwrap();
    let of = integrators(&mut tx).await.unwrap();
    let plans: [Vec<Step>; 4] = [
        run_query(&mut tx, &of[..1], 100).await.unwrap(),
        run_query(&mut tx, &of[..5], 100).await.unwrap(),
        run_query(&mut tx, &of[..INTEGRATORS_PER_STATEMENT], 100)
            .await
            .unwrap(),
        last_response(&mut tx, of[0]).await.unwrap(),
    ];
    for plan in plans {
        let shown = format!("{plan:?}");
        for scan in [
            "SCAN handoffs",
            "SCAN a",
            "handoffs: ALL",
            "handoffs: index",
            "a: ALL",
            "a: index",
        ] {
            assert!(!shown.contains(scan), "{scan} in {shown}");
        }
        let of_handoffs: Vec<&Step> = plan
            .iter()
            .filter(|step| step.reads_table("handoffs"))
            .collect();
        assert!(of_handoffs.len() >= HandoffState::ALL.len(), "{shown}");
        assert!(
            of_handoffs
                .iter()
                .all(|step| step.uses("handoffs_of_integrator") && !step.sorts()),
            "{of_handoffs:#?}"
        );
        // SQLite joins the attempts to the handoffs of each state.
        assert!(plan.iter().any(|step| step.reads_table("a")), "{shown}");
    }
}

#[each_database(store)]
async fn a_page_takes_a_statement_for_each_sixteen_and_reads_no_more_of_whoever_was_sent_more(
    house: TestDb,
) {
    fill_handoffs(&house).await;
    attempt_each(&house).await.unwrap();
    let mut tx = house.db.read().await.unwrap();
    let page = integrators(&mut tx).await.unwrap();
    assert_eq!(page.len(), 32);
    for many in [1, 16, 17, 32] {
        let before = counted(&mut tx, STATEMENTS).await.unwrap();
        recent_outcomes(&mut tx, &page[..many], 100).await.unwrap();
        let after = counted(&mut tx, STATEMENTS).await.unwrap();
        if let (Some(before), Some(after)) = (before, after) {
            // Reading the counter takes one as well.
            assert_eq!(
                after - before - 1,
                many.div_ceil(INTEGRATORS_PER_STATEMENT) as i64,
                "of {many}"
            );
        }
    }
    drop(tx);

    let mut tx = house.db.begin().await.unwrap();
    all_to(&mut tx, page[0]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = house.db.read().await.unwrap();
    let before = counted(&mut tx, READS).await.unwrap();
    let sent = recent_outcomes(&mut tx, &page[..1], 100).await.unwrap();
    let after = counted(&mut tx, READS).await.unwrap();
    assert_eq!(sent[0].attempts, 100);
    if let (Some(before), Some(after)) = (before, after) {
        // Each row is read several times, to be numbered and counted.
        assert!(
            after - before < 2500,
            "{} reads, of 3000 handoffs",
            after - before
        );
    }
}

#[each_database(store)]
async fn each_integrator_of_a_page_is_told_its_own(house: TestDb) {
    fill_handoffs(&house).await;
    attempt_each(&house).await.unwrap();
    let mut tx = house.db.read().await.unwrap();
    let rows = all(&mut tx).await.unwrap();
    let mut expected: HashMap<IntegratorId, RecentOutcomes> = HashMap::new();
    for (integrator, Text(outcome), at) in rows {
        let integrator = integrator.into();
        let nothing = RecentOutcomes {
            integrator,
            attempts: 0,
            acknowledged: 0,
            last_success_at: None,
            last_failure: None,
        };
        let one = expected.entry(integrator).or_insert(nothing);
        one.attempts += 1;
        if outcome == "acknowledged" {
            one.acknowledged += 1;
            one.last_success_at = one.last_success_at.max(Some(at));
        } else if one.last_failure.as_ref().is_none_or(|known| known.at < at) {
            one.last_failure = Some(Failure {
                at,
                http_status: Some(422),
                error: Some("no such dish".to_owned()),
            });
        }
    }
    let page = integrators(&mut tx).await.unwrap();
    let found = recent_outcomes(&mut tx, &page, 100).await.unwrap();
    assert_eq!(found.len(), page.len());
    let well = found
        .iter()
        .filter(|one| one.attempts == one.acknowledged)
        .count();
    assert!(0 < well && well < found.len(), "some failed, some did not");
    for one in found {
        assert_eq!(Some(&one), expected.get(&one.integrator));
    }
}
