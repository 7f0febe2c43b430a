//! Migrations, run under a lock of our own whose result is checked; sqlx's lock does nothing on MariaDB and SQLite.

use sqlx::{Connection, Executor, MySqlPool, migrate::Migrator};

use super::{
    connect::Db,
    error::{Result, StoreError},
};

static MYSQL: Migrator = sqlx::migrate!("../../migrations/mysql");
static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How long a process waits while another one migrates, in seconds.
const LOCK_WAIT_S: i64 = 120;

/// Applies missing migrations. Tolerates migrations that are newer than this program, so that an old process can run
/// beside a new one.
pub async fn migrate(db: &Db) -> Result<()> {
    match db {
        Db::MySql { writers, .. } => migrate_mysql(writers).await,
        // One process at a time holds the lock of the data directory, so no other lock is needed.
        Db::Sqlite { writer, .. } => relaxed(&SQLITE).run(writer).await.map_err(failed),
    }
}

async fn migrate_mysql(pool: &MySqlPool) -> Result<()> {
    let mut conn = pool.acquire().await?.detach();
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
    let done = relaxed(&MYSQL).run(&mut conn).await.map_err(failed);
    // Closing the connection releases the lock in any case.
    let _ = conn.execute("SELECT RELEASE_ALL_LOCKS()").await;
    let _ = conn.close().await;
    done
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

fn failed(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(error) => error.into(),
        other => StoreError::Other(other.into()),
    }
}
