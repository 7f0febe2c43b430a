//! Tests that the previous release's statements (`migrations/previous.*.txt`) still run on the schema of this one: during
//! an update its processes work beside the new ones, and the way back from a bad release is to start them again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use each_database::each_database;
use sqlx::{Executor, Result};
use store::{Tx, testing, testing::TestDb};

/// Tables on an order's way; a list that does not write to all of them was not recorded by the whole flow.
const WRITTEN: [&str; 9] = [
    "attempts",
    "callbacks",
    "events",
    "handoffs",
    "idempotency_keys",
    "order_items",
    "orders",
    "outbox",
    "sessions",
];

/// Reads the list of the transaction's database: one statement a line, after a head of comments.
fn statements(tx: &Tx) -> Vec<String> {
    let name = tx.pick("previous.mysql.txt", "previous.sqlite.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../migrations")
        .join(name);
    let list = fs::read_to_string(path).expect("scripts/statements writes it");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Returns the statements that the database refuses to prepare, each with its error.
async fn refused(tx: &mut Tx, statements: &[String]) -> Vec<String> {
    let mut refused = Vec::new();
    for statement in statements {
        if let Err(error) = prepare(tx, statement).await {
            refused.push(format!("{error}: {statement}"));
        }
    }
    refused
}

async fn prepare(tx: &mut Tx, statement: &str) -> Result<()> {
    match tx {
        Tx::MySql(tx, _) => Executor::prepare(&mut **tx, statement).await.map(drop),
        Tx::Sqlite(tx, _) => Executor::prepare(&mut **tx, statement).await.map(drop),
    }
}

/// Returns the columns of each table that an insert must name: they are not null and have no default.
async fn needed_columns(tx: &mut Tx) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let asked = tx.pick(
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND is_nullable = 'NO' AND column_default IS NULL \
         AND extra NOT LIKE '%auto_increment%' AND extra NOT LIKE '%GENERATED%'",
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND c.\"notnull\" AND c.dflt_value IS NULL",
    );
    let columns: Vec<(String, String)> = match tx {
        Tx::MySql(tx, _) => sqlx::query_as(asked).fetch_all(&mut **tx).await?,
        Tx::Sqlite(tx, _) => sqlx::query_as(asked).fetch_all(&mut **tx).await?,
    };
    let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, column) in columns {
        needed.entry(table).or_default().insert(column);
    }
    Ok(needed)
}

/// Returns the table and the columns of an insert.
fn insert_of(statement: &str) -> Option<(&str, Vec<&str>)> {
    let is_insert = statement.starts_with("INSERT ") || statement.starts_with("REPLACE ");
    let (_, rest) = statement.split_once(" INTO ").filter(|_| is_insert)?;
    let (table, rest) = rest.split_once('(')?;
    let (columns, _) = rest.split_once(')')?;
    Some((table.trim(), columns.split(',').map(str::trim).collect()))
}

/// Returns the inserts that leave out a column without a default, which are refused only when they run.
fn incomplete(statements: &[String], needed: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements {
        let Some((table, columns)) = insert_of(statement) else {
            continue;
        };
        let needed = needed.get(table).into_iter().flatten();
        let mut missing = needed.filter(|column| !columns.contains(&column.as_str()));
        if let Some(missing) = missing.next() {
            found.push(format!("{table}.{missing} needs a value: {statement}"));
        }
    }
    found
}

#[each_database(store)]
async fn the_previous_releases_statements_can_be_prepared_on_this_schema(test_db: TestDb) {
    let mut tx = test_db.db.begin().await.expect("a fresh database");
    let statements = statements(&tx);
    let refused = refused(&mut tx, &statements).await;
    assert!(
        refused.is_empty(),
        "processes of the previous release would fail beside this schema: {refused:#?}"
    );
}

#[each_database(store)]
async fn the_previous_releases_inserts_name_every_column_that_needs_a_value(test_db: TestDb) {
    let mut tx = test_db.db.begin().await.expect("a fresh database");
    let statements = statements(&tx);
    let needed = needed_columns(&mut tx).await.expect("a fresh database");
    assert!(needed["orders"].contains("store_id"), "{needed:?}");
    let incomplete = incomplete(&statements, &needed);
    assert!(
        incomplete.is_empty(),
        "processes of the previous release would fail beside this schema: {incomplete:#?}"
    );
}

#[each_database(store)]
async fn the_list_of_the_previous_release_has_every_step_of_an_order(test_db: TestDb) {
    let tx = test_db.db.read().await.expect("a fresh database");
    let statements = statements(&tx);
    let written: BTreeSet<&str> = statements
        .iter()
        .filter_map(|one| Some(insert_of(one)?.0))
        .collect();
    let missing: Vec<_> = WRITTEN
        .iter()
        .filter(|table| !written.contains(*table))
        .collect();
    assert!(missing.is_empty(), "no insert into {missing:?}");
    assert!(statements.len() > 200, "only {}", statements.len());
}

#[each_database(store)]
async fn a_column_that_is_gone_is_noticed(test_db: TestDb) {
    let mut tx = test_db.db.begin().await.expect("a fresh database");
    let statements = statements(&tx);
    let renamed = "ALTER TABLE handoffs RENAME COLUMN due_at TO due";
    testing::raw(&mut tx, renamed)
        .await
        .expect("a fresh database");
    let refused = refused(&mut tx, &statements).await;
    assert!(!refused.is_empty());
    let others = refused.iter().find(|one| !one.contains("due_at"));
    assert!(others.is_none(), "{others:?}");
}

#[test]
fn an_insert_without_a_new_column_that_needs_a_value_is_noticed() {
    let needed = BTreeMap::from([(
        "orders".to_owned(),
        BTreeSet::from(["id".to_owned(), "added".to_owned()]),
    )]);
    let old = "INSERT INTO orders (id, number) VALUES (?, ?)".to_owned();
    let new = "INSERT INTO orders (id, added) SELECT ?, id FROM orders".to_owned();
    let other = "INSERT IGNORE INTO others (id) VALUES (?)".to_owned();
    let found = incomplete(&[old.clone(), new, other], &needed);
    assert_eq!(found, [format!("orders.added needs a value: {old}")]);
    assert!(insert_of("SELECT id FROM orders").is_none());
}
