//! A MySQL connection with an open transaction.
//!
//! sqlx reads on, at a connection's next use, what a statement that was given up has left. It does not know of an answer
//! to the preparing of a statement, nor of a packet of which it had read the beginning only; then the next statement takes
//! the answer of another for its own, or panics. So a connection whose statement has not ended is closed with its
//! transaction, and the server rolls that back.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Executor, MySql, MySqlConnection, pool::PoolConnection};

use crate::{error::Result, timeouts::within, under_way::UnderWay};

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
        let under_way = tx.under_way();
        under_way.during(tx.execute("BEGIN")).await?;
        Ok(tx)
    }

    /// Returns the mark of its statements, for those that others run on it.
    pub(crate) fn under_way(&self) -> UnderWay {
        self.under_way.clone()
    }

    /// Rolls back at once, so that locks are released now. After a statement that has not ended, the connection is closed
    /// instead.
    pub(crate) async fn rollback(mut self, timeout: Duration) -> Result<()> {
        if self.under_way.is_set() {
            return Ok(());
        }
        let under_way = self.under_way();
        let rolled_back = under_way.during(self.execute("ROLLBACK"));
        within(timeout, rolled_back).await.map(drop)
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

#[cfg(test)]
mod tests {
    use platform::chance::Chance;
    use tokio::time::timeout;

    use super::*;
    use crate::{Db, DbOptions, StoreError, Tx, testing};

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

    #[tokio::test]
    async fn after_a_statement_that_did_not_end_nothing_is_asked_and_nothing_committed() {
        let Some(fresh) = testing::fresh_mysql().await else {
            return;
        };
        let db = one_connection(&fresh.url()).await;
        let mut tx = db.begin().await.unwrap();
        let slow = testing::run(&mut tx, "DO SLEEP(0.3)");
        timeout(Duration::from_millis(50), slow).await.unwrap_err();
        let next = connection(&mut tx).await.unwrap_err();
        assert!(matches!(next, StoreError::Unavailable(_)), "{next}");
        let committed = tx.commit().await.unwrap_err();
        assert!(
            matches!(committed, StoreError::CommitUnknown(_)),
            "{committed}"
        );
        db.ping().await.unwrap();
        db.close().await;
        fresh.end().await;
    }

    #[tokio::test]
    async fn a_server_that_refuses_a_statement_keeps_the_connection() {
        let Some(fresh) = testing::fresh_mysql().await else {
            return;
        };
        let db = one_connection(&fresh.url()).await;
        let mut tx = db.begin().await.unwrap();
        let first = connection(&mut tx).await.unwrap();
        // Too many prepared statements: those that the connection has go on.
        let refused = "SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1461, MESSAGE_TEXT = 'the limit'";
        let refused = testing::raw(&mut tx, refused).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        assert_eq!(connection(&mut tx).await.unwrap(), first);
        tx.rollback().await;
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
