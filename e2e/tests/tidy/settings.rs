//! Compares docs/settings.md, the page of all settings, with `common/config/default.toml`, from which it is written.

use std::{fmt::Write, mem};

use runtime::config::DEFAULT_TOML;

use super::root;

const PAGE: &str = "docs/settings.md";
const COMMAND: &str = "make settings";

/// A setting with its default as TOML, and the comment above it.
struct Setting<'t> {
    section: &'t str,
    /// Comment about the whole section, at its first setting.
    about: String,
    key: &'t str,
    default: &'t str,
    comment: String,
}

/// Returns all settings of a settings file. A comment belongs to the next setting, or, before an empty line, to the
/// section.
fn settings(toml: &str) -> Vec<Setting<'_>> {
    let (mut section, mut found) = ("", Vec::new());
    let (mut about, mut comment) = (String::new(), String::new());
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            about.clear(); // the file's own
        } else if let Some(text) = line.strip_prefix("# ") {
            if !comment.is_empty() {
                comment.push('\n');
            }
            comment.push_str(text);
        } else if let Some((key, default)) = line.split_once(" = ") {
            found.push(Setting {
                section,
                about: mem::take(&mut about),
                key,
                default,
                comment: mem::take(&mut comment),
            });
        } else {
            assert!(line.is_empty(), "a line of no known kind: {line}");
            about.push_str(&mem::take(&mut comment));
        }
    }
    found
}

fn page(settings: &[Setting<'_>]) -> String {
    let mut page = format!(
        "# Settings\n\n\
         Every setting with its default. Written from [default.toml](../common/config/default.toml) by `{COMMAND}`; a test\n\
         compares them. A settings file (`--config FILE`) overrides the defaults, then the environment, then the command line\n\
         (`--set section.key=value`, but no secrets). `expediter check-config` checks them all and starts nothing; an unknown\n\
         key or a bad value stops the start with one line that says what to do. Names end in their unit.\n"
    );
    let mut section = "";
    for setting in settings {
        if section != setting.section {
            section = setting.section;
            write!(page, "\n## {section}\n").expect("a string takes every text");
            if !setting.about.is_empty() {
                write!(page, "\n{}\n", setting.about).expect("a string takes every text");
            }
        }
        let Setting {
            key,
            default,
            comment,
            ..
        } = setting;
        let variable = format!("EXPEDITER__{section}__{key}").to_uppercase();
        write!(
            page,
            "\n### `{section}.{key}`\n\nDefault `{default}`, variable `{variable}`.\n\n{comment}\n"
        )
        .expect("a string takes every text");
    }
    page
}

#[test]
fn the_page_of_settings_is_what_default_toml_says() {
    let committed = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    let page = page(&settings(DEFAULT_TOML));
    assert!(
        committed == page,
        "{PAGE} is outdated: run `{COMMAND}` and commit the page with the change"
    );
}

#[test]
#[ignore = "writes docs/settings.md"]
fn write_the_page_of_settings() {
    let page = page(&settings(DEFAULT_TOML));
    std::fs::write(root().join(PAGE), page).expect("the workspace can be written");
}

#[test]
fn every_setting_has_a_comment() {
    let settings = settings(DEFAULT_TOML);
    assert!(settings.len() > 80, "only {} settings", settings.len());
    let bare: Vec<_> = settings
        .iter()
        .filter(|one| one.comment.is_empty())
        .map(|one| format!("{}.{}", one.section, one.key))
        .collect();
    assert!(bare.is_empty(), "no comment says what these do: {bare:?}");
}

#[test]
fn a_setting_keeps_its_comment_its_default_and_its_section() {
    let toml = "# The file.\n\n[a]\n# One\n# line.\nb = \"x = y\"\nc = 1\n\n[d]\n# All.\n\n# Two.\nb = []\n";
    let page = page(&settings(toml));
    let (_, page) = page.split_once("\n## ").expect("a section");
    assert_eq!(
        page,
        "a\n\n### `a.b`\n\nDefault `\"x = y\"`, variable `EXPEDITER__A__B`.\n\nOne\nline.\n\
         \n### `a.c`\n\nDefault `1`, variable `EXPEDITER__A__C`.\n\n\n\
         \n## d\n\nAll.\n\n### `d.b`\n\nDefault `[]`, variable `EXPEDITER__D__B`.\n\nTwo.\n"
    );
}
