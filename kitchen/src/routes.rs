//! HTTP routes of the kitchen: receive orders, show the board and the metrics, set the mode.

use chrono::{DateTime, Utc};
use poem::{
    Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler,
    http::{HeaderMap, StatusCode},
    post,
    web::{Data, Json},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    board::{self, Unreadable},
    handoff::Handoff,
    kitchen::{Kitchen, now},
    mode::{Behaviour, Mode},
    ticket::{ReceivedRequest, Ticket},
};

const BODY_LIMIT_BYTES: usize = 256 * 1024;

impl Kitchen {
    /// Returns the routes `POST /orders`, `GET /board`, `GET` and `PUT /mode` and `GET /metrics`, to be nested under any
    /// path.
    ///
    /// All but the orders need no authentication, because this kitchen is for trying things out.
    pub fn routes(&self) -> impl Endpoint<Output = Response> + 'static + use<> {
        Route::new()
            .at("/orders", post(take_order))
            .at("/board", get(show_board))
            .at("/mode", get(show_mode).put(set_mode))
            .at("/metrics", get(show_metrics))
            .data(self.clone())
            .map_to_response()
    }
}

#[handler]
async fn take_order(
    Data(kitchen): Data<&Kitchen>,
    request: &Request,
    body: poem::Body,
) -> Response {
    let received = board::Request {
        webhook_id: header(request.headers(), "webhook-id")
            .unwrap_or_default()
            .to_owned(),
        attempt: header(request.headers(), "expediter-attempt").map(str::to_owned),
        reading: read(kitchen, request.headers(), body).await,
    };
    let (answer, behaviour) = kitchen.receive(received);
    if behaviour == Behaviour::Slow {
        tokio::time::sleep(kitchen.settings().slow_answer).await;
    }
    let status = StatusCode::from_u16(answer.status).expect("the board returns valid statuses");
    Json(answer.body).with_status(status).into_response()
}

async fn read(
    kitchen: &Kitchen,
    headers: &HeaderMap,
    body: poem::Body,
) -> Result<Handoff, Unreadable> {
    let body = body
        .into_bytes_limit(BODY_LIMIT_BYTES)
        .await
        .map_err(|_| Unreadable::TooLarge)?;
    let secret = &kitchen.settings().signing_secret;
    secret.verify(headers, &body).map_err(|error| {
        tracing::warn!(%error, "handoff refused: invalid signature");
        Unreadable::BadSignature
    })?;
    Handoff::parse(&body).map_err(|_| Unreadable::Malformed)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .filter(|value| !value.is_empty())
}

#[derive(Serialize)]
struct ShownBoard<'a> {
    now: DateTime<Utc>,
    #[serde(flatten)]
    mode: Mode,
    /// Orders in preparation, including those that are not shown.
    open: usize,
    duplicates: u64,
    orders: Vec<&'a Ticket>,
    attempts: Vec<&'a ReceivedRequest>,
}

#[handler]
fn show_board(Data(kitchen): Data<&Kitchen>) -> Response {
    let board = kitchen.board();
    Json(ShownBoard {
        now: now(),
        mode: board.mode(),
        open: board.open(),
        duplicates: board.duplicates(),
        orders: board.tickets().collect(),
        attempts: board.seen().iter().collect(),
    })
    .with_header("cache-control", "no-store")
    .into_response()
}

#[handler]
fn show_metrics(Data(kitchen): Data<&Kitchen>) -> Response {
    match kitchen.metrics().text(&kitchen.board()) {
        Ok(text) => Response::builder()
            .content_type("text/plain; version=0.0.4")
            .body(text),
        Err(error) => {
            tracing::error!(%error, "writing the metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[handler]
fn show_mode(Data(kitchen): Data<&Kitchen>) -> Json<Mode> {
    Json(kitchen.board().mode())
}

#[handler]
fn set_mode(Data(kitchen): Data<&Kitchen>, Json(mode): Json<Mode>) -> Response {
    match mode.checked() {
        Ok(mode) => {
            kitchen.board().set_mode(mode);
            Json(mode).into_response()
        }
        Err(error) => Json(json!({ "error": error.to_string() }))
            .with_status(StatusCode::UNPROCESSABLE_ENTITY)
            .into_response(),
    }
}
