//! Tests of `check-integrator`: against our kitchen, against an integrator with each fault in turn, and against nobody.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "check_integrator/sloppy.rs"]
mod sloppy;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use e2e::{Ended, Folder, Launch};
use futures_util::{StreamExt, stream};
use kitchen::{Kitchen, KitchenSettings};
use poem::{Route, Server, listener::TcpAcceptor};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use self::sloppy::{CALLBACK, Fault, SIGNING, Sloppy};

/// Checks that run at the same time.
const AT_ONCE: usize = 6;

async fn check(url: &str, arguments: &[&str]) -> Ended {
    let folder = Folder::new();
    for (name, secret) in [("signing", SIGNING), ("callback", CALLBACK)] {
        fs::write(folder.path().join(name), format!("{secret}\n")).unwrap();
    }
    let launch = Launch::of(Path::new(env!("CARGO_BIN_EXE_expediter")), folder.path())
        .set("worker.body_grace_ms", 300)
        .argument("check-integrator")
        .argument(url)
        .argument("--secret-file")
        .argument("signing")
        .argument("--callback-secret-file")
        .argument("callback");
    let launch = arguments.iter().fold(launch, Launch::argument);
    launch.run().await
}

/// Returns the names of the checks with another result than `ok` and `skipped`, with it.
fn found(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|check| (text(&check["name"]), text(&check["result"])))
        .filter(|(_, result)| result == "fault" || result == "warning")
        .collect()
}

/// Starts our kitchen; returns the URL for its orders.
async fn start_kitchen() -> String {
    let mut settings = KitchenSettings::new(SIGNING.parse().unwrap(), CALLBACK.parse().unwrap());
    settings.step = Duration::from_millis(300);
    settings.first_retry = Duration::from_millis(100);
    let kitchen = Kitchen::new(settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap());
    let routes = Route::new().nest("/", kitchen.routes());
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(Server::new_with_acceptor(acceptor).run(routes));
    tokio::spawn(async move { kitchen.run(std::future::pending()).await });
    url
}

#[tokio::test]
async fn our_kitchen_is_ready() {
    let url = start_kitchen().await;
    let ended = check(&url, &["--wait", "20"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.stdout.lines().last().unwrap();
    assert_eq!(last, "ready: 26 checks", "{}", ended.stdout);
    for word in ["fault", "warning", "skipped"] {
        let begins = |line: &str| line.starts_with(word);
        assert!(!ended.stdout.lines().any(begins), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn each_fault_of_a_sloppy_integrator_is_named() {
    use Fault::*;
    let forged = ["bad-signature", "missing-signature", "old-timestamp"];
    let rows: Vec<(Fault, Vec<&str>)> = vec![
        (Nothing, vec![]),
        (RefusesAll, vec!["good-signature"]),
        (ChecksNothing, forged.to_vec()),
        (ChecksPresenceOnly, vec!["bad-signature", "old-timestamp"]),
        (TakesUnsigned, vec!["missing-signature"]),
        (ForgetsTheTime, vec!["old-timestamp"]),
        (
            AnswersForgeriesWith(500),
            [&forged[..], &["retry"]].concat(),
        ),
        (AnswersForgeriesWith(404), forged.to_vec()),
        (AnswersForgeriesWith(410), forged.to_vec()),
        (AnswersForgeriesWith(200), forged.to_vec()),
        (ReadsTheFirstSignature, vec!["rotation"]),
        (
            NewReferenceForDuplicates,
            vec!["duplicate", "duplicates-at-once"],
        ),
        (OrdersForDuplicates, vec!["callback-id"]),
        (FailsDuplicatesAtOnce, vec!["duplicates-at-once"]),
        (FailsFirstAttempts, vec!["retry"]),
        (FailsAll, vec!["good-signature", "retry"]),
        (LosesOrdersOfFailedAttempts, vec!["good-signature", "retry"]),
        // This is no fault.
        (LimitsTheRate, vec![]),
        (DoesNotKnowCancelledOrder, vec!["out-of-order"]),
        (PreparesCancelled, vec!["cancelled-after-placed"]),
        (PreparesCancelledBefore, vec!["out-of-order"]),
        (KnowsItsEventsOnly, vec!["unknown-event"]),
        (TakesUnknownEventsForOrders, vec!["unknown-event"]),
        (KnowsItsFieldsOnly, vec!["extra-fields"]),
        (LimitsBodies, vec!["large-order"]),
        (Redirects, vec!["unknown-event", "redirect"]),
        (RedirectsAll, vec!["good-signature", "redirect"]),
        (SaysTooMuch, vec!["answer-size"]),
        (NeverEnds, vec!["answer-end"]),
        (EndsEarly, vec!["answer-end"]),
        (ShowsAPage, vec!["answer-type"]),
        (SaysOk, vec!["answer-type"]),
        (HasAStrayLine, vec!["odd-head"]),
        (SaysMoreThanItSaid, vec!["odd-head"]),
        (ClosesInSilence, vec!["unknown-event", "keep-alive"]),
        (SignsWithTheWrongSecret, vec!["callback-signature"]),
        (SignsAnotherBody, vec!["callback-signature"]),
        (SignsOld, vec!["callback-signature"]),
        (CallsElsewhere, vec!["callback-body"]),
        (AddsAField, vec!["callback-body"]),
        (CallsAboutAStranger, vec!["callback-body"]),
        (ReusesIds, vec!["callback-id"]),
        (SpeaksItsOwnWords, vec!["callback-words"]),
        (GoesBack, vec!["callback-order"]),
        (SendsNoMarks, vec!["callback-order"]),
        (NeverRepeats, vec!["callback-retry"]),
        (RepeatsUnderANewId, vec!["callback-id", "callback-retry"]),
    ];
    let checked = rows.into_iter().map(|(fault, named)| async move {
        let integrator = Sloppy::start(fault).await;
        let ended = check(&integrator.url, &["--json", "--wait", "4"]).await;
        (fault, named, ended)
    });
    let mut checked = stream::iter(checked).buffer_unordered(AT_ONCE);
    while let Some((fault, named, ended)) = checked.next().await {
        let report: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{fault:?}: {error}: {ended:?}"));
        // A busy machine makes everybody slow.
        let found = found(&report);
        let names: Vec<&str> = found
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| *name != "slow")
            .collect();
        assert_eq!(names, named, "{fault:?}: {}", ended.stdout);
        let has_faults = found.iter().any(|(_, result)| result == "fault");
        assert_eq!(ended.code, Some(i32::from(has_faults)), "{fault:?}");
    }
}

#[tokio::test]
async fn slow_and_late_answers_are_named() {
    let integrator = Sloppy::start(Fault::AnswersLate(1500)).await;
    let ended = check(&integrator.url, &["--json", "--timeout", "2"]).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let slow = ("slow".to_owned(), "warning".to_owned());
    assert!(found(&report).contains(&slow), "{}", ended.stdout);

    let integrator = Sloppy::start(Fault::AnswersLate(60_000)).await;
    let ended = check(&integrator.url, &["--timeout", "1", "--wait", "0"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let mut lines = ended.stdout.lines();
    assert!(
        lines.any(|line| line.starts_with("fault    slow ")),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("docs/integrators.md#time-outs"));
}

#[tokio::test]
async fn who_cannot_be_reached_is_said_with_the_reason() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = nobody.local_addr().unwrap();
    drop(nobody);
    let kitchen = start_kitchen().await;
    let without_tls = kitchen.replace("http://", "https://");
    let not_http = says_on_connect("SSH-2.0-OpenSSH_9.6\r\n").await;
    let silent = says_on_connect("").await;
    for (url, why) in [
        (format!("http://{refusing}/"), "nobody listens there"),
        (without_tls, "does not speak TLS"),
        (not_http, "something else than HTTP"),
        (silent, "is it an https:// address?"),
        (
            "http://no-such-name.invalid/".to_owned(),
            "the name has no address",
        ),
        ("http://10.255.255.1/".to_owned(), "the address is private"),
        (
            "ftp://127.0.0.1/".to_owned(),
            "is not allowed, only https://",
        ),
    ] {
        let ended = check(&url, &[]).await;
        assert_eq!(ended.code, Some(2), "{url}: {ended:?}");
        assert!(ended.stderr.contains(why), "{url}: {ended:?}");
        let ended = check(&url, &["--json"]).await;
        assert_eq!(ended.code, Some(2), "{url}: {ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["result"], "unchecked", "{report}");
        assert!(
            report["summary"].as_str().unwrap().contains(why),
            "{report}"
        );
    }
}

/// Starts a server that says something to each connection, reads a little, and closes.
async fn says_on_connect(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn a_missing_or_malformed_secret_is_refused() {
    let folder = Folder::new();
    fs::write(folder.path().join("bad"), "not a secret").unwrap();
    for (arguments, why) in [
        (vec![], "EXPEDITER_SIGNING_SECRET"),
        (vec!["--secret-file", "bad"], "must be whsec_"),
        (vec!["--secret-file", "none"], "none: "),
        (vec!["--status", "DONE"], "WORD=STATUS"),
        (
            vec!["--status", "DONE=done"],
            "not one of our order statuses",
        ),
    ] {
        let launch = Launch::of(Path::new(env!("CARGO_BIN_EXE_expediter")), folder.path())
            .argument("check-integrator")
            .argument("http://127.0.0.1:1/");
        let ended = arguments.iter().fold(launch, Launch::argument).run().await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(why), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn our_courier_is_ready() {
    let folder = Folder::new();
    let (_courier, address) = start_courier(folder.path()).await;
    let auth = folder.path().join("auth");
    let sign_in = json!({
        "type": "sign_in", "url": format!("http://{address}/signin"), "username": "expediter", "password": "correct horse",
    });
    fs::write(&auth, sign_in.to_string()).unwrap();
    let auth = auth.display().to_string();
    let url = format!("http://{address}/deliveries");
    let arguments = ["--format", "delivery", "--auth-file", &auth, "--wait", "20"];
    let ended = check(&url, &arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.stdout.lines().last().unwrap();
    assert_eq!(last, "ready: 26 checks", "{}", ended.stdout);
}

/// Starts the courier's binary; returns it with its address.
async fn start_courier(folder: &Path) -> (Running, String) {
    let log = folder.join("log");
    let child = Command::new(e2e::built("courier"))
        .args(["--listen", "127.0.0.1:0", "--step-ms", "300"])
        .env("COURIER_DATABASE", folder.join("courier.db"))
        .env("COURIER_SIGNING_SECRET", SIGNING)
        .env("COURIER_CALLBACK_SECRET", CALLBACK)
        .env("COURIER_USERNAME", "expediter")
        .env("COURIER_PASSWORD", "correct horse")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let address = e2e::until("the courier runs", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let mut lines = text.lines().map(serde_json::from_str::<Value>);
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            let address = line["address"].as_str()?;
            Some(address.trim_start_matches("socket://").to_owned())
        });
        async move { address }
    });
    let running = Running(child);
    (running, address.await)
}

/// Process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
