//! A transaction on either database, and what differs between them.

use std::{sync::Arc, time::Duration};

use sqlx::{Executor, Sqlite, Transaction};

use super::{
    error::{Result, StoreError},
    mysql_tx::MySqlTx,
    timeouts::{StatementPolicy, counted},
};
use platform::metrics::Metrics;

/// Timeout of an explicit rollback. After it the connection is closed, and the server rolls back by itself.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(1);

/// A transaction, rolled back when dropped. Only `ledger` commits. Errors of its statements are counted in the metrics.
pub enum Tx {
    MySql(MySqlTx, StatementPolicy),
    Sqlite(Transaction<'static, Sqlite>, Arc<Metrics>),
}

impl Tx {
    /// Returns the SQL for the database in use; a comment at the call says why the two differ.
    #[must_use]
    pub fn pick(&self, mysql: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::MySql(..) => mysql,
            Self::Sqlite(..) => sqlite,
        }
    }

    /// Makes statements that lock rows fail at once with [`StoreError::LockLost`] where others hold one. On SQLite there
    /// is nothing to wait for: it has one writer.
    pub fn wait_for_no_lock(&mut self) {
        if let Self::MySql(_, terms) = self {
            terms.waits_for_locks = false;
        }
    }

    /// Returns the SQL that locks rows: one that waits for those that others hold, one that does not
    /// ([`Self::wait_for_no_lock`]), or SQLite's.
    pub(crate) fn pick_lock(
        &self,
        waiting: &'static str,
        at_once: &'static str,
        sqlite: &'static str,
    ) -> &'static str {
        match self {
            Self::MySql(_, terms) if terms.waits_for_locks => waiting,
            Self::MySql(..) => at_once,
            Self::Sqlite(..) => sqlite,
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        match self {
            Self::MySql(_, terms) => &terms.metrics,
            Self::Sqlite(_, metrics) => metrics,
        }
    }

    /// Commits. An error that leaves the outcome unknown becomes [`StoreError::CommitUnknown`].
    pub async fn commit(self) -> Result<()> {
        match self {
            // Returns to its pool after the mark of the statement is gone.
            Self::MySql(mut tx, terms) => {
                let asked = async { Ok(tx.execute("COMMIT").await?) };
                let done = terms.ask_with(asked, StoreError::map_commit_error);
                done.await.map(drop)
            }
            Self::Sqlite(tx, metrics) => {
                let done = tx.commit().await.map_err(StoreError::from);
                counted(&metrics, done.map_err(StoreError::map_commit_error))
            }
        }
    }

    /// Rolls back at once, so that locks are released now rather than at the connection's next use.
    pub async fn rollback(self) {
        let done = match self {
            Self::MySql(tx, ..) => tx.rollback(ROLLBACK_TIMEOUT).await,
            Self::Sqlite(tx, _) => tx.rollback().await.map_err(StoreError::from),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "rollback failed; connection discarded");
        }
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.pick("Tx(mysql)", "Tx(sqlite)"))
    }
}

/// `on!(tx, |conn| …)` expands the body once per database, with `conn` as the sqlx executor: tests run statements as text
/// that no prepared statement takes. On MySQL the whole body runs under the statement timeout.
#[cfg(any(test, feature = "testing"))]
macro_rules! on {
    ($tx:expr, |$conn:ident| $body:expr) => {
        match $tx {
            $crate::Tx::MySql(tx, terms) => {
                let $conn = &mut **tx;
                let asked = async { $crate::Result::<_, $crate::StoreError>::Ok($body) };
                terms.ask(asked).await?
            }
            $crate::Tx::Sqlite(tx, metrics) => {
                let $conn = &mut **tx;
                let asked = async { $crate::Result::<_, $crate::StoreError>::Ok($body) };
                $crate::counted(metrics, asked.await)?
            }
        }
    };
}

/// Appends `FOR UPDATE` on MySQL, with `NOWAIT` if the transaction waits for no lock. SQLite neither has nor needs it:
/// it has one writer.
macro_rules! for_update {
    ($tx:expr, $sql:expr) => {
        $tx.pick_lock(
            concat!($sql, " FOR UPDATE"),
            concat!($sql, " FOR UPDATE NOWAIT"),
            $sql,
        )
    };
}

/// Appends `FOR UPDATE SKIP LOCKED` on MySQL. SQLite neither has nor needs it: it has one writer.
macro_rules! skip_locked {
    ($tx:expr, $sql:expr) => {
        $tx.pick(concat!($sql, " FOR UPDATE SKIP LOCKED"), $sql)
    };
}

#[cfg(any(test, feature = "testing"))]
pub(crate) use on;
pub(crate) use {for_update, skip_locked};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::testing::TestDb;
    use each_database::each_database;

    fn metrics_of(tx: &Tx) -> Arc<Metrics> {
        match tx {
            Tx::MySql(_, terms) => terms.metrics.clone(),
            Tx::Sqlite(_, metrics) => metrics.clone(),
        }
    }

    #[each_database(store)]
    async fn a_transaction_that_waits_for_no_lock_is_told_at_once_and_it_counts_as_no_failure(
        house: TestDb,
    ) {
        let store: domain::ids::StoreId = house.chance.id(house.clock.now());
        let mut tx = house.db.begin().await.unwrap();
        let is_mysql = matches!(tx, Tx::MySql(..));
        let made =
            "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (x'01', 0, 0)";
        testing::run(&mut tx, made).await.unwrap();
        testing::run(&mut tx, "INSERT INTO stock (product_id, quantity) VALUES (x'00000000000000000000000000000007', 3)")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        if !is_mysql {
            return;
        }
        let mut holder = house.db.begin().await.unwrap();
        testing::run(&mut holder, "UPDATE stock SET quantity = 2")
            .await
            .unwrap();
        let mut tx = house.db.begin().await.unwrap();
        tx.wait_for_no_lock();
        let product = uuid::Uuid::from_u128(7).into();
        let error = crate::stock::lock(&mut tx, &[product]).await.unwrap_err();
        assert!(error.is_lock_lost() && error.kind().is_none(), "{error}");
        assert!(
            crate::stores::lock_counters(&mut tx, store)
                .await
                .unwrap()
                .is_none()
        );
        holder.rollback().await;
        tx.rollback().await;
    }

    #[each_database(store)]
    async fn errors_of_the_database_are_counted_and_its_answers_are_not(house: TestDb) {
        let mut tx = house.db.begin().await.unwrap();
        let metrics = metrics_of(&tx);
        let met = |kind: &str| metrics.database_errors.with_label_values(&[kind]).get();
        let counter =
            "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (x'01', 0, 0)";
        testing::run(&mut tx, counter).await.unwrap();
        let taken = testing::run(&mut tx, counter).await.unwrap_err();
        assert!(matches!(taken, StoreError::UniqueKeyTaken), "{taken}");
        testing::run(&mut tx, "UPDATE nowhere SET nothing = 1")
            .await
            .unwrap_err();
        tx.rollback().await;
        let of_all = |kinds: &[&'static str]| kinds.iter().map(|kind| met(kind)).sum::<u64>();
        assert_eq!(
            (
                met("other"),
                of_all(&["deadlock", "lock_timeout", "connection", "commit_unknown"])
            ),
            (1, 0)
        );

        house.db.close().await;
        house.db.begin().await.unwrap_err();
        house.db.read().await.unwrap_err();
        assert_eq!((met("other"), met("connection")), (1, 2));
    }

    #[test]
    fn only_what_went_wrong_has_a_kind() {
        let lost = |why: &str| StoreError::LockLost(why.to_owned());
        let kinds = [
            (StoreError::UniqueKeyTaken, None),
            (
                lost(
                    "3572 (HY000): Statement aborted because lock(s) could not be acquired immediately",
                ),
                None,
            ),
            (
                lost("1213 (40001): Deadlock found when trying to get lock"),
                Some("deadlock"),
            ),
            (
                lost("1205 (HY000): Lock wait timeout exceeded"),
                Some("lock_timeout"),
            ),
            (lost("(code: 5) database is locked"), Some("lock_timeout")),
            (
                StoreError::CommitUnknown(String::new()),
                Some("commit_unknown"),
            ),
            (
                StoreError::corrupt("orders", 1, "unknown status"),
                Some("other"),
            ),
        ];
        for (error, kind) in kinds {
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
