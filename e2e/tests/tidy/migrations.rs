//! Checks the migrations: the same files for both databases, with one DDL statement each.

use super::{Rule, workspace_files};

/// Returns the numbers of the lines on which a DDL statement begins, except in comments and strings.
fn ddl_lines(sql: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at_start = true;
    let mut in_string = false;
    for (index, line) in sql.lines().enumerate() {
        let mut word = String::new();
        let mut previous = ' ';
        for c in line.chars().chain(['\n']) {
            if c == '\'' {
                in_string = !in_string;
            } else if !in_string {
                if c == '-' && previous == '-' {
                    break;
                }
                if c.is_alphabetic() {
                    word.push(c.to_ascii_uppercase());
                } else if !word.is_empty() {
                    let ddl = ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"];
                    if at_start && ddl.contains(&word.as_str()) {
                        found.push(index + 1);
                    }
                    at_start = false;
                    word.clear();
                }
                if c == ';' {
                    at_start = true;
                }
            }
            previous = c;
        }
    }
    found
}

#[test]
fn a_migration_is_one_ddl_statement() {
    Rule {
        law: "a migration has one DDL statement: MySQL cannot roll back a part of a file",
        breaches: |source| {
            if !source.path.starts_with("migrations/") || !source.path.ends_with(".sql") {
                return vec![];
            }
            ddl_lines(&source.text).into_iter().skip(1).collect()
        },
        broken_by: &[("migrations/mysql/0001_a.sql", "CREATE TABLE a (b INT);\nalter table a add c INT;\n")],
        kept_by: &[(
            "migrations/sqlite/0001_a.sql",
            "-- first; CREATE nothing\nCREATE TABLE a (\n  b TEXT DEFAULT '; DROP', -- x; ALTER\n  alter_x INT\n) STRICT;\n",
        )],
    }
    .hold();
}

#[test]
fn both_databases_have_the_same_migrations() {
    let files = workspace_files();
    let names = |folder: &str| -> Vec<&str> {
        let mut names: Vec<&str> = files
            .iter()
            .filter_map(|f| f.path.strip_prefix(folder))
            .collect();
        names.sort_unstable();
        names
    };
    let (mysql, sqlite) = (names("migrations/mysql/"), names("migrations/sqlite/"));
    assert!(!mysql.is_empty(), "migrations/mysql: no migrations found");
    for (name, folder, others) in mysql
        .iter()
        .map(|name| (name, "mysql", &sqlite))
        .chain(sqlite.iter().map(|name| (name, "sqlite", &mysql)))
    {
        assert!(
            others.contains(name),
            "migrations/{folder}/{name}:1: the other database lacks this file"
        );
    }
}

/// Translates MySQL's types to SQLite's.
fn to_sqlite_schema(mysql: &str) -> Vec<String> {
    let text = mysql.replace(
        ") DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;",
        ") STRICT;",
    );
    text.split_whitespace().map(to_sqlite_type).collect()
}

fn to_sqlite_type(word: &str) -> String {
    let (bare, comma) = word
        .strip_suffix(',')
        .map_or((word, ""), |bare| (bare, ","));
    let kind = bare.split('(').next().unwrap_or(bare);
    let sqlites = match kind {
        "BINARY" | "VARBINARY" | "MEDIUMBLOB" => "BLOB",
        "VARCHAR" | "CHAR" | "DATETIME" | "JSON" => "TEXT",
        "BOOLEAN" | "BIGINT" | "INT" => "INTEGER",
        "DOUBLE" => "REAL",
        _ => return word.to_owned(),
    };
    format!("{sqlites}{comma}")
}

#[test]
fn both_schemas_have_the_same_columns_keys_and_indexes() {
    let files = workspace_files();
    let of = |folder: &str| -> Vec<(String, &str)> {
        let prefix = format!("migrations/{folder}/");
        let mut found: Vec<(String, &str)> = files
            .iter()
            .filter_map(|file| {
                Some((
                    file.path.strip_prefix(&prefix)?.to_owned(),
                    file.text.as_str(),
                ))
            })
            .collect();
        found.sort();
        found
    };
    let (mysql, sqlite) = (of("mysql"), of("sqlite"));
    assert!(mysql.len() > 40, "the migrations were not found");
    for ((name, mysql), (other, sqlite)) in mysql.iter().zip(&sqlite) {
        assert_eq!(name, other);
        let sqlite: Vec<String> = sqlite.split_whitespace().map(str::to_owned).collect();
        assert_eq!(
            to_sqlite_schema(mysql),
            sqlite,
            "migrations/*/{name}: MySQL's and SQLite's schemas differ"
        );
    }
}

#[test]
fn a_schema_that_differs_is_told_apart() {
    let mysql = "CREATE TABLE t (\n    a BINARY(16) NOT NULL,\n    b DATETIME(6)\n) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;";
    let same = "CREATE TABLE t ( a BLOB NOT NULL, b TEXT ) STRICT;";
    let nullable = "CREATE TABLE t ( a BLOB, b TEXT ) STRICT;";
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(to_sqlite_schema(mysql), words(same));
    assert_ne!(to_sqlite_schema(mysql), words(nullable));
}
