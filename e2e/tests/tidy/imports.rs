//! Checks the allowed imports (section 3 of docs/design.md) between crates, and what only one file may do.

use super::code::{code_lines, lines_with, shipped_lines};
use super::{Rule, Source, workspace_files};

/// Each crate of the workspace by its folder, with the crates of ours that it may depend on. Cargo holds the rest: a
/// crate that is not listed in a manifest cannot be named.
const CRATES: &[(&str, &[&str])] = &[
    ("common/domain", &[]),
    ("common/platform", &[]),
    ("common/broker", &["platform"]),
    ("common/store", &["domain", "platform"]),
    ("common/ledger", &["domain", "platform", "store"]),
    ("common/runtime", COMMON),
    ("common/each_database", &[]),
    ("common/test_line", &[]),
    ("api", COMMON),
    ("worker", COMMON),
    ("notifier", COMMON),
    ("standalone", ALL),
    // External parties: they know only the published contract.
    ("kitchen", &[]),
    ("courier", &[]),
    // Tests and benchmarks use every crate.
    ("e2e", ALL),
    ("bench", ALL),
];

const COMMON: &[&str] = &["domain", "platform", "broker", "store", "ledger", "runtime"];
const ALL: &[&str] = &[
    "domain", "platform", "broker", "store", "ledger", "runtime", "api", "worker", "notifier",
    "kitchen", "courier",
];

/// External parties, whose tests use none of our crates either.
const OUTSIDE: &[&str] = &["kitchen", "courier"];

/// Dependencies of tests only, which do not count as an arrow: `domain` is tested with `platform`'s seeded randomness.
const DEV_DEPENDENCIES: &[&str] = &[
    "each_database",
    "test_line",
    "e2e",
    "platform",
    "store",
    "ledger",
    "runtime",
];

/// Outside crates that only these crates may list.
const OWNED: &[(&str, &[&str])] = &[
    (
        "sqlx",
        &["common/store", "common/domain", "courier", "e2e", "bench"],
    ),
    ("lapin", &["common/broker", "e2e"]),
    ("poem-openapi", &["api", "courier"]),
];

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

fn is_rust(source: &Source) -> bool {
    source.path.ends_with(".rs")
}

/// A line of a dependency table.
struct Dependency {
    line: usize,
    name: String,
    is_dev: bool,
    has_testing: bool,
}

/// Returns the crates named in any dependency table of a manifest.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let (mut in_table, mut is_dev) = (false, false);
    let mut found = Vec::new();
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        let has_testing = line.contains("\"testing\"");
        let mut add = |name: &str, is_dev| {
            found.push(Dependency {
                line: index + 1,
                name: name.to_owned(),
                is_dev,
                has_testing,
            });
        };
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            (in_table, is_dev) = (
                table.ends_with("dependencies"),
                table.contains("dev-dependencies"),
            );
            if let Some((_, name)) = table.split_once("dependencies.") {
                add(name, is_dev);
            }
        } else if in_table && !line.starts_with('#') {
            let end = line.find(|c: char| !c.is_alphanumeric() && !"-_".contains(c));
            match &line[..end.unwrap_or(line.len())] {
                "" => {}
                name => add(name, is_dev),
            }
        }
    }
    found
}

/// Returns the folder of a crate's manifest.
fn folder_of(source: &Source) -> Option<&str> {
    source.path.strip_suffix("/Cargo.toml")
}

#[test]
fn crates_depend_on_each_other_in_one_direction_only() {
    Rule {
        law: "standalone → api, worker, notifier → runtime → ledger → store → domain, platform; kitchen and courier use none of ours",
        breaches: |source| {
            let Some(folder) = folder_of(source) else {
                return vec![];
            };
            let Some((_, allowed)) = CRATES.iter().find(|(of, _)| *of == folder) else {
                return vec![1]; // a new crate must be listed
            };
            let is_ours = |name: &str| CRATES.iter().any(|(of, _)| of.rsplit('/').next() == Some(name));
            let is_allowed = |it: &Dependency| {
                let is_test = it.is_dev || ["e2e", "bench"].contains(&folder);
                let in_tests = is_test && !OUTSIDE.contains(&folder) && DEV_DEPENDENCIES.contains(&it.name.as_str());
                allowed.contains(&it.name.as_str()) || in_tests
            };
            let dependencies = dependencies(&source.text).into_iter();
            dependencies.filter(|it| is_ours(&it.name) && !is_allowed(it)).map(|it| it.line).collect()
        },
        broken_by: &[
            ("api/Cargo.toml", "[dependencies]\nserde = \"1\"\nworker.workspace = true\n"),
            ("kitchen/Cargo.toml", "[dev-dependencies]\ndomain = { path = \"../common/domain\" }\n"),
            ("courier/Cargo.toml", "[dev-dependencies]\nplatform.workspace = true\n"),
            ("notifier/Cargo.toml", "[dependencies.api]\nworkspace = true\n"),
            ("common/store/Cargo.toml", "[dependencies]\nledger.workspace = true\n"),
            ("common/broker/Cargo.toml", "[dependencies]\ndomain.workspace = true\n"),
            ("newcomer/Cargo.toml", "[package]\n"),
        ],
        kept_by: &[
            ("worker/Cargo.toml", "[package]\nname = \"api\"\n[dependencies]\nledger.workspace = true\n"),
            ("common/domain/Cargo.toml", "[dev-dependencies]\nplatform.workspace = true\n"),
        ],
    }
    .hold();
}

#[test]
fn no_shipped_crate_has_test_support_in_it() {
    Rule {
        law: "the feature `testing` is switched on in [dev-dependencies] only (and by e2e and bench, which never ship)",
        breaches: |source| {
            let ships = folder_of(source).is_some_and(|folder| !["e2e", "bench"].contains(&folder));
            let dependencies = dependencies(&source.text).into_iter();
            dependencies.filter(|it| ships && !it.is_dev && it.has_testing).map(|it| it.line).collect()
        },
        broken_by: &[(
            "api/Cargo.toml",
            "[dependencies]\nledger = { workspace = true, features = [\"testing\"] }\n",
        )],
        kept_by: &[
            ("api/Cargo.toml", "[dev-dependencies]\nledger = { workspace = true, features = [\"testing\"] }\n"),
            ("e2e/Cargo.toml", "[dependencies]\nledger = { workspace = true, features = [\"testing\"] }\n"),
        ],
    }
    .hold();
}

#[test]
fn outside_crates_stay_with_their_owners() {
    Rule {
        law: "sqlx is a dependency of store only (and of domain behind a feature), lapin of broker, poem-openapi of api (and of the courier, of tests and benchmarks)",
        breaches: |source| {
            let Some(folder) = folder_of(source) else {
                return vec![];
            };
            let is_foreign = |it: &Dependency| {
                OWNED.iter().any(|(name, owners)| it.name == *name && !owners.contains(&folder))
            };
            let dependencies = dependencies(&source.text).into_iter();
            dependencies.filter(is_foreign).map(|it| it.line).collect()
        },
        broken_by: &[
            ("common/ledger/Cargo.toml", "[dependencies]\nsqlx.workspace = true\n"),
            ("common/runtime/Cargo.toml", "[dependencies]\nlapin.workspace = true\n"),
            ("worker/Cargo.toml", "[dependencies]\npoem-openapi.workspace = true\n"),
        ],
        kept_by: &[("common/store/Cargo.toml", "[dependencies]\nsqlx.workspace = true\n")],
    }
    .hold();
}

#[test]
fn only_the_rabbit_back_end_names_lapin() {
    Rule {
        law: "name lapin only in common/broker/src/rabbit.rs and its folder",
        breaches: |source| {
            if !source.path.starts_with("common/broker/src/")
                || source.path.starts_with("common/broker/src/rabbit")
            {
                return vec![];
            }
            lines_with(&code_lines(&source.text), &["lapin"])
        },
        broken_by: &[(
            "common/broker/src/embedded.rs",
            "fn f(e: lapin::Error) {}\n",
        )],
        kept_by: &[("common/broker/src/rabbit/work.rs", "use lapin::Channel;")],
    }
    .hold();
}

/// `pub` hides unused functions from the compiler. Test support may call a function that the ledger does not.
#[test]
fn every_public_function_of_the_store_is_used_by_a_layer_above() {
    let files = workspace_files();
    let above: String = files
        .iter()
        .filter(|file| is_rust(file) && !file.path.starts_with("common/store/"))
        .map(|file| code_lines(&file.text).join("\n"))
        .collect();
    let mut unused = Vec::new();
    for file in &files {
        let is_store = file.path.starts_with("common/store/src/") && is_rust(file);
        if !is_store || file.path.contains("/testing") || is_test(&file.path) {
            continue;
        }
        for line in shipped_lines(&file.text) {
            let line = line.trim_start();
            let name = line
                .strip_prefix("pub fn ")
                .or_else(|| line.strip_prefix("pub async fn "));
            let name = name.and_then(|rest| rest.split(['(', '<']).next());
            let is_used = |name: &str| {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                above.match_indices(name).any(|(at, _)| {
                    !above[..at].ends_with(is_part)
                        && !above[at + name.len()..].starts_with(is_part)
                })
            };
            if let Some(name) = name.filter(|name| !is_used(name)) {
                unused.push(format!("{}: {name}", file.path));
            }
        }
    }
    assert!(
        unused.is_empty(),
        "public functions that nobody outside the store calls: {unused:#?}"
    );
}

#[test]
fn public_functions_of_the_ledger_are_compiled_once() {
    let mut unboxed = Vec::new();
    for file in workspace_files() {
        let is_ledger = file.path.starts_with("common/ledger/src/") && is_rust(&file);
        let is_support = ["/testing", "/histories", "/scene"].map(|part| file.path.contains(part));
        if !is_ledger || is_test(&file.path) || is_support.contains(&true) {
            continue;
        }
        let lines = shipped_lines(&file.text);
        for (n, pair) in lines.windows(2).enumerate() {
            let Some(rest) = pair[1].trim_start().strip_prefix("pub async fn ") else {
                continue;
            };
            // A generic function is compiled where it is used, boxed or not.
            let name: String = rest.chars().take_while(|c| *c != '(').collect();
            let mut signature = lines[n + 1..]
                .iter()
                .take_while(|line| !line.contains(" {"));
            let is_generic = name.contains('<')
                || rest.contains("impl ")
                || signature.any(|line| line.contains("impl "));
            if !is_generic && pair[0].trim() != "#[crate::boxed]" {
                unboxed.push(format!("{}:{}: {name}", file.path, n + 2));
            }
        }
    }
    assert_eq!(unboxed, Vec::<String>::new(), "write #[crate::boxed] above");
}

#[test]
fn the_domain_does_no_io() {
    Rule {
        law: "common/domain/src must not do I/O or use a runtime (tokio, poem, reqwest, std::fs, std::net)",
        breaches: |source| {
            if !source.path.starts_with("common/domain/src") {
                return vec![];
            }
            let words =
                ["tokio", "poem", "reqwest", "std::fs", "std::net::Tcp", "async fn", "std::thread"];
            lines_with(&code_lines(&source.text), &words)
        },
        broken_by: &[("common/domain/src/order.rs", "use tokio::time;\n")],
        kept_by: &[("common/domain/src/order.rs", "// tokio\n"), ("common/runtime/src/relay.rs", "use tokio::time;\n")],
    }
    .hold();
}

#[test]
fn the_environment_is_read_in_one_file() {
    Rule {
        law: "read the environment only in common/runtime/src/config.rs (and in tests and external parties)",
        breaches: |source| {
            // Kitchen and courier are external parties with their own settings.
            let elsewhere = [
                "common/runtime/src/config",
                "common/store/src/testing/",
                "kitchen/src/main.rs",
                "courier/src/main.rs",
                "e2e/",
                "bench/",
            ];
            let in_tests = source.path.contains("/tests/") || source.path.ends_with("build.rs");
            if !is_rust(source) || in_tests || starts_with_any(&source.path, &elsewhere) {
                return vec![];
            }
            let words = [
                "std::env",
                "env::var",
                "env::var_os",
                "env::vars",
                "env::args",
            ];
            lines_with(&shipped_lines(&source.text), &words)
        },
        broken_by: &[
            ("api/src/lib.rs", "let a = std::env::var(\"A\");\n"),
            ("kitchen/src/board.rs", "use std::env;\n"),
        ],
        kept_by: &[
            ("common/runtime/src/config.rs", "std::env::var(\"A\")"),
            ("api/src/pages.rs", "env!(\"CARGO_PKG_VERSION\")"),
            (
                "worker/src/lib.rs",
                "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n",
            ),
        ],
    }
    .hold();
}

#[test]
fn only_the_ledger_commits() {
    Rule {
        law: "commit transactions only in common/ledger/src/change.rs and in common/store/src (the courier has its own database)",
        breaches: |source| {
            let committers = ["common/ledger/src/change.rs", "common/store/src", "courier/"];
            if !source.path.contains("/src/")
                || starts_with_any(&source.path, &committers)
                || is_test(&source.path)
            {
                return vec![];
            }
            lines_with(&shipped_lines(&source.text), &[".commit()"])
        },
        broken_by: &[("common/ledger/src/intake.rs", "tx.commit().await?;\n")],
        kept_by: &[("common/ledger/src/change.rs", "tx.commit().await?;\n")],
    }
    .hold();
}

/// Returns true for files that only tests compile.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/scene.rs")
}

#[test]
fn no_payload_is_xml() {
    Rule {
        law: "api must not use XML: the parser of poem_openapi has open advisories (deny.toml)",
        breaches: |source| {
            if !source.path.starts_with("api/src/") {
                return vec![];
            }
            lines_with(&code_lines(&source.text), &["Xml"])
        },
        broken_by: &[(
            "api/src/resources/orders.rs",
            "use poem_openapi::payload::Xml;\n",
        )],
        kept_by: &[(
            "api/src/resources/orders.rs",
            "use poem_openapi::payload::Json;\n",
        )],
    }
    .hold();
}

#[test]
fn one_file_picks_http_statuses() {
    /// Other files may set successes other than 200, and statuses of the protocol itself (304, a preflight's 204, a
    /// missing file).
    const ALLOWED: &[&str] = &[
        "api/src/http/problem.rs",
        "api/src/http/problem/",
        "api/src/http/response.rs",
        "api/src/http/etag.rs",
        "api/src/http/front.rs",
        "api/src/pages.rs",
    ];
    Rule {
        law: "api picks an HTTP status in api/src/http/problem.rs only",
        breaches: |source| {
            if !source.path.starts_with("api/src/") || starts_with_any(&source.path, ALLOWED) {
                return vec![];
            }
            lines_with(
                &shipped_lines(&source.text),
                &["StatusCode::", "from_status"],
            )
        },
        broken_by: &[(
            "api/src/resources/orders.rs",
            "return StatusCode::NOT_FOUND;\n",
        )],
        kept_by: &[("api/src/http/problem.rs", "StatusCode::NOT_FOUND\n")],
    }
    .hold();
}

#[test]
fn every_crate_is_on_the_list_and_its_binaries_get_built() {
    // Cargo builds a package's binary for a test run only if the package has an integration test, and e2e starts those
    // binaries.
    let files = workspace_files();
    let has = |prefix: &str| files.iter().any(|f| f.path.starts_with(prefix));
    for (name, _) in CRATES {
        let manifest = files
            .iter()
            .find(|f| f.path == format!("{name}/Cargo.toml"));
        let binary = manifest.is_some_and(|m| m.text.contains("[[bin]]"))
            || has(&format!("{name}/src/main.rs"))
            || has(&format!("{name}/src/bin/"));
        if manifest.is_some() && binary && !["e2e", "bench"].contains(name) {
            assert!(
                has(&format!("{name}/tests/")),
                "{name}/Cargo.toml:1: has a binary, but no integration test, without which cargo does not build it for tests"
            );
        }
    }
}
