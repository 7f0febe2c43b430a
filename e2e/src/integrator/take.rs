//! Handles `POST /orders` at the test's integrator.

use std::{future::pending, sync::Arc};

use courier::SignatureHeaders;
use poem::{
    Endpoint, EndpointExt, IntoResponse, Request, Response, Route, handler,
    http::StatusCode,
    post,
    web::{Data, Json},
};
use serde_json::{Value, json};

use super::{Inner, Mood, Received};

pub(super) fn routes(inner: Arc<Inner>) -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/orders", post(take))
        .data(inner)
        .map_to_response()
}

#[handler]
async fn take(Data(inner): Data<&Arc<Inner>>, request: &Request, body: poem::Body) -> Response {
    let body = body.into_vec().await.unwrap_or_default();
    let read: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    let received = Received {
        webhook_id: header("webhook-id"),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect(),
        attempt: header("expediter-attempt"),
        idempotency_key: header("idempotency-key"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        event: read["event"].as_str().unwrap_or_default().to_owned(),
        order_id: order_id(&read),
        is_signed: is_signed(inner, request, &body),
        at: inner.clock.now(),
        met: Mood::Fine,
        body,
    };
    let (met, is_newer) = inner.meet(received);
    let _open = Open::count(inner);
    let callback_url = read["callback_url"].as_str().unwrap_or_default().to_owned();
    let order_id = order_id(&read);
    if let Mood::Answers(status) = met {
        let status = StatusCode::from_u16(status).expect("a test answers with a status");
        return Json(json!({"error": "in no mood"}))
            .with_status(status)
            .into_response();
    }
    if met == Mood::Silent {
        pending::<()>().await;
    }
    let goes_on = Arc::clone(inner);
    let reference = format!("T-{order_id}");
    // A separate task: the order is prepared even if the sender stops waiting for the response.
    let answered = tokio::spawn(async move {
        if let Mood::Slow(time) = met {
            tokio::time::sleep(time).await;
        }
        if is_newer {
            tokio::spawn(goes_on.call_back(callback_url, order_id));
        }
    });
    answered.await.expect("taking an order does not panic");
    Json(json!({"reference": reference})).into_response()
}

/// Counts an open request until dropped, also if the sender disconnects and the handler is dropped.
struct Open<'i>(&'i Inner);

impl<'i> Open<'i> {
    fn count(inner: &'i Inner) -> Self {
        let mut memory = inner.memory.lock();
        memory.open += 1;
        memory.peak = memory.peak.max(memory.open);
        Self(inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.memory.lock().open -= 1;
    }
}

/// Returns the order's id, in either format of the body.
fn order_id(read: &Value) -> String {
    let order = &read["order"];
    let id = order["id"].as_str().or(order["foreign_order_id"].as_str());
    id.unwrap_or_default().to_owned()
}

impl Inner {
    /// Records a request; returns its mood, and true if it places an order that was not known.
    fn meet(&self, mut received: Received) -> (Mood, bool) {
        let mut memory = self.memory.lock();
        let mood = memory.next.pop_front().unwrap_or(memory.then);
        received.met = mood;
        let is_taken = !matches!(mood, Mood::Answers(_) | Mood::Silent);
        let mut is_newer = false;
        if is_taken && received.event == "order.placed" {
            is_newer = memory.taken.insert(received.order_id.clone());
        }
        if is_taken && received.event == "order.cancelled" {
            memory.cancelled.insert(received.order_id.clone());
        }
        memory.received.push(received);
        (mood, is_newer)
    }
}

fn is_signed(inner: &Inner, request: &Request, body: &[u8]) -> bool {
    let header = |name| request.header(name).unwrap_or_default();
    let headers = SignatureHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let verified = inner
        .secrets()
        .signing
        .verify(headers, body, inner.clock.now());
    verified.is_ok()
}
