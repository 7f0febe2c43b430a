//! Checks the text of files: their opening sentence, their length, and texts that must not be committed.

use super::code::{code_lines, lines_with};
use super::{Rule, Source};

const LINES_AT_MOST: usize = 450;

/// Longer files, each with the reason why it is not split.
const LONGER: &[(&str, &str)] = &[];

fn lines_where(source: &Source, matches: impl Fn(&str) -> bool) -> Vec<usize> {
    let numbered = source.text.lines().enumerate();
    numbered
        .filter(|(_, line)| matches(line))
        .map(|(index, _)| index + 1)
        .collect()
}

#[test]
fn every_rust_file_opens_with_what_it_is_for() {
    Rule {
        law: "a Rust file opens with one `//!` sentence that states its purpose",
        breaches: |source| {
            let opens = source.text.starts_with("//! ");
            if source.path.ends_with(".rs") && !opens {
                vec![1]
            } else {
                vec![]
            }
        },
        broken_by: &[
            ("api/src/a.rs", "use x;\n//! Late.\n"),
            ("api/src/b.rs", ""),
        ],
        kept_by: &[("api/src/a.rs", "//! What it is for.\n")],
    }
    .hold();
}

#[test]
fn no_file_is_too_long_to_be_one_subject() {
    Rule {
        law: "a Rust file has at most 450 lines, or an entry with a reason in LONGER",
        breaches: |source| {
            let listed = LONGER.iter().any(|(path, _)| *path == source.path);
            let long = source.text.lines().count() > LINES_AT_MOST;
            if source.path.ends_with(".rs") && long && !listed {
                vec![LINES_AT_MOST + 1]
            } else {
                vec![]
            }
        },
        broken_by: &[("api/src/a.rs", include_str!("../../../Cargo.lock"))],
        kept_by: &[("api/src/a.rs", "//! Short.\n")],
    }
    .hold();
}

#[test]
fn nothing_is_left_for_later() {
    Rule {
        law: "no reminders in committed files: do the work, or file an issue",
        breaches: |source| {
            let reminders = [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("XX", "X"),
            ];
            let lines: Vec<String> = source.text.lines().map(str::to_owned).collect();
            if source.path == "Cargo.lock" {
                vec![]
            } else {
                lines_with(&lines, &reminders)
            }
        },
        broken_by: &[
            ("web/a.js", concat!("a(); // TO", "DO: b\n")),
            ("api/src/a.rs", concat!("//! A.\n/* FIX", "ME */\n")),
        ],
        kept_by: &[("api/src/a.rs", "//! A.\nconst TODOS: u8 = 1;\n")],
    }
    .hold();
}

#[test]
fn lints_are_expected_not_allowed() {
    Rule {
        law: "silence a lint with #[expect(lint, reason = \"…\")], not with allow",
        breaches: |source| {
            let silenced = |line: &String| {
                let tight: String = line.split_whitespace().collect();
                ["#[allow(", "#![allow(", ",allow("]
                    .iter()
                    .any(|word| tight.contains(word))
            };
            if !source.path.ends_with(".rs") {
                return vec![];
            }
            let lines = code_lines(&source.text);
            (1..=lines.len())
                .filter(|number| silenced(&lines[number - 1]))
                .collect()
        },
        broken_by: &[
            ("api/src/a.rs", "#[allow(dead_code)]\n"),
            ("api/src/b.rs", "#![ allow (dead_code)]\n"),
            ("api/src/c.rs", "#[cfg_attr(test, allow(dead_code))]\n"),
        ],
        kept_by: &[(
            "api/src/a.rs",
            "#[expect(dead_code, reason = \"#[allow(\")]\n",
        )],
    }
    .hold();
}

#[test]
fn no_path_of_somebodys_machine_is_committed() {
    Rule {
        law: "committed files must not contain paths of a developer's machine",
        breaches: |source| {
            let homes = [
                concat!("/wo", "rk/"),
                concat!("/ro", "ot/"),
                concat!("/ho", "me/"),
            ];
            // Only at the beginning of a path: `docs/work/` is fine.
            let begins_path = |line: &str, at: usize| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "_-.}>*$)/".contains(c))
            };
            lines_where(source, |line| {
                homes.iter().any(|home| {
                    line.match_indices(home)
                        .any(|(at, _)| begins_path(line, at))
                })
            })
        },
        broken_by: &[
            ("docs/a.md", concat!("see `/wo", "rk/main`")),
            ("scripts/a", concat!("cd /ro", "ot/x")),
            ("deploy/a.yml", concat!("path: \"/ho", "me/me/x\"")),
        ],
        kept_by: &[("docs/a.md", "../shared/work/x and $dir/root/x")],
    }
    .hold();
}

#[test]
fn no_package_registry_is_named() {
    Rule {
        law: "committed files must not contain addresses of package registries or mirrors",
        breaches: |source| {
            let words = [
                "registry", "mirror", "artifact", "nexus", "pypi", "npmjs", "debian", "crates",
                "proxy",
            ];
            let names_one = |line: &str| {
                line.split("://").skip(1).any(|rest| {
                    let end = rest
                        .find(['/', '"', '\'', ' ', ')', '>', '`'])
                        .unwrap_or(rest.len());
                    words
                        .iter()
                        .any(|word| rest[..end].to_lowercase().contains(word))
                })
            };
            lines_where(source, names_one)
        },
        broken_by: &[
            (
                "web/package-lock.json",
                concat!("\"resolved\": \"https:/", "/registry.example.com/a.tgz\""),
            ),
            (
                "Makefile",
                concat!("pip install -i http:/", "/pypi.example.com/simple a"),
            ),
        ],
        kept_by: &[(
            "docs/a.md",
            "https://example.com/registry and the registry: https://127.0.0.1/",
        )],
    }
    .hold();
}
