//! Checks of a MySQL server at startup: that commits are durable, and that it will not block this host.

use sqlx::MySqlPool;

use super::DbOptions;
use crate::error::{Result, StoreError};

/// Returns an error if the server's settings could lose a commit in a power cut: a `201` means that the order is kept.
pub(super) async fn check_durability(pool: &MySqlPool) -> Result<()> {
    let flush: i64 =
        sqlx::query_scalar("SELECT CAST(@@global.innodb_flush_log_at_trx_commit AS SIGNED)")
            .fetch_one(pool)
            .await?;
    let (binlog, sync): (i64, i64) = sqlx::query_as(
        "SELECT CAST(@@global.log_bin AS SIGNED), CAST(@@global.sync_binlog AS SIGNED)",
    )
    .fetch_one(pool)
    .await?;
    let Some(weak) = weakness(flush, binlog, sync) else {
        return Ok(());
    };
    Err(StoreError::Other(sqlx::Error::Configuration(
        format!("{weak}: a committed order could be lost in a power cut; change it, or set database.allow_weak_durability").into(),
    )))
}

pub(super) fn weakness(flush: i64, binlog: i64, sync: i64) -> Option<String> {
    if flush != 1 {
        Some(format!("innodb_flush_log_at_trx_commit is {flush}, not 1"))
    } else if binlog == 1 && sync != 1 {
        Some(format!("sync_binlog is {sync}, not 1"))
    } else {
        None
    }
}

/// Warns if the server might block this host. A MySQL server that hangs for some minutes leaves every connection
/// attempt half done, counts them as errors when it resumes, and then refuses this host permanently ("Host is blocked";
/// MySQL manual, "Host is blocked errors").
pub(super) async fn warn_of_host_block(pool: &MySqlPool) {
    let asked = "SELECT CAST(USER() AS CHAR), CAST(@@global.host_cache_size AS SIGNED), \
                 CAST(@@global.skip_name_resolve AS SIGNED), CAST(@@global.max_connect_errors AS SIGNED)";
    let settings: sqlx::Result<(String, i64, i64, i64)> =
        sqlx::query_as(asked).fetch_one(pool).await;
    // A MySQL-compatible server without these variables does not block hosts either.
    let Ok((user, cache_size, skips_names, errors)) = settings else {
        return;
    };
    if may_block_host(&user, cache_size, skips_names == 1, errors) {
        tracing::warn!(
            max_connect_errors = errors,
            "MySQL may block this host permanently after a hang of some minutes; run \
             SET PERSIST max_connect_errors = 1000000, or start it with --skip-name-resolve"
        );
    }
}

/// Warns if the server may keep fewer prepared statements (`max_prepared_stmt_count`) than the connections of one process
/// may cache. At that limit it refuses every new statement of every client.
pub(super) async fn warn_of_few_statements(pool: &MySqlPool, options: &DbOptions) {
    let asked = "SELECT CAST(@@global.max_prepared_stmt_count AS SIGNED)";
    let limit: sqlx::Result<i64> = sqlx::query_scalar(asked).fetch_one(pool).await;
    // A MySQL-compatible server without this variable has no such limit.
    let Ok(limit) = limit else {
        return;
    };
    let cached = cached_statements(options.max_connections, options.statement_cache_capacity);
    if limit < cached {
        tracing::warn!(
            max_prepared_stmt_count = limit,
            cached,
            "MySQL keeps fewer prepared statements than this process alone may cache, and refuses all others at its \
             limit; run SET PERSIST max_prepared_stmt_count (MariaDB: SET GLOBAL) with that number for each process, \
             or lower database.statement_cache_capacity or database.max_connections"
        );
    }
}

/// Returns the number of statements that the two pools of a process may cache.
pub(super) fn cached_statements(max_connections: u32, capacity: usize) -> i64 {
    let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
    (2 * i64::from(max_connections)).saturating_mul(capacity)
}

pub(super) fn may_block_host(
    user: &str,
    host_cache_size: i64,
    skips_names: bool,
    max_connect_errors: i64,
) -> bool {
    // MySQL does not count errors of clients on its own machine.
    let is_remote = !["@localhost", "@127.0.0.1", "@::1"]
        .iter()
        .any(|local| user.ends_with(local));
    // Enough for a few minutes of several processes with a pool each.
    is_remote && host_cache_size > 0 && !skips_names && max_connect_errors < 10_000
}
