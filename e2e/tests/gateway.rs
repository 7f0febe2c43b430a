//! Tests the gateway's configuration with a real nginx in front of a real process: forwarding and its own answers.

use std::{fs, net::SocketAddr, path::Path};

use e2e::{
    Channel, EventStream, Expediter, Folder, Gateway, Ground, SOON,
    gateway::{CONFIGURATION, nginx},
    until_within,
};
use reqwest::Response;
use serde_json::{Value, json};

/// Timeout in the gateway's configuration, and its replacement in these tests.
const READ_TIMEOUTS: [&str; 2] = ["proxy_read_timeout 60s;", "proxy_read_timeout 5s;"];

/// Starts nginx in front of a process; `None` if it is not installed.
async fn gateway_before(expediter: &Expediter) -> Option<Gateway> {
    let routes = Gateway::routes();
    let [long, short] = READ_TIMEOUTS;
    assert_eq!(
        routes.matches(long).count(),
        1,
        "the timeout must be set once, for the api"
    );
    let behind = expediter.url.trim_start_matches("http://");
    let behind: SocketAddr = behind.parse().expect("the process printed its address");
    Gateway::start(&[behind], &[behind], &routes.replace(long, short)).await
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
    let Some(gateway) = gateway_before(&expediter).await else {
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
