//! Connections: MySQL pools for writing and reading; SQLite with one writer and several readers.

mod checks;
mod choice;
mod fitness;
mod hosts;
mod pools;
mod replication;
mod sqlite_files;
mod start;

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{
    Connection, Executor, MySqlConnection, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::hosts::{Hosts, Purpose};
use super::{
    error::{Result, StoreError},
    timeouts::counted,
    tx::Tx,
};
use platform::{
    clock::{Clock, Followed, TimeSample},
    metrics::Metrics,
};

/// Number of times that the database is asked for the time, of which the best answer counts.
const TIME_SAMPLES: usize = 5;

/// Connection settings; the URL's scheme selects the database.
#[derive(Clone)]
pub struct DbOptions {
    /// `mysql://user:password@host:port/name`, with several hosts after commas, or `sqlite://path`
    pub url: String,
    /// Size of the pool for writing; the pool for reading has the same size. SQLite has one writer and at most 8
    /// readers.
    pub max_connections: u32,
    pub statement_cache_capacity: usize,
    pub lock_timeout: Duration,
    pub connect_timeout: Duration,
    /// Timeout of one MySQL statement.
    pub statement_timeout: Duration,
    /// Time after which MySQL ends a session that says nothing, and so frees its locks. Longer than a statement takes.
    pub session_timeout: Duration,
    /// True to start even if the server's settings could lose a commit in a power cut.
    pub allow_weak_durability: bool,
    /// Interval at which each of several hosts is asked if it takes writes.
    pub host_check_interval: Duration,
    /// Timeout of that question; two that are not answered are a host that hangs.
    pub host_check_timeout: Duration,
    /// Time for which an earlier host must have taken writes before it is used again.
    pub host_return_after: Duration,
    /// Metrics that count errors.
    pub metrics: Arc<Metrics>,
}

impl DbOptions {
    /// Returns options with the default settings, and metrics that are not exported.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            statement_cache_capacity: 1000,
            lock_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(20),
            allow_weak_durability: false,
            host_check_interval: Duration::from_secs(1),
            host_check_timeout: Duration::from_millis(1500),
            host_return_after: Duration::from_secs(30),
            metrics: Metrics::new(),
        }
    }
}

impl std::fmt::Debug for DbOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DbOptions")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A database handle; cheap to clone.
#[derive(Clone)]
pub enum Db {
    MySql(Arc<Hosts>),
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        metrics: Arc<Metrics>,
    },
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MySql(_) => "Db(mysql)",
            Self::Sqlite { .. } => "Db(sqlite)",
        })
    }
}

impl Db {
    /// Connects and checks that commits are durable, unless `allow_weak_durability` is set. Does not migrate.
    pub async fn connect(options: &DbOptions) -> Result<Self> {
        match options.url.split_once(':') {
            Some(("mysql", _)) => Hosts::connect(options).await.map(Self::MySql),
            Some(("sqlite", _)) => connect_sqlite(options).await,
            _ => Err(StoreError::Other(sqlx::Error::Configuration(
                "database.url must begin with mysql:// or sqlite://".into(),
            ))),
        }
    }

    /// Begins a transaction that writes. On SQLite it occupies the only writer, so keep it short.
    pub async fn begin(&self) -> Result<Tx> {
        match self {
            Self::MySql(hosts) => begin_mysql(hosts, Purpose::Writing).await,
            // A DEFERRED transaction fails if it is upgraded while another one writes (measured: 362 of 400).
            Self::Sqlite {
                writer, metrics, ..
            } => sqlite_tx(writer.begin_with("BEGIN IMMEDIATE").await, metrics),
        }
    }

    /// Begins a read-only transaction; all its statements see the same snapshot.
    pub async fn read(&self) -> Result<Tx> {
        match self {
            Self::MySql(hosts) => begin_mysql(hosts, Purpose::Reading).await,
            Self::Sqlite {
                readers, metrics, ..
            } => sqlite_tx(readers.begin().await, metrics),
        }
    }

    /// Sets the clock to the database's time, by the best of several answers; with SQLite, to this machine's. A jump is
    /// only followed at the next call that finds it too, so call again soon after [`Followed::Suspect`].
    pub async fn anchor(&self, clock: &Clock) -> Result<Followed> {
        match self {
            Self::MySql(hosts) => {
                // Acquired first, so that connecting is not part of the round trip; and alive, as BEGIN shows.
                let (mut conn, terms) = hosts.begin(Purpose::Reading).await?;
                let mut samples = Vec::with_capacity(TIME_SAMPLES);
                for _ in 0..TIME_SAMPLES {
                    let (sample, takes_writes) = terms.within(ask_for_time(&mut conn)).await?;
                    samples.push(sample);
                    // This way, a process that only reads also notices that another server takes the writes now.
                    if !takes_writes {
                        terms.leave();
                    }
                }
                let followed = clock.follow(&samples);
                match followed {
                    Followed::Suspect(by) => {
                        tracing::warn!(
                            "database's time differs from the clock's by {by}; asking again before following it"
                        );
                    }
                    Followed::Jumped(by) => {
                        tracing::warn!("clock moved by {by} to the database's time");
                    }
                    Followed::Adjusted => {}
                }
                Ok(followed)
            }
            Self::Sqlite { .. } => {
                clock.anchor_to_system_time();
                Ok(Followed::Adjusted)
            }
        }
    }

    /// Checks that the database answers, and takes another prepared statement, for `/readyz`.
    pub async fn ping(&self) -> Result<()> {
        match self {
            // A connection that died while idle is replaced.
            Self::MySql(hosts) => {
                let (mut begun, terms) = hosts.begin(Purpose::Writing).await?;
                // Not a kept statement: at its limit of prepared statements the server still answers those.
                let asked = sqlx::query("SELECT 1").persistent(false);
                let answered = async { Ok::<_, StoreError>(asked.execute(&mut *begun).await?) };
                terms.within(answered).await?;
            }
            Self::Sqlite { readers, .. } => {
                readers.execute("SELECT 1").await?;
            }
        }
        Ok(())
    }

    pub async fn close(&self) {
        match self {
            Self::MySql(hosts) => hosts.close().await,
            Self::Sqlite {
                writer, readers, ..
            } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// Asks for the time; returns whether the server takes writes, too.
async fn ask_for_time(conn: &mut MySqlConnection) -> sqlx::Result<(TimeSample, bool)> {
    let asked_at = Instant::now();
    let asked = "SELECT UTC_TIMESTAMP(6), CAST(@@global.read_only AS CHAR), CAST(@@global.innodb_read_only AS CHAR)";
    let (time, read_only, innodb_read_only): (DateTime<Utc>, String, String) =
        sqlx::query_as(asked).fetch_one(conn).await?;
    let sample = TimeSample {
        time,
        asked_at,
        round_trip: asked_at.elapsed(),
    };
    Ok((sample, !is_on(&read_only) && !is_on(&innodb_read_only)))
}

/// Returns true unless a server variable is off. Its values are 0, 1, OFF, ON, and words that mean more than ON.
fn is_on(setting: &str) -> bool {
    !matches!(setting, "0" | "OFF")
}

async fn begin_mysql(hosts: &Hosts, purpose: Purpose) -> Result<Tx> {
    let (begun, terms) = counted(hosts.metrics(), hosts.begin(purpose).await)?;
    Ok(Tx::MySql(begun, terms))
}

fn sqlite_tx(
    begun: sqlx::Result<Transaction<'static, Sqlite>>,
    metrics: &Arc<Metrics>,
) -> Result<Tx> {
    let begun = counted(metrics, begun.map_err(StoreError::from))?;
    Ok(Tx::Sqlite(begun, metrics.clone()))
}

/// Cache of the connection that writes, in KiB below zero: as many pages as a large batch changes. One that does not fit is
/// written more than once.
const WRITER_CACHE: &str = "-16384";
/// Pages of the write-ahead log (of 4 KiB) after which they are copied into the database. A page that many commits change
/// is copied once.
const CHECKPOINT_PAGES: &str = "4000";

async fn connect_sqlite(options: &DbOptions) -> Result<Db> {
    let connect = SqliteConnectOptions::from_str(&options.url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(options.statement_cache_capacity)
        .busy_timeout(options.lock_timeout);
    sqlite_files::prepare(connect.get_filename())?;
    // Connections stay open, so that the file's locks are not taken again for each transaction.
    let pool = || {
        SqlitePoolOptions::new()
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            // SQLite ends a transaction by itself if the disk is full or fails; then there is nothing to roll back, and
            // sqlx takes the connection for one that is inside a transaction for ever (`InvalidSavePointStatement`).
            .before_acquire(|conn, _| {
                let is_kept = !conn.is_in_transaction();
                Box::pin(async move { Ok(is_kept) })
            })
    };
    let writer = pool()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(
            connect
                .clone()
                .pragma("cache_size", WRITER_CACHE)
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES),
        )
        .await?;
    let readers = pool()
        .max_connections(options.max_connections.min(8))
        .acquire_timeout(options.connect_timeout)
        .connect_with(connect.read_only(true))
        .await?;
    Ok(Db::Sqlite {
        writer,
        readers,
        metrics: options.metrics.clone(),
    })
}

#[cfg(test)]
mod tests;
