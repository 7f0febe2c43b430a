//! `expediter listen`, `trigger` and `replay` as processes, beside a kitchen that is sent the same orders.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use e2e::{Expediter, Ground, Integrator, Mood, SOON, Shop, built, text, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

e2e::each_ground! {
    async fn a_listener_gets_what_the_kitchen_gets_and_one_that_is_killed_loses_nothing(ground: Ground) {
        let (expediter, kitchen, local, shop) = open(&ground).await;
        let mut listen = Running::listen(&expediter, &ground, &shop, &local);
        let secret = listen.line("Signing secret").await;
        let secret = secret.rsplit(' ').next().expect("it ends with the secret");
        local.set_secrets(&json!({"signing_secret": secret, "callback_secret": secret}));
        listen.line("Ctrl-C").await;

        let said = run(&expediter, &ground, &["trigger", "order.placed", "--store", &shop.store_id]).await;
        assert!(said.contains("also goes to: The test"), "{said}");
        let first = local.wait_for_requests(1).await.remove(0);
        assert!(said.contains(&first.order_id), "{said}");
        assert!(first.is_signed);
        assert_eq!((first.event.as_str(), first.attempt.as_str()), ("order.placed", "1/5"));
        assert_eq!(first.idempotency_key, first.webhook_id);
        let line = listen.line("order.placed").await;
        for part in ["order 1 ", "attempt 1/5", "200 OK", "T-", "acknowledged"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let sent = kitchen.wait_for_requests(1).await.remove(0);
        assert_eq!(facts(&first.body), facts(&sent.body));
        until_status(&expediter, &first.order_id, "ready").await;

        local.next([Mood::Silent]);
        let second = order(&expediter, &shop).await;
        local.wait_for_requests(2).await;
        listen.kill9();
        let third = order(&expediter, &shop).await;
        until_status(&expediter, &third, "ready").await;

        let mut listen = Running::listen(&expediter, &ground, &shop, &local);
        let resumed = listen.line("Signing secret").await;
        assert!(!resumed.contains("whsec_"), "{resumed}");
        for _ in 0..2 {
            listen.line("acknowledged").await;
        }
        let tries = local.received_for(&second);
        assert_eq!(tries.len(), 2, "{tries:?}");
        assert_eq!((&tries[0].webhook_id, &tries[0].body), (&tries[1].webhook_id, &tries[1].body));
        assert_eq!(local.received_for(&third).len(), 1);
        assert!(local.received().iter().all(|one| one.is_signed));
        let path = format!("/api/v1/handoffs/{}", tries[0].webhook_id);
        let handoff = expediter.read(&path).await;
        let outcomes = outcomes(&handoff);
        // A claim whose answer the killed listener did not live to read is an attempt too, and unknown as well.
        assert_eq!(tries[1].attempt, format!("{}/5", outcomes.len()), "{handoff}");
        let (last, before) = outcomes.split_last().expect("there are attempts");
        assert_eq!(last, "acknowledged", "{handoff}");
        assert!(!before.is_empty() && before.iter().all(|one| one == "unknown"), "{handoff}");

        listen.interrupt();
        listen.line("The listener is removed").await;
        listen.line("2 of them acknowledged").await;
        assert_eq!(listen.ended().await, Some(0));
        assert_eq!(integrators(&expediter, &shop).await, ["The test"]);
        let audit = expediter.audit().await;
        assert_eq!(audit.code, Some(0), "{audit:?}");
    }

    async fn a_listener_goes_on_after_a_restart_and_sees_an_order_cancelled_dispatched_and_replayed(ground: Ground) {
        let (mut expediter, kitchen, local, shop) = open(&ground).await;
        let mut listen = Running::listen(&expediter, &ground, &shop, &local);
        let secret = listen.line("Signing secret").await;
        let secret = secret.rsplit(' ').next().expect("it ends with the secret");
        local.set_secrets(&json!({"signing_secret": secret, "callback_secret": secret}));
        expediter.restart().await;
        run(&expediter, &ground, &["trigger", "order.cancelled", "--store", &shop.store_id]).await;
        let told = local.wait_for_requests(2).await;
        let events: Vec<&str> = told.iter().map(|one| one.event.as_str()).collect();
        assert_eq!(events, ["order.placed", "order.cancelled"]);

        kitchen.set_callback_statuses([]);
        let said = run(&expediter, &ground, &["trigger", "order.dispatched", "--store", &shop.store_id]).await;
        assert!(said.contains("is dispatched"), "{said}");
        let told = local.wait_for_requests(4).await;
        assert_eq!(told[3].event, "order.dispatched");
        let order = expediter.read(&format!("/api/v1/orders/{}", told[3].order_id)).await;
        assert_eq!(order["delivery"], Value::Null, "a listener is no courier");
        let said = run(&expediter, &ground, &["trigger", "test", "--store", &shop.store_id]).await;
        assert!(said.contains("test to listener"), "{said}");
        local.wait_for_requests(5).await;

        let path = format!("/api/v1/handoffs/{}", told[0].webhook_id);
        let before = expediter.read(&path).await;
        let said = run(&expediter, &ground, &["replay", &told[0].webhook_id, "--to", &local.url]).await;
        assert!(said.contains("200 OK"), "{said}");
        let again = local.wait_for_requests(6).await.remove(5);
        assert!(again.is_signed);
        assert_eq!((&again.webhook_id, &again.body), (&told[0].webhook_id, &told[0].body));
        assert_eq!(expediter.read(&path).await, before, "a replay changes nothing");
        let audit = expediter.audit().await;
        assert_eq!(audit.code, Some(0), "{audit:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_asked_for_and_a_refusal_ends_the_command_with_its_reason() {
    let ground = Ground::embedded();
    let (expediter, _kitchen, local, shop) = open(&ground).await;
    let command = |arguments: &[&str], token: &str| {
        let mut command = Command::new(built("expediter"));
        command
            .args(arguments)
            .args(["--url", &expediter.url, "--store", &shop.store_id])
            .args(["--forward-to", &local.url])
            .env("EXPEDITER_TOKEN", token)
            .current_dir(ground.folder())
            .stdin(Stdio::null());
        command.output().expect("the command runs")
    };
    let nobody = command(&["listen"], "");
    assert_eq!(nobody.status.code(), Some(2));
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("EXPEDITER_TOKEN"), "{said}");

    let token = |user: &str| {
        let body = json!({"username": user, "password": expediter.password(user)});
        expediter.answer(expediter.request(Method::POST, "/api/v1/token").json(&body))
    };
    // The demonstration's staff serve another store.
    let (_, staff) = token("staff").await;
    let refused = command(&["listen"], &text(&staff["access"]));
    assert_ne!(refused.status.code(), Some(0));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Forbidden"), "{said}");
    assert!(!said.contains(&text(&staff["access"])), "{said}");
    let wrong = command(&["listen"], "no token");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("Invalid credentials"), "{said}");
    assert_eq!(integrators(&expediter, &shop).await, ["The test"]);
}

/// Starts an expediter with short leases, a store with a kitchen, and a server on the engineer's machine.
async fn open(ground: &Ground) -> (Expediter, Integrator, Integrator, Shop) {
    let expediter = ground
        .launch()
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#)
        .set("worker.attempt_timeout_ms", 4000)
        .set("worker.lease_margin_s", 1)
        .start()
        .await;
    let kitchen = Integrator::start(expediter.launch().clock());
    let local = Integrator::start(expediter.launch().clock());
    local.set_callback_statuses([]);
    let shop = Shop::open(&expediter, &kitchen, 10).await;
    let file = ground.folder().join("password");
    fs::write(file, expediter.password("operator")).expect("the folder can be written");
    (expediter, kitchen, local, shop)
}

async fn order(expediter: &Expediter, shop: &Shop) -> String {
    let request = expediter.request(Method::POST, &shop.guests_path());
    shop.place(request).await
}

fn outcomes(handoff: &Value) -> Vec<String> {
    let attempts = handoff["attempts"].as_array().into_iter().flatten();
    attempts.map(|attempt| text(&attempt["outcome"])).collect()
}

async fn until_status(expediter: &Expediter, order: &str, status: &str) {
    until(&format!("the order to be {status}"), || async {
        let order = expediter.read(&format!("/api/v1/orders/{order}")).await;
        (order["status"] == status).then_some(())
    })
    .await;
}

async fn integrators(expediter: &Expediter, shop: &Shop) -> Vec<String> {
    let path = format!("/api/v1/integrators?store_id={}", shop.store_id);
    let listed = expediter.read(&path).await;
    let listed = listed["items"].as_array().into_iter().flatten();
    listed.map(|one| text(&one["name"])).collect()
}

/// Returns a body without what differs between two integrators, and without what the first claim changes.
fn facts(body: &[u8]) -> Value {
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    body["callback_url"] = Value::Null;
    for field in ["status", "version"] {
        body["order"][field] = Value::Null;
    }
    body
}

fn command(expediter: &Expediter, ground: &Ground, arguments: &[&str]) -> Command {
    let mut command = Command::new(built("expediter"));
    command
        .args(arguments)
        .args(["--url", &expediter.url, "--username", "operator"])
        .args(["--password-file", "password"])
        .current_dir(ground.folder())
        .stdin(Stdio::null());
    command
}

/// Runs a command to its successful end; returns its output.
async fn run(expediter: &Expediter, ground: &Ground, arguments: &[&str]) -> String {
    let mut command = command(expediter, ground, arguments);
    let ran = tokio::task::spawn_blocking(move || command.output());
    let ran = ran.await.expect("no panic").expect("the command runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{arguments:?}: {said}{errors}");
    said
}

/// A command that goes on; dropping it kills it.
struct Running {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Running {
    fn listen(expediter: &Expediter, ground: &Ground, shop: &Shop, local: &Integrator) -> Self {
        let arguments = [
            "listen",
            "--store",
            &shop.store_id,
            "--forward-to",
            &local.url,
            "--events",
            "order.placed,order.cancelled,order.dispatched",
        ];
        let mut child = command(expediter, ground, &arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Returns the next line that contains `part`.
    async fn line(&mut self, part: &str) -> String {
        let mut seen = Vec::new();
        let found = timeout(SOON, async {
            while let Some(line) = self.lines.recv().await {
                if line.contains(part) {
                    return Some(line);
                }
                seen.push(line);
            }
            None
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line with {part:?} in {seen:?}"))
    }

    fn kill9(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child");
    }

    fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("sh can be run").success());
    }

    async fn ended(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let status = until("the end of the command", || {
            let status = child.try_wait().expect("it is a child");
            async move { status }
        });
        status.await.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
