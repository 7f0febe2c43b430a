//! A MySQL connection with an open transaction.
//!
//! sqlx reads on, at a connection's next use, what a statement that was given up has left. It does not know of an answer
//! to the preparing of a statement, nor of a packet of which it had read the beginning only; then the next statement takes
//! the answer of another for its own, or panics. So a connection whose statement has not ended is closed with its
//! transaction, and the server rolls that back.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Executor, MySql, MySqlConnection, pool::PoolConnection};

use crate::{
    error::{Result, StoreError},
    timeouts::within,
};

/// An open transaction on a connection of its own. Dropping it returns the connection to its pool, which rolls back.
pub struct MySqlTx {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<MySql>>,
    under_way: UnderWay,
}

impl MySqlTx {
    /// Begins a transaction. The caller sets the timeout.
    pub(crate) async fn begin(connection: PoolConnection<MySql>) -> Result<Self> {
        let mut tx = Self {
            connection: Some(connection),
            under_way: UnderWay::default(),
        };
        tx.run("BEGIN").await?;
        Ok(tx)
    }

    /// Returns the mark of its statements, for those that others run on it.
    pub(crate) fn under_way(&self) -> UnderWay {
        self.under_way.clone()
    }

    /// Commits. The caller sets the timeout.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.run("COMMIT").await
    }

    /// Rolls back at once, so that locks are released now. After a statement that has not ended, the connection is closed
    /// instead.
    pub(crate) async fn rollback(mut self, timeout: Duration) -> Result<()> {
        if self.under_way.is_set() {
            return Ok(());
        }
        within(timeout, self.run("ROLLBACK")).await
    }

    async fn run(&mut self, statement: &'static str) -> Result<()> {
        let under_way = self.under_way();
        under_way.during(self.execute(statement)).await.map(drop)
    }
}

impl Deref for MySqlTx {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        self.connection.as_ref().expect("it is there until the end")
    }
}

impl DerefMut for MySqlTx {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        self.connection.as_mut().expect("it is there until the end")
    }
}

impl std::fmt::Debug for MySqlTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MySqlTx")
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}

impl Drop for MySqlTx {
    fn drop(&mut self) {
        let connection = self.connection.take();
        if let Some(connection) = connection.filter(|_| self.under_way.is_set()) {
            // Closes the socket at once: a farewell could wait for a server that hangs, and keep the place in the pool.
            drop(connection.detach());
        }
    }
}

/// A mark that is set from the beginning of a statement to its end, and stays if the statement does not end: its caller
/// is gone, its time is up, its host is given up, or the connection is broken.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Arc<AtomicBool>);

impl UnderWay {
    pub(crate) async fn during<T, E: Into<StoreError>>(
        &self,
        asked: impl Future<Output = std::result::Result<T, E>>,
    ) -> Result<T> {
        self.0.store(true, Ordering::Relaxed);
        let done = asked.await.map_err(Into::into);
        let is_broken = matches!(done, Err(StoreError::Unavailable(_)));
        self.0.store(is_broken, Ordering::Relaxed);
        done
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use platform::chance::Chance;
    use tokio::time::timeout;

    use super::*;
    use crate::{Db, DbOptions, Tx, testing};

    /// Statements that are prepared, each with a column that tells which it was.
    const STATEMENTS: f64 = 40.0;
    const ROUNDS: u32 = 150;

    async fn connection(tx: &mut Tx) -> Result<i64> {
        let sql = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
        Ok(crate::on!(tx, |conn| sqlx::query_scalar(sql)
            .fetch_one(conn)
            .await?))
    }

    async fn one_connection(url: &str) -> Db {
        let options = DbOptions {
            max_connections: 1,
            // Most statements are prepared anew.
            statement_cache_capacity: 4,
            // A place that a connection keeps which waits for an answer is missed.
            connect_timeout: Duration::from_millis(1500),
            allow_weak_durability: true,
            ..DbOptions::new(url)
        };
        Db::connect(&options).await.unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_kept_after_whole_statements_and_closed_with_one_that_did_not_end() {
        let Some(fresh) = testing::fresh_mysql().await else {
            return;
        };
        let db = one_connection(&fresh.url()).await;
        let mut tx = db.begin().await.unwrap();
        let first = connection(&mut tx).await.unwrap();
        drop(tx);
        // Its caller is gone between two statements; it was rolled back.
        let mut tx = db.begin().await.unwrap();
        assert_eq!(connection(&mut tx).await.unwrap(), first);
        testing::run(&mut tx, "SELECT nothing FROM nowhere")
            .await
            .unwrap_err();
        tx.rollback().await;
        let mut tx = db.begin().await.unwrap();
        assert_eq!(
            connection(&mut tx).await.unwrap(),
            first,
            "an error is an answer"
        );
        let slow = testing::run(&mut tx, "DO SLEEP(0.3)");
        timeout(Duration::from_millis(50), slow).await.unwrap_err();
        tx.rollback().await;
        let mut tx = db.begin().await.unwrap();
        assert_ne!(connection(&mut tx).await.unwrap(), first);
        tx.commit().await.unwrap();
        db.close().await;
        fresh.end().await;
    }

    /// Begins, asks, and ends in one of three ways; each answer must be that of its own statement.
    async fn ask(db: &Db, chance: &Chance) -> Result<()> {
        let mut tx = db.read().await?;
        for _ in 0..3 {
            let which = (chance.fraction() * STATEMENTS) as u8;
            let number = (chance.fraction() * 1e9) as i64;
            let length = (chance.fraction() * 40_000.0) as i64;
            let sql = format!(
                "SELECT CAST({which} AS SIGNED), CAST(? AS SIGNED), REPEAT('0', ?) UNION ALL SELECT 1, 2, ''"
            );
            let Tx::MySql(mysql, terms) = &mut tx else {
                unreachable!("it was asked for");
            };
            let query = sqlx::query_as(&sql).bind(number).bind(length);
            let asked = async { Ok(query.fetch_all(&mut **mysql).await?) };
            let told: Vec<(i64, i64, String)> = terms.ask(asked).await?;
            let told = told
                .iter()
                .map(|(which, number, text)| (*which, *number, text.len() as i64));
            let told: Vec<(i64, i64, i64)> = told.collect();
            let expected = [(i64::from(which), number, length), (1, 2, 0)];
            assert_eq!(told, expected, "the answer of another");
        }
        match (chance.fraction() * 3.0) as u32 {
            0 => tx.commit().await?,
            1 => tx.rollback().await,
            _ => drop(tx),
        }
        Ok(())
    }

    #[tokio::test]
    async fn no_statement_gets_the_answer_of_another_whenever_callers_leave() {
        let Some(fresh) = testing::fresh_mysql().await else {
            return;
        };
        let db = one_connection(&fresh.url()).await;
        let chance = Chance::system();
        let mut left = 0;
        for _ in 0..ROUNDS {
            let leaves_after = Duration::from_micros((chance.fraction() * 3000.0) as u64);
            match timeout(leaves_after, ask(&db, &chance)).await {
                Ok(done) => done.unwrap(),
                Err(_) => left += 1,
            }
            // Whatever that one left behind.
            ask(&db, &chance).await.unwrap();
        }
        assert!(left > ROUNDS / 10, "{left} of {ROUNDS} left");
        db.close().await;
        fresh.end().await;
    }
}
