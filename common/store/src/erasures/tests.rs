//! The list of columns against the schema, and the claim of an erasure.

use std::{collections::BTreeSet, path::PathBuf};

use chrono::TimeDelta;
use each_database::each_database;

use super::*;
use crate::testing::TestDb;
use domain::actor::Actor;

/// Types of columns that hold text; ids and hashes are `binary`.
const TEXTS: [&str; 7] = [
    "varchar",
    "varbinary",
    "text",
    "mediumtext",
    "json",
    "blob",
    "mediumblob",
];

/// Returns every column of the schema that holds text.
fn text_columns() -> BTreeSet<(String, String)> {
    let snapshot =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations/schema.mysql.txt");
    let snapshot = std::fs::read_to_string(snapshot).unwrap();
    let mut found = BTreeSet::new();
    let mut table = String::new();
    for line in snapshot.lines() {
        let Some(column) = line.strip_prefix("    ") else {
            line.clone_into(&mut table);
            continue;
        };
        let mut words = column.split(' ');
        let (Some(name), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        let kind = kind.split('(').next().unwrap_or_default();
        if TEXTS.contains(&kind) {
            found.insert((table.clone(), name.to_owned()));
        }
    }
    found
}

#[test]
fn every_column_that_holds_text_is_erased_or_says_nothing_of_a_customer() {
    let erased = ERASED.iter().map(|(table, columns)| (*table, *columns));
    let free = FREE.iter().map(|(table, columns, _)| (*table, *columns));
    let mut listed = BTreeSet::new();
    for (table, columns) in erased.chain(free) {
        for column in columns {
            let column = (table.to_owned(), (*column).to_owned());
            assert!(listed.insert(column.clone()), "{column:?} is listed twice");
        }
    }
    let unlisted: Vec<_> = text_columns().difference(&listed).cloned().collect();
    assert!(
        unlisted.is_empty(),
        "can an erasure leave a customer's data in {unlisted:?}? List each in common/store/src/erasures/columns.rs, \
         and erase it in strip.rs if it may hold any"
    );
}

fn erasure(house: &TestDb) -> Erasure {
    let now = house.clock.now();
    Erasure {
        id: house.chance.id(now),
        kind: PersonKind::Phone,
        person_hash: vec![7; 32],
        account_id: None,
        requested_at: now,
        requested_by: Actor::SYSTEM,
        progress: Progress::default(),
        next_at: now,
        done_at: None,
    }
}

async fn sealed(tx: &mut Tx, id: ErasureId) -> Result<Option<Vec<u8>>> {
    let found: Option<Stored> = read_optional!(tx, select!("WHERE id = ?"), id);
    Ok(found.and_then(|found| found.sealed))
}

#[each_database(store)]
async fn one_process_claims_what_is_due_and_what_is_done_forgets_the_person(house: TestDb) {
    let (mut wanted, now) = (erasure(&house), house.clock.now());
    let mut tx = house.db.begin().await.unwrap();
    insert(&mut tx, &wanted, b"sealed").await.unwrap();
    assert_eq!(get(&mut tx, wanted.id).await.unwrap(), Some(wanted.clone()));
    let later = now + TimeDelta::seconds(60);
    let early = claim(&mut tx, now - TimeDelta::seconds(1), later).await;
    assert!(early.unwrap().is_none(), "it is not due");
    let claimed = claim(&mut tx, now, later).await.unwrap().unwrap();
    assert_eq!(claimed.sealed.as_deref(), Some(&b"sealed"[..]));
    assert!(claim(&mut tx, now, later).await.unwrap().is_none());
    let of_person = running(&mut tx, &[7; 32]).await.unwrap();
    assert_eq!(of_person.map(|found| found.id), Some(wanted.id));

    wanted.progress.examined = 5;
    wanted.progress.walked_at = Some(now);
    (wanted.next_at, wanted.done_at) = (later, Some(later));
    write(&mut tx, &wanted).await.unwrap();
    assert_eq!(list(&mut tx, None, 10).await.unwrap(), [wanted.clone()]);
    assert!(claim(&mut tx, later, later).await.unwrap().is_none());
    assert_eq!(running(&mut tx, &[7; 32]).await.unwrap(), None);
    assert_eq!(sealed(&mut tx, wanted.id).await.unwrap(), None);
}
