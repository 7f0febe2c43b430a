//! The code blocks of docs/integrators.md, by the file name that follows their language.

use std::{fs, path::PathBuf};

use serde_json::Value;

/// Returns the path of a file below `docs/`.
pub(super) fn docs(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(path)
}

pub(super) fn guide() -> String {
    fs::read_to_string(docs("integrators.md")).expect("the guide is there")
}

/// Returns the code blocks with a name: "```json order.placed.json" begins one.
pub(super) fn blocks(guide: &str) -> Vec<(&str, &str)> {
    let parts = guide.split("\n```").skip(1).step_by(2);
    let named = parts.filter_map(|block| {
        let (first, text) = block.split_once('\n')?;
        Some((first.split_once(' ')?.1, text))
    });
    named.collect()
}

/// Returns a block of JSON.
///
/// # Panics
/// If there is no such block, or it is no JSON.
pub(super) fn json(name: &str) -> Value {
    let guide = guide();
    let block = blocks(&guide).into_iter().find(|(known, _)| *known == name);
    let (_, text) = block.unwrap_or_else(|| panic!("the guide has no block {name}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_guide_shows_the_files_that_are_tested() {
    let guide = guide();
    let blocks = blocks(&guide);
    for language in ["py", "mjs", "rs", "sh"] {
        for name in ["signature", "callback"].map(|name| format!("{name}.{language}")) {
            assert!(
                blocks.iter().any(|(known, _)| *known == name),
                "the guide does not show {name}"
            );
        }
    }
    for (name, shown) in blocks {
        let path = docs("integrators").join(name);
        if let Ok(file) = fs::read_to_string(&path) {
            assert_eq!(
                shown.to_owned() + "\n",
                file,
                "{name} differs from its file"
            );
        }
    }
}

#[test]
fn a_block_has_a_name_if_its_first_line_says_one() {
    let text = "a\n```json b.json\n{}\n```\nc\n```sh\nd\n```\n\n```text e\nf\ng\n```\n";
    assert_eq!(blocks(text), [("b.json", "{}"), ("e", "f\ng")]);
}
