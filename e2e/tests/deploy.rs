//! Checks that the settings, variables, files, ports and metrics named in deploy/ and docker-compose.yml exist.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use e2e::{Folder, PythonTools};
use platform::metrics::{DECLARED, Metrics};
use runtime::config::DEFAULT_TOML;
use serde_json::{Value, json};

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const PROMETHEUS: &str = "deploy/prometheus/prometheus.yml";
const DASHBOARD: &str = "deploy/grafana/expediter.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns, for each occurrence of `before`, the following characters while they match `fits`.
fn after<'t>(text: &'t str, before: &str, fits: impl Fn(char) -> bool) -> BTreeSet<&'t str> {
    text.split(before)
        .skip(1)
        .map(|rest| &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())])
        .collect()
}

fn is_variable(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

/// Returns `section.key` of all settings.
fn settings() -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in DEFAULT_TOML.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn every_setting_that_is_said_exists() {
    let (known, compose, up) = (settings(), read("docker-compose.yml"), read("scripts/up"));
    let mut said = after(&compose, "EXPEDITER__", is_variable);
    said.extend(after(&up, "EXPEDITER__", is_variable));
    assert!(said.len() > 8, "{said:?}");
    for name in said.iter().filter(|name| name.contains("__")) {
        let key = name.to_lowercase().replace("__", ".");
        assert!(known.contains(&key), "{key}, said as EXPEDITER__{name}");
    }
}

#[test]
fn the_example_has_every_variable_that_compose_asks_for_and_no_other() {
    let (compose, example) = (read("docker-compose.yml"), read(".env.example"));
    let asked = after(&compose, "${", is_variable);
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let given: BTreeSet<&str> = lines
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(asked, given);
    for line in example
        .lines()
        .filter(|line| line.contains("PASSWORD=") || line.contains("KEY="))
    {
        assert!(
            line.ends_with('='),
            "a secret must not have a default: {line}"
        );
    }
}

#[test]
fn every_file_that_is_named_is_there() {
    let (compose, image) = (read("docker-compose.yml"), read("deploy/Dockerfile"));
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let mut named = after(&compose, "deploy/", is_path);
    named.extend(after(&image, "COPY deploy/", is_path));
    assert!(named.len() >= 5, "{named:?}");
    for path in named {
        assert!(root().join("deploy").join(path).exists(), "deploy/{path}");
    }
}

#[test]
fn only_the_gateway_is_published_beyond_this_machine() {
    let compose = read("docker-compose.yml");
    let published: Vec<&str> = compose
        .lines()
        .filter(|line| line.contains("ports:"))
        .collect();
    let outside: Vec<&&str> = published
        .iter()
        .filter(|line| !line.contains("127.0.0.1:"))
        .collect();
    assert_eq!(outside.len(), 1, "{published:?}");
    assert!(outside[0].contains("GATEWAY_PORT"), "{outside:?}");
}

#[test]
fn a_process_has_longer_to_stop_than_it_takes() {
    let compose = read("docker-compose.yml");
    let said = after(&compose, "stop_grace_period: ", |c| c.is_ascii_digit());
    let shortest = said.iter().map(|seconds| seconds.parse::<u64>().unwrap());
    let drain = DEFAULT_TOML
        .lines()
        .find_map(|line| line.strip_prefix("drain_s = "))
        .expect("it is a setting");
    // After the drain, the relay and the connections may take two seconds each (common/runtime/src/process).
    let takes = drain.parse::<u64>().unwrap() + 4;
    assert!(
        shortest.min() > Some(takes),
        "{said:?}, but a shutdown may take {takes} s"
    );
}

#[test]
fn only_the_gateway_says_who_a_client_is_and_integrators_reach_only_kitchen_and_courier() {
    let compose = read("docker-compose.yml");
    for (services, setting) in [
        (["gateway"].as_slice(), "EXPEDITER__HTTP__TRUSTED_PROXIES"),
        (&["kitchen", "courier"], "EXPEDITER__WORKER__ALLOW_NETWORKS"),
    ] {
        let networks = services.iter().map(|service| {
            let of_service = compose
                .split_once(&format!("\n  {service}:\n"))
                .and_then(|(_, rest)| rest.split("\n\n").next())
                .expect("it is a service");
            let is_address = |c: char| c.is_ascii_digit() || c == '.';
            let addresses = after(of_service, "ipv4_address: ", is_address);
            format!("\"{}/32\"", addresses.first().unwrap())
        });
        let networks: Vec<String> = networks.collect();
        let allowed = format!("{setting}: '[{}]'", networks.join(","));
        assert!(compose.contains(&allowed), "{allowed}");
    }
}

#[test]
fn what_runs_our_image_is_not_root_and_writes_nothing_to_it() {
    let (compose, image) = (read("docker-compose.yml"), read("deploy/Dockerfile"));
    let user = image
        .lines()
        .rfind(|line| line.starts_with("USER "))
        .unwrap();
    assert_ne!(user, "USER 0");
    assert_ne!(user, "USER root");
    let (_, hardened) = compose.split_once("\nx-image: &image\n").unwrap();
    let hardened = hardened.split("\n\n").next().unwrap();
    for line in [
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
    ] {
        assert!(hardened.contains(line), "{line}");
    }
    // All services of this image share one definition.
    assert_eq!(compose.matches("image: expediter\n").count(), 1);
}

#[test]
fn the_ports_are_those_of_the_settings_wherever_they_are_named() {
    let (gateway, compose, prometheus) = (
        read("deploy/gateway/nginx.conf"),
        read("docker-compose.yml"),
        read(PROMETHEUS),
    );
    for (kind, listen) in [
        ("api", "api_listen"),
        ("notifier", "notifier_listen"),
        ("worker", "worker_listen"),
    ] {
        let line = DEFAULT_TOML
            .lines()
            .find(|line| line.starts_with(listen))
            .expect("it is a setting");
        let port = line
            .trim_end_matches('"')
            .rsplit(':')
            .next()
            .expect("an address has a port");
        assert!(
            compose.contains(&format!("{}: 0.0.0.0:{port}", listen.to_uppercase())),
            "{kind}"
        );
        assert!(
            compose.contains(&format!("[CMD, ready, \"{port}\"]")),
            "{kind}"
        );
        assert!(
            prometheus.contains(&format!("names: [{kind}], type: A, port: {port}")),
            "{kind}"
        );
        assert!(
            kind == "worker" || gateway.contains(&format!("{kind}:{port}")),
            "{kind}"
        );
    }
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let declared: BTreeSet<&str> = DECLARED.iter().map(|metric| metric.name).collect();
    for path in [ALERTS, DASHBOARD] {
        let text = read(path);
        let named = after(&text, "expediter_", |c| c.is_ascii_lowercase() || c == '_');
        assert!(!named.is_empty(), "{path}");
        for name in named {
            let name = format!("expediter_{name}");
            let metric = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let is_declared = declared.contains(name.as_str())
                || metric.is_some_and(|name| declared.contains(name));
            assert!(is_declared, "{path}: {name}");
        }
    }
}

/// Returns every metric that `/metrics` may contain: ours, and those of the process itself.
fn exported() -> Value {
    let mut metrics = json!({});
    let shown = Metrics::new().render();
    for line in shown.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split_once(' '))
        {
            metrics[name] = json!({"kind": kind, "labels": [], "help": ""});
        }
    }
    for metric in DECLARED {
        metrics[metric.name] =
            json!({"kind": metric.kind, "labels": metric.labels, "help": metric.help});
    }
    metrics
}

/// Checks these files against Prometheus' grammar and our metrics; returns the faults, or an empty string.
fn faults(tools: &PythonTools, alerts: &Path, configuration: &Path, dashboard: &Path) -> String {
    let mut reader = tools
        .command("python3")
        .arg(PythonTools::file("queries.py"))
        .args([alerts, configuration, dashboard])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python-tools looked for it");
    let mut asked = reader.stdin.take().expect("it is piped");
    asked
        .write_all(exported().to_string().as_bytes())
        .expect("it reads all of it");
    drop(asked);
    let said = reader.wait_with_output().expect("it ends");
    let (out, err) = (&said.stdout, &said.stderr);
    let faults = format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    );
    assert_eq!(said.status.success(), faults.trim().is_empty(), "{faults}");
    faults
}

#[test]
fn alerts_and_dashboard_ask_only_what_prometheus_can_answer() {
    let Some(tools) = PythonTools::found("the queries of deploy/, by Prometheus' grammar") else {
        return;
    };
    let at = |path| root().join(path);
    let found = faults(&tools, &at(ALERTS), &at(PROMETHEUS), &at(DASHBOARD));
    assert_eq!(found.trim(), "");

    let folder = Folder::new();
    for (path, right, wrong, fault) in [
        (
            ALERTS,
            "(expediter_stuck)",
            "(expediter_stock)",
            "there is no metric expediter_stock",
        ),
        (
            ALERTS,
            "max by (kind)",
            "max by (sort)",
            "there is no label sort",
        ),
        (ALERTS, "{status=", "{state=", "has no label state"),
        (ALERTS, "\"429\"", "\"many\"", "never has status=many"),
        (
            ALERTS,
            "api|worker",
            "api|pantry",
            "up never has job=pantry",
        ),
        (
            ALERTS,
            "given_up_total[10m]",
            "given_up_total",
            "expected type",
        ),
        (
            ALERTS,
            "expediter_given_up_total[10m]",
            "expediter_stuck[10m]",
            "which is a gauge",
        ),
        (
            ALERTS,
            "$labels.reason }}): GET /handoffs",
            "$labels.why }}): GET /handoffs",
            "there is no label why",
        ),
        (
            ALERTS,
            "{{ $value }} entries",
            "{{ $values }} entries",
            "braces that tell nothing",
        ),
        (ALERTS, "for: 2m", "for: 2 minutes", "for: "),
        (ALERTS, "for: 2m", "after: 2m", "wants "),
        (
            ALERTS,
            "severity: page",
            "severity: soon",
            "its severity is soon",
        ),
        (
            ALERTS,
            "- alert: OutboxGrowsOld",
            "- alert: OrdersAreStuck",
            "OrdersAreStuck is there twice",
        ),
        (ALERTS, "    rules:", "    rule:", "wants "),
        (
            ALERTS,
            "groups:",
            "groups: [{name: a, rules: []}]\ngroups:",
            "twice in one place",
        ),
        (
            DASHBOARD,
            "expediter_http_request_seconds_bucket",
            "expediter_http_request_seconds",
            "there is no metric",
        ),
        (
            DASHBOARD,
            "sum by (le) (rate(expediter_http",
            "sum(rate(expediter_http",
            "there is no label le",
        ),
        (DASHBOARD, "{{outcome}}", "{{end}}", "there is no label end"),
        (
            DASHBOARD,
            "sum(expediter_sockets_open)",
            "sum(expediter_sockets_open",
            "unclosed",
        ),
    ] {
        let text = read(path);
        assert!(text.contains(right), "{path}: {right}");
        let changed = folder.path().join("changed");
        fs::write(&changed, text.replacen(right, wrong, 1)).unwrap();
        let found = if path == ALERTS {
            faults(&tools, &changed, &at(PROMETHEUS), &at(DASHBOARD))
        } else {
            faults(&tools, &at(ALERTS), &at(PROMETHEUS), &changed)
        };
        assert!(found.contains(fault), "{wrong} for {right}: {found}");
    }
}
