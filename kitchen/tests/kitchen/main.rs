//! Tests of the kitchen from outside: signed handoffs in, signed callbacks out.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "signatures are checked against the kitchen's own clock"
)]

mod journal; // restarts
mod metrics; // GET /metrics

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use chrono::Utc;
use kitchen::{Kitchen, KitchenSettings, Secret};
use poem::{
    Endpoint, EndpointExt, Request, Response, Route, Server,
    http::{Method, StatusCode},
    listener::{Acceptor, Listener, TcpListener},
    post,
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

const SIGNING: &str = "whsec_c2lnbmluZy1zZWNyZXQtb2YtMzItYnl0ZXMtbG9uZyE=";
const CALLBACK: &str = "whsec_Y2FsbGJhY2stc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmc=";
const DEADLINE: Duration = Duration::from_secs(10);

fn secret(text: &str) -> Secret {
    text.parse().unwrap()
}

fn quick() -> KitchenSettings {
    KitchenSettings {
        step: Duration::from_millis(5),
        slow_answer: Duration::from_millis(5),
        first_retry: Duration::from_millis(5),
        callback_tries: 3,
        ..KitchenSettings::new(secret(SIGNING), secret(CALLBACK))
    }
}

fn handoff(event: &str, order_id: &str, callback_url: &str) -> Vec<u8> {
    json!({
        "event": event, "callback_url": callback_url, "new_field": {"unknown": true},
        "order": {
            "id": order_id, "number": "17", "another": 1,
            "items": [{"id": "i", "name": "Espresso", "quantity": "2", "unit_price": "2.50"}],
        },
    })
    .to_string()
    .into_bytes()
}

fn signed(webhook_id: &str, body: Vec<u8>, sent_s: i64, signature: String) -> Request {
    Request::builder()
        .method(Method::POST)
        .uri("/orders".parse().unwrap())
        .header("webhook-id", webhook_id)
        .header("webhook-timestamp", sent_s)
        .header("webhook-signature", signature)
        .header("expediter-attempt", "1/5")
        .body(body)
}

async fn hand_over(kitchen: &Kitchen, webhook_id: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let now_s = Utc::now().timestamp();
    let signature = secret(SIGNING).sign(webhook_id, now_s, &body).unwrap();
    answer_of(kitchen, signed(webhook_id, body, now_s, signature)).await
}

async fn answer_of(kitchen: &Kitchen, request: Request) -> (StatusCode, Value) {
    let response = kitchen.routes().get_response(request).await;
    let status = response.status();
    (
        status,
        response.into_body().into_json().await.unwrap_or_default(),
    )
}

async fn board(kitchen: &Kitchen) -> Value {
    let request = Request::builder().uri("/board".parse().unwrap()).finish();
    answer_of(kitchen, request).await.1
}

async fn set_mode(kitchen: &Kitchen, mode: Value) -> StatusCode {
    let request = Request::builder()
        .method(Method::PUT)
        .uri("/mode".parse().unwrap())
        .content_type("application/json")
        .body(mode.to_string());
    answer_of(kitchen, request).await.0
}

/// Receives callbacks on loopback, checks their signatures, and responds with a configurable status.
struct Receiver {
    url: String,
    answers_with: Arc<AtomicU16>,
    callbacks: mpsc::UnboundedReceiver<(String, Value)>,
    server: JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Self {
        let (sender, callbacks) = mpsc::unbounded_channel();
        let answers_with = Arc::new(AtomicU16::new(202));
        let status = answers_with.clone();
        let endpoint = poem::endpoint::make(move |mut request: Request| {
            let (sender, status) = (sender.clone(), status.clone());
            async move {
                let body = request.take_body().into_bytes().await.unwrap();
                secret(CALLBACK).verify(request.headers(), &body).unwrap();
                let callback = (
                    request.header("webhook-id").unwrap().to_owned(),
                    serde_json::from_slice(&body).unwrap(),
                );
                let _ = sender.send(callback);
                let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
                Response::builder().status(status).finish()
            }
        });
        let acceptor = TcpListener::bind("127.0.0.1:0")
            .into_acceptor()
            .await
            .unwrap();
        let address = acceptor.local_addr()[0]
            .as_socket_addr()
            .unwrap()
            .to_string();
        let routes = Route::new().at("/callbacks", post(endpoint.boxed()));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor)
                .run(routes)
                .await
                .unwrap();
        });
        let url = format!("http://{address}/callbacks");
        Self {
            url,
            answers_with,
            callbacks,
            server,
        }
    }

    async fn next(&mut self) -> (String, Value) {
        timeout(DEADLINE, self.callbacks.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn cooking(kitchen: &Kitchen) -> JoinHandle<()> {
    let kitchen = kitchen.clone();
    tokio::spawn(async move { kitchen.run(std::future::pending()).await })
}

#[tokio::test]
async fn an_order_is_accepted_then_prepared_then_ready_with_a_signed_callback_for_each() {
    let mut receiver = Receiver::start().await;
    let kitchen = Kitchen::new(quick()).unwrap();
    let cooking = cooking(&kitchen);

    let answer = hand_over(
        &kitchen,
        "msg_1",
        handoff("order.placed", "o1", &receiver.url),
    )
    .await;
    assert_eq!(answer, (StatusCode::OK, json!({"reference": "K-17"})));

    let mut callbacks = [receiver.next().await, receiver.next().await];
    assert_ne!(callbacks[0].0, callbacks[1].0);
    callbacks.sort_by_key(|(_, callback)| callback["sequence"].as_u64());
    for ((_, callback), (status, sequence)) in
        callbacks.iter().zip([("preparing", 1), ("ready", 2)])
    {
        assert_eq!(callback["order_id"], "o1");
        assert_eq!(callback["status"], status);
        assert_eq!(callback["sequence"], sequence);
        assert!(callback["occurred_at"].is_string());
    }
    let board = board(&kitchen).await;
    assert_eq!(board["orders"][0]["state"], "ready");
    assert_eq!(
        board["orders"][0]["items"][0],
        json!({"name": "Espresso", "quantity": "2"})
    );
    assert_eq!(board["attempts"][0]["attempt"], "1/5");
    cooking.abort();
}

#[tokio::test]
async fn the_same_webhook_id_again_changes_nothing_and_gets_the_same_answer() {
    let kitchen = Kitchen::new(quick()).unwrap();
    let first = hand_over(&kitchen, "msg_1", handoff("order.placed", "o1", "")).await;
    let again = hand_over(&kitchen, "msg_1", handoff("order.placed", "o1", "")).await;
    assert_eq!(first, again);
    let board = board(&kitchen).await;
    assert_eq!(board["orders"].as_array().unwrap().len(), 1);
    assert_eq!(board["duplicates"], 1);
    assert_eq!(board["attempts"][0]["outcome"], "duplicate");
}

#[tokio::test]
async fn a_handoff_without_a_good_signature_is_refused_and_never_cooked() {
    let kitchen = Kitchen::new(quick()).unwrap();
    let body = handoff("order.placed", "o1", "");
    let now_s = Utc::now().timestamp();
    let old_s = now_s - 301;
    let forged = secret(CALLBACK).sign("msg_1", now_s, &body).unwrap();
    let stale = secret(SIGNING).sign("msg_1", old_s, &body).unwrap();
    let unsigned = Request::builder()
        .method(Method::POST)
        .uri("/orders".parse().unwrap())
        .body(body.clone());

    for request in [
        signed("msg_1", body.clone(), now_s, forged),
        signed("msg_1", body.clone(), old_s, stale),
        unsigned,
    ] {
        assert_eq!(
            answer_of(&kitchen, request).await.0,
            StatusCode::UNAUTHORIZED
        );
    }
    let board = board(&kitchen).await;
    assert_eq!(board["orders"], json!([]));
    assert_eq!(board["attempts"][0]["outcome"], "bad_signature");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let kitchen = Kitchen::new(quick()).unwrap();
    let answer = hand_over(&kitchen, "msg_1", vec![b' '; 256 * 1024 + 1]).await;
    assert_eq!(answer.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_order_whose_cancellation_overtook_it_is_not_prepared() {
    let kitchen = Kitchen::new(quick()).unwrap();
    let cancelled = hand_over(&kitchen, "msg_1", handoff("order.cancelled", "o1", "")).await;
    assert_eq!(cancelled.0, StatusCode::OK);
    let placed = hand_over(&kitchen, "msg_2", handoff("order.placed", "o1", "")).await;
    assert_eq!(placed.0, StatusCode::OK);
    let board = board(&kitchen).await;
    assert_eq!(board["open"], 0);
    assert_eq!(board["orders"][0]["state"], "cancelled", "{board}");
    assert_eq!(board["attempts"][0]["outcome"], "known_order", "{board}");
}

#[tokio::test]
async fn a_cancelled_order_comes_off_the_board_and_is_not_called_back_about() {
    let mut receiver = Receiver::start().await;
    let kitchen = Kitchen::new(quick()).unwrap();
    hand_over(
        &kitchen,
        "msg_1",
        handoff("order.placed", "o1", &receiver.url),
    )
    .await;
    let answer = hand_over(&kitchen, "msg_2", handoff("order.cancelled", "o1", "")).await;
    assert_eq!(answer.0, StatusCode::OK);
    hand_over(
        &kitchen,
        "msg_3",
        handoff("order.placed", "o2", &receiver.url),
    )
    .await;

    let cooking = cooking(&kitchen);
    assert_eq!(receiver.next().await.1["order_id"], "o2");
    assert_eq!(board(&kitchen).await["orders"][1]["state"], "cancelled");
    cooking.abort();
}

#[tokio::test]
async fn an_event_that_is_no_business_of_a_kitchen_is_answered_200() {
    let kitchen = Kitchen::new(quick()).unwrap();
    let answer = hand_over(
        &kitchen,
        "msg_1",
        br#"{"event":"integrator.test"}"#.to_vec(),
    )
    .await;
    assert_eq!(answer.0, StatusCode::OK);
    let answer = hand_over(&kitchen, "msg_2", b"not JSON".to_vec()).await;
    assert_eq!(answer.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_kitchen_down_for_two_requests_takes_the_third_try_of_the_same_handoff() {
    let kitchen = Kitchen::new(quick()).unwrap();
    let mode = json!({"mode": "down", "for_requests": 2});
    assert_eq!(set_mode(&kitchen, mode).await, StatusCode::OK);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = hand_over(&kitchen, "msg_1", handoff("order.placed", "o1", "")).await;
        statuses.push(answer.0.as_u16());
    }
    assert_eq!(statuses, [503, 503, 200]);
    let board = board(&kitchen).await;
    assert_eq!(board["mode"], "fine");
    assert_eq!(board["duplicates"], 0);
}

#[tokio::test]
async fn a_slow_kitchen_takes_the_order_before_it_answers() {
    let settings = KitchenSettings {
        slow_answer: Duration::from_secs(3600),
        ..quick()
    };
    let kitchen = Kitchen::new(settings).unwrap();
    set_mode(&kitchen, json!({"mode": "slow"})).await;
    let caller = tokio::spawn({
        let kitchen = kitchen.clone();
        async move { hand_over(&kitchen, "msg_1", handoff("order.placed", "o1", "")).await }
    });
    let shown = timeout(DEADLINE, async {
        loop {
            let board = board(&kitchen).await;
            if board["orders"] != json!([]) {
                return board;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(shown.await.unwrap()["attempts"][0]["slowly"], true);
    assert!(!caller.is_finished());
    caller.abort();
}

#[tokio::test]
async fn in_the_mode_twice_each_callback_comes_twice_under_one_webhook_id() {
    let mut receiver = Receiver::start().await;
    let kitchen = Kitchen::new(quick()).unwrap();
    set_mode(&kitchen, json!({"mode": "twice"})).await;
    let cooking = cooking(&kitchen);
    hand_over(
        &kitchen,
        "msg_1",
        handoff("order.placed", "o1", &receiver.url),
    )
    .await;

    let mut came = Vec::new();
    for _ in 0..4 {
        let (webhook_id, callback) = receiver.next().await;
        came.push((callback["sequence"].as_u64().unwrap(), webhook_id));
    }
    came.sort();
    assert_eq!(came[0], came[1]);
    assert_eq!(came[2], came[3]);
    assert_ne!(came[1], came[2]);
    cooking.abort();
}

#[tokio::test]
async fn a_failed_callback_is_retried_under_its_webhook_id_and_then_given_up() {
    let mut receiver = Receiver::start().await;
    receiver.answers_with.store(503, Ordering::SeqCst);
    let settings = KitchenSettings {
        step: Duration::from_millis(200),
        ..quick()
    };
    let kitchen = Kitchen::new(settings).unwrap();
    let cooking = cooking(&kitchen);
    hand_over(
        &kitchen,
        "msg_1",
        handoff("order.placed", "o1", &receiver.url),
    )
    .await;

    let mut came = Vec::new();
    while came.len() < 6 {
        let (webhook_id, callback) = receiver.next().await;
        came.push((callback["sequence"].as_u64().unwrap(), webhook_id));
    }
    came.sort();
    assert_eq!(
        came[0], came[2],
        "three attempts of the first, one webhook-id"
    );
    assert_eq!(
        came[3], came[5],
        "three attempts of the second, one webhook-id"
    );
    let given_up = timeout(DEADLINE, async {
        while board(&kitchen).await["orders"][0]["callbacks"][1]["state"] != "given_up" {
            tokio::task::yield_now().await;
        }
    });
    given_up.await.unwrap();
    cooking.abort();
}

#[tokio::test]
async fn a_refused_callback_is_final() {
    let mut receiver = Receiver::start().await;
    receiver.answers_with.store(404, Ordering::SeqCst);
    let kitchen = Kitchen::new(quick()).unwrap();
    let cooking = cooking(&kitchen);
    hand_over(
        &kitchen,
        "msg_1",
        handoff("order.placed", "o1", &receiver.url),
    )
    .await;

    receiver.next().await;
    receiver.next().await;
    let refused = timeout(DEADLINE, async {
        while board(&kitchen).await["orders"][0]["callbacks"][1]["state"] != "refused" {
            tokio::task::yield_now().await;
        }
    });
    refused.await.unwrap();
    assert_eq!(
        board(&kitchen).await["orders"][0]["callbacks"][0]["tries"],
        1
    );
    cooking.abort();
}
