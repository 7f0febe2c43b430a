//! A courier inside the test, in the place of the real one: takes deliveries and reports each step by a signed callback.

use std::{net::TcpListener, sync::Arc, time::Duration};

use courier::{Secret, SignatureHeaders};
use parking_lot::Mutex;
use platform::clock::Clock;
use poem::{
    Endpoint, EndpointExt, IntoResponse, Request, Response, Route, Server, handler,
    http::StatusCode,
    listener::TcpAcceptor,
    post,
    web::{Data, Json},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Token that a sign-in answers with.
const TOKEN: &str = "token-of-the-courier";
/// Delay between two tries of a callback.
const PAUSE: Duration = Duration::from_millis(50);
const STEPS: [&str; 5] = [
    "AT_ORIGIN",
    "EN_ROUTE_OF_DELIVERY",
    "NOT_DELIVERED",
    "EN_ROUTE_OF_DELIVERY",
    "DELIVERED",
];

/// A running courier; dropping it stops the server.
#[derive(Debug)]
pub struct Courier {
    /// URL below which it takes sign-ups, sign-ins, registrations and deliveries.
    pub url: String,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Memory {
    credentials: Option<Value>,
    /// Secrets of messages to it, and of its callbacks.
    secrets: Option<(Secret, Secret)>,
    orders: Vec<String>,
}

type Shared = Arc<Mutex<Memory>>;

impl Courier {
    /// Starts the server.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let acceptor = TcpAcceptor::from_std(listener).expect("it is non-blocking");
        let server = tokio::spawn(async move {
            let served = Server::new_with_acceptor(acceptor).run(routes());
            served.await.expect("the server runs until it is dropped");
        });
        Self {
            url: format!("http://{address}"),
            server,
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn routes() -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/signup", post(sign_up))
        .at("/signin", post(sign_in))
        .at("/webhooks", post(register))
        .at("/deliveries", post(deliver))
        .data(Shared::default())
        .map_to_response()
}

#[handler]
fn sign_up(Data(memory): Data<&Shared>, Json(credentials): Json<Value>) -> Response {
    memory.lock().credentials = Some(credentials);
    StatusCode::CREATED.into_response()
}

#[handler]
fn sign_in(Data(memory): Data<&Shared>, Json(credentials): Json<Value>) -> Response {
    if memory.lock().credentials.as_ref() != Some(&credentials) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(json!({"token": TOKEN})).into_response()
}

#[handler]
fn register(
    Data(memory): Data<&Shared>,
    request: &Request,
    Json(webhook): Json<Value>,
) -> Response {
    let secret = |name: &str| -> Option<Secret> {
        webhook[name].as_str().and_then(|text| text.parse().ok())
    };
    let secrets = secret("signing_secret").zip(secret("callback_secret"));
    if !has_token(request) || secrets.is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    memory.lock().secrets = secrets;
    StatusCode::CREATED.into_response()
}

/// Takes a delivery, once for each order, and answers as seed 004's delivery service does.
#[handler]
async fn deliver(Data(memory): Data<&Shared>, request: &Request, body: poem::Body) -> Response {
    let body = body.into_vec().await.unwrap_or_default();
    let Some((signing, callback)) = memory.lock().secrets.clone() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let header = |name| request.header(name).unwrap_or_default();
    let headers = SignatureHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    if !has_token(request)
        || signing
            .verify(headers, &body, Clock::system().now())
            .is_err()
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let order = text(&message["order"]["foreign_order_id"]);
    let number = {
        let mut memory = memory.lock();
        let known = memory.orders.iter().position(|one| *one == order);
        known.unwrap_or_else(|| {
            tokio::spawn(report(
                text(&message["callback_url"]),
                order.clone(),
                callback,
            ));
            memory.orders.push(order);
            memory.orders.len() - 1
        })
    };
    let answer =
        json!({"code": "created", "message": "", "data": {"tracking_number": 41 + number}});
    Json(answer)
        .with_status(StatusCode::CREATED)
        .into_response()
}

fn has_token(request: &Request) -> bool {
    request.header("authorization") == Some(&format!("Bearer {TOKEN}"))
}

/// Reports each step, one after the other, each until it is taken.
async fn report(url: String, order: String, secret: Secret) {
    let client = crate::client();
    for (status, sequence) in STEPS.into_iter().zip(1_u32..) {
        let body = json!({
            "order_id": order, "sequence": sequence, "occurred_at": Clock::system().now(), "delivery": {"status": status},
        });
        let body = body.to_string();
        let id = format!("step_{order}_{sequence}");
        loop {
            let timestamp_s = Clock::system().now().timestamp();
            let request = client
                .post(&url)
                .header("content-type", "application/json")
                .header("webhook-id", &id)
                .header("webhook-timestamp", timestamp_s)
                .header(
                    "webhook-signature",
                    secret.sign(&id, timestamp_s, body.as_bytes()),
                )
                .body(body.clone());
            let answer = request.send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::ACCEPTED.as_u16()) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
