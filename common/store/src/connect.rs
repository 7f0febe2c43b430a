//! Connections: MySQL pools for writing and reading; SQLite with one writer and several readers.

mod checks;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{
    Connection, Executor, MySql, MySqlConnection, MySqlPool, Sqlite, SqlitePool, Transaction,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    error::{Result, StoreError},
    timeouts::{Renewal, Terms, counted, within},
    tx::Tx,
};
use platform::{clock::Clock, metrics::Metrics};

/// A connection that takes longer to come back than this is closed.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);
/// Joins go row by row, along indexes. A page of a list joins a few rows with what they name; with a buffer MySQL 9 takes
/// the joined table as a hash, loses the order of the index that way, and then reads and sorts every row for one page.
/// Each server reads its own of the two comments.
const NO_JOIN_BUFFERS: &str =
    "/*!80020 , optimizer_switch = 'block_nested_loop=off' */ /*M! , join_cache_level = 0 */";

/// How to reach a database; the URL's scheme picks which.
#[derive(Clone)]
pub struct DbOptions {
    /// `mysql://user:password@host:port/name` or `sqlite://path`
    pub url: String,
    /// Connections that write; as many again may read.
    pub max_connections: u32,
    pub statement_cache_capacity: usize,
    pub lock_timeout: Duration,
    pub connect_timeout: Duration,
    /// How long MySQL may take to answer one statement.
    pub statement_timeout: Duration,
    /// Start although a commit may be lost in a power cut.
    pub allow_weak_durability: bool,
    /// Where errors are counted.
    pub metrics: Arc<Metrics>,
}

impl DbOptions {
    /// With what the settings have as their defaults, and metrics that nobody sees.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            statement_cache_capacity: 1000,
            lock_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            allow_weak_durability: false,
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

/// Cheap to clone.
#[derive(Clone)]
pub enum Db {
    MySql {
        writers: MySqlPool,
        readers: MySqlPool,
        terms: Terms,
    },
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        metrics: Arc<Metrics>,
    },
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MySql { .. } => "Db(mysql)",
            Self::Sqlite { .. } => "Db(sqlite)",
        })
    }
}

impl Db {
    /// Connects and checks that a commit will be kept; does not migrate.
    pub async fn connect(options: &DbOptions) -> Result<Self> {
        match options.url.split_once(':') {
            Some(("mysql", _)) => connect_mysql(options).await,
            Some(("sqlite", _)) => connect_sqlite(options).await,
            _ => Err(StoreError::Other(sqlx::Error::Configuration(
                "database.url begins with mysql:// or sqlite://".into(),
            ))),
        }
    }

    /// A transaction that writes. On SQLite it has the only writer, so keep it short.
    pub async fn begin(&self) -> Result<Tx> {
        match self {
            Self::MySql { writers, terms, .. } => begin_mysql(writers, terms).await,
            // DEFERRED would fail when it is upgraded while somebody else writes (measured: 362 of 400).
            Self::Sqlite {
                writer, metrics, ..
            } => begun_sqlite(writer.begin_with("BEGIN IMMEDIATE").await, metrics),
        }
    }

    /// A transaction that only reads: all its statements see one moment.
    pub async fn read(&self) -> Result<Tx> {
        match self {
            Self::MySql { readers, terms, .. } => begin_mysql(readers, terms).await,
            Self::Sqlite {
                readers, metrics, ..
            } => begun_sqlite(readers.begin().await, metrics),
        }
    }

    /// Sets the clock to the database's time. Embedded, that is the machine's own.
    pub async fn anchor(&self, clock: &Clock) -> Result<()> {
        match self {
            Self::MySql { readers, terms, .. } => {
                // A connection that has to be made first is no part of the round trip.
                let mut conn = acquired(readers).await?;
                let asked_at = Instant::now();
                let asked = sqlx::query_as(
                    "SELECT UTC_TIMESTAMP(6), CAST(@@global.read_only AS CHAR), CAST(@@global.innodb_read_only AS CHAR)",
                )
                .fetch_one(&mut *conn);
                let (now, read_only, innodb_read_only): (DateTime<Utc>, String, String) =
                    within(terms.patience, asked).await?;
                clock.anchor(now, asked_at + asked_at.elapsed() / 2);
                // Also who only reads learns so that another server writes now.
                if is_on(&read_only) || is_on(&innodb_read_only) {
                    terms.renewal.renew();
                }
            }
            Self::Sqlite { .. } => clock.anchor_to_machine(),
        }
        Ok(())
    }

    /// For `/readyz`.
    pub async fn ping(&self) -> Result<()> {
        match self {
            Self::MySql { writers, .. } => {
                let mut conn = acquired(writers).await?;
                conn.execute("SELECT 1").await?.rows_affected()
            }
            Self::Sqlite { readers, .. } => readers.execute("SELECT 1").await?.rows_affected(),
        };
        Ok(())
    }

    pub async fn close(&self) {
        match self {
            Self::MySql {
                writers, readers, ..
            } => {
                readers.close().await;
                writers.close().await;
            }
            Self::Sqlite {
                writer, readers, ..
            } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// A setting of the server's: 0, 1, OFF, ON, and words that mean more than ON.
fn is_on(setting: &str) -> bool {
    !matches!(setting, "0" | "OFF")
}

async fn begin_mysql(pool: &MySqlPool, terms: &Terms) -> Result<Tx> {
    let begun = counted(&terms.metrics, begun_mysql(pool, terms.patience).await)?;
    Ok(Tx::MySql(begun, terms.clone()))
}

/// A connection may have died while nobody used it: MySQL was restarted, or something between cut it off. Each would
/// refuse one caller. Nothing has happened before BEGIN, so the next one is tried, until it is a fresh one.
async fn begun_mysql(pool: &MySqlPool, patience: Duration) -> Result<Transaction<'static, MySql>> {
    let mut may_be_dead = pool.options().get_max_connections();
    loop {
        // Waiting for a free connection has its own bound, in the pool.
        let conn = acquired(pool).await?;
        let begin = async { Ok::<_, StoreError>(Transaction::begin(conn, None).await) };
        match within(patience, begin).await?.map_err(StoreError::from) {
            Err(StoreError::Unavailable(_)) if may_be_dead > 0 => may_be_dead -= 1,
            begun => return begun,
        }
    }
}

/// Whatever keeps us out, a changed password or MySQL's having blocked this machine too, the database can't be used: it
/// is nothing that the caller did.
async fn acquired(pool: &MySqlPool) -> Result<PoolConnection<MySql>> {
    let refused = |error: sqlx::Error| StoreError::Unavailable(error.to_string());
    pool.acquire().await.map_err(refused)
}

fn begun_sqlite(
    begun: sqlx::Result<Transaction<'static, Sqlite>>,
    metrics: &Arc<Metrics>,
) -> Result<Tx> {
    let begun = counted(metrics, begun.map_err(StoreError::from))?;
    Ok(Tx::Sqlite(begun, metrics.clone()))
}

async fn connect_mysql(options: &DbOptions) -> Result<Db> {
    let connect = MySqlConnectOptions::from_str(&options.url)?
        .statement_cache_capacity(options.statement_cache_capacity)
        .charset("utf8mb4");
    let terms = Terms {
        patience: options.statement_timeout,
        metrics: options.metrics.clone(),
        renewal: Renewal::default(),
    };
    let lock_timeout_s = options.lock_timeout.as_secs().max(1);
    let pool = |isolation: &'static str| {
        MySqlPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.connect_timeout)
            .test_before_acquire(false)
            .before_acquire({
                let renewal = terms.renewal.clone();
                move |_, connection| {
                    let is_kept = renewal.keeps(connection.age);
                    Box::pin(async move { Ok(is_kept) })
                }
            })
            .after_release(|conn, _| Box::pin(async move { comes_back(conn).await }))
            .after_connect(move |conn, _| {
                Box::pin(async move {
                    conn.execute(isolation).await?;
                    let set = format!(
                        "SET SESSION innodb_lock_wait_timeout = {lock_timeout_s} {NO_JOIN_BUFFERS}"
                    );
                    conn.execute(sqlx::AssertSqlSafe(set)).await?;
                    Ok(())
                })
            })
    };
    // Under REPEATABLE READ a second claimer of outbox rows starves.
    let writers = pool("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .connect_with(connect.clone())
        .await?;
    // A snapshot and its number must be of one moment.
    let readers =
        pool("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").connect_lazy_with(connect);
    if !options.allow_weak_durability {
        checks::keeps_commits(&writers).await?;
    }
    checks::warn_of_lockout(&writers).await;
    Ok(Db::MySql {
        writers,
        readers,
        terms,
    })
}

/// Whether a connection may be used again. sqlx asks the same by itself, but on one that hangs it would wait for ever
/// and keep its place in the pool; this is where what a caller left half-way is rolled back or given up.
async fn comes_back(conn: &mut MySqlConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(RELEASE_WITHIN, conn.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(ErrorKind::TimedOut.into())),
    }
}

async fn connect_sqlite(options: &DbOptions) -> Result<Db> {
    let connect = SqliteConnectOptions::from_str(&options.url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(options.statement_cache_capacity)
        .busy_timeout(options.lock_timeout);
    if let Some(folder) = folder_of(connect.get_filename()) {
        std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
    }
    // Kept open, so that the file's locks are not taken anew for each transaction.
    let pool = || {
        SqlitePoolOptions::new()
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let writer = pool()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(connect.clone())
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

fn folder_of(file: &Path) -> Option<PathBuf> {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests;
