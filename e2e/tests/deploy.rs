//! What deploy/ and docker-compose.yml name exists: settings, variables, files, ports, metrics; and nginx takes its file.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{config::DEFAULT_TOML, metrics::DECLARED};
use e2e::Folder;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between `before` and the first character that is not `fits`, wherever `before` does.
fn after<'t>(text: &'t str, before: &str, fits: impl Fn(char) -> bool) -> BTreeSet<&'t str> {
    text.split(before)
        .skip(1)
        .map(|rest| &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())])
        .collect()
}

fn is_variable(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

/// `section.key` of all defaults.
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
            "a secret with a default is no secret: {line}"
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
fn the_ports_are_those_of_the_settings_wherever_they_are_named() {
    let (gateway, compose, prometheus) = (
        read("deploy/gateway/nginx.conf"),
        read("docker-compose.yml"),
        read("deploy/prometheus/prometheus.yml"),
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
    for path in [
        "deploy/prometheus/alerts.yml",
        "deploy/grafana/expediter.json",
    ] {
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

#[test]
fn nginx_takes_the_gateways_configuration() {
    let path = std::env::join_paths(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]).unwrap();
    let folder = Folder::new();
    let top = read("deploy/gateway/nginx.conf");
    let included = root().join("deploy/gateway/expediter.conf");
    let here = top
        .replace("/etc/nginx/expediter.conf", &included.display().to_string())
        .replacen(
            "events",
            &format!("pid {}/pid;\nevents", folder.path().display()),
            1,
        );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, here).unwrap();
    let tried = Command::new("nginx")
        .env("PATH", path)
        .args(["-t", "-q", "-e", "stderr", "-c"])
        .arg(&file)
        .output();
    match tried {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // Its compiled-in folders may belong to another user; the configuration itself was read before.
            assert!(
                output.status.success() || said.contains("Permission denied"),
                "{said}"
            );
        }
        Err(_) => {
            eprintln!("SKIPPED: nginx's own check of deploy/gateway, for nginx is not installed")
        }
    }
}
