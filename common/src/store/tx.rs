//! A transaction on either database, and the macros that expand one body for both.

use std::time::Duration;

use sqlx::{MySql, Sqlite, Transaction};

use super::error::{Result, StoreError};

/// A rollback that takes longer is left to the server, which finds the connection closed.
const ROLLBACK_WITHIN: Duration = Duration::from_secs(1);

/// Rolls back when it is dropped. Only `ledger` commits.
pub enum Tx {
    /// With how long each statement is waited for: sqlx would wait for ever on a connection that hangs.
    MySql(Transaction<'static, MySql>, Duration),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    /// Where the two databases need different texts; the call says why.
    #[must_use]
    pub fn pick(&self, mysql: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::MySql(..) => mysql,
            Self::Sqlite(_) => sqlite,
        }
    }

    /// An error after which nothing tells whether it happened is [`StoreError::CommitUnknown`].
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::MySql(tx, patience) => within(patience, tx.commit()).await,
            Self::Sqlite(tx) => Ok(tx.commit().await?),
        }
        .map_err(StoreError::of_commit)
    }

    /// At once, instead of with the connection's next use: locks go now.
    pub(crate) async fn rollback(self) {
        let done = match self {
            Self::MySql(tx, _) => within(ROLLBACK_WITHIN, tx.rollback()).await,
            Self::Sqlite(tx) => tx.rollback().await.map_err(StoreError::from),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a rollback failed; the connection is thrown away");
        }
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.pick("Tx(mysql)", "Tx(sqlite)"))
    }
}

/// What takes longer than `patience` is given up; the connection that it was on does not come back to its pool.
pub(crate) async fn within<T, E: Into<StoreError>>(
    patience: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer within {} ms",
            patience.as_millis()
        ))),
    }
}

/// `on!(tx, |conn| …)`: the body once for each database, with `conn` as what sqlx executes on. On MySQL the body is
/// one wait of bounded length.
macro_rules! on {
    ($tx:expr, |$conn:ident| $body:expr) => {
        match $tx {
            $crate::store::Tx::MySql(tx, patience) => {
                let $conn = &mut **tx;
                let asked =
                    async { $crate::store::Result::<_, $crate::store::StoreError>::Ok($body) };
                $crate::store::within(*patience, asked).await?
            }
            $crate::store::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}

/// The text with `FOR UPDATE`, which SQLite neither has nor needs: it has one writer.
macro_rules! for_update {
    ($tx:expr, $sql:literal) => {
        $tx.pick(concat!($sql, " FOR UPDATE"), $sql)
    };
}

/// The text with `FOR UPDATE SKIP LOCKED`, which SQLite neither has nor needs: it has one writer.
macro_rules! skip_locked {
    ($tx:expr, $sql:literal) => {
        $tx.pick(concat!($sql, " FOR UPDATE SKIP LOCKED"), $sql)
    };
}

pub(crate) use {for_update, on, skip_locked};
