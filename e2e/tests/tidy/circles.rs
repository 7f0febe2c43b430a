//! Checks that no files import each other in a circle: a reader can take them one after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::code::shipped_lines;
use super::{Source, workspace_files};

/// A module's path from the root of its crate: `["handoffs", "claim"]`.
type Module = Vec<String>;

/// Returns a crate's modules with their shipped code, by their paths. `lib.rs` and `main.rs` are left out: they name
/// all others.
fn modules(files: &[Source], folder: &str) -> BTreeMap<Module, String> {
    let prefix = format!("{folder}/src/");
    let mut modules = BTreeMap::new();
    for file in files {
        let Some(path) = file
            .path
            .strip_prefix(&prefix)
            .and_then(|path| path.strip_suffix(".rs"))
        else {
            continue;
        };
        let module: Module = path.split('/').map(str::to_owned).collect();
        let in_tests =
            |part: &String| ["tests", "testing", "scene", "histories"].contains(&part.as_str());
        if !["lib", "main"].contains(&path) && !module.iter().any(in_tests) {
            modules.insert(module, shipped_lines(&file.text).join("\n"));
        }
    }
    modules
}

/// Finds every path in the code that begins with `crate`, `self`, `super` or a child's name, groups in braces expanded.
fn paths(code: &str, children: &BTreeSet<&str>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at]
            .rfind(|c| !is_name(c))
            .map_or(0, |before| before + 1);
        let first = &rest[start..at];
        let is_inside = rest[..start].ends_with("::") || rest[..start].ends_with('$');
        if !is_inside && (["crate", "self", "super"].contains(&first) || children.contains(first)) {
            expand(vec![first.to_owned()], &rest[at + 2..], &mut found);
        }
        rest = &rest[at + 2..];
    }
    found
}

/// Follows a path from behind a `::`; returns how much of the code it took.
fn expand(mut path: Vec<String>, code: &str, found: &mut Vec<Vec<String>>) -> usize {
    let code_start = code.trim_start();
    let skipped = code.len() - code_start.len();
    if let Some(group) = code_start.strip_prefix('{') {
        let mut at = 0;
        while at < group.len() {
            let rest = &group[at..];
            match rest.chars().next() {
                Some('}') => return skipped + 1 + at + 1,
                Some(c) if c.is_alphanumeric() || c == '_' => {
                    at += expand(path.clone(), rest, found)
                }
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
        return skipped + 1 + at;
    }
    let end = code_start
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(code_start.len());
    path.push(code_start[..end].to_owned());
    match code_start[end..].strip_prefix("::") {
        Some(next) => skipped + end + 2 + expand(path, next, found),
        None => {
            found.push(path);
            skipped + end
        }
    }
}

/// Returns which modules each module uses. A child may use its parents; that is no arrow.
fn arrows(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut arrows = BTreeMap::new();
    for (module, code) in modules {
        let children = modules
            .keys()
            .filter(|it| it.len() == module.len() + 1 && it.starts_with(module));
        let children: BTreeSet<&str> = children
            .filter_map(|it| it.last().map(String::as_str))
            .collect();
        let mut used = BTreeSet::new();
        for path in paths(code, &children) {
            let supers = path.iter().take_while(|part| *part == "super").count();
            let mut target: Module = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                "super" => module[..module.len().saturating_sub(supers)]
                    .iter()
                    .chain(&path[supers..])
                    .cloned()
                    .collect(),
                "self" => module.iter().chain(&path[1..]).cloned().collect(),
                _ => module.iter().chain(&path).cloned().collect(),
            };
            while !target.is_empty() && !modules.contains_key(&target) {
                target.pop();
            }
            if !target.is_empty() && !module.starts_with(&target) {
                used.insert(target);
            }
        }
        arrows.insert(module.clone(), used);
    }
    arrows
}

/// Takes away whatever uses nothing, or is used by nothing, until only circles are left.
fn circles(mut arrows: BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let used: BTreeSet<Module> = arrows.values().flatten().cloned().collect();
        let before = arrows.len();
        arrows.retain(|module, uses| !uses.is_empty() && used.contains(module));
        let left: BTreeSet<Module> = arrows.keys().cloned().collect();
        arrows
            .values_mut()
            .for_each(|uses| uses.retain(|it| left.contains(it)));
        if arrows.len() == before {
            return arrows;
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = workspace_files();
    let crates = files
        .iter()
        .filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    let mut seen = 0;
    for folder in crates {
        let modules = modules(&files, folder);
        seen += modules.len();
        let circles = circles(arrows(&modules));
        assert!(
            circles.is_empty(),
            "{folder}/src: these files import each other: {circles:#?}"
        );
    }
    assert!(seen > 250, "only {seen} modules were found");
}

#[test]
fn a_circle_is_found_and_a_childs_use_of_its_parent_is_none() {
    let crate_of = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| Source {
            path: format!("x/src/{path}"),
            text: (*text).to_owned(),
        });
        circles(arrows(&modules(&files.collect::<Vec<_>>(), "x")))
    };
    let straight = [
        ("lib.rs", "mod a;\nmod b;\n"),
        (
            "a.rs",
            "mod c;\nuse crate::{\n    b::{D, E},\n};\nfn f() { c::g() }\n",
        ),
        ("a/c.rs", "use super::f;\n// crate::b\n"),
        ("b.rs", "//! crate::a\nstruct D;\n"),
    ];
    assert!(crate_of(&straight).is_empty());
    let through_a_child = [
        ("a.rs", "mod c;\nfn f() { c::g() }\n"),
        ("a/c.rs", "use crate::b::D;\n"),
        ("b.rs", "use crate::{x, a::f};\n"),
    ];
    assert_eq!(crate_of(&through_a_child).len(), 3);
    let between_siblings = [
        ("a.rs", "fn f() { super::b::g() }\n"),
        ("b.rs", "fn g() { crate::a::f() }\n"),
    ];
    assert_eq!(crate_of(&between_siblings).len(), 2);
}
