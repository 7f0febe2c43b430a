//! The two pools of connections to one MySQL server, and the settings of their sessions.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection, Executor, MySql, MySqlConnection, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    pool::PoolConnection,
};

use super::DbOptions;
use crate::{
    error::{Result, StoreError},
    mysql_tx::MySqlTx,
    timeouts::{Renewal, within},
};

/// Timeout of the rollback when a connection returns to its pool; after it the connection is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Shortest time that MySQL can be told, in whole seconds, to wait for a silent session.
const MIN_SESSION_TIMEOUT: Duration = Duration::from_secs(1);
// Under REPEATABLE READ, a second transaction that claims outbox rows starves.
const WRITING: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
// A snapshot and its sequence number must be of the same moment.
const READING: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
// To a Galera node, which must not be read before it has applied all that its cluster has committed: neither when it takes
// over, nor while other processes use another node still, nor when it is cut off from the cluster and has not noticed.
/// Statements with which a session waits for that at the start of each transaction. Such a wait is one message to the
/// cluster and back.
const WAIT_ALWAYS: &[&str] = &["SET SESSION wsrep_sync_wait = 1"];
/// Statements with which it waits once. A commit that is based on less than the cluster has is refused anyway, and the
/// connections of the node that had the writes were opened before those.
const WAIT_ONCE: &[&str] = &[
    "SET SESSION wsrep_sync_wait = 1",
    "SELECT 1",
    "SET SESSION wsrep_sync_wait = @@global.wsrep_sync_wait",
];
/// Session settings that make joins and subqueries run row by row, along indexes. A page of a list joins a few rows to those that they
/// refer to; with a join buffer MySQL 9 hashes the joined table, loses the index order that way, and then reads and
/// sorts every row for one page. An `EXISTS` asks about one row; with the statistics of a table that was smaller, both
/// servers first collect all rows that any row could ask for. Each server reads its own of the two comments.
const PINNED_PLANS: &str = "/*!80020 , optimizer_switch = 'block_nested_loop=off,materialization=off,semijoin=off' */ \
     /*M! , join_cache_level = 0, optimizer_switch = 'materialization=off,semijoin=off' */";

/// Pools of one server.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) writers: MySqlPool,
    pub(super) readers: MySqlPool,
}

impl Pools {
    /// Makes pools that open connections when these are needed.
    pub(super) fn new(making: &Making<'_>) -> Self {
        Self {
            writers: making.writers().connect_lazy_with(making.to.clone()),
            readers: making.readers().connect_lazy_with(making.to.clone()),
        }
    }

    /// Makes the same pools, with one connection for writing, so that a server that refuses us is known now.
    pub(super) async fn connect(making: &Making<'_>) -> Result<Self> {
        let writers = making.writers().connect_with(making.to.clone());
        Ok(Self {
            writers: writers.await?,
            readers: making.readers().connect_lazy_with(making.to.clone()),
        })
    }

    /// Closes the connections that nobody uses now.
    pub(super) async fn close_idle(&self) {
        for pool in [&self.writers, &self.readers] {
            while let Some(idle) = pool.try_acquire() {
                let _ = idle.detach().close_hard().await;
            }
        }
    }
}

/// Everything that the pools of a server are made of; a password is among it.
pub(super) struct Making<'o> {
    pub(super) options: &'o DbOptions,
    pub(super) to: MySqlConnectOptions,
    /// Connections that it has marked are used no more.
    pub(super) renewal: Renewal,
    /// While it is set, new connections wait until their node has caught up with its cluster.
    pub(super) is_galera: Arc<AtomicBool>,
}

impl Making<'_> {
    fn writers(&self) -> MySqlPoolOptions {
        self.pool(WRITING, WAIT_ONCE)
    }

    fn readers(&self) -> MySqlPoolOptions {
        self.pool(READING, WAIT_ALWAYS)
    }

    fn pool(&self, isolation: &'static str, waiting: &'static [&'static str]) -> MySqlPoolOptions {
        let session = session_settings(self.options);
        // MySQL counts in whole seconds, and ends a session that idles for as long, so it is never used that late.
        let max_idle = self.options.session_timeout.max(MIN_SESSION_TIMEOUT) / 2;
        let (renewal, is_galera) = (self.renewal.clone(), Arc::clone(&self.is_galera));
        MySqlPoolOptions::new()
            .max_connections(self.options.max_connections)
            .acquire_timeout(self.options.connect_timeout)
            .idle_timeout(max_idle)
            .test_before_acquire(false)
            .before_acquire(move |_, connection| {
                // The pool's own check runs now and then only.
                let is_fresh = connection.idle_for < max_idle && renewal.keeps(connection.age);
                Box::pin(async move { Ok(is_fresh) })
            })
            .after_release(|conn, _| Box::pin(async move { end_transaction(conn).await }))
            .after_connect(move |conn, _| {
                let session = session.clone();
                let waits = is_galera.load(Ordering::Relaxed);
                Box::pin(async move {
                    conn.execute(isolation).await?;
                    conn.execute(session.as_str()).await?;
                    for statement in waiting.iter().filter(|_| waits) {
                        conn.execute(*statement).await?;
                    }
                    Ok(())
                })
            })
    }
}

/// Begins a transaction, on the next connection if one turns out to be dead. A connection may have died while idle:
/// MySQL was restarted, or a device in between cut it off. Each dead one would fail one caller. Nothing has happened
/// before BEGIN, so the next connection is tried, until one is fresh.
pub(super) async fn begin_on_live_connection(
    pool: &MySqlPool,
    timeout: Duration,
) -> Result<MySqlTx> {
    let mut retries_left = pool.options().get_max_connections();
    loop {
        // Waiting for a free connection has its own timeout, in the pool.
        let conn = acquire(pool).await?;
        let begin = async { Ok::<_, StoreError>(MySqlTx::begin(conn).await) };
        match within(timeout, begin).await? {
            Err(StoreError::Unavailable(_)) if retries_left > 0 => retries_left -= 1,
            begun => return begun,
        }
    }
}

/// Acquires a connection. Every failure, including a changed password or a host that MySQL has blocked, is
/// [`StoreError::Unavailable`]: it is not the caller's fault.
async fn acquire(pool: &MySqlPool) -> Result<PoolConnection<MySql>> {
    let refused = |error: sqlx::Error| StoreError::Unavailable(error.to_string());
    pool.acquire().await.map_err(refused)
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

/// Rolls back what a caller left open, and returns true: the connection may be used again. sqlx pings by itself after it,
/// but on a connection that hangs it would wait forever and occupy its place in the pool.
async fn end_transaction(conn: &mut MySqlConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(RELEASE_TIMEOUT, conn.execute("ROLLBACK")).await {
        Ok(answered) => answered.map(|_| true),
        Err(_) => Err(sqlx::Error::Io(ErrorKind::TimedOut.into())),
    }
}
