//! Migrations: the same files for both databases, one DDL statement each.

use super::{Rule, workspace_files};

/// The numbers of the lines on which a DDL statement begins, comments and strings left aside.
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
        law: "a migration has one DDL statement: MySQL cannot take back half a file",
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
            "migrations/{folder}/{name}:1: the other database has no such file"
        );
    }
}
