//! Errors of statements, grouped by what the caller can do about them.

/// Beginnings of MySQL error texts, as sqlx writes them.
const LOCK_TIMEOUT: &str = "1205";
const DEADLOCK: &str = "1213";
const LOCK_NOWAIT: &str = "3572";
const READ_ONLY: &str = "read-only server";

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row already has this key.
    #[error("unique key already taken")]
    UniqueKeyTaken,
    /// A deadlock or lock timeout: roll back explicitly (1205 undoes only the statement) and retry.
    #[error("lock lost to another transaction: {0}")]
    LockLost(String),
    /// The database can't be reached, or has no free connection.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The COMMIT was sent but its answer was lost: it may or may not have happened.
    #[error("commit outcome unknown: {0}")]
    CommitUnknown(String),
    /// A row holds a value that no version of this program wrote.
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
    /// Returns the error for a row that can't be parsed.
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

    /// Returns true if another transaction held the lock for the whole lock timeout (MySQL).
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::LockLost(why) if why.starts_with(LOCK_TIMEOUT))
    }

    /// Returns the error of a lock that was not waited for. MariaDB's is that of a timeout.
    pub(super) fn of_no_wait(self) -> Self {
        match self {
            Self::LockLost(why) if why.starts_with(LOCK_TIMEOUT) => {
                Self::LockLost(format!("{LOCK_NOWAIT}: {why}"))
            }
            other => other,
        }
    }

    /// Returns true if the server is read-only, so that another one takes the writes now or will soon.
    pub(super) fn is_read_only_server(&self) -> bool {
        matches!(self, Self::Unavailable(why) if why.starts_with(READ_ONLY))
    }

    /// Returns the text for people who look after a row: which row, or which kind of error, without statements and host
    /// names. The log has the details.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            Self::UniqueKeyTaken | Self::Corrupt { .. } => self.to_string(),
            Self::LockLost(_) => "lock lost to another transaction".to_owned(),
            Self::Unavailable(_) => "database unavailable".to_owned(),
            Self::CommitUnknown(_) => "commit outcome unknown".to_owned(),
            Self::Other(sqlx::Error::Database(refused)) => {
                let code = refused.code().unwrap_or_default();
                format!("the database refused the statement ({code}); see the log")
            }
            Self::Other(_) => "the row can't be read; see the log".to_owned(),
        }
    }

    /// Returns the error's label in the metrics; `None` if it is a normal answer and no failure.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self {
            Self::UniqueKeyTaken => None,
            Self::LockLost(why) if why.starts_with(LOCK_NOWAIT) => None,
            Self::LockLost(why) if why.starts_with(DEADLOCK) => Some("deadlock"),
            Self::LockLost(_) => Some("lock_timeout"),
            Self::Unavailable(_) => Some("connection"),
            Self::CommitUnknown(_) => Some("commit_unknown"),
            Self::Corrupt { .. } | Self::Other(_) => Some("other"),
        }
    }

    pub(super) fn map_commit_error(error: Self) -> Self {
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
                // MySQL: deadlock, lock timeout, NOWAIT (3572; MariaDB says 1205). SQLite: busy, locked, and their
                // extended codes.
                Some(
                    Number::MySql(1213 | 1205 | 3572) | Number::Sqlite(5 | 6 | 261 | 262 | 517),
                ) => Self::LockLost(database.to_string()),
                // Too many connections, shutting down, killed, host blocked, disconnected for inactivity.
                Some(Number::MySql(
                    1040 | 1053 | 1077 | 1079 | 1129 | 1203 | 1927 | 3169 | 4031,
                )) => Self::Unavailable(database.to_string()),
                // Read-only: `read_only`, a read-only transaction, InnoDB's own read-only mode.
                Some(Number::MySql(1290 | 1792 | 1836 | 1874)) => {
                    Self::Unavailable(format!("{READ_ONLY}: {database}"))
                }
                // Disk, memory, lock table or transactions used up, an engine error, an interrupted statement: not the
                // fault of a row, so none may be parked for it.
                Some(Number::MySql(
                    1021 | 1030 | 1037 | 1038 | 1041 | 1114 | 1135 | 1180 | 1206 | 1317 | 1637
                    | 1969 | 3024,
                )) => Self::Unavailable(database.to_string()),
                // SQLite: disk full, cannot open, I/O error. Extended codes keep the primary code in the lowest byte.
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
