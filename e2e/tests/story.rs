//! The normal course of an order: from a guest's POST to the kitchen and back to the screen, and kept across a restart.

#[path = "story/traces.rs"]
mod traces;

use e2e::{Channel, Expediter, PythonTools, one_to, text};
use reqwest::Method;
use serde_json::{Value, json};
use store::testing::environment;

e2e::each_ground! {
    async fn a_guests_order_travels_to_the_kitchen_and_back_onto_the_screen(ground: Ground) {
        let expediter = ground.launch().start().await;
        let before = Metrics::of(&expediter).await;
        let mut channel = expediter.channel(expediter.session_code(), None).await;
        assert_eq!(channel.seen[0]["orders"], json!([]));

        let order_id = place(&expediter).await;
        let told = until_ready(&mut channel, &order_id).await;
        assert_eq!(told, ["pending", "processing", "accepted", "preparing", "ready"]);
        assert_eq!(channel.numbers(), one_to(told.len() + 1)[1..], "the session's opening has number 1");
        assert_prev_is_the_one_before(&channel.seen);

        let order = expediter.read(&format!("/api/v1/orders/{order_id}")).await;
        let (last, by_staff) = (&channel.seen[channel.seen.len() - 1]["data"]["order"], &order);
        for field in ["id", "number", "status", "total", "placed_at", "accepted_at", "ended_at"] {
            assert_eq!(last[field], by_staff[field], "{field}");
        }
        assert_eq!(order["session"]["name"], "Table 1");
        assert_one_acknowledged_attempt(&expediter, &order_id).await;
        let after = Metrics::of(&expediter).await;
        assert_eq!(after.placed - before.placed, 1.0);
        assert_eq!(after.acknowledged - before.acknowledged, 1.0);
        assert_eq!(after.callbacks - before.callbacks, 2.0);
        assert_audit_is_clean(&expediter).await;
    }

    async fn a_restart_keeps_everything_and_a_screen_resumes_where_it_was(ground: Ground) {
        let on_servers = ground.has_servers();
        let mut expediter = ground.launch().start().await;
        let code = expediter.session_code().to_owned();
        let mut channel = expediter.channel(&code, None).await;
        let first = place(&expediter).await;
        channel.until_status(&first, "accepted").await;
        let seen = channel.numbers();
        let last = *seen.last().expect("it has seen the order");
        let before = expediter.read(&format!("/api/v1/orders/{first}")).await;

        assert!(expediter.sigint().await.success(), "{}", expediter.launch().log());
        expediter.restart().await;
        assert_eq!(expediter.session_code(), code, "the table stays open");
        let after = expediter.read(&format!("/api/v1/orders/{first}")).await;
        for field in ["id", "number", "items", "total", "placed_at", "accepted_at"] {
            assert_eq!(before[field], after[field], "{field}");
        }

        // The kitchen lost its memory in the restart: staff take over.
        let path = format!("/api/v1/orders/{first}/status");
        for status in ["preparing", "ready"] {
            let request = expediter.by_operator(Method::PUT, &path).json(&json!({"status": status}));
            let (answered, problem) = expediter.answer(request).await;
            assert_eq!(answered, 200, "{problem}");
        }
        let mut resumed = expediter.channel(&code, channel.resume_point().as_deref()).await;
        let second = place(&expediter).await;
        until_ready(&mut resumed, &second).await;
        let (hello, missed) = (&resumed.seen[0], resumed.numbers());
        // A file that was restored looks like any other, so a process on SQLite begins with a snapshot.
        assert_eq!(hello["resumed"] == true, on_servers, "{hello}");
        let from = hello["seq"].as_i64().unwrap();
        assert!(if on_servers { from == last } else { from > last }, "{hello}");
        assert_eq!(missed, one_to(seen_before(from) + missed.len())[seen_before(from)..]);
        assert_eq!(expediter.read(&format!("/api/v1/orders/{second}")).await["number"], 2);
        assert_audit_is_clean(&expediter).await;
    }

    async fn no_socket_of_the_process_waits_for_delayed_acknowledgements(ground: Ground) {
        let Some(python) = PythonTools::found("TCP_NODELAY of the process's sockets") else {
            return;
        };
        let expediter = ground.launch().start().await;
        let mut channel = expediter.channel(expediter.session_code(), None).await;
        let order_id = place(&expediter).await;
        until_ready(&mut channel, &order_id).await;
        let mut look = python.command("python3");
        look.arg(PythonTools::file("nodelay.py")).arg(expediter.pid().to_string());
        let looked = look.output().expect("python3 runs");
        let complaint = String::from_utf8_lossy(&looked.stderr);
        assert!(looked.status.success(), "{complaint}");
        let sockets: Vec<Value> = serde_json::from_slice(&looked.stdout).expect("a list of sockets");
        let waiting: Vec<&Value> = sockets.iter().filter(|socket| socket["nodelay"] != true).collect();
        assert!(waiting.is_empty(), "{waiting:?}");
        // The live channel's at least, and those to the servers.
        assert!(!sockets.is_empty());
        if ground.has_servers() {
            for url in [environment::test_mysql_url(), environment::test_amqp_url()] {
                let url: reqwest::Url = url.expect("there are servers").parse().expect("a URL");
                let is_its = |socket: &Value| socket["remote"] == json!(url.port());
                assert!(sockets.iter().any(is_its), "{url}: {sockets:?}");
            }
        }
    }
}

fn seen_before(last: i64) -> usize {
    usize::try_from(last).expect("numbers count up")
}

/// Orders one piece of the first product, with nothing but the session's code.
async fn place(expediter: &Expediter) -> String {
    let path = format!("/api/v1/sessions/{}/orders", expediter.session_code());
    let product = &expediter.demo["menu"][0]["product_id"];
    let (status, order) = expediter.post(&path, &json!({"product_id": product})).await;
    assert_eq!(status, 201, "{order}");
    text(&order["id"])
}

/// Waits until the order is ready; returns its statuses as the channel showed them.
async fn until_ready(channel: &mut Channel, order_id: &str) -> Vec<String> {
    let from = channel.seen.len();
    channel.until_status(order_id, "ready").await;
    let orders = channel.seen[from..]
        .iter()
        .map(|event| &event["data"]["order"]);
    orders
        .filter(|order| order["id"] == order_id)
        .map(|order| text(&order["status"]))
        .collect()
}

fn assert_prev_is_the_one_before(seen: &[Value]) {
    for pair in seen.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["seq"], "{pair:?}");
    }
}

async fn assert_one_acknowledged_attempt(expediter: &Expediter, order_id: &str) {
    let handoffs = expediter.handoffs(order_id).await;
    assert_eq!(handoffs.len(), 1, "{handoffs:?}");
    assert_eq!(
        (&handoffs[0]["event"], &handoffs[0]["state"]),
        (&json!("order.placed"), &json!("acknowledged"))
    );
    let attempts = handoffs[0]["attempts"]
        .as_array()
        .expect("a list of attempts");
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[0]["status"]),
        (&json!("acknowledged"), &json!(200))
    );
}

async fn assert_audit_is_clean(expediter: &Expediter) {
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}\n{}", audit.stdout, audit.stderr);
}

struct Metrics {
    placed: f64,
    acknowledged: f64,
    callbacks: f64,
}

impl Metrics {
    async fn of(expediter: &Expediter) -> Self {
        let answer = expediter
            .request(Method::GET, "/metrics")
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("a text");
        assert!(text.contains("\nexpediter_build_info{version=\""), "{text}");
        let sum = |begins: &str| {
            let lines = text.lines().filter(|line| line.starts_with(begins));
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        Self {
            placed: sum("expediter_orders_placed_total"),
            acknowledged: sum("expediter_handoff_attempts_total{outcome=\"acknowledged\"}"),
            callbacks: sum("expediter_callbacks_total{result=\"applied\"}"),
        }
    }
}
