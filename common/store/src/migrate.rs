//! Migrations, run under a lock of our own whose result is checked; sqlx's lock does nothing on MariaDB and SQLite.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use sqlx::{
    Connection, Executor, MySqlConnection, MySqlPool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{
    connect::Db,
    error::{Result, StoreError},
};

// The build script lists the files: `MYSQL_FILES` and `SQLITE_FILES`, each a name and a text.
include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

static MYSQL: LazyLock<Migrator> = LazyLock::new(|| migrator(MYSQL_FILES));
static SQLITE: LazyLock<Migrator> = LazyLock::new(|| migrator(SQLITE_FILES));

/// How long a process waits while another one migrates, in seconds.
const LOCK_WAIT_S: i64 = 120;
/// The only migration with more than one statement, on an empty database that nobody uses.
const FIRST_VERSION: i64 = 1;
/// Session settings of the connection that migrates. Everything that begins to use a table queues behind a change that
/// waits for it, so the change waits for a second only. The lock of the migrations must outlive the pauses between
/// tries, but not a machine that vanished.
const SESSION: &str = "SET SESSION lock_wait_timeout = 1, wait_timeout = 60";
/// Pause after a try, in which those who queued behind it go on. Much longer than the try.
const PAUSE: Duration = Duration::from_secs(4);

/// Applies missing migrations. Tolerates migrations that are newer than this program, so that an old process can run
/// beside a new one.
pub async fn migrate(db: &Db) -> Result<()> {
    match db {
        Db::MySql(hosts) => migrate_mysql(hosts.writers(), &relaxed(&MYSQL), PAUSE).await,
        // One process at a time holds the lock of the data directory, so no other lock is needed.
        Db::Sqlite { writer, .. } => relaxed(&SQLITE)
            .run(writer)
            .await
            .map_err(|error| Failed::from(error).error),
    }
}

async fn migrate_mysql(pool: &MySqlPool, migrator: &Migrator, pause: Duration) -> Result<()> {
    let mut conn = pool.acquire().await?.detach();
    conn.execute(SESSION).await?;
    // A lock name has at most 64 characters, which a database name alone may have; hence the hash. MySQL 9.6 dropped
    // MD5 and SHA1.
    let locked: Option<i64> = sqlx::query_scalar(
        "SELECT GET_LOCK(CONCAT('expediter.migrate.', LEFT(SHA2(DATABASE(), 256), 40)), ?)",
    )
    .bind(LOCK_WAIT_S)
    .fetch_one(&mut conn)
    .await?;
    if locked != Some(1) {
        return Err(StoreError::Unavailable(
            "another process holds the migration lock".into(),
        ));
    }
    let done = run_until_done(&mut conn, migrator, pause).await;
    // Closing the connection releases the lock in any case.
    let _ = conn.execute("SELECT RELEASE_ALL_LOCKS()").await;
    let _ = conn.close().await;
    done
}

/// Runs the migrations, again after a pause for as long as others use a table that one of them changes.
async fn run_until_done(
    conn: &mut MySqlConnection,
    migrator: &Migrator,
    pause: Duration,
) -> Result<()> {
    loop {
        let Err(error) = migrator.run(&mut *conn).await else {
            return Ok(());
        };
        let failed = Failed::from(error);
        if !failed.error.is_lock_lost() || failed.version == Some(FIRST_VERSION) {
            return Err(failed.error);
        }
        let version = failed.version.unwrap_or_default();
        let blocker = oldest_transaction(conn).await;
        let blocker = blocker.as_deref().unwrap_or("unknown");
        tracing::warn!(version, blocker, error = %failed.error, "migration {version} waits for a table that others use; trying again in {pause:?}; oldest transaction: {blocker}");
        forget(conn, version).await?;
        tokio::time::sleep(pause).await;
    }
}

/// Deletes the note that a migration was begun. Its only statement changed nothing, and sqlx would not begin it again.
async fn forget(conn: &mut MySqlConnection, version: i64) -> Result<()> {
    let forgotten = "DELETE FROM _sqlx_migrations WHERE version = ? AND success = FALSE";
    let forgotten = sqlx::query(forgotten).bind(version).execute(conn).await;
    forgotten.map(drop).map_err(StoreError::from)
}

/// Returns who most likely holds the table: the connection with the oldest transaction. `None` if the account may not
/// know (it lacks the privilege PROCESS), or there is none.
async fn oldest_transaction(conn: &mut MySqlConnection) -> Option<String> {
    let oldest = "SELECT CAST(CONCAT('connection ', p.id, ' of ', p.user, '@', p.host, ', open for ', \
                  TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), ' s') AS CHAR) \
                  FROM information_schema.innodb_trx t \
                  JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
                  WHERE p.id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 1";
    let found = sqlx::query_scalar(oldest).fetch_optional(conn).await;
    found.ok().flatten()
}

/// Returns the migrations of `NNNN_name.sql` files, as sqlx's own macro reads them.
fn migrator(files: &[(&str, &'static str)]) -> Migrator {
    let migrations = files.iter().map(|(name, sql)| {
        let (version, name) = name.split_once('_').unwrap_or((name, ""));
        let version = version.parse().unwrap_or_default();
        let description = name.trim_end_matches(".sql").replace('_', " ");
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, (*sql).into(), false)
    });
    Migrator {
        migrations: Cow::Owned(migrations.collect()),
        ..Migrator::DEFAULT
    }
}

fn relaxed(migrator: &Migrator) -> Migrator {
    let mut migrator = Migrator {
        migrations: migrator.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.set_ignore_missing(true);
    migrator.set_locking(false);
    migrator
}

/// An error, and the migration whose statement met it.
struct Failed {
    version: Option<i64>,
    error: StoreError,
}

impl From<MigrateError> for Failed {
    fn from(error: MigrateError) -> Self {
        let (version, error) = match error {
            MigrateError::Execute(error) => (None, error.into()),
            MigrateError::ExecuteMigration(error, version) => (Some(version), error.into()),
            other => (None, StoreError::Other(other.into())),
        };
        Self { version, error }
    }
}
