//! A server that records the requests it gets, and answers each as the test says.

use std::{collections::VecDeque, net::TcpListener, sync::Arc};

use e2e::until;
use parking_lot::Mutex;
use poem::{
    EndpointExt, IntoResponse, Request, Response, Route, Server, handler,
    http::StatusCode,
    listener::TcpAcceptor,
    post,
    web::{Data, Json},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A running recorder; dropping it stops the server.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) url: String,
    memory: Arc<Memory>,
    server: JoinHandle<()>,
}

#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Memory {
    recorded: Mutex<Vec<Recorded>>,
    /// Statuses of the next answers; later ones are 200.
    next: Mutex<VecDeque<u16>>,
}

impl Recorder {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let memory = Arc::new(Memory::default());
        let routes = Route::new()
            .at("/orders", post(record))
            .data(Arc::clone(&memory));
        let acceptor = TcpAcceptor::from_std(listener).expect("it is non-blocking");
        let server = tokio::spawn(async move {
            let served = Server::new_with_acceptor(acceptor).run(routes);
            served.await.expect("the server runs until it is dropped");
        });
        Self {
            url: format!("http://{address}/orders"),
            memory,
            server,
        }
    }

    pub(super) fn answer_next(&self, status: u16) {
        self.memory.next.lock().push_back(status);
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.memory.recorded.lock().clone()
    }

    /// Waits for the first request that fits.
    pub(super) async fn wait_for(&self, what: &str, fits: impl Fn(&Recorded) -> bool) -> Recorded {
        until(what, || {
            let found = self.all().into_iter().find(&fits);
            async { found }
        })
        .await
    }

    /// Waits for the first message of an event.
    pub(super) async fn wait_for_event(&self, event: &str) -> Recorded {
        self.wait_for(event, |one| one.json()["event"] == event)
            .await
    }
}

impl Recorded {
    pub(super) fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[handler]
async fn record(Data(memory): Data<&Arc<Memory>>, request: &Request, body: poem::Body) -> Response {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let headers = headers.collect();
    let body = body.into_vec().await.unwrap_or_default();
    memory.recorded.lock().push(Recorded { headers, body });
    let status = memory.next.lock().pop_front().unwrap_or(200);
    Json(json!({"reference": "K-1041"}))
        .with_status(StatusCode::from_u16(status).expect("a test answers with a status"))
        .into_response()
}
