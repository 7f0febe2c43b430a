//! Tests of MySQL connections: session settings, refusals, and a server that hangs.

mod hosts;
mod let_in;
mod tls;

use super::{
    checks::{cached_statements, may_block_host, weakness},
    *,
};
use crate::testing;
use test_line::{Line, Traffic};

#[test]
fn weak_durability_is_told_by_what_would_lose_a_commit() {
    assert_eq!(weakness(1, 0, 0), None);
    assert_eq!(weakness(1, 1, 1), None);
    assert!(weakness(2, 0, 0).is_some_and(|weak| weak.starts_with("innodb_flush")));
    assert!(weakness(0, 1, 1).is_some());
    assert!(weakness(1, 1, 100).is_some_and(|weak| weak.starts_with("sync_binlog is 100")));
}

#[test]
fn a_server_that_may_lock_us_out_is_known_by_its_settings() {
    assert!(may_block_host("expediter@10.0.0.7", 279, false, 100));
    for (user, cache_size, skips_names, errors) in [
        ("expediter@localhost", 279, false, 100),
        ("expediter@127.0.0.1", 279, false, 100),
        ("expediter@10.0.0.7", 0, false, 100),
        ("expediter@10.0.0.7", 279, true, 100),
        ("expediter@10.0.0.7", 279, false, 1_000_000),
    ] {
        assert!(
            !may_block_host(user, cache_size, skips_names, errors),
            "{user}"
        );
    }
}

#[test]
fn the_statements_that_a_process_may_cache_are_those_of_both_pools() {
    assert_eq!(cached_statements(8, 256), 4096);
    assert_eq!(cached_statements(1, 100), 200);
    assert_eq!(cached_statements(u32::MAX, usize::MAX), i64::MAX);
}

/// Covers a server at its limit of prepared statements: it goes on with those that it has and refuses every other. The
/// limit is the server's, so nextest runs this test alone, and `cargo test` not at all.
#[tokio::test]
async fn a_server_at_its_limit_of_prepared_statements_is_unavailable_until_it_has_room() {
    if !testing::environment::under_nextest() {
        return;
    }
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let mut admin = MySqlConnection::connect(&fresh.url()).await.unwrap();
    let asked = "SELECT CAST(@@global.max_prepared_stmt_count AS SIGNED)";
    let usual: i64 = sqlx::query_scalar(asked)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    fresh.db.ping().await.unwrap();
    let none = "SET GLOBAL max_prepared_stmt_count = 0";
    sqlx::raw_sql(none).execute(&mut admin).await.unwrap();
    // Nothing may panic before the limit is back: the server is shared with other tests.
    let asked = async {
        let mut tx = fresh.db.begin().await?;
        let asked = testing::run(&mut tx, "UPDATE store_counters SET last_seq = 0").await;
        tx.rollback().await;
        asked
    };
    let (asked, ready, started) = (
        asked.await,
        fresh.db.ping().await,
        Db::connect(&DbOptions::new(fresh.url())).await,
    );
    let back = format!("SET GLOBAL max_prepared_stmt_count = {usual}");
    sqlx::raw_sql(&back).execute(&mut admin).await.unwrap();
    for refused in [asked.err(), ready.err(), started.err()] {
        assert!(
            matches!(&refused, Some(StoreError::Unavailable(why)) if why.contains("1461")),
            "{refused:?}"
        );
    }
    fresh.db.ping().await.unwrap();
    fresh.end().await;
}

/// Covers a planned failover after which the old server goes on as a read-only one: MySQL then answers with error 1290.
#[tokio::test]
async fn a_server_that_only_reads_is_left_with_all_connections_to_it() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    // One connection per pool, so that the same one is used again unless it is dropped.
    let options = DbOptions {
        max_connections: 1,
        allow_weak_durability: true,
        ..DbOptions::new(fresh.url())
    };
    let db = Db::connect(&options).await.unwrap();
    let first = connections(&db).await;
    assert_eq!(connections(&db).await, first, "connections are reused");
    let mut tx = db.begin().await.unwrap();
    let locked =
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205, MESSAGE_TEXT = 'Lock wait timeout'";
    testing::raw(&mut tx, locked).await.unwrap_err();
    tx.rollback().await;
    assert_eq!(connections(&db).await, first, "a lock timeout keeps it");

    let mut tx = db.begin().await.unwrap();
    let refused = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'running with the --read-only option'";
    let refused = testing::raw(&mut tx, refused).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    tx.rollback().await;
    let second = connections(&db).await;
    assert!(
        second.0 != first.0 && second.1 != first.1,
        "{second:?} after {first:?}"
    );
    assert_eq!(connections(&db).await, second, "the new ones are reused");
    db.close().await;
    fresh.end().await;
}

/// Returns the ids of the connections that serve one writer and one reader now.
async fn connections(db: &Db) -> (i64, i64) {
    let mut ids = Vec::new();
    for mut tx in [db.begin().await.unwrap(), db.read().await.unwrap()] {
        ids.push(connection(&mut tx).await.unwrap());
        tx.rollback().await;
    }
    (ids[0], ids[1])
}

async fn connection(tx: &mut Tx) -> Result<i64> {
    Ok(crate::on!(tx, |conn| sqlx::query_scalar(
        "SELECT CAST(CONNECTION_ID() AS SIGNED)"
    )
    .fetch_one(conn)
    .await?))
}

#[test]
fn a_setting_is_on_unless_it_says_off() {
    for (setting, on) in [
        ("0", false),
        ("OFF", false),
        ("1", true),
        ("ON", true),
        ("NO_LOCK_NO_ADMIN", true),
    ] {
        assert_eq!(is_on(setting), on, "{setting}");
    }
}

/// Covers only acceptance; [`weakness`] has its own test, because these settings are server-wide and other tests share
/// the server.
#[tokio::test]
async fn a_server_that_keeps_commits_is_accepted() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let strict = DbOptions::new(fresh.url());
    assert!(!strict.allow_weak_durability);
    Db::connect(&strict).await.unwrap().close().await;
    fresh.end().await;
}

#[tokio::test]
async fn every_connection_has_our_isolation_lock_time_out_and_way_to_join() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let Db::MySql(hosts) = fresh.db.clone() else {
        unreachable!("it was asked for");
    };
    for (pool, isolation) in [
        (hosts.writers(), "READ COMMITTED"),
        (hosts.readers(), "REPEATABLE READ"),
    ] {
        // Two at once, so that the second is a different connection.
        let (mut one, mut two) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        for conn in [&mut *one, &mut *two] {
            // MariaDB and MySQL name it differently.
            let named: Vec<(String, String)> = sqlx::query_as(
                "SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation', \
                 'innodb_lock_wait_timeout', 'join_cache_level', 'optimizer_switch')",
            )
            .fetch_all(conn)
            .await
            .unwrap();
            let value = |end: &str| {
                let found = named.iter().find(|(name, _)| name.ends_with(end));
                found.map(|(_, value)| value.replace('-', " "))
            };
            assert_eq!(value("isolation").as_deref(), Some(isolation), "{named:?}");
            assert_eq!(
                value("lock_wait_timeout").as_deref(),
                Some("3"),
                "{named:?}"
            );
            // MariaDB has the first variable, MySQL the second.
            let is_unbuffered = value("join_cache_level").map_or_else(
                || value("optimizer_switch").is_some_and(|on| on.contains("block_nested_loop=off")),
                |level| level == "0",
            );
            assert!(is_unbuffered, "{named:?}");
        }
    }
    fresh.end().await;
}

#[tokio::test]
async fn every_session_says_how_long_it_may_be_silent_and_how_long_it_waits_for_any_lock() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let options = DbOptions {
        session_timeout: Duration::from_secs(17),
        lock_timeout: Duration::from_millis(2500),
        allow_weak_durability: true,
        ..DbOptions::new(fresh.url())
    };
    let db = Db::connect(&options).await.unwrap();
    for mut tx in [db.begin().await.unwrap(), db.read().await.unwrap()] {
        assert_eq!(limits(&mut tx).await.unwrap(), (17, 17, 17, 2, 2));
        tx.rollback().await;
    }
    db.close().await;
    fresh.end().await;
}

/// Returns how long a session may be silent between statements, within one, and while its rows are not read; and how long
/// it waits for a table's metadata and for a row.
async fn limits(tx: &mut Tx) -> Result<(i64, i64, i64, i64, i64)> {
    Ok(crate::fetch_one!(
        tx,
        "SELECT CAST(@@wait_timeout AS SIGNED), CAST(@@net_read_timeout AS SIGNED), \
         CAST(@@net_write_timeout AS SIGNED), CAST(@@lock_wait_timeout AS SIGNED), \
         CAST(@@innodb_lock_wait_timeout AS SIGNED)"
    ))
}

/// A session's own `timestamp` imitates a database whose time jumps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_follows_a_jump_of_the_databases_time_at_the_second_opinion() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let options = DbOptions {
        max_connections: 1,
        allow_weak_durability: true,
        ..DbOptions::new(fresh.url())
    };
    let db = Db::connect(&options).await.unwrap();
    let clock = Clock::system();
    db.anchor(&clock).await.unwrap();
    let before = clock.now();
    let far: DateTime<Utc> = "2033-05-18T03:33:20Z".parse().unwrap();
    let mut tx = db.read().await.unwrap();
    testing::raw(&mut tx, "SET SESSION timestamp = 2000000000")
        .await
        .unwrap();
    tx.rollback().await;
    assert!(matches!(
        db.anchor(&clock).await.unwrap(),
        Followed::Suspect(_)
    ));
    assert!(clock.now() < far && clock.now() >= before);
    let agreed = async {
        while matches!(db.anchor(&clock).await.unwrap(), Followed::Suspect(_)) {
            assert!(clock.now() < far);
        }
    };
    tokio::time::timeout(testing::TEST_TIMEOUT, agreed)
        .await
        .expect("a second opinion is enough");
    assert!(clock.now() >= far);
    db.close().await;
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_idled_is_replaced_before_its_server_ends_it() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let options = DbOptions {
        max_connections: 1,
        session_timeout: Duration::from_secs(2),
        allow_weak_durability: true,
        ..DbOptions::new(fresh.url())
    };
    let db = Db::connect(&options).await.unwrap();
    let first = connections(&db).await;
    let mut watcher = MySqlConnection::connect(&fresh.url()).await.unwrap();
    let gone = async {
        let left = "SELECT COUNT(*) FROM information_schema.processlist WHERE id IN (?, ?)";
        loop {
            let left: i64 = sqlx::query_scalar(left)
                .bind(first.0)
                .bind(first.1)
                .fetch_one(&mut watcher)
                .await
                .unwrap();
            if left == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(testing::TEST_TIMEOUT, gone)
        .await
        .expect("sessions that say nothing end");
    db.ping().await.unwrap();
    db.anchor(&Clock::system()).await.unwrap();
    let second = connections(&db).await;
    assert!(second.0 != first.0 && second.1 != first.1, "{second:?}");
    let failed = options
        .metrics
        .database_errors
        .with_label_values(&["connection"]);
    assert_eq!(failed.get(), 0);
    db.close().await;
    fresh.end().await;
}

/// Covers a node that lost its Galera cluster: it refuses each statement, and a proxy would give us another node.
#[tokio::test]
async fn a_node_without_its_cluster_is_left_with_all_connections_to_it() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let options = DbOptions {
        max_connections: 1,
        allow_weak_durability: true,
        ..DbOptions::new(fresh.url())
    };
    let db = Db::connect(&options).await.unwrap();
    let first = connections(&db).await;
    let mut tx = db.begin().await.unwrap();
    let refused = "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node'";
    let refused = testing::raw(&mut tx, refused).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    tx.rollback().await;
    let second = connections(&db).await;
    assert!(second.0 != first.0 && second.1 != first.1, "{second:?}");
    db.close().await;
    fresh.end().await;
}

#[tokio::test]
async fn a_connection_that_hangs_is_given_up_and_its_place_is_free_again() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let line = Line::before(&fresh.url()).await;
    let options = DbOptions {
        max_connections: 1,
        statement_timeout: Duration::from_millis(200),
        allow_weak_durability: true,
        ..DbOptions::new(line.through(&fresh.url()))
    };
    let db = Db::connect(&options).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    line.set(Traffic::Frozen);
    let hung = selected(&mut tx).await.unwrap_err();
    assert!(
        matches!(&hung, StoreError::Unavailable(why) if why.contains("200 ms")),
        "{hung}"
    );
    drop(tx);
    assert!(matches!(
        db.anchor(&Clock::system()).await,
        Err(StoreError::Unavailable(_))
    ));
    line.set(Traffic::Open);
    // The pool has room for one connection, so the hung one must have freed its place.
    let mut tx = db.begin().await.unwrap();
    assert_eq!(selected(&mut tx).await.unwrap(), 1);
    line.set(Traffic::Frozen);
    let unknown = tx.commit().await.unwrap_err();
    assert!(matches!(unknown, StoreError::CommitUnknown(_)), "{unknown}");
    line.set(Traffic::Open);
    db.close().await;
    fresh.end().await;
}

async fn selected(tx: &mut Tx) -> Result<i64> {
    Ok(crate::on!(tx, |conn| sqlx::query_scalar("SELECT 1")
        .fetch_one(conn)
        .await?))
}
