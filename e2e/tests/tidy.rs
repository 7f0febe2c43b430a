//! Enforces the project's rules (imports, documents, migrations, language) by reading the committed files.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/architecture.rs"]
mod architecture;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/commits.rs"]
mod commits;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/language.rs"]
mod language;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/migrations.rs"]
mod migrations;
#[path = "tidy/settings.rs"]
mod settings;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/toolchain.rs"]
mod toolchain;

/// A file of the workspace; its path is relative to the root and has forward slashes.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

/// A rule about the lines of a file, with sample files that prove that the check works.
struct Rule {
    law: &'static str,
    /// Returns the numbers of the lines that break the law.
    breaches: fn(&Source) -> Vec<usize>,
    broken_by: &'static [(&'static str, &'static str)],
    kept_by: &'static [(&'static str, &'static str)],
}

impl Rule {
    /// Fails naming every `file:line` that breaks the rule, and fails if the rule catches nothing.
    fn hold(&self) {
        let found = self.found();
        assert!(found.is_empty(), "{}\n  {}\n", self.law, found.join("\n  "));
    }

    /// Returns every `file:line` of the workspace that breaks the rule; fails if the rule catches nothing.
    fn found(&self) -> Vec<String> {
        let breaches_of = |&(path, text): &(&str, &str)| {
            (self.breaches)(&Source {
                path: path.to_owned(),
                text: text.to_owned(),
            })
        };
        assert!(
            !self.broken_by.is_empty(),
            "the rule has no sample file that breaks it: {}",
            self.law
        );
        for bad in self.broken_by {
            assert!(
                !breaches_of(bad).is_empty(),
                "{}: the rule misses {bad:?}",
                self.law
            );
        }
        for good in self.kept_by {
            assert!(
                breaches_of(good).is_empty(),
                "{}: the rule wrongly refuses {good:?}",
                self.law
            );
        }
        workspace_files()
            .iter()
            .flat_map(|source| {
                let lines = (self.breaches)(source);
                lines
                    .into_iter()
                    .map(|line| format!("{}:{line}", source.path))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns every text file that is or would be committed: all but the ignored folders.
fn workspace_files() -> Vec<Source> {
    let mut files = Vec::new();
    read_folder(&root(), "", &mut files);
    assert!(
        files.len() > 20,
        "the workspace was not found at {:?}",
        root()
    );
    files
}

/// Others' code, word for word: `web/tests/vendor.test.mjs` holds it against its checksums.
const VENDORED: &str = "web/vendor";

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<Source>) {
    const NOT_COMMITTED: [&str; 6] = [
        ".git",
        ".run",
        "__pycache__",
        "data",
        "node_modules",
        "target",
    ];
    for entry in fs::read_dir(folder).expect("a folder of the workspace can be listed") {
        let entry = entry.expect("a folder of the workspace can be listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            if !NOT_COMMITTED.contains(&name.as_str()) && path != VENDORED {
                read_folder(&entry.path(), &format!("{path}/"), files);
            }
        } else if kind.is_file() && !name.ends_with(".log") {
            // Binary files (pictures) have no lines to check.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(Source { path, text });
            }
        }
    }
}

#[test]
fn the_readme_names_both_commands() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README.md");
    for command in ["cargo run --release", "make test"] {
        assert!(
            readme.contains(command),
            "README.md:1: does not mention `{command}`"
        );
    }
}

#[test]
fn what_ci_and_make_call_can_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    for source in workspace_files() {
        let called = source.path == ".ci/run" || source.path.starts_with("scripts/");
        if called && source.text.starts_with("#!") {
            let file = fs::metadata(root().join(&source.path)).expect("it was just read");
            assert!(
                file.permissions().mode() & 0o111 != 0,
                "{}:1: is not executable",
                source.path
            );
        }
    }
}
