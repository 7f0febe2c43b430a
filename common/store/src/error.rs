//! Errors of statements, grouped by what the caller can do about them.

mod meaning;
#[cfg(test)]
mod tests;

use self::meaning::{Meaning, meaning};

/// Beginnings of MySQL error texts, as sqlx writes them.
const LOCK_TIMEOUT: &str = "1205";
/// A deadlock, and what a replication group makes of one.
const DEADLOCKS: [&str; 2] = ["1213", "3101"];
const LOCK_NOWAIT: &str = "3572";
/// Beginning of the text of an error for which the server is left.
const UNUSABLE: &str = "server takes no writes";

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

    /// Returns true if the server is read-only or has left its cluster, so that another one takes the writes now or
    /// will soon.
    pub(super) fn is_unusable_server(&self) -> bool {
        matches!(self, Self::Unavailable(why) if why.starts_with(UNUSABLE))
    }

    /// Returns true if the row itself is at fault, not the database, its schema or a lock: another try would fail the
    /// same way. Only such an error counts towards `parked`.
    #[must_use]
    pub fn is_row_fault(&self) -> bool {
        match self {
            Self::UniqueKeyTaken | Self::Corrupt { .. } => true,
            Self::LockLost(_) | Self::Unavailable(_) | Self::CommitUnknown(_) => false,
            Self::Other(sqlx::Error::Database(refused)) => {
                meaning(refused.as_ref()) == Meaning::RowFault
            }
            Self::Other(error) => is_undecodable(error),
        }
    }

    /// Returns true if it is not known who is at fault: the row, the schema, or a server with errors of its own.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Other(_)) && !self.is_row_fault()
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
            Self::Other(error) if is_undecodable(error) => {
                "the row can't be read; see the log".to_owned()
            }
            Self::Other(_) => "the database could not be asked; see the log".to_owned(),
        }
    }

    /// Returns the error's label in the metrics; `None` if it is a normal answer and no failure.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self {
            Self::UniqueKeyTaken => None,
            Self::LockLost(why) if why.starts_with(LOCK_NOWAIT) => None,
            Self::LockLost(why) if DEADLOCKS.iter().any(|one| why.starts_with(one)) => {
                Some("deadlock")
            }
            Self::LockLost(_) => Some("lock_timeout"),
            Self::Unavailable(_) => Some("connection"),
            Self::CommitUnknown(_) => Some("commit_unknown"),
            Self::Corrupt { .. } | Self::Other(_) => Some("other"),
        }
    }

    /// Returns the error of a COMMIT. Only a lost lock says that nothing was committed; any other answer may come from
    /// a proxy, or from a server that failed half way.
    pub(super) fn map_commit_error(error: Self) -> Self {
        match error {
            Self::Unavailable(why) => Self::CommitUnknown(why),
            Self::Other(error) => Self::CommitUnknown(error.to_string()),
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
            sqlx::Error::Database(database) => match meaning(database.as_ref()) {
                Meaning::LockLost => Self::LockLost(database.to_string()),
                Meaning::Unavailable => Self::Unavailable(database.to_string()),
                Meaning::NotThisServer => Self::Unavailable(format!("{UNUSABLE}: {database}")),
                Meaning::RowFault | Meaning::Unknown => Self::Other(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::InvalidSavePointStatement
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            _ => Self::Other(error),
        }
    }
}

/// Returns true if a row's values do not fit the types that they are read into or bound from.
fn is_undecodable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::TypeNotFound { .. }
    )
}
