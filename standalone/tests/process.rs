//! Tests of the binary as users run it: it starts, prints its addresses, refuses in one line, and shuts down cleanly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/tls.rs"]
mod tls; // a certificate and its renewal

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use e2e::{Ended, Expediter, Folder, Launch};
use serde_json::{Value, json};

fn launch(folder: &Folder) -> Launch {
    Launch::of(Path::new(env!("CARGO_BIN_EXE_expediter")), folder.path())
}

/// Asserts that the process printed one line on standard error and exited with the code of a refusal.
fn is_refused_with(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {ended:?}");
    }
}

#[tokio::test]
async fn on_an_empty_directory_it_comes_up_with_a_store_to_try_and_says_where_to_look() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let (status, report) = running.get("/readyz").await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["checks"]["database"]["status"], "ok", "{report}");
    assert_eq!(running.demo["session_name"], "Table 1", "{}", running.demo);
    assert_eq!(
        running.demo["menu"].as_array().map(Vec::len),
        Some(9),
        "{}",
        running.demo
    );
    for word in [
        running.session_code(),
        &running.url,
        "/docs",
        "/metrics",
        "curl ",
        // With the path it was started with, which need not be in PATH.
        concat!(env!("CARGO_BIN_EXE_expediter"), " demo-order --url http"),
    ] {
        assert!(running.said.contains(word), "{word}:\n{}", running.said);
    }
    for path in [
        "/",
        "/healthz",
        "/metrics",
        "/docs",
        "/demo/handoffs.json",
        "/kitchen/board",
        "/courier/readyz",
    ] {
        assert_eq!(running.get(path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn the_printed_curl_line_places_an_order() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    let line = running
        .said
        .lines()
        .find(|line| line.trim().starts_with("curl "))
        .unwrap();
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http"))
        .unwrap();
    let body = line
        .split('\'')
        .rfind(|part| part.starts_with('{'))
        .unwrap();
    let path = url.strip_prefix(&running.url).unwrap();
    let (status, order) = running
        .post(path, &serde_json::from_str(body).unwrap())
        .await;
    assert_eq!(
        (status, order["number"].as_i64()),
        (201, Some(1)),
        "{order}"
    );
}

#[tokio::test]
async fn the_printed_logins_sign_in_and_only_their_owner_can_read_the_file_that_keeps_them() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    for username in ["operator", "manager", "staff", "customer"] {
        let me = running.request(reqwest::Method::GET, "/api/v1/me");
        let (status, me) = running
            .answer(me.basic_auth(username, Some(running.password(username))))
            .await;
        assert_eq!(
            (status, me["username"].as_str()),
            (200, Some(username)),
            "{me}"
        );
    }
    let data = folder.path().join("data");
    for name in ["demo.json", "secrets.key"] {
        let mode = fs::metadata(data.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_restart_keeps_everything_and_prints_the_same_logins() {
    let folder = Folder::new();
    let mut running = launch(&folder).start().await;
    let (said, demo) = (running.said.clone(), running.demo.clone());
    assert_eq!(running.sigint().await.code(), Some(0));
    running.restart().await;
    assert_eq!(running.demo, demo);
    assert_eq!(running.password("operator"), said_password(&said));
    assert_eq!(running.said, said);
}

fn said_password(said: &str) -> &str {
    said.lines()
        .find_map(|line| line.trim().strip_prefix("operator"))
        .unwrap()
        .trim()
}

#[tokio::test]
async fn a_making_that_was_cut_off_is_finished_by_the_next_start() {
    let folder = Folder::new();
    let kept = folder.path().join("data/demo.json");
    let mut running = launch(&folder).start().await;
    running.kill9().await;
    // The state of a process that died after it created the kitchen and before it saved that.
    let mut demo: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    for (key, value) in [
        ("complete", false.into()),
        ("store", ().into()),
        ("kitchen", ().into()),
        ("courier", ().into()),
    ] {
        demo[key] = value;
    }
    fs::write(&kept, demo.to_string()).unwrap();
    let store = running.demo["store_name"].clone();
    running.restart().await;
    assert_eq!(running.demo["store_name"], store);
    assert_eq!(
        running.demo["menu"].as_array().map(Vec::len),
        Some(9),
        "{}",
        running.demo
    );
    let kept: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    assert_eq!(kept["complete"], true);
    // The kitchen has new secrets, which both sides know.
    an_order_is_accepted(&running).await;
}

#[tokio::test]
async fn ctrl_c_ends_it_within_its_bound_and_with_0() {
    let folder = Folder::new();
    let mut running = launch(&folder).set("shutdown.drain_s", 5).start().await;
    // An open client connection does not delay the shutdown.
    let mut channel = running.channel(running.session_code(), None).await;
    let began_at = Instant::now();
    let status = running.sigint().await;
    assert_eq!(status.code(), Some(0), "{}", running.launch().log());
    assert!(
        began_at.elapsed() < Duration::from_secs(5),
        "{}",
        running.launch().log()
    );
    assert_eq!(channel.next().await, e2e::Frame::Closed(Some(1012)));
}

#[tokio::test]
async fn a_second_one_on_the_same_directory_is_refused() {
    let folder = Folder::new();
    let mut running = launch(&folder).start().await;
    let ended = launch(&folder).run().await;
    is_refused_with(
        &ended,
        &["another expediter is running", "/data", "--data-dir"],
    );
    assert!(running.is_running());
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let (folder, taken) = (Folder::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = taken.local_addr().unwrap();
    let ended = launch(&folder).set("http.api_listen", address).run().await;
    is_refused_with(
        &ended,
        &[
            &address.to_string(),
            "the address is already in use",
            "--set http.api_listen=",
        ],
    );
}

#[tokio::test]
async fn an_unknown_setting_is_refused_by_its_name() {
    let folder = Folder::new();
    let ended = launch(&folder)
        .set("http.api_lisen", "127.0.0.1:1")
        .run()
        .await;
    is_refused_with(
        &ended,
        &[
            "http.api_lisen is an unknown key",
            "EXPEDITER__HTTP__API_LISEN",
        ],
    );
    let ended = launch(&folder)
        .argument("--set")
        .argument("no.such=1")
        .run()
        .await;
    is_refused_with(&ended, &["no.such is an unknown key", "command line"]);
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let folder = Folder::new();
    launch(&folder).start().await.sigint().await;
    let path = folder.path().join("data/secrets.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = launch(&folder).run().await;
    is_refused_with(&ended, &["secrets.key", "chmod 600"]);
}

#[tokio::test]
async fn with_the_demonstrations_logins_it_listens_on_this_machine_only() {
    let folder = Folder::new();
    let everywhere = "0.0.0.0:0";
    let ended = launch(&folder)
        .set("http.api_listen", everywhere)
        .run()
        .await;
    is_refused_with(&ended, &["logins", everywhere, "demo.enabled=false"]);
    launch(&folder).start().await.sigint().await;
    let hidden = launch(&folder)
        .set("http.api_listen", everywhere)
        .set("demo.enabled", false);
    is_refused_with(&hidden.run().await, &["logins", everywhere]);
}

#[tokio::test]
async fn with_the_demonstrations_logins_its_public_address_is_this_machine() {
    let folder = Folder::new();
    for (key, public) in [
        ("http.public_url", "https://order.example"),
        ("http.public_url", "http://192.168.1.7:8080"),
        ("http.callback_url", "http://gateway"),
    ] {
        let ended = launch(&folder).set(key, public).run().await;
        is_refused_with(&ended, &["logins", key, public, "demo.enabled=false"]);
    }
    let mut running = launch(&folder).start().await;
    for (host, status) in [("localhost:8080", 200), ("evil.example", 403)] {
        let asked = running.request(reqwest::Method::GET, "/demo.json");
        let answer = asked.header("host", host).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{host}");
    }
    running.sigint().await;
}

#[tokio::test]
async fn without_the_demonstration_there_is_no_kitchen_and_no_table() {
    let folder = Folder::new();
    let running = launch(&folder).set("demo.enabled", false).start().await;
    for path in [
        "/demo.json",
        "/demo/handoffs.json",
        "/kitchen/board",
        "/courier/readyz",
    ] {
        assert_eq!(running.get(path).await.0, 404, "{path}");
    }
    assert!(!running.said.contains("curl"), "{}", running.said);
    assert!(!folder.path().join("data/demo.json").exists());
}

#[tokio::test]
async fn a_moved_port_moves_the_kitchen_along() {
    let folder = Folder::new();
    let first = launch(&folder).start().await;
    let old_url = first.url.clone();
    drop(first);
    // The old port stays in use, so that an order sent there cannot arrive.
    let _taken = TcpListener::bind(old_url.trim_start_matches("http://")).unwrap();
    let second = launch(&folder).start().await;
    assert_ne!(second.url, old_url);
    an_order_is_accepted(&second).await;
}

#[tokio::test]
async fn a_dispatched_order_is_delivered_by_the_courier_also_after_a_crash_in_between() {
    let folder = Folder::new();
    let mut running = launch(&folder).start().await;
    let code = running.session_code().to_owned();
    let order = an_order_is_accepted(&running).await;
    let dispatched = running
        .request(
            reqwest::Method::PUT,
            &format!("/api/v1/orders/{order}/status"),
        )
        .basic_auth("staff", Some(running.password("staff")))
        .json(&json!({"status": "dispatched"}));
    let (status, answer) = running.answer(dispatched).await;
    assert_eq!(status, 200, "{answer}");
    let mut channel = running.channel(&code, None).await;
    let is_at_origin = |event: &Value| event["data"]["order"]["delivery"]["status"] == "AT_ORIGIN";
    channel
        .until("the courier at the origin", is_at_origin)
        .await;
    running.kill9().await;
    running.restart().await;
    let mut channel = running.channel(&code, None).await;
    // Each attempt to deliver fails with an even chance, and then another round takes 6 s.
    let is_delivered = |event: &Value| event["data"]["order"]["status"] == "delivered";
    let within = Duration::from_secs(120);
    channel
        .until_within(within, "delivered", is_delivered)
        .await;
    let shown = running
        .request(reqwest::Method::GET, &format!("/api/v1/orders/{order}"))
        .basic_auth("staff", Some(running.password("staff")));
    let (_, shown) = running.answer(shown).await;
    assert_eq!(shown["delivery"]["tracking_number"], "C-1", "{shown}");
    let history = shown["delivery"]["history"].as_array().unwrap().iter();
    let steps: Vec<&str> = history
        .map(|step| step["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps[..3],
        ["READY_FOR_PICK_UP", "AT_ORIGIN", "EN_ROUTE_OF_DELIVERY"]
    );
    assert_eq!(steps.last(), Some(&"DELIVERED"));
    let audit = running.audit().await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

/// Places an order, and returns its id when the kitchen has accepted it.
async fn an_order_is_accepted(running: &Expediter) -> String {
    let code = running.session_code().to_owned();
    let mut channel = running.channel(&code, None).await;
    let items =
        json!({"items": [{"product_id": running.demo["menu"][0]["product_id"], "quantity": 1}]});
    let (status, order) = running
        .post(&format!("/api/v1/sessions/{code}/orders"), &items)
        .await;
    assert_eq!(status, 201, "{order}");
    let id = order["id"].as_str().unwrap();
    channel.until_status(id, "accepted").await;
    id.to_owned()
}

/// Sends so many sign-ins at once, each after the answers of those before, and returns the statuses.
async fn sign_in_at_once(running: &Expediter, rounds: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..rounds {
        let mut round = tokio::task::JoinSet::new();
        for username in ["operator", "manager", "staff", "customer"].repeat(5) {
            let password = running.password(username);
            let asked = running.request(reqwest::Method::POST, "/api/v1/token");
            let asked = asked.json(&json!({"username": username, "password": password}));
            round.spawn(async move { asked.send().await.unwrap().status().as_u16() });
        }
        statuses.extend(round.join_all().await);
    }
    statuses
}

#[tokio::test]
async fn hundreds_of_sign_ins_need_no_more_memory_than_the_first_ones() {
    let folder = Folder::new();
    let running = launch(&folder).start().await;
    assert_eq!(sign_in_at_once(&running, 1).await, [200; 20]);
    let first = running.peak_memory_mib();
    assert_eq!(sign_in_at_once(&running, 20).await, [200; 400]);
    let peak = running.peak_memory_mib();
    // One hash takes 19 MiB.
    assert!(peak < first + 19, "{first} MiB, then {peak} MiB");
}
