//! Compares the schema after all migrations with the committed snapshots `migrations/schema.*.txt`.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use each_database::each_database;

use crate::{Result, Tx, fetch_all, testing::TestDb};

/// Renders all tables with their columns, keys and indexes, in the order of their names.
async fn render(tx: &mut Tx) -> Result<String> {
    let columns = tx.pick(
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(column_type AS CHAR), is_nullable = 'YES' \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name <> '_sqlx_migrations' \
         ORDER BY table_name, ordinal_position",
        "SELECT t.name, c.name, c.type, NOT c.\"notnull\" FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name <> '_sqlx_migrations' ORDER BY t.name, c.cid",
    );
    let columns: Vec<(String, String, String, i64)> = fetch_all!(tx, columns);
    // SQLite names the indexes of constraints itself.
    let indexes = tx.pick(
        "SELECT CAST(table_name AS CHAR), CASE WHEN index_name = 'PRIMARY' THEN 'primary key' \
         ELSE CAST(index_name AS CHAR) END, NOT non_unique, \
         CAST(GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ', ') AS CHAR) \
         FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name <> '_sqlx_migrations' \
         GROUP BY table_name, index_name, non_unique",
        "SELECT t.name, CASE i.origin WHEN 'pk' THEN 'primary key' WHEN 'u' THEN '' ELSE i.name END, i.\"unique\", \
         (SELECT group_concat(name, ', ') FROM pragma_index_info(i.name)) \
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i \
         WHERE t.type = 'table' AND t.name <> '_sqlx_migrations'",
    );
    let mut indexes: Vec<(String, String, i64, String)> = fetch_all!(tx, indexes);
    // Here, because servers differ in how they collate names.
    indexes.sort();
    let mut tables: BTreeMap<String, String> = BTreeMap::new();
    for (table, name, kind, nullable) in columns {
        let kind = plain_type(&kind);
        let nullable = if nullable == 0 { " not null" } else { "" };
        writeln!(
            tables.entry(table).or_default(),
            "    {name} {kind}{nullable}"
        )
        .expect("a String takes every write");
    }
    for (table, name, unique, columns) in indexes {
        let unique = if unique != 0 && name != "primary key" {
            "unique "
        } else {
            ""
        };
        let line = format!("    {unique}{name} ({columns})\n").replace("  (", " (");
        tables.entry(table).or_default().push_str(&line);
    }
    let tables = tables
        .iter()
        .map(|(name, lines)| format!("{name}\n{lines}"));
    Ok(tables.collect::<Vec<_>>().join("\n"))
}

/// MariaDB and MySQL name the same type differently: `bigint(20)` and `bigint`, `longtext` and `json`.
fn plain_type(column_type: &str) -> String {
    let lower = column_type.to_lowercase();
    match lower.split('(').next() {
        Some("tinyint") => "boolean".to_owned(),
        Some("longtext") => "json".to_owned(),
        Some(integer @ ("int" | "bigint")) => integer.to_owned(),
        _ => lower,
    }
}

fn snapshot_of(tx: &Tx) -> PathBuf {
    let name = tx.pick("schema.mysql.txt", "schema.sqlite.txt");
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../migrations")
        .join(name)
}

#[each_database(store)]
async fn the_migrations_lead_to_the_schema_of_the_snapshot(test_db: TestDb) {
    let mut tx = test_db.db.read().await.unwrap();
    let snapshot = std::fs::read_to_string(snapshot_of(&tx)).unwrap();
    let schema = render(&mut tx).await.unwrap();
    assert_eq!(
        schema, snapshot,
        "write it anew: scripts/test-servers run cargo test -p store --lib -- --ignored schema::write_the_snapshot"
    );
}

#[each_database(store)]
#[ignore = "writes migrations/schema.*.txt"]
async fn write_the_snapshot(test_db: TestDb) {
    let mut tx = test_db.db.read().await.unwrap();
    let schema = render(&mut tx).await.unwrap();
    std::fs::write(snapshot_of(&tx), schema).unwrap();
}
