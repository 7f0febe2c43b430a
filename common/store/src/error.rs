//! What can go wrong with a statement, in the terms in which callers decide what to do next.

/// How these errors of MySQL begin, as sqlx writes them.
const LOCK_TIMED_OUT: &str = "1205";
const DEADLOCK: &str = "1213";
const NOT_TO_BE_WAITED_FOR: &str = "3572";
const ONLY_READS: &str = "it only reads";

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has this key already.
    #[error("a unique key is taken")]
    UniqueKeyTaken,
    /// A deadlock or a lock's time-out: roll back explicitly (1205 undoes the statement only) and run again.
    #[error("lost a lock to somebody else: {0}")]
    LockLost(String),
    /// The database can't be reached, or has no connection free.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The COMMIT was sent and its answer lost: it may or may not have happened.
    #[error("no answer to a commit: {0}")]
    CommitUnknown(String),
    /// A row holds what no version of this program wrote.
    #[error("{table} {id}: {what}")]
    Corrupt {
        table: &'static str,
        id: String,
        what: String,
    },
    #[error(transparent)]
    Other(sqlx::Error),
}

impl StoreError {
    /// A row that can't be read as what it must be.
    pub fn corrupt(table: &'static str, id: impl ToString, what: impl ToString) -> Self {
        Self::Corrupt {
            table,
            id: id.to_string(),
            what: what.to_string(),
        }
    }

    #[must_use]
    pub fn is_lock_lost(&self) -> bool {
        matches!(self, Self::LockLost(_))
    }

    /// Somebody held the lock for as long as a statement waits for one (MySQL).
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::LockLost(why) if why.starts_with(LOCK_TIMED_OUT))
    }

    /// Another server is written to now, or will be: this one is to be left.
    pub(super) fn is_of_a_reading_server(&self) -> bool {
        matches!(self, Self::Unavailable(why) if why.starts_with(ONLY_READS))
    }

    /// As it is shown to whoever looks after a row: which row, or what kind of trouble, and neither statements nor
    /// hosts. The log has the rest.
    #[must_use]
    pub fn in_public(&self) -> String {
        match self {
            Self::UniqueKeyTaken | Self::Corrupt { .. } => self.to_string(),
            Self::LockLost(_) => "lost a lock to somebody else".to_owned(),
            Self::Unavailable(_) => "the database is unavailable".to_owned(),
            Self::CommitUnknown(_) => "no answer to a commit".to_owned(),
            Self::Other(sqlx::Error::Database(refused)) => {
                let code = refused.code().unwrap_or_default();
                format!("the database refused it ({code}); the log says why")
            }
            Self::Other(_) => "its row can't be read; the log says why".to_owned(),
        }
    }

    /// What the metrics count it as; `None`: it is an answer, and nothing went wrong.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self {
            Self::UniqueKeyTaken => None,
            Self::LockLost(why) if why.starts_with(NOT_TO_BE_WAITED_FOR) => None,
            Self::LockLost(why) if why.starts_with(DEADLOCK) => Some("deadlock"),
            Self::LockLost(_) => Some("lock_timeout"),
            Self::Unavailable(_) => Some("connection"),
            Self::CommitUnknown(_) => Some("commit_unknown"),
            Self::Corrupt { .. } | Self::Other(_) => Some("other"),
        }
    }

    pub(super) fn of_commit(error: Self) -> Self {
        match error {
            Self::Unavailable(why) => Self::CommitUnknown(why),
            other => other,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::UniqueKeyTaken
            }
            sqlx::Error::Database(database) => match number(database.as_ref()) {
                // MySQL: deadlock, lock time-out, not to be waited for (3572; MariaDB says 1205). SQLite: busy, locked, and their extended forms.
                Some(
                    Number::MySql(1213 | 1205 | 3572) | Number::Sqlite(5 | 6 | 261 | 262 | 517),
                ) => Self::LockLost(database.to_string()),
                // Too many connections, shutting down, killed, blocked, no such privilege left after a restart.
                Some(Number::MySql(
                    1040 | 1053 | 1077 | 1079 | 1129 | 1203 | 1927 | 3169 | 4031,
                )) => Self::Unavailable(database.to_string()),
                // It reads, and does not write: `read_only`, a transaction of that kind, InnoDB's own.
                Some(Number::MySql(1290 | 1792 | 1836 | 1874)) => {
                    Self::Unavailable(format!("{ONLY_READS}: {database}"))
                }
                // Disk, memory, lock table or transactions used up, the engine's own trouble, a statement cut short: no
                // row's fault, for which it would be parked.
                Some(Number::MySql(
                    1021 | 1030 | 1037 | 1038 | 1041 | 1114 | 1135 | 1180 | 1206 | 1317 | 1637
                    | 1969 | 3024,
                )) => Self::Unavailable(database.to_string()),
                // SQLite: disk full, cannot open, I/O error, whose extended forms have more above the first byte.
                Some(Number::Sqlite(code)) if matches!(code & 0xff, 10 | 13 | 14) => {
                    Self::Unavailable(database.to_string())
                }
                _ => Self::Other(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            _ => Self::Other(error),
        }
    }
}

enum Number {
    MySql(u16),
    Sqlite(i64),
}

fn number(error: &dyn sqlx::error::DatabaseError) -> Option<Number> {
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return Some(Number::MySql(mysql.number()));
    }
    error
        .code()
        .and_then(|code| code.parse().ok())
        .map(Number::Sqlite)
}

#[cfg(test)]
mod tests;
