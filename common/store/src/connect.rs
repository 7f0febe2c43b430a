//! Connections: MySQL pools for writing and reading; SQLite with one writer and several readers.

mod checks;
mod replication;
mod sqlite_files;

use std::{
    io::ErrorKind,
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
    timeouts::{Renewal, StatementPolicy, counted, within},
    tx::Tx,
};
use platform::{
    clock::{Clock, Followed, TimeSample},
    metrics::Metrics,
};

/// Timeout of the check when a connection returns to its pool; after it the connection is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Shortest time that MySQL can be told, in whole seconds, to wait for a silent session.
const MIN_SESSION_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of times that the database is asked for the time, of which the best answer counts.
const TIME_SAMPLES: usize = 5;
/// Session settings that make joins and subqueries run row by row, along indexes. A page of a list joins a few rows to those that they
/// refer to; with a join buffer MySQL 9 hashes the joined table, loses the index order that way, and then reads and
/// sorts every row for one page. An `EXISTS` asks about one row; with the statistics of a table that was smaller, both
/// servers first collect all rows that any row could ask for. Each server reads its own of the two comments.
const PINNED_PLANS: &str = "/*!80020 , optimizer_switch = 'block_nested_loop=off,materialization=off,semijoin=off' */ \
     /*M! , join_cache_level = 0, optimizer_switch = 'materialization=off,semijoin=off' */";

/// Connection settings; the URL's scheme selects the database.
#[derive(Clone)]
pub struct DbOptions {
    /// `mysql://user:password@host:port/name` or `sqlite://path`
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
    MySql {
        writers: MySqlPool,
        readers: MySqlPool,
        terms: StatementPolicy,
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
    /// Connects and checks that commits are durable, unless `allow_weak_durability` is set. Does not migrate.
    pub async fn connect(options: &DbOptions) -> Result<Self> {
        match options.url.split_once(':') {
            Some(("mysql", _)) => connect_mysql(options).await,
            Some(("sqlite", _)) => connect_sqlite(options).await,
            _ => Err(StoreError::Other(sqlx::Error::Configuration(
                "database.url must begin with mysql:// or sqlite://".into(),
            ))),
        }
    }

    /// Begins a transaction that writes. On SQLite it occupies the only writer, so keep it short.
    pub async fn begin(&self) -> Result<Tx> {
        match self {
            Self::MySql { writers, terms, .. } => begin_mysql(writers, terms).await,
            // A DEFERRED transaction fails if it is upgraded while another one writes (measured: 362 of 400).
            Self::Sqlite {
                writer, metrics, ..
            } => sqlite_tx(writer.begin_with("BEGIN IMMEDIATE").await, metrics),
        }
    }

    /// Begins a read-only transaction; all its statements see the same snapshot.
    pub async fn read(&self) -> Result<Tx> {
        match self {
            Self::MySql { readers, terms, .. } => begin_mysql(readers, terms).await,
            Self::Sqlite {
                readers, metrics, ..
            } => sqlite_tx(readers.begin().await, metrics),
        }
    }

    /// Sets the clock to the database's time, by the best of several answers; with SQLite, to this machine's. A jump is
    /// only followed at the next call that finds it too, so call again soon after [`Followed::Suspect`].
    pub async fn anchor(&self, clock: &Clock) -> Result<Followed> {
        match self {
            Self::MySql { readers, terms, .. } => {
                // Acquired first, so that connecting is not part of the round trip; and alive, as BEGIN shows.
                let mut conn = begin_on_live_connection(readers, terms.timeout).await?;
                let mut samples = Vec::with_capacity(TIME_SAMPLES);
                for _ in 0..TIME_SAMPLES {
                    let (sample, takes_writes) =
                        within(terms.timeout, ask_for_time(&mut conn)).await?;
                    samples.push(sample);
                    // This way, a process that only reads also notices that another server takes the writes now.
                    if !takes_writes {
                        terms.renewal.renew();
                    }
                }
                within(terms.timeout, conn.rollback()).await?;
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
            Self::MySql { writers, terms, .. } => {
                let mut begun = begin_on_live_connection(writers, terms.timeout).await?;
                // Not a kept statement: at its limit of prepared statements the server still answers those.
                let asked = sqlx::query("SELECT 1").persistent(false);
                let answered = async { Ok::<_, StoreError>(asked.execute(&mut *begun).await?) };
                within(terms.timeout, answered).await?;
                within(terms.timeout, begun.rollback()).await?;
            }
            Self::Sqlite { readers, .. } => {
                readers.execute("SELECT 1").await?;
            }
        }
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

async fn begin_mysql(pool: &MySqlPool, terms: &StatementPolicy) -> Result<Tx> {
    let begun = counted(
        &terms.metrics,
        begin_on_live_connection(pool, terms.timeout).await,
    )?;
    Ok(Tx::MySql(begun, terms.clone()))
}

/// Begins a transaction, on the next connection if one turns out to be dead. A connection may have died while idle:
/// MySQL was restarted, or a device in between cut it off. Each dead one would fail one caller. Nothing has happened
/// before BEGIN, so the next connection is tried, until one is fresh.
async fn begin_on_live_connection(
    pool: &MySqlPool,
    timeout: Duration,
) -> Result<Transaction<'static, MySql>> {
    let mut retries_left = pool.options().get_max_connections();
    loop {
        // Waiting for a free connection has its own timeout, in the pool.
        let conn = acquire_mysql(pool).await?;
        let begin = async { Ok::<_, StoreError>(Transaction::begin(conn, None).await) };
        match within(timeout, begin).await?.map_err(StoreError::from) {
            Err(StoreError::Unavailable(_)) if retries_left > 0 => retries_left -= 1,
            begun => return begun,
        }
    }
}

/// Acquires a connection. Every failure, including a changed password or a host that MySQL has blocked, is
/// [`StoreError::Unavailable`]: it is not the caller's fault.
async fn acquire_mysql(pool: &MySqlPool) -> Result<PoolConnection<MySql>> {
    let refused = |error: sqlx::Error| StoreError::Unavailable(error.to_string());
    pool.acquire().await.map_err(refused)
}

fn sqlite_tx(
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
    let terms = StatementPolicy {
        timeout: options.statement_timeout,
        metrics: options.metrics.clone(),
        renewal: Renewal::default(),
        waits_for_locks: true,
    };
    let session = session_settings(options);
    // MySQL counts in whole seconds, and ends a session that idles for as long, so it is never used that late.
    let max_idle = options.session_timeout.max(MIN_SESSION_TIMEOUT) / 2;
    let pool = |isolation: &'static str| {
        let session = session.clone();
        MySqlPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.connect_timeout)
            .idle_timeout(max_idle)
            .test_before_acquire(false)
            .before_acquire({
                let renewal = terms.renewal.clone();
                move |conn, connection| {
                    // The pool's own check runs now and then only.
                    let is_fresh = connection.idle_for < max_idle && renewal.keeps(connection.age);
                    let is_kept = is_fresh && !conn.is_in_transaction();
                    Box::pin(async move { Ok(is_kept) })
                }
            })
            .after_release(|conn, _| Box::pin(async move { is_reusable(conn).await }))
            .after_connect(move |conn, _| {
                let session = session.clone();
                Box::pin(async move {
                    conn.execute(isolation).await?;
                    conn.execute(session.as_str()).await?;
                    Ok(())
                })
            })
    };
    // Under REPEATABLE READ, a second transaction that claims outbox rows starves.
    let writers = pool("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .connect_with(connect.clone())
        .await?;
    // A snapshot and its sequence number must be of the same moment.
    let readers =
        pool("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").connect_lazy_with(connect);
    if !options.allow_weak_durability {
        checks::check_durability(&writers).await?;
    }
    checks::warn_of_host_block(&writers).await;
    checks::warn_of_few_statements(&writers, options).await;
    replication::warn_of_lost_commits(&writers).await;
    Ok(Db::MySql {
        writers,
        readers,
        terms,
    })
}

/// Returns the statement that sets a session up.
///
/// A machine that loses its power or its network closes nothing, and MySQL would keep its locks for `wait_timeout`,
/// eight hours. So each session says how long it may be silent: between statements, within one that is being sent
/// (`net_read_timeout`), and while its rows are not read (`net_write_timeout`). A session that waits for a lock, of a
/// row or of a table's metadata, is not silent; those waits have limits of their own.
fn session_settings(options: &DbOptions) -> String {
    let lock_timeout_s = options.lock_timeout.as_secs().max(1);
    let session_timeout_s = options.session_timeout.max(MIN_SESSION_TIMEOUT).as_secs();
    format!(
        "SET SESSION innodb_lock_wait_timeout = {lock_timeout_s}, lock_wait_timeout = {lock_timeout_s}, \
         wait_timeout = {session_timeout_s}, net_read_timeout = {session_timeout_s}, \
         net_write_timeout = {session_timeout_s} {PINNED_PLANS}"
    )
}

/// Returns whether a connection may be used again. sqlx pings by itself, but on a connection that hangs it would wait
/// forever and occupy its place in the pool. Transactions that a caller left open are rolled back or abandoned here.
async fn is_reusable(conn: &mut MySqlConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(RELEASE_TIMEOUT, conn.ping()).await {
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

#[cfg(test)]
mod tests;
