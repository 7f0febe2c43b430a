//! Tests the gateway's configuration with a real nginx in front of a real process: forwarding and its own answers.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use e2e::{Channel, EventStream, Expediter, Folder, Ground, SOON, client, until_within};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use store::testing::environment;

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway");
const LOG: &str = "access.log";
/// Timeout in the gateway's configuration, and its replacement in these tests.
const READ_TIMEOUTS: [&str; 2] = ["proxy_read_timeout 60s;", "proxy_read_timeout 5s;"];

/// Returns a command for nginx; prints that the tests are skipped, and returns `None`, if it is not installed.
fn nginx(arguments: &[&str]) -> Option<Command> {
    // Debian installs servers in folders that only root has in PATH.
    let path = std::env::join_paths(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]).expect("no colons");
    let mut version = Command::new("nginx");
    if version.env("PATH", &path).arg("-v").output().is_err() {
        assert!(
            !environment::in_ci(),
            "CI must not skip the gateway: no nginx"
        );
        eprintln!("SKIPPED: the gateway, for nginx is not installed");
        return None;
    }
    let mut nginx = Command::new("nginx");
    nginx
        .env("PATH", path)
        .args(["-e", "stderr"])
        .args(arguments);
    Some(nginx)
}

/// A running nginx; dropping it kills it.
#[derive(Debug)]
struct Gateway {
    url: String,
    process: Child,
    client: Client,
    folder: Folder,
}

impl Gateway {
    /// Starts nginx as `scripts/up` does, in one process; `None` if it is not installed.
    async fn before(expediter: &Expediter) -> Option<Self> {
        let path = Path::new(CONFIGURATION).join("expediter.conf");
        let server = fs::read_to_string(path).expect("it is in the source tree");
        let [long, short] = READ_TIMEOUTS;
        assert_eq!(
            server.matches(long).count(),
            1,
            "the timeout must be set once, for the api"
        );
        let server = server.replace(long, short);
        let behind = expediter.url.trim_start_matches("http://");
        for _ in 0..5 {
            let folder = Folder::new();
            // Another process may take this port first: then the next try gets another one.
            let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let listen = free.expect("loopback has free ports").to_string();
            let at = folder.path().display();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
                .concat();
            fs::write(folder.path().join("server.conf"), &server).expect("the folder is ours");
            let configuration = format!(
                "daemon off; master_process off; pid {at}/pid; error_log stderr crit;
                events {{ worker_connections 512; }}
                http {{
                    {temporary}
                    include {CONFIGURATION}/http.conf;
                    map '' $to_api {{ default {behind}; }} map '' $to_notifier {{ default {behind}; }}
                    server {{ listen {listen}; include {at}/server.conf; }}
                }}"
            );
            let file = folder.path().join("nginx.conf");
            fs::write(&file, configuration).expect("the folder is ours");
            let log = fs::File::create(folder.path().join(LOG)).expect("the folder is ours");
            let mut command = nginx(&["-c", &file.display().to_string()])?;
            let process = command
                .stdout(Stdio::from(log))
                .spawn()
                .expect("it was there just now");
            let mut gateway = Self {
                url: format!("http://{listen}"),
                process,
                client: client(),
                folder,
            };
            if gateway.answers().await {
                return Some(gateway);
            }
        }
        panic!("nginx did not start on any of five ports");
    }

    /// Waits until it answers; returns false if it has ended.
    async fn answers(&mut self) -> bool {
        until_within(SOON, "a response of the gateway, or its end", || {
            let ended = self.process.try_wait().expect("a child can be waited for");
            let asked = self.client.get(format!("{}/healthz", self.url)).send();
            async move {
                if ended.is_some() {
                    return Some(false);
                }
                asked
                    .await
                    .is_ok_and(|it| it.status() == 200)
                    .then_some(true)
            }
        })
        .await
    }

    async fn get(&self, path: &str, request_id: &str) -> Response {
        let asked = self.client.get(format!("{}{path}", self.url));
        let answer = asked.header("X-Request-Id", request_id).send().await;
        answer.expect("an answer of the gateway")
    }

    async fn post(&self, path: &str, body: String) -> Response {
        let asked = self.client.post(format!("{}{path}", self.url)).body(body);
        let answer = asked
            .header("Content-Type", "application/json")
            .send()
            .await;
        answer.expect("an answer of the gateway")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).expect("it was made before the start")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the status, `X-Request-Id`, `Retry-After` and the body, which must be a problem.
async fn problem(answer: Response) -> (u16, String, Option<String>, Value) {
    let header = |name| Some(answer.headers().get(name)?.to_str().unwrap().to_owned());
    let (status, retry_after) = (answer.status().as_u16(), header("retry-after"));
    let id = header("x-request-id").expect("every answer names its request");
    assert_eq!(
        header("content-type").as_deref(),
        Some("application/problem+json")
    );
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (status, id, retry_after, body)
}

/// Returns the API's page about a reason.
async fn help(expediter: &Expediter, reason: &Value) -> String {
    let path = format!("/problems/{}", reason.as_str().unwrap());
    let page = expediter.request(reqwest::Method::GET, &path).send().await;
    let page = page.unwrap();
    assert_eq!(page.status(), 200, "{path}");
    page.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_through_the_gateway_is_as_it_was_sent_and_its_own_answers_look_like_ours() {
    let ground = Ground::embedded();
    let mut expediter = ground.launch().start().await;
    let Some(gateway) = Gateway::before(&expediter).await else {
        return;
    };
    let code = expediter.session_code().to_owned();
    let session = format!("/api/v1/sessions/{code}");

    // Forwards a request with the client's request id, or a generated one.
    let answer = gateway.get(&session, "mine-1").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-request-id"], "mine-1");
    let answer = gateway.get(&session, "two words").await;
    let given = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_ne!(given, "two words");

    // Compresses JSON, which makes its tag weak.
    let menu = gateway.client.get(format!("{}{session}/menu", gateway.url));
    let menu = menu.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(menu.headers()["content-encoding"], "gzip");
    let tag = menu.headers()["etag"].to_str().unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");

    // Forwards a live channel and its events.
    let channel = format!(
        "{}/ws/sessions/{code}",
        gateway.url.replacen("http", "ws", 1)
    );
    let mut channel = Channel::open(&channel).await;
    channel
        .until("its snapshot", |frame| frame["type"] == "hello")
        .await;
    let orders = format!("{session}/orders");
    let product = &expediter.demo["menu"][0]["product_id"];
    let order = json!({"items": [{"product_id": product, "quantity": 1}]});
    let placed = gateway.post(&orders, order.to_string()).await;
    assert_eq!(placed.status(), 201);
    let placed: Value = placed.json().await.unwrap();
    channel
        .until_status(placed["id"].as_str().unwrap(), "ready")
        .await;

    // Forwards an event stream, each event when it comes.
    let stream = format!("{}{session}/events/stream", gateway.url);
    let mut stream = EventStream::open(gateway.client.get(stream)).await;
    assert_eq!(stream.next().await.unwrap()["type"], "hello");
    let placed = gateway.post(&orders, order.to_string()).await;
    let placed: Value = placed.json().await.unwrap();
    stream
        .until_status(placed["id"].as_str().unwrap(), "ready")
        .await;

    // Refuses internal paths.
    for path in ["/readyz", "/metrics"] {
        assert_eq!(gateway.get(path, "probe").await.status(), 404, "{path}");
        assert_eq!(expediter.get(path).await.0, 200, "{path}");
    }
    // Which are as any address that leads nowhere: a page for browsers, a problem for programs.
    for path in ["/readyz", "/metrics", "/nothing"] {
        let (status, ..) = problem(gateway.get(path, "probe").await).await;
        assert_eq!(status, 404, "{path}");
        let opened = gateway.client.get(format!("{}{path}", gateway.url));
        let page = opened.header("accept", "text/html,*/*;q=0.8").send().await;
        let page = page.unwrap();
        assert_eq!(page.status(), 404, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert!(
            page.text().await.unwrap().contains("/missing/app.js"),
            "{path}"
        );
    }

    // Answers by itself.
    let large = gateway.post(&orders, "x".repeat((1 << 20) + 1)).await;
    let (status, id, _, body) = problem(large).await;
    assert_eq!((status, &body["status"]), (413, &json!(413)), "{body}");
    assert_eq!(body["request_id"], id);
    assert_eq!(body["limit_bytes"], 1 << 20);
    let too_large = help(&expediter, &body["reason"]).await;
    assert!(
        too_large.contains(body["title"].as_str().unwrap()),
        "{body}"
    );

    let page = help(&expediter, &json!("unreachable")).await;
    expediter.signal("STOP");
    let hangs = gateway.get(&session, "mine-2").await;
    expediter.signal("CONT");
    expediter.kill9().await;
    for answer in [
        hangs,
        gateway.get(&session, "mine-2").await,
        gateway.get(&format!("/ws/sessions/{code}"), "mine-2").await,
    ] {
        let (status, id, retry_after, body) = problem(answer).await;
        assert_eq!(id, "mine-2");
        assert_eq!(retry_after.as_deref(), Some("1"));
        assert_eq!(
            body,
            json!({
                "type": "/problems/unreachable",
                "title": body["title"],
                "status": status,
                "reason": "unreachable",
                "request_id": "mine-2",
            })
        );
        assert_eq!(status, 503);
        assert!(page.contains(body["title"].as_str().unwrap()), "{body}");
    }
    let (status, ..) = problem(gateway.post(&orders, order.to_string()).await).await;
    assert_eq!(status, 503);

    expediter.restart().await;
    assert_eq!(gateway.get(&session, "mine-3").await.status(), 200);

    // Its log contains the request ids, but no session code.
    // nginx writes the line of a request after its answer.
    let log = until_within(SOON, "the line of the last request", || {
        let log = gateway.log();
        async move { log.ends_with(" mine-3\n").then_some(log) }
    })
    .await;
    for id in ["mine-1", "mine-2", "mine-3", &given] {
        assert!(
            log.lines().any(|line| line.ends_with(&format!(" {id}"))),
            "{id}: {log}"
        );
    }
    assert!(!log.contains(&code), "{log}");
    assert!(!log.contains("two words"), "{log}");
}

#[test]
fn nginx_takes_the_gateways_configuration() {
    let folder = Folder::new();
    let top = fs::read_to_string(Path::new(CONFIGURATION).join("nginx.conf")).unwrap();
    let here = top
        .replace("/etc/nginx/", &format!("{CONFIGURATION}/"))
        .replacen(
            "events",
            &format!("pid {}/pid;\nevents", folder.path().display()),
            1,
        );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, here).unwrap();
    let Some(mut tried) = nginx(&["-t", "-q", "-c", &file.display().to_string()]) else {
        return;
    };
    let tried = tried.output().unwrap();
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    // Compiled-in folders may belong to another user; the configuration has been read before that error.
    assert!(
        tried.status.success() || said.contains("Permission denied"),
        "{said}"
    );
}
