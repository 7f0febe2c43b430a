//! Tests of migrations beside others that use the tables, and of a machine that vanishes while it migrates.

use sqlx::Row;

use super::*;
use crate::{
    DbOptions,
    testing::{self, FreshDb, TEST_TIMEOUT},
};
use test_line::{Line, Traffic};

const LATER: i64 = 9_000;

/// Returns all migrations and one that adds a column.
fn one_more() -> Migrator {
    let mut later = MYSQL.migrations[0].clone();
    later.version = LATER;
    later.sql = "ALTER TABLE store_counters ADD COLUMN later BIGINT".into();
    let mut migrations: Vec<Migration> = MYSQL.migrations.to_vec();
    migrations.push(later);
    Migrator {
        migrations: Cow::Owned(migrations),
        ..relaxed(&MYSQL)
    }
}

fn pool_of(fresh: &FreshDb) -> MySqlPool {
    match &fresh.db {
        Db::MySql(hosts) => hosts.writers().clone(),
        Db::Sqlite { .. } => unreachable!("it was asked for"),
    }
}

/// Waits until a session waits for a table's metadata, which one that migrates does once in each try.
async fn until_it_waits(watcher: &mut MySqlConnection) {
    let waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() \
                   AND state LIKE 'Waiting for table metadata lock%'";
    let wait = async {
        loop {
            let row = sqlx::query(waiting).fetch_one(&mut *watcher).await.unwrap();
            if row.get::<i64, _>(0) > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, wait)
        .await
        .expect("the migration tries again and again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_waits_for_a_console_and_nobody_waits_for_the_migration() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let mut console = MySqlConnection::connect(&fresh.url()).await.unwrap();
    let mut watcher = MySqlConnection::connect(&fresh.url()).await.unwrap();
    console.execute("BEGIN").await.unwrap();
    console
        .execute("SELECT COUNT(*) FROM store_counters")
        .await
        .unwrap();
    let (pool, migrator) = (pool_of(&fresh), one_more());
    let migrating = migrate_mysql(&pool, &migrator, Duration::from_millis(200));
    let others = async {
        for written in [
            "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (x'01', 0, 0)",
            "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (x'02', 0, 0)",
            "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (x'03', 0, 0)",
        ] {
            until_it_waits(&mut watcher).await;
            let mut tx = fresh.db.begin().await.unwrap();
            assert_eq!(testing::run(&mut tx, written).await.unwrap(), 1);
            tx.commit().await.unwrap();
        }
        console.execute("COMMIT").await.unwrap();
    };
    let both = async { tokio::join!(migrating, others) };
    let (migrated, ()) = tokio::time::timeout(TEST_TIMEOUT, both)
        .await
        .expect("nobody waits for long");
    migrated.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    let there = testing::run(&mut tx, "UPDATE store_counters SET later = 1").await;
    assert_eq!(there.unwrap(), 3);
    tx.rollback().await;
    // Nothing is left undone that the next start would complain about.
    migrate_mysql(&pool_of(&fresh), &one_more(), PAUSE)
        .await
        .unwrap();
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_wrong_fails_at_once() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let mut migrator = one_more();
    migrator.migrations.to_mut().last_mut().unwrap().sql =
        "ALTER TABLE nowhere ADD COLUMN later BIGINT".into();
    let failed = migrate_mysql(&pool_of(&fresh), &migrator, PAUSE).await;
    assert!(matches!(failed, Err(StoreError::Other(_))), "{failed:?}");
    fresh.end().await;
}

/// The lock of the migrations ends with its session, also if the machine that holds it says nothing any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_vanished_does_not_keep_a_named_lock() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let line = Line::before(&fresh.url()).await;
    let options = DbOptions {
        session_timeout: Duration::from_secs(1),
        allow_weak_durability: true,
        ..DbOptions::new(line.through(&fresh.url()))
    };
    let lost = Db::connect(&options).await.unwrap();
    let mut tx = lost.begin().await.unwrap();
    let lock = "SELECT GET_LOCK(CONCAT('expediter.migrate.', LEFT(SHA2(DATABASE(), 256), 40)), 0)";
    testing::raw(&mut tx, lock).await.unwrap();
    line.set(Traffic::Frozen);
    tokio::time::timeout(TEST_TIMEOUT, migrate(&fresh.db))
        .await
        .expect("the lock is free once its session has ended")
        .unwrap();
    drop((tx, line));
    fresh.end().await;
}
