//! The binary alone: what it says of itself, and what it refuses to start with, in one line each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn worker(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(arguments)
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn is_refused_with(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

const DATABASE: (&str, &str) = (
    "EXPEDITER__DATABASE__URL",
    "mysql://nobody:hidden@127.0.0.1:1/none",
);
const BROKER: (&str, &str) = ("EXPEDITER__BROKER__URL", "amqp://127.0.0.1:1");
const KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seSE=";

#[test]
fn it_starts_on_servers_only() {
    is_refused_with(
        &worker(&[], &[]),
        &["worker: database.url is sqlite://", "mysql://"],
    );
    is_refused_with(
        &worker(&[DATABASE], &[]),
        &["broker.url is embedded:", "amqp://"],
    );
}

#[test]
fn it_does_not_start_without_keys() {
    is_refused_with(&worker(&[DATABASE, BROKER], &[]), &["encryption_key"]);
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let settings = [
        DATABASE,
        BROKER,
        ("EXPEDITER__SECRETS__ENCRYPTION_KEY", KEY),
        ("EXPEDITER__SECRETS__JWT_KEY", KEY),
        ("EXPEDITER__HTTP__WORKER_LISTEN", "127.0.0.1:0"),
        ("EXPEDITER__DATABASE__CONNECT_TIMEOUT_MS", "200"),
        ("EXPEDITER__TELEMETRY__FILTER", "off"),
    ];
    let output = worker(&settings, &[]);
    is_refused_with(
        &output,
        &["the database mysql://nobody:***@127.0.0.1:1/none cannot be used"],
    );
}

#[test]
fn an_unknown_setting_is_refused_and_help_and_version_need_none() {
    let ended = worker(&[], &["--set", "http.worker_lisen=127.0.0.1:1"]);
    is_refused_with(&ended, &["http.worker_lisen is an unknown key"]);
    let version = worker(&[], &["--version"]);
    let said = String::from_utf8_lossy(&version.stdout).into_owned();
    assert_eq!(said.trim(), format!("worker {}", env!("CARGO_PKG_VERSION")));
    let help = worker(&[], &["--help"]);
    let said = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in ["--config", "--set", "EXPEDITER__SECTION__KEY"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
