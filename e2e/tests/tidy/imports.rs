//! Checks the allowed imports (section 3 of docs/design.md) between crates and, inside common, between modules.

use super::code::{code_lines, crate_modules, lines_with, shipped_lines};
use super::{Rule, Source, workspace_files};

/// Each crate of the workspace, with the workspace crates that it may depend on (also in tests).
const CRATES: &[(&str, &[&str])] = &[
    ("common", &[]),
    ("api", &["common"]),
    ("worker", &["common"]),
    ("notifier", &["common"]),
    (
        "standalone",
        &[
            "common", "api", "worker", "notifier", "kitchen", "courier",
            // Its tests start the binary with it.
            "e2e",
        ],
    ),
    // External parties: they know only the published contract.
    ("kitchen", &[]),
    ("courier", &[]),
    // Tests and benchmarks use every crate.
    (
        "e2e",
        &[
            "common",
            "api",
            "worker",
            "notifier",
            "standalone",
            "kitchen",
            "courier",
        ],
    ),
    (
        "bench",
        &[
            "common",
            "api",
            "worker",
            "notifier",
            "standalone",
            "kitchen",
            "courier",
        ],
    ),
];

/// Modules that each module of common must not use.
const COMMON_MODULES: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "store",
            "ledger",
            "broker",
            "relay",
            "config",
            "secrets",
            "lifecycle",
            "telemetry",
            "metrics",
            "operations",
        ],
    ),
    ("store", &["ledger", "broker", "relay"]),
    ("ledger", &["broker", "relay"]),
    ("broker", &["store", "ledger", "domain", "relay"]),
];

/// External crates that may only be used in these folders and files.
const OWNED: &[(&str, &[&str])] = &[
    (
        "sqlx",
        &[
            "common/src/store/",
            "common/src/store.rs",
            "common/tests/",
            "courier/",
            "e2e/",
            "bench/",
        ],
    ),
    (
        "lapin",
        &[
            "common/src/broker/rabbit",
            "common/tests/",
            "e2e/",
            "bench/",
        ],
    ),
    ("poem_openapi", &["api/", "courier/"]),
];

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

fn is_rust(source: &Source) -> bool {
    source.path.ends_with(".rs")
}

/// Returns the crates named in any dependency table of a manifest, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut in_table = false;
    let mut found = Vec::new();
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(table) = line.strip_prefix('[') {
            in_table = table.trim_end_matches(']').ends_with("dependencies");
            if let Some((_, name)) = table.trim_end_matches(']').split_once("dependencies.") {
                found.push((index + 1, name.to_owned()));
            }
        } else if in_table && !line.starts_with('#') {
            let name: String = line
                .chars()
                .take_while(|c| c.is_alphanumeric() || "-_".contains(*c))
                .collect();
            if !name.is_empty() {
                found.push((index + 1, name));
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_each_other_in_one_direction_only() {
    Rule {
        law: "crates may only depend on: standalone → api, worker, notifier → common; kitchen and courier on none of ours",
        breaches: |source| {
            let Some(name) = source.path.strip_suffix("/Cargo.toml") else {
                return vec![];
            };
            let Some((_, allowed)) = CRATES.iter().find(|(of, _)| *of == name) else {
                return vec![1]; // a new crate needs a row in CRATES
            };
            let ours = |name: &str| CRATES.iter().any(|(of, _)| *of == name);
            let dependencies = dependencies(&source.text).into_iter();
            dependencies
                .filter(|(_, name)| ours(name) && !allowed.contains(&name.as_str()))
                .map(|(line, _)| line)
                .collect()
        },
        broken_by: &[
            (
                "api/Cargo.toml",
                "[dependencies]\nserde = \"1\"\nworker.workspace = true\n",
            ),
            (
                "kitchen/Cargo.toml",
                "[dev-dependencies]\ncommon = { path = \"../common\" }\n",
            ),
            (
                "notifier/Cargo.toml",
                "[dependencies.api]\nworkspace = true\n",
            ),
            ("newcomer/Cargo.toml", "[package]\n"),
        ],
        kept_by: &[(
            "worker/Cargo.toml",
            "[package]\nname = \"api\"\n[dependencies]\ncommon.workspace = true\n",
        )],
    }
    .hold();
}

#[test]
fn the_modules_of_common_look_one_way() {
    Rule {
        law: "modules of common may only use each other as domain ← store ← ledger; broker uses none of them; relay uses ledger and broker",
        breaches: |source| {
            let Some(path) = source.path.strip_prefix("common/src/") else { return vec![] };
            let module = path.split(['/', '.']).next().unwrap_or_default();
            let Some((_, banned)) = COMMON_MODULES.iter().find(|(of, _)| *of == module) else {
                return vec![];
            };
            let named = crate_modules(&shipped_lines(&source.text)).into_iter();
            named.filter(|(_, name)| banned.contains(&name.as_str())).map(|(line, _)| line).collect()
        },
        broken_by: &[
            ("common/src/domain/order.rs", "//! x\nuse crate::store::Db;\n"),
            ("common/src/store/mod.rs", "use crate::{\n    domain::ids::OrderId,\n    ledger,\n};\n"),
            ("common/src/broker.rs", "fn f(id: crate::domain::OrderId) {}\n"),
        ],
        kept_by: &[
            ("common/src/store/orders.rs", "use crate::domain::{ledger, ids};\n// crate::ledger\n"),
            ("common/src/relay.rs", "use crate::{broker, ledger};\n"),
        ],
    }
    .hold();
}

#[test]
fn the_domain_does_no_io() {
    Rule {
        law: "common/src/domain must not do I/O or use a runtime (tokio, poem, reqwest, std::fs, std::net)",
        breaches: |source| {
            if !source.path.starts_with("common/src/domain") {
                return vec![];
            }
            let words =
                ["tokio", "poem", "reqwest", "std::fs", "std::net::Tcp", "async fn", "std::thread"];
            lines_with(&code_lines(&source.text), &words)
        },
        broken_by: &[("common/src/domain/order.rs", "use tokio::time;\n")],
        kept_by: &[("common/src/domain/order.rs", "// tokio\n"), ("common/src/relay.rs", "use tokio::time;\n")],
    }
    .hold();
}

#[test]
fn outside_crates_stay_with_their_owners() {
    Rule {
        law: "use sqlx only in common/src/store, lapin only in common/src/broker/rabbit*, poem_openapi only in api",
        breaches: |source| {
            if !is_rust(source) {
                return vec![];
            }
            let lines = code_lines(&source.text);
            let owned = OWNED.iter().filter(|(_, owners)| !starts_with_any(&source.path, owners));
            owned.flat_map(|(name, _)| lines_with(&lines, &[name])).collect()
        },
        broken_by: &[
            ("common/src/ledger/intake.rs", "use sqlx::Row;\n"),
            ("common/src/broker/embedded.rs", "fn f(e: lapin::Error) {}\n"),
            ("worker/src/lib.rs", "use poem_openapi::Object;\n"),
        ],
        kept_by: &[
            ("common/src/store/orders.rs", "sqlx::query(\"\")"),
            ("common/src/broker/rabbit.rs", "use lapin::Channel;"),
            ("api/src/routes.rs", "// sqlx\nuse poem_openapi::OpenApi;"),
        ],
    }
    .hold();
}

#[test]
fn the_environment_is_read_in_one_file() {
    Rule {
        law: "read the environment only in common/src/config.rs (and in tests and external parties)",
        breaches: |source| {
            // The kitchen and the courier are external parties with their own settings.
            let elsewhere =
                ["common/src/config", "kitchen/src/main.rs", "courier/src/", "e2e/", "bench/"];
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
            ("common/src/config.rs", "std::env::var(\"A\")"),
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
        law: "commit transactions only in common/src/ledger/change.rs and in common/src/store",
        breaches: |source| {
            let committers = [
                "common/src/ledger/change.rs",
                "common/src/store",
                "courier/",
            ];
            if !source.path.contains("/src/")
                || starts_with_any(&source.path, &committers)
                || is_test(&source.path)
            {
                return vec![];
            }
            lines_with(&shipped_lines(&source.text), &[".commit()"])
        },
        broken_by: &[("common/src/ledger/intake.rs", "tx.commit().await?;\n")],
        kept_by: &[("common/src/ledger/change.rs", "tx.commit().await?;\n")],
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
