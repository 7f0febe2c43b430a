//! A guest who wants to hurt others with one table's code: the memory of the process stays bounded.

use std::time::Duration;

use e2e::{Expediter, Integrator, Launch, Shop};
use futures_util::{SinkExt, future::join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Unfinished orders that a session may have; the default of `limits.unfinished_orders_per_session`.
const UNFINISHED: usize = 200;
const LINES: usize = 100;
/// Bytes that each answer may have: the default of `limits.snapshot_bytes`, and what stands around the orders.
const ANSWER_BYTES: usize = (512 << 10) + (64 << 10);
/// Sockets that do not read.
const SOCKETS: usize = 120;
/// Growth of the process's memory that the attack may cause. Without bounds it was some GiB.
const GROWTH_KIB: u64 = 200 << 10;

type Socket = WebSocketStream<TcpStream>;

/// Opens a socket with a small receive buffer, which nobody reads.
async fn open_unread(expediter: &Expediter, path: &str) -> Socket {
    let address = expediter.url.trim_start_matches("http://");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let tcp = socket.connect(address.parse().expect("an address")).await;
    let request = format!("ws://{address}{path}").into_client_request();
    let opened = client_async(request.expect("a request"), tcp.expect("a connection")).await;
    opened.expect("the server takes the socket").0
}

/// Returns an order of many lines, with as much text as is allowed and as long as possible in JSON.
fn long_order(shop: &Shop, more: usize) -> Value {
    let note = |bytes: usize| "\u{1}".repeat(bytes);
    let mut items: Vec<Value> = (0..LINES)
        .map(|_| json!({"product_id": shop.espresso, "note": note(8192 / LINES)}))
        .collect();
    items[0]["note"] = json!(note(8192 / LINES + 8192 % LINES + more));
    json!({ "items": items })
}

/// Places an order with a guest key of its own; returns the status and the answer.
async fn place(expediter: &Expediter, path: &str, key: usize, order: &Value) -> (u16, Value) {
    let request = expediter
        .request(Method::POST, path)
        .header("Expediter-Guest", format!("a guest's invented key {key}"));
    expediter.answer(request.json(order)).await
}

/// Reads a path as a guest; returns the length of the answer.
async fn length(expediter: &Expediter, path: &str) -> usize {
    let answer = expediter.request(Method::GET, path).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.bytes().await.expect("a whole body").len()
}

async fn start(launch: Launch) -> (Expediter, Integrator, Shop) {
    let integrator = Integrator::start(launch.clock());
    let launch = launch
        .unset("limits.unfinished_orders_per_session")
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#);
    let expediter = launch.start().await;
    let shop = Shop::open(&expediter, &integrator, 10).await;
    (expediter, integrator, shop)
}

e2e::each_ground! {
    async fn a_guest_with_one_tables_code_fills_nobodys_memory(ground: Ground) {
        let (expediter, _integrator, shop) = start(ground.launch()).await;
        let orders = shop.guests_path();
        let session = format!("/api/v1/sessions/{}", shop.session_code);
        let before = expediter.memory_kib("VmRSS");

        // One byte more than fits is refused, wherever it stands.
        let (status, problem) = place(&expediter, &orders, 0, &long_order(&shop, 1)).await;
        assert_eq!((status, &problem["limit_bytes"]), (422, &json!(8192)), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], format!("/items/{}/note", LINES - 1));
        for at in (0..UNFINISHED).step_by(20) {
            let order = long_order(&shop, 0);
            let placed = join_all((at..at + 20).map(|key| place(&expediter, &orders, key, &order)));
            for (status, answer) in placed.await {
                assert_eq!(status, 201, "{answer}");
            }
        }
        for path in [orders.clone(), spelled(&orders)] {
            let (status, problem) = place(&expediter, &path, 7, &long_order(&shop, 0)).await;
            assert_eq!((status, &problem["reason"]), (429, &json!("too_many_orders")), "{problem}");
            assert_eq!(problem["limit"], UNFINISHED);
        }

        // Sockets of guests and of staff that ask much and read nothing.
        let channel = format!("/ws/sessions/{}", shop.session_code);
        let guests = join_all((0..SOCKETS).map(|_| open_unread(&expediter, &channel)));
        let mut guests = guests.await;
        let mut screens = Vec::new();
        for _ in 0..10 {
            let ticket = json!({"store_id": shop.store_id});
            let ticket = expediter.create("/api/v1/live-tickets", &ticket).await;
            let path = format!("/ws/stores/{}?ticket={}", shop.store_id, e2e::text(&ticket["ticket"]));
            screens.push(open_unread(&expediter, &path).await);
        }
        for socket in &mut guests {
            for key in 0..15 {
                let say = Message::text(format!(r#"{{"type":"guest","key":"another invented key {key}"}}"#));
                // The server stops reading, and closes in the end.
                let _ = timeout(Duration::from_millis(5), socket.send(say)).await;
            }
        }
        for _ in 0..5 {
            let lengths = join_all((0..20).map(|_| length(&expediter, &session))).await;
            assert!(lengths.iter().all(|length| *length <= ANSWER_BYTES), "{lengths:?}");
        }
        let events = length(&expediter, &format!("{session}/events?limit=100")).await;
        assert!(events <= 2 * ANSWER_BYTES, "{events}");
        // Each order that ends is an event for all who do not read.
        let page = expediter.read(&format!("/api/v1/orders?store_id={}&limit=5", shop.store_id)).await;
        for order in page["items"].as_array().expect("a page has items") {
            let path = format!("/api/v1/orders/{}?reason=gone", e2e::text(&order["id"]));
            let (status, answer) = expediter.answer(expediter.by_operator(Method::DELETE, &path)).await;
            assert_eq!(status, 200, "{answer}");
        }
        let close = expediter.by_operator(Method::POST, &format!("{session}/close"));
        let closed = close.send().await.expect("an answer").bytes().await.expect("a whole body");
        assert!(closed.len() <= ANSWER_BYTES, "{}", closed.len());
        let closed: Value = serde_json::from_slice(&closed).expect("JSON");
        let shown = closed["unfinished"].as_array().expect("a list").len();
        assert!(closed["unfinished_count"].as_u64() > Some(shown as u64), "{shown} are shown");

        let most = expediter.memory_kib("VmHWM");
        assert!(most < before + GROWTH_KIB, "from {before} to {most} KiB");
        drop((guests, screens));
    }

    async fn one_table_orders_only_so_often_whatever_its_guests_call_themselves(ground: Ground) {
        let launch = ground.launch().set("rate_limits.session_orders_per_minute", 5);
        let (expediter, _integrator, shop) = start(launch).await;
        let orders = shop.guests_path();
        for key in 0..5 {
            let path = if key % 2 == 0 { orders.clone() } else { spelled(&orders) };
            let (status, answer) = place(&expediter, &path, key, &shop.espresso_order()).await;
            assert_eq!(status, 201, "{answer}");
        }
        let (status, problem) = place(&expediter, &format!("{orders}?code=1"), 9, &shop.espresso_order()).await;
        assert_eq!((status, &problem["reason"]), (422, &json!("validation_failed")), "{problem}");
        for path in [orders.clone(), spelled(&orders)] {
            let (status, problem) = place(&expediter, &path, 9, &shop.espresso_order()).await;
            assert_eq!((status, &problem["reason"]), (429, &json!("rate_limited")), "{problem}");
            assert_eq!((&problem["field"], &problem["limit_per_minute"]), (&json!("session"), &json!(5)));
        }
        let upper = orders.replace(&shop.session_code, &shop.session_code.to_uppercase());
        let (status, _) = place(&expediter, &upper, 1, &shop.espresso_order()).await;
        assert_eq!(status, 404, "a code has lower-case digits only");
    }
}

/// Returns the path with the first digit of its code percent-encoded.
fn spelled(path: &str) -> String {
    let (before, code) = path.split_once("sessions/").expect("a session's path");
    let first = code.as_bytes()[0];
    format!("{before}sessions/%{first:02X}{}", &code[1..])
}
