//! Checks the migrations: the same files for both databases, with one DDL statement each.

use std::collections::BTreeSet;

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
        law: "a migration after 0001_schema.sql has one DDL statement: MySQL cannot roll back a part of a file",
        breaches: |source| {
            let is_migration = source.path.starts_with("migrations/") && source.path.ends_with(".sql");
            // The first one runs on an empty database, which can be made again.
            if !is_migration || source.path.ends_with("/0001_schema.sql") {
                return vec![];
            }
            ddl_lines(&source.text).into_iter().skip(1).collect()
        },
        broken_by: &[("migrations/mysql/0002_a.sql", "CREATE TABLE a (b INT);\nalter table a add c INT;\n")],
        kept_by: &[
            (
                "migrations/sqlite/0002_a.sql",
                "-- first; CREATE nothing\nCREATE TABLE a (\n  b TEXT DEFAULT '; DROP', -- x; ALTER\n  alter_x INT\n) STRICT;\n",
            ),
            ("migrations/sqlite/0001_schema.sql", "CREATE TABLE a (b INT);\nCREATE INDEX c ON a (b);\n"),
        ],
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

/// Reads a snapshot of the schema (`migrations/schema.*.txt`): one line per column and key, with its table's name, in
/// SQLite's types and without the names of unique keys, which SQLite does not keep.
fn comparable(snapshot: &str) -> BTreeSet<String> {
    let mut table = "";
    let mut lines = BTreeSet::new();
    for line in snapshot.lines().filter(|line| !line.is_empty()) {
        let Some(line) = line.strip_prefix("    ") else {
            table = line;
            continue;
        };
        let line = match line.split_once(" (") {
            Some((name, columns)) if name.starts_with("unique") => format!("unique ({columns}"),
            Some((_, columns)) if columns.starts_with(char::is_alphabetic) => line.to_owned(),
            _ => line
                .split(' ')
                .map(to_sqlite_type)
                .collect::<Vec<_>>()
                .join(" "),
        };
        lines.insert(format!("{table}: {line}"));
    }
    lines
}

fn to_sqlite_type(word: &str) -> &str {
    match word.split('(').next() {
        Some("binary" | "varbinary" | "blob" | "mediumblob") => "blob",
        Some("varchar" | "char" | "datetime" | "json" | "mediumtext") => "text",
        Some("boolean" | "bigint" | "int") => "integer",
        Some("double") => "real",
        _ => word,
    }
}

#[test]
fn both_schemas_have_the_same_columns_keys_and_indexes() {
    let files = workspace_files();
    let of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        comparable(&file.expect("the snapshot is committed").text)
    };
    let (mysql, sqlite) = (
        of("migrations/schema.mysql.txt"),
        of("migrations/schema.sqlite.txt"),
    );
    assert!(mysql.len() > 200, "the snapshot is almost empty: {mysql:?}");
    let differ: Vec<&String> = mysql.symmetric_difference(&sqlite).collect();
    assert!(
        differ.is_empty(),
        "only in one of the two schemas: {differ:#?}"
    );
}

#[test]
fn a_schema_that_differs_is_told_apart() {
    let mysql = comparable(
        "t\n    a binary(16) not null\n    b datetime(6)\n    primary key (a)\n    unique b (b, a)\n",
    );
    let same = "t\n    a blob not null\n    b text\n    primary key (a)\n    unique (b, a)\n";
    assert_eq!(mysql, comparable(same));
    assert_ne!(
        mysql,
        comparable(&same.replace("a blob not null", "a blob"))
    );
    assert_ne!(mysql, comparable(&same.replace("(b, a)", "(b)")));
}
