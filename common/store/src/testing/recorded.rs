//! Records the statements that a program runs, for the list of a release (`scripts/statements`).

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::Write,
    sync::LazyLock,
};

use parking_lot::Mutex;

use super::environment;

struct Record {
    file: File,
    known: HashSet<String>,
}

static RECORD: LazyLock<Option<Mutex<Record>>> = LazyLock::new(|| {
    let path = environment::statements_file()?;
    let file = OpenOptions::new().create(true).append(true).open(path);
    Some(Mutex::new(Record {
        file: file.expect("EXPEDITER_TEST_STATEMENTS names a file that can be written"),
        known: HashSet::new(),
    }))
});

/// Appends a statement to the file that `EXPEDITER_TEST_STATEMENTS` names, once in each process.
pub(crate) fn record_statement(database: &str, sql: &str) {
    let Some(record) = &*RECORD else {
        return;
    };
    let line = format!("{database}\t{}\n", sql.replace('\n', " "));
    let mut record = record.lock();
    if !record.known.contains(&line) {
        // One write for each line: several processes append to the file.
        let written = record.file.write_all(line.as_bytes());
        written.expect("EXPEDITER_TEST_STATEMENTS can be written");
        record.known.insert(line);
    }
}
