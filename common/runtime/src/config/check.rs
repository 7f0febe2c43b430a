//! Checks of settings that types cannot express: schemes, ranges, addresses, and keys that depend on each other.

mod hosts; // several hosts in database.url
mod keys; // secrets.*_key and secrets.*_keys
mod mysql; // options of database.url
mod orders; // the way of an order
mod retention;

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use tracing_subscriber::EnvFilter;
use url::Url;

use super::{ServiceUrl, Settings, headers::parse_headers};
use platform::crash;

/// Returns every invalid key with its problem.
pub(super) fn problems(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut check = Check::default();
    listening(&mut check, settings);
    stores(&mut check, settings);
    orders::orders(&mut check, settings);
    retention::retention(&mut check, settings);
    bounds(&mut check, settings);
    people(&mut check, settings);
    process(&mut check, settings);
    check.problems
}

fn listening(check: &mut Check, settings: &Settings) {
    let http = &settings.http;
    check.url(
        "http.public_url",
        http.public_url.as_ref(),
        &["https", "http"],
    );
    check.url(
        "http.callback_url",
        http.callback_url.as_ref(),
        &["https", "http"],
    );
    let is_origin =
        |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    for (key, url) in [
        ("http.public_url", &http.public_url),
        ("http.callback_url", &http.callback_url),
    ] {
        if url.as_ref().is_some_and(|url| !is_origin(url.url())) {
            let what =
                "must end after the host and port: pages and links begin at the root of the host";
            check.problem(key, what);
        }
    }
    for origin in &http.allowed_origins {
        if Url::parse(origin)
            .map(|url| url.origin().ascii_serialization())
            .as_deref()
            != Ok(origin)
        {
            check.problem(
                "http.allowed_origins",
                format!("contains {origin:?}, which is not an origin like https://till.example"),
            );
        }
    }
    if http.tls_cert_file.is_some() != http.tls_key_file.is_some() {
        let what = "is not set, but the other of http.tls_cert_file and http.tls_key_file is";
        let missing = match http.tls_cert_file {
            Some(_) => "http.tls_key_file",
            None => "http.tls_cert_file",
        };
        check.problem(missing, what);
    }
    check.range(
        "http.body_limit_bytes",
        http.body_limit_bytes,
        1024..=64 << 20,
    );
    check.range("http.bodies_bytes", http.bodies_bytes, 1 << 20..=1 << 36);
    if http.bodies_bytes < http.body_limit_bytes {
        let what =
            "must be at least http.body_limit_bytes, or no body of that size is ever received";
        check.problem("http.bodies_bytes", what);
    }
    check.range("http.max_connections", http.max_connections, 10..=1_000_000);
    check.seconds("http.head_timeout_s", http.head_timeout, 1..=300);
    check.seconds("http.idle_timeout_s", http.idle_timeout, 5..=3600);
    let notifier = &settings.notifier;
    check.range("notifier.max_sockets", notifier.max_sockets, 1..=1_000_000);
    check.range(
        "notifier.max_sockets_per_address",
        notifier.max_sockets_per_address,
        1..=1_000_000,
    );
    check.range(
        "notifier.max_sockets_per_holder",
        notifier.max_sockets_per_holder,
        1..=1_000_000,
    );
    check.range(
        "notifier.client_queue_capacity",
        notifier.client_queue_capacity,
        8..=100_000,
    );
    check.range(
        "notifier.client_queue_bytes",
        notifier.client_queue_bytes,
        65_536..=64 << 20,
    );
    check.range(
        "notifier.guest_messages_per_minute",
        notifier.guest_messages_per_minute,
        1..=6000,
    );
    check.seconds("notifier.ping_interval_s", notifier.ping_interval, 1..=300);
}

fn bounds(check: &mut Check, settings: &Settings) {
    let limits = &settings.limits;
    check.range(
        "limits.order_text_bytes",
        limits.order_text_bytes,
        1024..=1 << 20,
    );
    check.range(
        "limits.unfinished_orders_per_session",
        limits.unfinished_orders_per_session,
        1..=100_000,
    );
    check.range(
        "limits.snapshot_bytes",
        limits.snapshot_bytes,
        65_536..=16 << 20,
    );
    check.range("limits.page_bytes", limits.page_bytes, 65_536..=16 << 20);
    check.range(
        "limits.menu_cache_bytes",
        limits.menu_cache_bytes,
        0..=1 << 31,
    );
}

fn stores(check: &mut Check, settings: &Settings) {
    let database = &settings.database;
    check.url("database.url", Some(&database.url), &["mysql", "sqlite"]);
    if database.url.scheme() == "mysql"
        && let Some(what) = mysql::problem(&database.url)
    {
        check.problem("database.url", what);
    }
    check.range(
        "database.max_connections",
        database.max_connections,
        1..=1000,
    );
    check.range(
        "database.statement_cache_capacity",
        database.statement_cache_capacity,
        100..=10_000,
    );
    // MySQL counts lock waits in whole seconds.
    check.milliseconds(
        "database.lock_timeout_ms",
        database.lock_timeout,
        1000..=60_000,
    );
    check.milliseconds(
        "database.statement_timeout_ms",
        database.statement_timeout,
        2000..=600_000,
    );
    if database.statement_timeout <= database.lock_timeout {
        let what = "must be longer than database.lock_timeout_ms, which it includes";
        check.problem("database.statement_timeout_ms", what);
    }
    check.seconds(
        "database.session_timeout_s",
        database.session_timeout,
        3..=3600,
    );
    if database.session_timeout <= database.statement_timeout {
        let what = "must be longer than database.statement_timeout_ms, or MySQL ends sessions that are in use";
        check.problem("database.session_timeout_s", what);
    }
    check.milliseconds(
        "database.connect_timeout_ms",
        database.connect_timeout,
        100..=60_000,
    );
    hosts::check(check, database);
    let broker = &settings.broker;
    check.url(
        "broker.url",
        Some(&broker.url),
        &["amqp", "amqps", "embedded"],
    );
    if broker.ca_file.is_some() && broker.url.scheme() != "amqps" {
        let what = "is for a broker.url that begins with amqps: only";
        check.problem("broker.ca_file", what);
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=100).contains(&broker.namespace.len()) || !broker.namespace.chars().all(is_plain) {
        let what = "must be 1 to 100 letters, digits, hyphens or underscores";
        check.problem("broker.namespace", what);
    }
    check.milliseconds(
        "broker.publish_timeout_ms",
        broker.publish_timeout,
        100..=60_000,
    );
    check.milliseconds(
        "broker.connect_timeout_ms",
        broker.connect_timeout,
        100..=60_000,
    );
    check.range(
        "broker.embedded_capacity",
        broker.embedded_capacity,
        1..=10_000_000,
    );
}

fn people(check: &mut Check, settings: &Settings) {
    let accounts = &settings.accounts;
    check.seconds("accounts.access_ttl_s", accounts.access_ttl, 10..=86_400);
    check.seconds(
        "accounts.refresh_ttl_s",
        accounts.refresh_ttl,
        60..=90 * 86_400,
    );
    if accounts.refresh_ttl <= accounts.access_ttl {
        check.problem(
            "accounts.refresh_ttl_s",
            "must be longer than accounts.access_ttl_s",
        );
    }
    check.range(
        "accounts.argon2_concurrency",
        accounts.argon2_concurrency,
        1..=64,
    );
    for (key, failures) in [
        (
            "accounts.sign_in_failures_per_username",
            accounts.sign_in_failures_per_username,
        ),
        (
            "accounts.sign_in_failures_per_address",
            accounts.sign_in_failures_per_address,
        ),
        (
            "accounts.sign_in_failures_per_known_address",
            accounts.sign_in_failures_per_known_address,
        ),
    ] {
        check.range(key, failures, 0..=1000);
    }
    let limits = &settings.rate_limits;
    for (key, per_minute) in [
        (
            "accounts.password_hashes_per_minute",
            accounts.password_hashes_per_minute,
        ),
        ("rate_limits.account_per_minute", limits.account_per_minute),
        ("rate_limits.guest_per_minute", limits.guest_per_minute),
        ("rate_limits.address_per_minute", limits.address_per_minute),
        (
            "rate_limits.session_orders_per_minute",
            limits.session_orders_per_minute,
        ),
        (
            "rate_limits.integrator_per_minute",
            limits.integrator_per_minute,
        ),
    ] {
        check.range(key, per_minute, 0..=6_000_000);
    }
    keys::check(check, &settings.secrets);
    let outside = &settings.outside;
    let web = &["https", "http"];
    check.url(
        "outside.verification_url",
        outside.verification_url.as_ref(),
        web,
    );
    check.url("outside.locations_url", outside.locations_url.as_ref(), web);
    check.url("outside.codes_url", outside.codes_url.as_ref(), web);
    check.url("outside.products_url", outside.products_url.as_ref(), web);
    check.milliseconds("outside.timeout_ms", outside.timeout, 10..=60_000);
}

fn telemetry(check: &mut Check, settings: &Settings) {
    let telemetry = &settings.telemetry;
    check.url(
        "telemetry.otlp_url",
        telemetry.otlp_url.as_ref(),
        &["https", "http"],
    );
    let has_more = |url: &Url| {
        let has_login = !url.username().is_empty() || url.password().is_some();
        has_login || url.query().is_some() || url.fragment().is_some()
    };
    if telemetry
        .otlp_url
        .as_ref()
        .is_some_and(|url| has_more(url.url()))
    {
        let what =
            "must be an address alone: a password or token belongs into telemetry.otlp_headers";
        check.problem("telemetry.otlp_url", what);
    }
    if parse_headers(telemetry.otlp_headers.expose()).is_none() {
        let what = "must be names and values of headers: \"authorization=Bearer …,x-tenant=7\"";
        check.problem("telemetry.otlp_headers", what);
    }
    check.range(
        "telemetry.otlp_trace_ratio",
        telemetry.otlp_trace_ratio,
        0.0..=1.0,
    );
    check.seconds(
        "telemetry.otlp_metrics_interval_s",
        telemetry.otlp_metrics_interval,
        0..=3600,
    );
}

fn process(check: &mut Check, settings: &Settings) {
    check.seconds("shutdown.drain_s", settings.shutdown.drain, 0..=600);
    if let Err(error) = EnvFilter::try_new(&settings.telemetry.filter) {
        check.problem("telemetry.filter", format!("is invalid: {error}"));
    }
    telemetry(check, settings);
    if settings.testing.clock_pace.is_some() && !cfg!(debug_assertions) {
        check.problem(
            "testing.clock_pace",
            "is available in debug builds only, and this is a release build",
        );
    }
    if let Some(crash_at) = &settings.testing.crash_at {
        if !cfg!(debug_assertions) {
            check.problem(
                "testing.crash_at",
                "is available in debug builds only, and this is a release build",
            );
        } else if let Err(error) = crash::parse(crash_at) {
            check.problem("testing.crash_at", format!("is invalid: {error}"));
        }
    }
}

#[derive(Default)]
struct Check {
    problems: Vec<(&'static str, String)>,
}

impl Check {
    fn problem(&mut self, key: &'static str, what: impl Into<String>) {
        self.problems.push((key, what.into()));
    }

    fn range<N: PartialOrd + Display>(
        &mut self,
        key: &'static str,
        value: N,
        allowed: RangeInclusive<N>,
    ) {
        if !allowed.contains(&value) {
            self.problem(
                key,
                format!(
                    "is {value}, and must be {} to {}",
                    allowed.start(),
                    allowed.end()
                ),
            );
        }
    }

    fn seconds(&mut self, key: &'static str, value: Duration, allowed: RangeInclusive<u64>) {
        self.range(key, value.as_secs(), allowed);
    }

    fn milliseconds(&mut self, key: &'static str, value: Duration, allowed: RangeInclusive<u128>) {
        self.range(key, value.as_millis(), allowed);
    }

    fn url(&mut self, key: &'static str, url: Option<&ServiceUrl>, schemes: &[&str]) {
        let Some(url) = url else { return };
        if !schemes.contains(&url.scheme()) {
            self.problem(
                key,
                format!(
                    "begins with {}:, and must begin with {}:",
                    url.scheme(),
                    schemes.join(": or ")
                ),
            );
        } else if matches!(url.scheme(), "mysql" | "amqp" | "amqps" | "http" | "https")
            && !url.url().has_host()
        {
            self.problem(key, "has no host");
        }
    }
}
