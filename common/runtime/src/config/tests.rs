//! Tests of loading and checking settings.

mod collector; // of traces and metrics
mod files; // values in files
mod hosts; // lists of them
mod previous_keys; // those of a rotation

use super::{layers::leaves, *};
use platform::chance::Chance;

/// A settings file that is removed after the test.
struct File(std::path::PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{}.toml", Chance::system().session_code()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn load(
    file: Option<&File>,
    environment: &[(&str, &str)],
    overrides: &[(&str, &str)],
) -> Result<Settings, String> {
    let environment: Vec<_> = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Settings::from_layers(file.map(|file| file.0.as_path()), &environment, overrides)
        .map_err(|error| error.to_string())
}

fn refused(overrides: &[(&str, &str)]) -> String {
    Settings::with(overrides).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_complete_and_pass_every_check() {
    let settings = Settings::with(&[]).unwrap();
    assert_eq!(settings.database.kind(), DatabaseKind::Sqlite);
    assert_eq!(settings.broker.kind(), BrokerKind::Embedded);
    assert_eq!(settings.http.public_url, None);
    assert_eq!(settings.worker.attempt_timeout.as_secs(), 10);
}

#[test]
fn every_key_and_only_keys_have_a_comment_above() {
    let mut comment_above = false;
    let mut keys = 0;
    for line in DEFAULT_TOML.lines() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || comment_above, "{line:?} has no comment");
        keys += usize::from(is_key);
        comment_above = line.starts_with("# ");
    }
    let layers = Layers::new();
    assert_eq!(keys, leaves("", &layers.known).len());
}

#[test]
fn later_layers_win_over_earlier_ones() {
    let file = File::new("[intake]\nwriters = 3\nmax_batch_orders = 5\nqueue_capacity = 7\n");
    let environment = [
        ("EXPEDITER__INTAKE__WRITERS", "4"),
        ("EXPEDITER__INTAKE__MAX_BATCH_ORDERS", "6"),
        ("HOME", "x"),
    ];
    let overrides = [
        ("intake.max_batch_orders", "64"),
        ("http.allowed_origins", "[\"https://till.example\"]"),
    ];
    let settings = load(Some(&file), &environment, &overrides).unwrap();
    assert_eq!(settings.intake.queue_capacity, 7);
    assert_eq!(settings.intake.writers, 4);
    assert_eq!(settings.intake.max_batch_orders, 64);
    assert_eq!(settings.http.allowed_origins, ["https://till.example"]);
}

#[test]
fn all_that_is_wrong_is_listed_at_once_with_who_said_it() {
    let file = File::new("[intake]\nmax_batch_orders = 0\n");
    let environment = [("EXPEDITER__INTAKE__WRITERS", "99")];
    let wrong = load(Some(&file), &environment, &[("worker.sweep_batch", "0")]).unwrap_err();
    let expected = [
        "settings: 3 problems".to_owned(),
        format!("  intake.max_batch_orders is 0, and must be 1 to 1024 ({})", file.0.display()),
        "  intake.writers is 99, and must be 1 to 16 (environment variable EXPEDITER__INTAKE__WRITERS)".to_owned(),
        "  worker.sweep_batch is 0, and must be 1 to 10000 (command line)".to_owned(),
    ];
    assert_eq!(wrong.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn an_unknown_key_stops_the_start_with_one_line_that_names_its_source() {
    let file = File::new("[worker]\nwriters = 3\n");
    let expected = format!(
        "settings: worker.writers is an unknown key; did you mean intake.writers? ({})",
        file.0.display()
    );
    assert_eq!(load(Some(&file), &[], &[]).unwrap_err(), expected);
    assert_eq!(
        load(None, &[("EXPEDITER__HTTP__BODYLIMIT", "1")], &[]).unwrap_err(),
        "settings: http.bodylimit is an unknown key (environment variable EXPEDITER__HTTP__BODYLIMIT)"
    );
    assert_eq!(
        load(None, &[], &[("http", "1")]).unwrap_err(),
        "settings: http is an unknown key (command line)"
    );
}

#[test]
fn an_unknown_section_without_a_key_and_a_quoted_key_are_unknown() {
    for (text, unknown) in [
        ("[htpp]\n", "htpp is an unknown key"),
        ("[http.tls]\n", "http.tls is an unknown key"),
        (
            "\"intake.writers\" = 3\n",
            "\"intake.writers\" is an unknown key; did you mean intake.writers?",
        ),
        ("[http]\n\"\" = 3\n", "http.\"\" is an unknown key"),
    ] {
        let refused = load(Some(&File::new(text)), &[], &[]).unwrap_err();
        assert!(refused.contains(unknown), "{text}: {refused}");
    }
    for text in ["[http]\n", "", "[http]\n[intake]\n\"writers\" = 3\n"] {
        assert!(load(Some(&File::new(text)), &[], &[]).is_ok(), "{text}");
    }
    assert!(load(None, &[], &[("htpp", "{}")]).is_err());
}

#[test]
fn a_misspelt_section_or_key_is_told_which_one_is_meant() {
    for (wrong, meant) in [
        ("databse.url", "database.url"),
        ("brokr.url", "broker.url"),
        ("htpp.api_listen", "http.api_listen"),
        ("http.publc_url", "http.public_url"),
        ("worker.allow_htttp", "worker.allow_http"),
        ("notifer.max_sockets", "notifier.max_sockets"),
        ("acounts.open_registraton", "accounts.open_registration"),
    ] {
        let refused = load(None, &[], &[(wrong, "1")]).unwrap_err();
        let expected = format!("{wrong} is an unknown key; did you mean {meant}?");
        assert!(refused.contains(&expected), "{refused}");
    }
    for far in ["http.colour", "nothing.at_all", "x"] {
        let refused = load(None, &[], &[(far, "1")]).unwrap_err();
        assert!(!refused.contains("did you mean"), "{refused}");
    }
}

#[test]
fn a_file_that_is_missing_or_not_toml_stops_the_start() {
    let missing = Settings::from_layers(Some(Path::new("nowhere.toml")), &[], &[])
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("nowhere.toml") && missing.lines().count() == 1,
        "{missing}"
    );
    let file = File::new("[worker\n");
    let broken = load(Some(&file), &[], &[]).unwrap_err();
    assert!(broken.contains(file.0.to_str().unwrap()), "{broken}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_and_the_other_sections_are_still_read() {
    let wrong = refused(&[
        ("intake.writers", "many"),
        ("broker.url", "nothing"),
        ("http.api_listen", "8080"),
    ]);
    assert!(
        wrong.contains("intake.writers is invalid: invalid type"),
        "{wrong}"
    );
    assert!(
        wrong.contains("broker.url is invalid: not a URL"),
        "{wrong}"
    );
    assert!(wrong.contains("http.api_listen is invalid"), "{wrong}");
}

#[test]
fn a_text_of_the_environment_that_looks_like_another_type_stays_what_its_key_takes() {
    for (given, kept) in [
        ("two-words", "two-words"),
        ("2026-11-20", "2026-11-20"),
        ("\"quoted\"", "quoted"),
        ("  spaces ", "spaces"),
        ("20261120", "20261120"),
        ("0x10", "0x10"),
        ("true", "true"),
        ("inf", "inf"),
        ("1e3", "1e3"),
    ] {
        let settings = load(None, &[("EXPEDITER__BROKER__NAMESPACE", given)], &[]).unwrap();
        assert_eq!(settings.broker.namespace, kept);
    }
    let injected = [("EXPEDITER__INTAKE__WRITERS", "4\n[intake]\nwriters = 5")];
    let wrong = load(None, &injected, &[]).unwrap_err();
    assert!(wrong.contains("intake.writers is invalid"), "{wrong}");
}

#[test]
fn the_items_of_a_list_need_no_quotes_in_the_environment() {
    let expected = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    for given in [
        "[10.0.0.0/8, fd00::/8]",
        "[10.0.0.0/8,fd00::/8]",
        "[\"10.0.0.0/8\", 'fd00::/8']",
    ] {
        let given = [("EXPEDITER__WORKER__ALLOW_NETWORKS", given)];
        let settings = load(None, &given, &[]).unwrap();
        assert_eq!(settings.worker.allow_networks, expected);
    }
    for wrong in [
        "10.0.0.0/8",
        "[10.0.0.0/8,]",
        "[10.0.0.0/8, \"fd00::/8]",
        "[1]",
    ] {
        let refused = refused(&[("worker.allow_networks", wrong)]);
        assert!(
            refused.contains("worker.allow_networks is invalid"),
            "{wrong}: {refused}"
        );
    }
}

#[test]
fn every_wrong_value_of_one_section_is_told_in_one_answer() {
    let wrong = refused(&[
        ("intake.writers", "many"),
        ("intake.queue_capacity", "-1"),
        ("intake.max_batch_bytes", "[1]"),
    ]);
    assert!(wrong.starts_with("settings: 3 problems"), "{wrong}");
}

#[test]
fn schemes_that_no_back_end_speaks_are_refused() {
    let wrong = refused(&[
        ("database.url", "postgres://db/x"),
        ("broker.url", "redis://b"),
        ("outside.codes_url", "ftp://c"),
    ]);
    assert!(
        wrong.contains("database.url begins with postgres:, and must begin with mysql: or sqlite:"),
        "{wrong}"
    );
    assert!(
        wrong.contains("broker.url") && wrong.contains("outside.codes_url"),
        "{wrong}"
    );
}

#[test]
fn a_server_without_a_host_is_refused() {
    for (key, url) in [
        ("database.url", "mysql:x"),
        ("broker.url", "amqp:x"),
        ("broker.url", "amqps:x"),
    ] {
        let wrong = refused(&[(key, url)]);
        assert!(
            wrong.contains(&format!("{key} has no host")),
            "{url}: {wrong}"
        );
    }
}

#[test]
fn an_option_of_mysql_that_would_be_ignored_is_refused() {
    let url = "mysql://me@db/x?ssl_mode=VERIFY_IDENTITY";
    let wrong = refused(&[("database.url", url)]);
    assert!(
        wrong.contains("database.url has an unknown option"),
        "{wrong}"
    );
    let elsewhere = [("database.url", "sqlite://x.db?mode=rwc")];
    assert!(Settings::with(&elsewhere).is_ok());
}

#[test]
fn the_public_url_is_a_host_because_pages_begin_at_its_root() {
    for wrong in [
        "https://order.example/shop",
        "https://order.example/shop/",
        "https://order.example/?a",
        "https://order.example#x",
        "http://order.example:8443//",
    ] {
        let refused = refused(&[("http.public_url", wrong)]);
        assert!(
            refused.contains("http.public_url must end after the host and port"),
            "{wrong}: {refused}"
        );
    }
    for right in [
        "https://order.example",
        "https://order.example/",
        "http://[::1]:8080",
    ] {
        assert!(
            Settings::with(&[("http.public_url", right)]).is_ok(),
            "{right}"
        );
    }
}

#[test]
fn keys_that_do_not_fit_each_other_are_refused() {
    let wrong = refused(&[
        ("worker.connect_timeout_ms", "20000"),
        ("outbox.claim_after_s", "5"),
        ("accounts.refresh_ttl_s", "300"),
        ("secrets.jwt_key", "c2hvcnQ="),
        ("telemetry.filter", "info,=="),
        ("broker.namespace", "two words"),
        ("testing.crash_at", "intake.nowhere"),
        ("http.allowed_origins", "[\"https://till.example/\"]"),
    ]);
    assert!(wrong.starts_with("settings: 8 problems"), "{wrong}");
}

#[test]
fn a_clock_of_another_pace_is_read_or_refused_with_an_example() {
    let pace = "20 since 2026-11-20T12:00:00Z";
    let settings = Settings::with(&[("testing.clock_pace", pace)]).unwrap();
    assert_eq!(settings.testing.clock_pace, Some(pace.parse().unwrap()));
    let wrong = refused(&[("testing.clock_pace", "faster")]);
    assert!(
        wrong.contains("testing.clock_pace") && wrong.contains("since"),
        "{wrong}"
    );
}

#[test]
fn no_secret_ever_prints() {
    let key = "b".repeat(43);
    let overrides = [
        ("secrets.jwt_key", key.as_str()),
        ("database.url", "mysql://me:hunter2@db/x?ssl-key=hunter2"),
        ("broker.url", "amqp://me:hunter2@mq/%2f"),
        ("outside.codes_url", "https://me:hunter2@codes/"),
        ("worker.proxy_url", "http://me:hunter2@egress.example"),
    ];
    // Any other last character would not be valid base64.
    let key_with_tail = format!("{}E", &key[1..]);
    let overrides = overrides.map(|(k, v)| {
        (
            k,
            if k == "secrets.jwt_key" {
                key_with_tail.as_str()
            } else {
                v
            },
        )
    });
    let settings = Settings::with(&overrides).unwrap();
    let printed = format!(
        "{settings:?} {settings:#?} {} {}",
        settings.database.url, settings.secrets.jwt_key
    );
    assert!(
        !printed.contains("hunter2") && !printed.contains("bbbb"),
        "{printed}"
    );
    assert!(settings.database.url.expose().contains("hunter2"));
    assert_eq!(settings.secrets.jwt_key.expose(), key_with_tail);

    for wrong in ["12345678", "hunter2", "[\"hunter2\"]"] {
        let error = refused(&[("secrets.encryption_key", wrong)]);
        assert!(
            !error.contains("1234") && !error.contains("hunter2"),
            "{error}"
        );
    }
    let error = refused(&[
        ("database.url", "hunter2"),
        ("broker.url", "postgres://me:hunter2@x/"),
    ]);
    assert!(!error.contains("hunter2"), "{error}");
    let error = refused(&[("database.url", "mysql://me:12?hunter2@db/x")]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_databases_url_is_kept_as_it_was_written() {
    for written in [
        "sqlite://../my data/expediter.db",
        "mysql://me@db/x?ssl-mode=VERIFY_IDENTITY&ssl-ca=/run/secrets/ca.pem",
        "mysql://me@a:3306,b:3306/x?ssl-mode=VERIFY_IDENTITY&ssl-ca=/run/secrets/ca.pem",
        "sqlite://data,old/expediter.db",
    ] {
        let settings = Settings::with(&[("database.url", written)]).unwrap();
        assert_eq!(settings.database.url.expose(), written);
    }
}

#[test]
fn the_settings_of_a_fresh_connection_are_the_defaults() {
    let settings = Settings::with(&[]).unwrap();
    let options = store::DbOptions::new("sqlite://x");
    assert_eq!(
        settings.database.statement_timeout,
        options.statement_timeout
    );
    assert_eq!(settings.database.lock_timeout, options.lock_timeout);
    assert_eq!(settings.database.session_timeout, options.session_timeout);
    assert_eq!(settings.database.connect_timeout, options.connect_timeout);
    assert_eq!(
        settings.database.host_check_interval,
        options.host_check_interval
    );
    assert_eq!(
        settings.database.host_check_timeout,
        options.host_check_timeout
    );
    assert_eq!(
        settings.database.host_return_after,
        options.host_return_after
    );
}

#[test]
fn the_limits_are_those_of_the_settings() {
    let settings = Settings::with(&[]).unwrap();
    assert_eq!(
        settings.stuck.limits(),
        domain::stuck::StuckLimits::default()
    );
}
