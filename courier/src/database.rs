//! The courier's own SQLite database: connections, migrations and facts; each file below has one subject's SQL.

pub(crate) mod accounts; // accounts and their webhooks
pub(crate) mod deliveries; // deliveries, their steps, received messages
pub(crate) mod notifications; // the outbox

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::chance::random_bytes;

pub(crate) type Tx = Transaction<'static, Sqlite>;

/// Implements `FromRow`: each field is the column of its name.
macro_rules! from_row {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
                Ok(Self { $($field: sqlx::Row::try_get(row, stringify!($field))?),+ })
            }
        }
    };
}
use from_row;

const SCHEMA: &str = include_str!("../migrations/0001_schema.sql");
/// How long a statement waits for another courier's transaction on the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

#[derive(Debug, Clone)]
pub(crate) struct Database {
    writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database file {path} cannot be used")]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the database cannot be used")]
    Sql(#[from] sqlx::Error),
    #[error("migrating the database failed")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Random values that belong to a database, made once.
#[derive(Clone)]
pub(crate) struct Facts {
    /// Makes webhook-ids unique among all couriers that ever were.
    pub(crate) name: String,
    pub(crate) token_key: [u8; 32],
    pub(crate) seed: u64,
}

impl Database {
    /// Opens the file, creates it for its owner only if it is missing, and migrates it.
    pub(crate) async fn open(path: &Path) -> Result<Self, DatabaseError> {
        let file_error = |cause| DatabaseError::File {
            path: path.to_owned(),
            cause,
        };
        private_file(path).map_err(file_error)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = || {
            SqlitePoolOptions::new()
                .idle_timeout(None)
                .max_lifetime(None)
        };
        // sqlx's own migration lock does nothing on SQLite. The operating system releases this one.
        let lock = private_file(&path.with_extension("lock")).map_err(file_error)?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        let lock = lock.await.map_err(io::Error::other).and_then(|it| it);
        let lock = lock.map_err(file_error)?;
        let writer = pool()
            .max_connections(1)
            .connect_with(connect.clone())
            .await?;
        let schema = Migration::new(
            1,
            "schema".into(),
            MigrationType::Simple,
            SCHEMA.into(),
            false,
        );
        let mut migrator = Migrator {
            migrations: vec![schema].into(),
            ..Migrator::DEFAULT
        };
        migrator.set_ignore_missing(true);
        migrator.run(&writer).await?;
        drop(lock);
        let readers = pool()
            .max_connections(READERS)
            .connect_with(connect.read_only(true))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Begins a write transaction. It takes SQLite's write lock at once, so that it never fails after it has read.
    pub(crate) async fn begin(&self) -> sqlx::Result<Tx> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Reads the facts, and makes those that are missing.
    pub(crate) async fn facts(&self) -> sqlx::Result<Facts> {
        let mut tx = self.begin().await?;
        let name: [u8; 8] = fact(&mut tx, "name").await?;
        let token_key = fact(&mut tx, "token_key").await?;
        let seed = fact(&mut tx, "seed").await?;
        tx.commit().await?;
        Ok(Facts {
            name: format!("courier_{:016x}", u64::from_be_bytes(name)),
            token_key,
            seed: u64::from_be_bytes(seed),
        })
    }

    pub(crate) async fn ping(&self) -> sqlx::Result<()> {
        let one = sqlx::query("SELECT 1 FROM facts").fetch_optional(&self.readers);
        one.await.map(|_| ())
    }

    /// Closes all connections, so that another process finds the file complete.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn fact<const N: usize>(tx: &mut Tx, name: &str) -> sqlx::Result<[u8; N]> {
    let made: [u8; N] = random_bytes();
    sqlx::query("INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(name)
        .bind(&made[..])
        .execute(&mut **tx)
        .await?;
    let (kept,): (Vec<u8>,) = sqlx::query_as("SELECT value FROM facts WHERE name = ?")
        .bind(name)
        .fetch_one(&mut **tx)
        .await?;
    let length = kept.len();
    kept.try_into()
        .map_err(|_| sqlx::Error::Protocol(format!("the fact {name} has {length} bytes")))
}

/// Opens the file, which has secrets in it, and creates it with mode 0600. SQLite gives its other files the same mode.
fn private_file(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
