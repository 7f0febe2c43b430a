//! Several hosts in `database.url`: lines to one server stand for them.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use sqlx::{Connection, Executor, MySqlConnection};
use test_line::{Line, Traffic};
use tokio::time::{Instant, timeout};

use crate::{
    Db, DbOptions, Result, StoreError,
    connect::{
        hosts::Hosts,
        pools::{Making, Pools},
    },
    testing::{self, FreshDb, TEST_TIMEOUT},
    timeouts::Renewal,
};

/// Time that a host must have been back, in these tests.
const RETURN_AFTER: Duration = Duration::from_secs(1);

/// Two hosts that are the same server.
struct Two {
    fresh: FreshDb,
    first: Line,
    second: Line,
    options: DbOptions,
}

impl Two {
    async fn new() -> Option<Self> {
        let fresh = testing::fresh_mysql().await?;
        let first = Line::before(&fresh.url()).await;
        let second = Line::before(&fresh.url()).await;
        let options = DbOptions {
            max_connections: 2,
            allow_weak_durability: true,
            connect_timeout: TEST_TIMEOUT,
            // No test waits for it.
            statement_timeout: Duration::from_secs(600),
            host_check_interval: Duration::from_millis(100),
            host_return_after: RETURN_AFTER,
            ..DbOptions::new(Line::through_all(&[&first, &second], &fresh.url()))
        };
        Some(Self {
            fresh,
            first,
            second,
            options,
        })
    }

    async fn connect(&self) -> Db {
        Db::connect(&self.options).await.unwrap()
    }

    async fn end(self, db: Db) {
        db.close().await;
        self.fresh.end().await;
    }
}

fn hosts(db: &Db) -> &Hosts {
    let Db::MySql(hosts) = db else {
        unreachable!("it was asked for");
    };
    hosts
}

/// Returns the ids of the connections that serve one writer and one reader now.
async fn connections(db: &Db) -> Result<(i64, i64)> {
    let mut ids = Vec::new();
    for begun in [db.begin().await, db.read().await] {
        let mut tx = begun?;
        ids.push(super::connection(&mut tx).await?);
        tx.rollback().await;
    }
    Ok((ids[0], ids[1]))
}

async fn until_used(db: &Db, line: &Line) {
    let name = line.address.to_string();
    let used = async {
        while hosts(db).name() != name {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let within = timeout(TEST_TIMEOUT, used).await;
    within.expect("the host is used soon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_gone_is_left_at_once_and_used_again_once_it_is_settled() {
    let Some(two) = Two::new().await else {
        return;
    };
    let db = two.connect().await;
    until_used(&db, &two.first).await;
    let before = connections(&db).await.unwrap();

    two.first.set(Traffic::Refused);
    // Nobody is refused: a transaction that cannot begin on the one host begins on the other.
    let meanwhile = connections(&db).await.unwrap();
    until_used(&db, &two.second).await;
    assert!(meanwhile.0 != before.0 && meanwhile.1 != before.1);

    let returned = Instant::now();
    two.first.set(Traffic::Open);
    until_used(&db, &two.first).await;
    assert!(
        returned.elapsed() >= RETURN_AFTER,
        "no host is used again before"
    );
    let after = connections(&db).await.unwrap();
    for old in [before, meanwhile] {
        assert!(after.0 != old.0 && after.1 != old.1, "{after:?}, {old:?}");
    }
    assert!(two.options.metrics.database_host_changes.get() >= 2);
    db.ping().await.unwrap();
    two.end(db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_on_a_host_that_hangs_are_given_up_when_another_one_is_used() {
    let Some(two) = Two::new().await else {
        return;
    };
    let db = two.connect().await;
    let mut reading = db.read().await.unwrap();
    let writing = db.begin().await.unwrap();
    two.first.set(Traffic::Frozen);
    let hung = timeout(TEST_TIMEOUT, async {
        tokio::join!(super::selected(&mut reading), writing.commit())
    });
    let (read, committed) = hung
        .await
        .expect("nobody waits for the statement's timeout");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(
        matches!(committed, Err(StoreError::CommitUnknown(_))),
        "{committed:?}"
    );
    drop(reading);
    assert_eq!(hosts(&db).name(), two.second.address.to_string());
    for _ in 0..4 {
        connections(&db).await.unwrap();
    }
    two.first.set(Traffic::Open);
    two.end(db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_gone_is_kept_if_there_is_no_other_and_works_again_when_it_answers() {
    let Some(mut two) = Two::new().await else {
        return;
    };
    two.options.connect_timeout = Duration::from_secs(2);
    let db = two.connect().await;
    two.second.set(Traffic::Refused);
    two.first.set(Traffic::Refused);
    let refused = db.begin().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    two.first.set(Traffic::Open);
    let back = async { while connections(&db).await.is_err() {} };
    timeout(TEST_TIMEOUT, back).await.expect("it works again");
    two.end(db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_uses_the_first_host_that_answers_and_names_each_that_does_not() {
    let Some(mut two) = Two::new().await else {
        return;
    };
    two.first.set(Traffic::Refused);
    let db = two.connect().await;
    assert_eq!(hosts(&db).name(), two.second.address.to_string());
    db.close().await;

    two.second.set(Traffic::Refused);
    two.options.connect_timeout = Duration::from_millis(500);
    let refused = Db::connect(&two.options).await.unwrap_err().to_string();
    for line in [&two.first, &two.second] {
        assert!(refused.contains(&line.address.to_string()), "{refused}");
    }
    let whole = two.options.url.clone();
    assert!(
        !refused.contains(&whole[..whole.find('@').unwrap()]),
        "{refused}"
    );
    two.fresh.end().await;
}

#[tokio::test]
async fn one_host_is_never_asked_and_a_bad_list_is_refused() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    assert_eq!(hosts(&fresh.db).watches(), 0);
    assert_eq!(hosts(&fresh.db).name(), "");
    for bad in ["mysql://me:hunter2@a,,b/x", "mysql://me:hunter2@a,a/x"] {
        let refused = Db::connect(&DbOptions::new(bad)).await.unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("database.url: a host"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    fresh.end().await;
}

/// Covers that a connection to a Galera node is opened by statements that such a server knows. MySQL has no such
/// variable, and is never asked for it.
#[tokio::test]
async fn a_connection_to_a_node_of_a_cluster_waits_once_to_write_and_each_time_to_read() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let mut asked = MySqlConnection::connect(&fresh.url()).await.unwrap();
    let known = "SHOW VARIABLES LIKE 'wsrep_sync_wait'";
    if asked.fetch_optional(known).await.unwrap().is_some() {
        let options = DbOptions::new(fresh.url());
        let making = Making {
            options: &options,
            to: fresh.url().parse().unwrap(),
            renewal: Renewal::default(),
            is_galera: Arc::new(AtomicBool::new(true)),
        };
        let pools = Pools::connect(&making).await.unwrap();
        let same = "SELECT CAST(@@session.wsrep_sync_wait = @@global.wsrep_sync_wait AS SIGNED)";
        let same: i64 = sqlx::query_scalar(same)
            .fetch_one(&pools.writers)
            .await
            .unwrap();
        assert_eq!(same, 1, "a writer does not wait at each transaction");
        let waits = "SELECT CAST(@@session.wsrep_sync_wait AS SIGNED)";
        let waits: i64 = sqlx::query_scalar(waits)
            .fetch_one(&pools.readers)
            .await
            .unwrap();
        assert_eq!(waits, 1, "a reader does");
        pools.writers.close().await;
        pools.readers.close().await;
    }
    asked.close().await.unwrap();
    fresh.end().await;
}
