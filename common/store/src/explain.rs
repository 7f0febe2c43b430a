//! Lets the statement of a list return its rows or, in tests, its query plan.

use sqlx::{FromRow, mysql::MySqlRow, sqlite::SqliteRow};

use super::tx::Tx;

/// A type that result rows are read as, on both databases. A list that is generic over it returns its rows or, in
/// tests, its plan: `list::<Row>(tx, …)` and `list::<Step>(tx, …)` run the same statement with the same values.
pub(crate) trait QueryOutput:
    for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
    /// Returns the prefix of the statement: none for its rows, an `EXPLAIN` for its plan.
    fn sql_prefix(_: &Tx) -> &'static str {
        ""
    }
}

/// `impl_query_output!(Row)` implements `QueryOutput` for row types.
macro_rules! impl_query_output {
    ($($row:ty),+) => {$( impl $crate::explain::QueryOutput for $row {} )+};
}
pub(crate) use impl_query_output;

#[cfg(test)]
pub(crate) use in_tests::{Step, assert_no_full_scan, fill_handoffs};

#[cfg(test)]
mod tests;

#[cfg(test)]
mod in_tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use sqlx::{Column as _, FromRow, Row, mysql::MySqlRow, sqlite::SqliteRow};
    use uuid::Uuid;

    use super::{super::on, QueryOutput, Tx};
    use crate::handoffs::NewHandoff;
    use crate::testing::TestDb;
    use domain::{ids::StoreId, integrator::HandoffEvent};

    /// One line of a plan.
    #[derive(Debug)]
    pub(crate) struct Step {
        line: String,
        /// True if the step reads every row of a table or every entry of an index.
        is_full_scan: bool,
    }

    impl Step {
        /// Returns whether the step reads the table that has this name in the statement.
        pub(crate) fn reads_table(&self, table: &str) -> bool {
            let rest = self
                .line
                .trim_start_matches("SCAN ")
                .trim_start_matches("SEARCH ");
            rest.strip_prefix(table)
                .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        }
    }

    impl Step {
        /// Returns whether the step sorts its rows, which takes reading all of them.
        pub(crate) fn sorts(&self) -> bool {
            self.line.contains("filesort") || self.line.contains("TEMP B-TREE")
        }

        /// Returns whether the step finds its rows by this index.
        pub(crate) fn uses(&self, index: &str) -> bool {
            self.line.split([' ', '(', ')']).any(|word| word == index)
        }
    }

    impl QueryOutput for Step {
        fn sql_prefix(tx: &Tx) -> &'static str {
            tx.pick("EXPLAIN FORMAT=TRADITIONAL ", "EXPLAIN QUERY PLAN ")
        }
    }

    impl FromRow<'_, MySqlRow> for Step {
        fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
            let text = |column: &str| -> sqlx::Result<String> {
                // MySQL names other columns when it prepares EXPLAIN; sqlx 0.8 finds a name among those.
                let at = row.columns().iter().position(|one| one.name() == column);
                let at = at.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))?;
                Ok(row
                    .try_get_unchecked::<Option<String>, _>(at)?
                    .unwrap_or_default())
            };
            let (table, access) = (text("table")?, text("type")?);
            let (key, extra) = (text("key")?, text("Extra")?);
            // A table in angle brackets is the result of another step.
            let is_full_scan =
                matches!(access.as_str(), "ALL" | "index") && !table.starts_with('<');
            let line = format!("{table}: {access} by {key} ({extra})");
            Ok(Self { line, is_full_scan })
        }
    }

    impl FromRow<'_, SqliteRow> for Step {
        fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
            let line: String = row.try_get("detail")?;
            let scanned = line.strip_prefix("SCAN ");
            let is_full_scan =
                scanned.is_some_and(|of| !of.starts_with('(') && !of.starts_with("CONSTANT"));
            Ok(Self { line, is_full_scan })
        }
    }

    /// Asserts that a statement finds its rows by an index. The tables should hold some thousand rows: MySQL reads
    /// small tables in full, whatever indexes there are.
    #[track_caller]
    pub(crate) fn assert_no_full_scan(statement: &str, plan: &[Step]) {
        assert!(!plan.is_empty(), "{statement}: the plan is empty");
        let lines: Vec<&str> = plan.iter().map(|step| step.line.as_str()).collect();
        let scans = plan.iter().any(|step| step.is_full_scan);
        assert!(!scans, "{statement} scans a table or index: {lines:#?}");
    }

    /// Inserts some thousand handoffs of several stores and integrators, nearly all of them acknowledged. Returns the
    /// id of one store, and of one integrator and one order there.
    pub(crate) async fn fill_handoffs(house: &TestDb) -> (StoreId, Uuid, Uuid) {
        const HANDOFFS: i32 = 3000;
        let now: DateTime<Utc> = house.clock.now();
        let ids = |many: usize| -> Vec<Uuid> { (0..many).map(|_| house.chance.id(now)).collect() };
        let (stores, integrators, orders) = (ids(8), ids(32), ids(1500));
        let handoffs: Vec<NewHandoff> = (0..HANDOFFS)
            .map(|n| {
                let place = usize::try_from(n).unwrap();
                let at = now - TimeDelta::minutes(i64::from(HANDOFFS - n));
                NewHandoff {
                    id: house.chance.id(now),
                    store_id: stores[place % 8].into(),
                    order_id: Some(orders[place % 1500].into()),
                    integrator_id: integrators[place % 32].into(),
                    position: n,
                    event: HandoffEvent::OrderPlaced,
                    required: true,
                    max_attempts: 5,
                    due_at: at,
                    deadline: at + TimeDelta::hours(1),
                    cause: None,
                    created_at: at,
                }
            })
            .collect();
        let mut tx = house.db.begin().await.unwrap();
        crate::handoffs::insert(&mut tx, &handoffs).await.unwrap();
        for statement in [
            "UPDATE handoffs SET state = 'acknowledged', closed_at = created_at WHERE position > 60",
            "UPDATE handoffs SET state = 'failed', reason = 'refused', closed_at = created_at WHERE position < 40",
            "UPDATE handoffs SET state = 'held' WHERE position < 10",
            "UPDATE handoffs SET state = 'parked' WHERE position < 5",
        ] {
            crate::testing::run(&mut tx, statement).await.unwrap();
        }
        tx.commit().await.unwrap();
        update_statistics(house, "ANALYZE TABLE handoffs")
            .await
            .unwrap();
        (stores[0].into(), integrators[0], orders[0])
    }

    /// Updates the statistics by which MySQL plans.
    pub(super) async fn update_statistics(
        house: &TestDb,
        analyze: &'static str,
    ) -> crate::Result<()> {
        let mut tx = house.db.begin().await?;
        if let Tx::MySql(..) = &tx {
            on!(&mut tx, |conn| {
                sqlx::query(analyze).fetch_all(conn).await?;
            });
        }
        tx.commit().await
    }
}
