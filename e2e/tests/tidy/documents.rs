//! Checks documents where a test can: links, settings, tests, commands and alerts that they name must exist.

use std::collections::BTreeSet;

use runtime::config::DEFAULT_TOML;

use super::{
    Source, architecture,
    code::{lines_with, shipped_lines},
    root, workspace_files,
};

/// Returns all Markdown files, such as README.md and docs/.
fn documents() -> Vec<Source> {
    let mut documents = workspace_files();
    documents.retain(|source| source.path.ends_with(".md"));
    assert!(documents.len() > 10, "{documents:?}");
    documents
}

fn document(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the targets of links (`[words](target)`), except for URLs.
fn links(text: &str) -> Vec<&str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// Returns the anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_links_of_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for source in documents() {
        let folder = root().join(&source.path);
        let folder = folder.parent().expect("a file is in a folder");
        for link in links(&source.text) {
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let file = if path.is_empty() {
                root().join(&source.path)
            } else {
                folder.join(path)
            };
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let has_place = place.is_empty()
                || text
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == place);
            if !file.exists() || !has_place {
                dead.push(format!("{}: {link}", source.path));
            }
        }
    }
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}

/// Returns `section.key` of all settings, and all sections.
fn settings() -> (BTreeSet<String>, BTreeSet<&'static str>) {
    let mut keys = BTreeSet::new();
    let mut sections = BTreeSet::new();
    let mut section = "";
    for line in DEFAULT_TOML.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            sections.insert(section);
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    (keys, sections)
}

#[test]
fn the_settings_that_documents_name_exist() {
    let (keys, sections) = settings();
    let mut seen = 0;
    for source in documents() {
        for word in architecture::quoted(&source.text) {
            let is_name = |part: &str| part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let Some((section, key)) = word.split_once('.') else {
                continue;
            };
            // `outside.*_url` stands for several settings; `broker.rs` is a file.
            if sections.contains(section) && is_name(key) && key != "rs" {
                seen += 1;
                assert!(
                    keys.contains(word),
                    "{}: there is no setting {word}",
                    source.path
                );
            }
        }
    }
    assert!(seen > 10, "only {seen} settings were found in backticks");
}

#[test]
fn the_tests_and_files_that_documents_name_exist() {
    let code: String = workspace_files()
        .iter()
        .filter(|source| source.path.ends_with(".rs"))
        .map(|source| source.text.as_str())
        .collect();
    for source in documents() {
        for word in architecture::quoted(&source.text) {
            // Files that a running process creates are not in the repository.
            let first = word.split('/').next().unwrap_or_default();
            let is_ours = root().join(first).is_dir() && ![".", "data", "target"].contains(&first);
            if architecture::is_path(word) && is_ours {
                let is_there = root().join(word).exists() || word.contains("NNNN");
                assert!(is_there, "{}: {word} does not exist", source.path);
            }
            if architecture::is_test_name(word) {
                // Names of metrics and settings look like names of tests.
                let known = code.contains(word) || DEFAULT_TOML.contains(word);
                assert!(known, "{}: {word} does not exist", source.path);
            }
        }
    }
}

#[test]
fn every_command_of_the_makefile_that_is_named_exists() {
    let makefile = document("Makefile");
    for source in documents() {
        for word in architecture::quoted(&source.text) {
            let mut words = word.split(' ');
            if words.next() == Some("make") {
                let target = words.next().unwrap_or_default();
                let is_there = makefile
                    .lines()
                    .any(|line| line.starts_with(&format!("{target}:")));
                assert!(is_there, "{}: {word} does not exist", source.path);
            }
        }
    }
}

#[test]
fn operations_asks_the_api_for_what_there_is() {
    let page = document("docs/operations.md");
    let openapi = document("openapi/expediter.json");
    let asked: BTreeSet<&str> = page
        .split("ask ")
        .skip(1)
        .map(|rest| rest.trim_start_matches('"'))
        .filter_map(|rest| rest.split(['"', '?', ' ', '`', '\n', ')']).next())
        .filter(|path| !path.is_empty() && path.chars().next().is_some_and(char::is_lowercase))
        .collect();
    assert!(asked.len() >= 10, "{asked:?}");
    for path in asked {
        let pattern: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('$') { "{id}" } else { part })
            .collect();
        let pattern = format!("\"/{}\":", pattern.join("/"));
        assert!(
            openapi.contains(&pattern),
            "the API has no path {pattern} ({path})"
        );
    }
}

#[test]
fn every_alert_leads_to_its_section_of_operations_and_there_is_no_other() {
    let alerts = document("deploy/prometheus/alerts.yml");
    let alerts: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    let page = document("docs/operations.md");
    let (_, section) = page
        .split_once("\n## Alerts\n")
        .expect("a section of alerts");
    let section = section.split("\n## ").next().expect("it begins");
    let mut sections: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|title| !title.contains(' '))
        .collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in alerts {
        let name = alert.lines().next().expect("it has a name");
        assert!(
            sections.remove(name),
            "{name} has no section in operations.md"
        );
        let runbook = alert
            .lines()
            .find_map(|line| line.trim().strip_prefix("runbook_url: "))
            .unwrap_or_else(|| panic!("{name} has no runbook_url"));
        assert_eq!(runbook, format!("docs/operations.md#{}", anchor(name)));
    }
    assert!(sections.is_empty(), "no alert has these: {sections:?}");
}

#[test]
fn a_link_an_anchor_and_a_dead_one_are_told_apart() {
    assert_eq!(
        links("[a](b.md#c) [d](https://e.f) [g](#h)"),
        ["b.md#c", "#h"]
    );
    assert_eq!(anchor("### `session.code_renewed`"), "sessioncode_renewed");
    assert_eq!(
        anchor("## Which order is stuck, and why?"),
        "which-order-is-stuck-and-why"
    );
}

#[test]
fn every_reason_of_a_problem_is_given_somewhere() {
    let files = workspace_files();
    let table = document("api/src/http/problem/reason.rs");
    // `Name = "word", STATUS, …`
    let reasons = table.lines().filter_map(|line| {
        let (name, rest) = line.trim_start().split_once(" = \"")?;
        let (word, rest) = rest.split_once("\", ")?;
        let is_row = rest.starts_with(|first: char| first.is_ascii_uppercase());
        is_row.then_some((name, word))
    });
    let reasons: Vec<(&str, &str)> = reasons.collect();
    assert!(reasons.len() > 30, "{reasons:?}");
    let of = |folder: &'static str| files.iter().filter(move |it| it.path.starts_with(folder));
    let code: Vec<String> = of("api/src/")
        .flat_map(|file| shipped_lines(&file.text))
        .collect();
    let gateway: String = of("deploy/gateway/").map(|it| it.text.as_str()).collect();
    let is_given = |name: &str, word: &str| {
        !lines_with(&code, &[&format!("Reason::{name}")]).is_empty()
            || gateway.contains(&format!("\"reason\":\"{word}\""))
    };
    let idle: Vec<_> = reasons
        .iter()
        .filter(|(name, word)| !is_given(name, word))
        .collect();
    assert!(idle.is_empty(), "no code answers with {idle:?}");
    assert!(!is_given("Unheard", "unheard"));
}
