//! Checks that the tests and paths named in ARCHITECTURE.md exist.

use std::{collections::BTreeSet, path::Path};

use super::{root, workspace_files};

/// Returns the texts between backticks.
pub(super) fn quoted(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// Returns true for a test's name: a sentence in lower case, with several underscores.
pub(super) fn is_test_name(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

pub(super) fn is_path(word: &str) -> bool {
    word.contains('/')
        && !word.starts_with('/')
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
}

fn architecture() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there")
}

#[test]
fn the_tests_that_architecture_names_exist() {
    let text = architecture();
    let named: BTreeSet<&str> = quoted(&text)
        .into_iter()
        .filter(|word| is_test_name(word))
        .collect();
    assert!(
        named.len() >= 10,
        "ARCHITECTURE.md names fewer than ten tests: {named:?}"
    );
    let all: String = workspace_files()
        .iter()
        .filter(|source| source.path.ends_with(".rs"))
        .map(|source| source.text.as_str())
        .collect();
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| !all.contains(&format!("fn {name}(")))
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md names tests that do not exist: {missing:?}"
    );
}

#[test]
fn the_paths_that_architecture_names_lead_somewhere() {
    let text = architecture();
    let missing: Vec<&str> = quoted(&text)
        .into_iter()
        .filter(|word| {
            is_path(word)
                && word
                    .split('/')
                    .next()
                    .is_some_and(|first| root().join(first).is_dir())
        })
        .filter(|path| !Path::new(&root().join(path)).exists())
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md names paths that do not exist: {missing:?}"
    );
}

#[test]
fn a_name_that_is_none_is_told_apart() {
    assert!(is_test_name("a_replayed_callback_counts_once"));
    assert!(!is_test_name("auto_accept") && !is_test_name("Ledger::place_order"));
    assert!(
        is_path("common/runtime/src/relay.rs")
            && !is_path("/metrics")
            && !is_path("pending → processing")
    );
    assert_eq!(quoted("a `b` c `d/e`"), BTreeSet::from(["b", "d/e"]));
}
