//! Runs docs/integrators/example.py, the integrator that was written from the guide, as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{
    blocks::docs,
    languages::is_there,
    recorder::{Recorded, Recorder},
    signature::{sign, verify},
};
use e2e::{Expediter, Folder, Launch, client, text, until};
use futures_util::future::join_all;
use platform::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

const SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const CALLBACK: &str = "whsec_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=";

/// A running example; dropping it kills the process.
struct Example {
    url: String,
    process: Child,
    /// Kept open: it could not print otherwise.
    _stdout: BufReader<ChildStdout>,
}

impl Example {
    /// Starts it on a port that was free, with its data in the folder. `step_s`: time that it takes for a step.
    fn start(folder: &Folder, port: u16, secrets: [&str; 2], step_s: u32) -> Self {
        let [signing, callback] = secrets;
        let mut process = Command::new("python3")
            .arg(docs("integrators/example.py"))
            .current_dir(folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("EXPEDITER_SIGNING_SECRET", signing)
            .env("EXPEDITER_CALLBACK_SECRET", callback)
            .env("PORT", port.to_string())
            .env("STEP_S", step_s.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let stdout = process.stdout.take().expect("it is piped");
        let (mut line, mut stdout) = (String::new(), BufReader::new(stdout));
        let _ = stdout.read_line(&mut line);
        assert!(line.starts_with("listening on"), "{line}");
        Self {
            url: format!("http://127.0.0.1:{port}/orders"),
            process,
            _stdout: stdout,
        }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Sends it a message; returns the status and the body of its answer.
    async fn send(&self, webhook_id: &str, at: i64, signature: &str, body: &str) -> (u16, Value) {
        let request = client()
            .post(&self.url)
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", signature)
            .body(body.to_owned());
        let answer = request.send().await.expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn send_signed(&self, webhook_id: &str, message: &Value) -> (u16, Value) {
        let (body, at) = (message.to_string(), Clock::system().now().timestamp());
        let signature = sign(SIGNING, webhook_id, &at.to_string(), body.as_bytes());
        let signature = signature.expect("a secret");
        self.send(webhook_id, at, &signature, &body).await
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_ready_although_the_integrator_and_expediter_are_killed_on_its_way() {
    if !is_there("python3") {
        return;
    }
    let (folder, theirs, their_port) = (Folder::new(), Folder::new(), free_port());
    let mut expediter = Launch::new(folder.path())
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#)
        .start()
        .await;
    let store = json!({"name": "Corner shop", "timezone": "Europe/Berlin", "currency": "EUR"});
    let store_id = text(&expediter.create("/api/v1/stores", &store).await["id"]);
    let espresso = json!({
        "store_id": store_id, "sku": "ESP", "name": "Espresso", "price": {"amount": 250, "currency": "EUR"},
    });
    expediter.create("/api/v1/products", &espresso).await;
    let integrator = json!({
        "store_id": store_id, "name": "Example", "kind": "kitchen",
        "url": format!("http://127.0.0.1:{their_port}/orders"),
    });
    let created = expediter.create("/api/v1/integrators", &integrator).await;
    let [signing, callback] =
        ["signing_secret", "callback_secret"].map(|name| text(&created[name]));
    let secrets = [signing.as_str(), callback.as_str()];

    // It takes the order, and would call back in an hour.
    let mut example = Example::start(&theirs, their_port, secrets, 3600);
    let order = json!({"store_id": store_id, "items": [{"sku": "ESP"}]});
    let order_id = text(&expediter.create("/api/v1/orders", &order).await["id"]);
    wait_for_status(&expediter, &order_id, "accepted").await;
    example.kill();
    expediter.restart().await;
    assert_eq!(status_of(&expediter, &order_id).await, "accepted");
    end_of_the_hour(&theirs);
    let example = Example::start(&theirs, their_port, secrets, 0);
    wait_for_status(&expediter, &order_id, "ready").await;

    let handoffs = expediter.handoffs(&order_id).await;
    assert_eq!(handoffs[0]["reference"], format!("EX-{order_id}"));
    let path = format!(
        "/api/v1/callbacks?integrator_id={}",
        text(&created["integrator"]["id"])
    );
    let callbacks = expediter.read(&path).await;
    let applied: Vec<_> = callbacks["items"]
        .as_array()
        .expect("a list of callbacks")
        .iter()
        .map(|one| &one["result"])
        .collect();
    assert_eq!(applied, ["applied", "applied"], "{callbacks}");

    // One order goes all the way without any interruption.
    let order_id = text(&expediter.create("/api/v1/orders", &order).await["id"]);
    wait_for_status(&expediter, &order_id, "ready").await;
    let test = expediter.by_operator(
        Method::POST,
        &format!(
            "/api/v1/integrators/{}/test",
            text(&created["integrator"]["id"])
        ),
    );
    let (status, handoff) = expediter.answer(test).await;
    assert_eq!(status, 202, "{handoff}");
    until("the test's acknowledgement", || async {
        let path = format!("/api/v1/handoffs/{}", text(&handoff["id"]));
        let handoff = expediter.read(&path).await;
        (handoff["state"] == "acknowledged").then_some(())
    })
    .await;
    drop(example);
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}", audit.stdout);
}

/// Makes the callbacks due that the example keeps in its database.
fn end_of_the_hour(theirs: &Folder) {
    const NOW: &str = "import sqlite3; db = sqlite3.connect('integrator.db'); \
        print(db.execute('UPDATE callbacks SET due = 0').rowcount); db.commit()";
    let updated = Command::new("python3")
        .args(["-c", NOW])
        .current_dir(theirs.path())
        .output()
        .expect("python3 is there");
    assert_eq!(String::from_utf8_lossy(&updated.stdout).trim(), "2");
}

async fn status_of(expediter: &Expediter, order_id: &str) -> String {
    let order = expediter.read(&format!("/api/v1/orders/{order_id}")).await;
    text(&order["status"])
}

async fn wait_for_status(expediter: &Expediter, order_id: &str, wanted: &str) {
    until(wanted, || async {
        (status_of(expediter, order_id).await == wanted).then_some(())
    })
    .await;
}

fn message(event: &str, order_id: &str, number: u32, callback_url: &str) -> Value {
    json!({
        "event": event, "callback_url": callback_url, "order": {"id": order_id}, "change": {"number": number.to_string()},
    })
}

fn told(callback: &Recorded) -> (String, String) {
    let body = callback.json();
    (text(&body["order_id"]), text(&body["status"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_passes_the_check_of_integrators() {
    if !is_there("python3") {
        return;
    }
    let (theirs, ours) = (Folder::new(), Folder::new());
    let example = Example::start(&theirs, free_port(), [SIGNING, CALLBACK], 1);
    let mut check = Launch::new(ours.path())
        .argument("check-integrator")
        .argument(&example.url);
    for (option, secret) in [
        ("--secret-file", SIGNING),
        ("--callback-secret-file", CALLBACK),
    ] {
        let file = ours.path().join(option);
        fs::write(&file, secret).expect("the test's directory can be written");
        check = check.argument(option).argument(file.display());
    }
    let checked = check.run().await;
    let report = format!("{}{}", checked.stdout, checked.stderr);
    assert_eq!(checked.code, Some(0), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_refuses_forged_messages_and_applies_each_real_one_once() {
    if !is_there("python3") {
        return;
    }
    let (theirs, us) = (Folder::new(), Recorder::start());
    let example = Example::start(&theirs, free_port(), [SIGNING, CALLBACK], 0);
    let placed = message("order.placed", "o-1", 1, &us.url);
    let (body, now) = (placed.to_string(), Clock::system().now().timestamp());
    let signed = |secret: &str, at: i64| {
        sign(secret, "m-1", &at.to_string(), body.as_bytes()).expect("a secret")
    };
    let good = signed(SIGNING, now);
    for (at, signature, sent) in [
        (now, signed(CALLBACK, now), body.clone()),
        (now, good.clone(), format!("{body} ")),
        (now + 1, good.clone(), body.clone()),
        (now - 400, signed(SIGNING, now - 400), body.clone()),
        (now + 400, signed(SIGNING, now + 400), body.clone()),
        (now, String::new(), body.clone()),
        (now, good[3..].to_owned(), body.clone()),
    ] {
        let (status, answer) = example.send("m-1", at, &signature, &sent).await;
        assert_eq!(status, 401, "{signature}: {answer}");
    }
    let unsigned = client().post(&example.url).body(body.clone()).send().await;
    assert_eq!(unsigned.expect("it answers").status().as_u16(), 401);

    // A cancellation that overtakes its order, and a message that comes twice.
    let cancelled = message("order.cancelled", "o-0", 3, &us.url);
    let overtaken = message("order.placed", "o-0", 1, &us.url);
    for (id, message) in [("m-3", &cancelled), ("m-2", &overtaken)] {
        assert_eq!(example.send_signed(id, message).await.0, 200);
    }
    us.answer_next(500);
    us.answer_next(429);
    let first = example.send_signed("m-1", &placed).await;
    assert_eq!(first, (200, json!({"reference": "EX-o-1"})));
    let at_once = (0..10).map(|_| example.send_signed("m-1", &placed));
    for again in join_all(at_once).await {
        assert_eq!(again, first);
    }
    let unreadable = json!({"event": "order.placed", "order": "o-2"});
    assert_eq!(example.send_signed("m-5", &unreadable).await.0, 400);
    let moved = message("order.moved_to_the_moon", "o-1", 9, &us.url);
    assert_eq!(example.send_signed("m-4", &moved).await.0, 200);

    let ready = |one: &Recorded| told(one) == ("o-1".to_owned(), "ready".to_owned());
    us.wait_for("the last callback", ready).await;
    let callbacks = us.all();
    let o_1 = |status: &str| ("o-1".to_owned(), status.to_owned());
    let sent: Vec<_> = callbacks.iter().map(told).collect();
    let three_tries = ["preparing", "preparing", "preparing", "ready"].map(o_1);
    assert_eq!(sent, three_tries);
    for one in &callbacks {
        let [id, timestamp, signature] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| one.header(name));
        let now = Clock::system().now().timestamp().unsigned_abs();
        assert!(verify(CALLBACK, id, timestamp, signature, &one.body, now));
    }
    let ids: Vec<&str> = callbacks
        .iter()
        .map(|one| one.header("webhook-id"))
        .collect();
    assert_eq!(ids, ["o-1-1", "o-1-1", "o-1-1", "o-1-2"]);
}
