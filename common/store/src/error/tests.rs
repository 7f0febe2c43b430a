//! Tests of public error texts, and of errors that are the server's fault.

use crate::testing::TestDb;
use crate::{StoreError, Tx, testing};
use each_database::each_database;

#[each_database(store)]
async fn an_error_is_shown_without_its_statement(house: TestDb) {
    let mut tx = house.db.begin().await.unwrap();
    let error = testing::run(&mut tx, "UPDATE nowhere SET secret = 'hush'")
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Other(_)) && error.to_string().contains("nowhere"),
        "{error}"
    );
    let shown = error.public_message();
    assert!(
        shown.contains("refused") && !shown.contains("nowhere") && !shown.contains("hush"),
        "{shown}"
    );
}

#[each_database(store)]
async fn a_server_that_has_no_room_is_no_rows_fault(house: TestDb) {
    let mut tx = house.db.begin().await.unwrap();
    if matches!(tx, Tx::Sqlite(..)) {
        tx.rollback().await;
        return fill_sqlite(&house).await;
    }
    for signal in [
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1129, MESSAGE_TEXT = 'Host is blocked'",
        "SIGNAL SQLSTATE '25006' SET MYSQL_ERRNO = 1792, MESSAGE_TEXT = 'Cannot execute statement in a READ ONLY transaction'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 3100, MESSAGE_TEXT = 'Error on observer while running replication hook before_commit'",
        "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node for application use'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1105, MESSAGE_TEXT = 'Unknown error'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 9001, MESSAGE_TEXT = 'Max connect timeout reached while reaching hostgroup 0'",
        "SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'Query execution was interrupted'",
    ] {
        let answer = testing::raw(&mut tx, signal).await;
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{signal}: {answer:?}"
        );
    }
}

/// Fills the file, and writes again once there is room, whichever way the failed transaction was left.
async fn fill_sqlite(house: &TestDb) {
    let counter = "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (randomblob(16), 0, 0)";
    for way in ["rolled back", "dropped", "committed"] {
        let mut tx = house.db.begin().await.unwrap();
        testing::raw(&mut tx, "PRAGMA max_page_count = 1")
            .await
            .unwrap();
        let filled = "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (zeroblob(100000), 0, 0)";
        let filled = testing::run(&mut tx, filled).await;
        let is_unavailable = matches!(filled, Err(StoreError::Unavailable(_)));
        assert!(is_unavailable, "{way}: {filled:?}");
        let undone = testing::raw(&mut tx, "ROLLBACK").await.unwrap_err();
        let text = undone.to_string();
        assert!(text.contains("no transaction is active"), "{way}: {text}");
        match way {
            "rolled back" => tx.rollback().await,
            "dropped" => drop(tx),
            _ => drop(tx.commit().await.unwrap_err()),
        }
        // A new connection, so without the limit.
        let mut tx = house.db.begin().await.unwrap();
        testing::run(&mut tx, counter).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[each_database(store)]
async fn only_a_value_that_does_not_fit_is_a_rows_fault(house: TestDb) {
    let mut tx = house.db.begin().await.unwrap();
    let missing = testing::run(&mut tx, "UPDATE nowhere SET nothing = 1").await;
    let missing = missing.unwrap_err();
    assert!(!missing.is_row_fault() && missing.is_unknown(), "{missing}");
    tx.rollback().await;

    let mut tx = house.db.begin().await.unwrap();
    let broken =
        "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (x'01', NULL, 0)";
    let broken = testing::run(&mut tx, broken).await.unwrap_err();
    assert!(broken.is_row_fault() && !broken.is_unknown(), "{broken}");
    tx.rollback().await;

    let mut tx = house.db.begin().await.unwrap();
    if matches!(tx, Tx::MySql(..)) {
        let lost = "SIGNAL SQLSTATE '40000' SET MYSQL_ERRNO = 3101, MESSAGE_TEXT = 'Plugin instructed the server to rollback the current transaction.'";
        let lost = testing::raw(&mut tx, lost).await.unwrap_err();
        assert!(lost.is_lock_lost() && !lost.is_row_fault(), "{lost}");
        assert_eq!(lost.kind(), Some("deadlock"));
    }
}

#[test]
fn an_answer_to_a_commit_that_does_not_say_that_it_was_undone_leaves_the_outcome_unknown() {
    let unclear = [
        StoreError::Unavailable("3100".to_owned()),
        StoreError::Other(sqlx::Error::RowNotFound),
    ];
    for error in unclear {
        let mapped = StoreError::map_commit_error(error);
        assert!(matches!(mapped, StoreError::CommitUnknown(_)), "{mapped}");
    }
    let lost = StoreError::map_commit_error(StoreError::LockLost("1213".to_owned()));
    assert!(lost.is_lock_lost());
}
