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
        testing::raw(&mut tx, "PRAGMA max_page_count = 1")
            .await
            .unwrap();
        let filled = testing::run(
            &mut tx,
            "CREATE TABLE more AS SELECT zeroblob(1000000) AS much",
        )
        .await;
        assert!(
            matches!(filled, Err(StoreError::Unavailable(_))),
            "{filled:?}"
        );
        return;
    }
    for signal in [
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'",
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1129, MESSAGE_TEXT = 'Host is blocked'",
        "SIGNAL SQLSTATE '25006' SET MYSQL_ERRNO = 1792, MESSAGE_TEXT = 'Cannot execute statement in a READ ONLY transaction'",
        "SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'Query execution was interrupted'",
    ] {
        let answer = testing::raw(&mut tx, signal).await;
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{signal}: {answer:?}"
        );
    }
}
