//! The binary alone: what it refuses to start with, in one line each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::TcpListener,
    process::{Command, Output},
    time::{Duration, Instant},
};

fn api(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_api"))
        .args(arguments)
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn is_refused_with(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty(), "nobody is told that it runs");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

const DATABASE: (&str, &str) = (
    "EXPEDITER__DATABASE__URL",
    "mysql://nobody:hidden@127.0.0.1:1/none",
);
const BROKER: (&str, &str) = ("EXPEDITER__BROKER__URL", "amqp://127.0.0.1:1");
const ENCRYPTION_KEY: &str = "EXPEDITER__SECRETS__ENCRYPTION_KEY";
const JWT_KEY: &str = "EXPEDITER__SECRETS__JWT_KEY";
const KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seSE=";
/// 31 bytes.
const SHORT_KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seQ==";
const LISTEN: (&str, &str) = ("EXPEDITER__HTTP__API_LISTEN", "127.0.0.1:0");
const QUIET: (&str, &str) = ("EXPEDITER__TELEMETRY__FILTER", "off");
const SOON: (&str, &str) = ("EXPEDITER__DATABASE__CONNECT_TIMEOUT_MS", "300");

#[test]
fn it_starts_on_servers_only() {
    is_refused_with(
        &api(&[], &[]),
        &["api: database.url is sqlite://", "mysql://"],
    );
    is_refused_with(
        &api(&[DATABASE], &[]),
        &["api: broker.url is embedded:", "amqp://"],
    );
}

#[test]
fn an_unknown_setting_is_refused_wherever_it_is_said() {
    is_refused_with(
        &api(&[], &["--set", "http.api_lisen=127.0.0.1:1"]),
        &["http.api_lisen is an unknown key"],
    );
    is_refused_with(
        &api(&[("EXPEDITER__DATABASE__URI", "mysql://a@b/c")], &[]),
        &["database.uri is an unknown key"],
    );
}

#[test]
fn it_does_not_start_without_both_keys() {
    is_refused_with(
        &api(&[DATABASE, BROKER], &[]),
        &["secrets.encryption_key is not set", "openssl rand"],
    );
    is_refused_with(
        &api(&[DATABASE, BROKER, (ENCRYPTION_KEY, KEY)], &[]),
        &["secrets.jwt_key is not set"],
    );
}

#[test]
fn a_key_of_another_length_is_refused_and_not_repeated() {
    for (name, setting) in [
        (ENCRYPTION_KEY, "secrets.encryption_key"),
        (JWT_KEY, "secrets.jwt_key"),
    ] {
        for wrong in [SHORT_KEY, "no base64!"] {
            let settings = [DATABASE, BROKER, (ENCRYPTION_KEY, KEY), (JWT_KEY, KEY)];
            let settings: Vec<_> = settings
                .into_iter()
                .filter(|(key, _)| *key != name)
                .collect();
            let output = api(&[&settings[..], &[(name, wrong)]].concat(), &[]);
            is_refused_with(&output, &[setting, "32 bytes"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains(wrong), "{said}");
        }
    }
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let keys = [(ENCRYPTION_KEY, KEY), (JWT_KEY, KEY)];
    let settings = [&[DATABASE, BROKER, LISTEN, QUIET, SOON][..], &keys].concat();
    is_refused_with(
        &api(&settings, &[]),
        &["api: the database mysql://nobody:***@127.0.0.1:1/none cannot be used"],
    );
}

#[test]
fn a_database_that_says_nothing_is_given_up_within_its_time_out() {
    // Whoever connects waits in its queue for ever.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "mysql://nobody:hidden@{}/none",
        silent.local_addr().unwrap()
    );
    let keys = [(ENCRYPTION_KEY, KEY), (JWT_KEY, KEY)];
    let database = ("EXPEDITER__DATABASE__URL", url.as_str());
    let settings = [&[database, BROKER, LISTEN, QUIET, SOON][..], &keys].concat();
    let began = Instant::now();
    is_refused_with(&api(&settings, &[]), &["cannot be used"]);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300), "it waited {took:?}");
    assert!(took < Duration::from_secs(10), "it waited {took:?}");
}
