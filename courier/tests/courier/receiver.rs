//! A receiver of updates on loopback: checks their signatures, keeps them, and answers as it is told.

use std::sync::Arc;

use courier::SignatureHeaders;
use parking_lot::Mutex;
use poem::{
    EndpointExt, Request, Response, Route, Server,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
    post,
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use crate::{CALLBACK, DEADLINE, secret};

/// One request that a receiver got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    pub(crate) webhook_id: String,
    pub(crate) body: Value,
}

impl Update {
    pub(crate) fn status(&self) -> &str {
        self.body["delivery"]["status"].as_str().unwrap()
    }

    pub(crate) fn order(&self) -> &str {
        self.body["order_id"].as_str().unwrap()
    }
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    /// Status of the answers; 0 never answers.
    answers_with: Arc<Mutex<u16>>,
    got: watch::Receiver<Vec<Update>>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let (sender, got) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        let answers_with = Arc::new(Mutex::new(202));
        let status = answers_with.clone();
        let endpoint = poem::endpoint::make(move |mut request: Request| {
            let (sender, status) = (sender.clone(), status.clone());
            async move {
                let body = request.take_body().into_bytes().await.unwrap();
                let headers = SignatureHeaders {
                    id: request.header("webhook-id").unwrap(),
                    timestamp: request.header("webhook-timestamp").unwrap(),
                    signature: request.header("webhook-signature").unwrap(),
                };
                let sent_s: i64 = headers.timestamp.parse().unwrap();
                let sent = chrono::DateTime::from_timestamp(sent_s, 0).unwrap();
                secret(CALLBACK).verify(headers, &body, sent).unwrap();
                let update = Update {
                    webhook_id: headers.id.to_owned(),
                    body: serde_json::from_slice(&body).unwrap(),
                };
                sender.send_modify(|got| got.push(update));
                let status = *status.lock();
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                Response::builder()
                    .status(StatusCode::from_u16(status).unwrap())
                    .finish()
            }
        });
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await;
        let acceptor = acceptor.unwrap();
        let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
        let routes = Route::new().at("/updates", post(endpoint.boxed()));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor)
                .run(routes)
                .await
                .unwrap();
        });
        Self {
            url: format!("http://{address}/updates"),
            answers_with,
            got,
            server,
        }
    }

    pub(crate) fn answer_with(&self, status: u16) {
        *self.answers_with.lock() = status;
    }

    pub(crate) fn got(&self) -> Vec<Update> {
        self.got.borrow().clone()
    }

    /// Returns the statuses that it was told of an order, in the order of arrival.
    pub(crate) fn told_of(&self, order: &str) -> Vec<String> {
        let got = self
            .got()
            .into_iter()
            .filter(|update| update.order() == order);
        got.map(|update| update.status().to_owned()).collect()
    }

    /// Waits until it has got so many requests.
    pub(crate) async fn await_count(&self, count: usize) {
        let mut got = self.got.clone();
        let waited = tokio::time::timeout(DEADLINE, got.wait_for(|got| got.len() >= count));
        waited.await.unwrap().unwrap();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}
