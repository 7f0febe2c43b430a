//! A transaction on either database, and the macros that expand one body for both.

use sqlx::{MySql, Sqlite, Transaction};

use super::error::{Result, StoreError};

/// Rolls back when it is dropped. Only `ledger` commits.
pub enum Tx {
    MySql(Transaction<'static, MySql>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    /// Where the two databases need different texts; the call says why.
    #[must_use]
    pub fn pick(&self, mysql: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::MySql(_) => mysql,
            Self::Sqlite(_) => sqlite,
        }
    }

    /// An error after which nothing tells whether it happened is [`StoreError::CommitUnknown`].
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::MySql(tx) => tx.commit().await,
            Self::Sqlite(tx) => tx.commit().await,
        }
        .map_err(StoreError::of_commit)
    }

    /// At once, instead of with the connection's next use: locks go now.
    pub(crate) async fn rollback(self) {
        let done = match self {
            Self::MySql(tx) => tx.rollback().await,
            Self::Sqlite(tx) => tx.rollback().await,
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

/// `on!(tx, |conn| …)`: the body once for each database, with `conn` as what sqlx executes on.
macro_rules! on {
    ($tx:expr, |$conn:ident| $body:expr) => {
        match $tx {
            $crate::store::Tx::MySql(tx) => {
                let $conn = &mut **tx;
                $body
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
