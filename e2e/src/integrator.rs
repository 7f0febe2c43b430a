//! An integrator inside the test: verifies requests, answers according to its mood, calls back, and records everything.

mod callback; // sends `preparing`, then `ready`, until each is accepted
mod take; // verifies, records and answers a handoff

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    net::TcpListener,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use courier::Secret;
use platform::clock::Clock;
use poem::{Server, listener::TcpAcceptor};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::until;

/// A running integrator; dropping it stops the server.
#[derive(Debug)]
pub struct Integrator {
    /// URL for handoffs.
    pub url: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

/// Behaviour towards a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers 200; then prepares the order and calls back.
    Fine,
    /// Answers with this status and ignores the order.
    Answers(u16),
    /// Behaves like `Fine`, but answers after this delay.
    Slow(Duration),
    /// Reads the request and never answers.
    Silent,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    /// All headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    pub webhook_id: String,
    /// The `Expediter-Attempt` header, such as `2/5`.
    pub attempt: String,
    pub event: String,
    pub order_id: String,
    pub body: Vec<u8>,
    pub idempotency_key: String,
    /// `webhook-timestamp` and `webhook-signature`.
    pub timestamp: String,
    pub signature: String,
    pub is_signed: bool,
    pub at: DateTime<Utc>,
    pub met: Mood,
}

/// A sent callback with its response.
#[derive(Clone, Debug)]
pub struct SentCallback {
    pub order_id: String,
    pub status: String,
    pub answered: u16,
    pub answer: Value,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    client: reqwest::Client,
    secrets: OnceLock<Secrets>,
    memory: Mutex<Memory>,
}

#[derive(Clone)]
struct Secrets {
    signing: Secret,
    callback: Secret,
}

#[derive(Debug)]
struct Memory {
    next: VecDeque<Mood>,
    then: Mood,
    /// Number of times that each callback is sent.
    copies: u32,
    steps: Vec<&'static str>,
    received: Vec<Received>,
    /// Unanswered requests; `peak` is their maximum so far.
    open: usize,
    peak: usize,
    called: Vec<SentCallback>,
    taken: HashSet<String>,
    cancelled: HashSet<String>,
}

impl Integrator {
    /// Starts the server. `clock` must be the clock of the `expediter` under test: it dates signatures.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        let url = format!(
            "http://{}/orders",
            listener.local_addr().expect("it is bound")
        );
        let inner = Arc::new(Inner {
            clock,
            client: crate::expediter::client(),
            secrets: OnceLock::new(),
            memory: Mutex::new(Memory {
                next: VecDeque::new(),
                then: Mood::Fine,
                copies: 1,
                steps: vec!["preparing", "ready"],
                received: Vec::new(),
                open: 0,
                peak: 0,
                called: Vec::new(),
                taken: HashSet::new(),
                cancelled: HashSet::new(),
            }),
        });
        let acceptor = TcpAcceptor::from_std(listener).expect("it is non-blocking");
        let routes = take::routes(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            let served = Server::new_with_acceptor(acceptor).run(routes);
            served.await.expect("the server runs until it is dropped");
        });
        Self { url, inner, server }
    }

    /// Sets the secrets, from the response to `POST /integrators`. May be called once.
    ///
    /// # Panics
    /// If the response has no secrets.
    pub fn set_secrets(&self, created: &Value) {
        let secret = |name: &str| -> Secret {
            let text = created[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name} in {created}"));
            text.parse()
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let secrets = Secrets {
            signing: secret("signing_secret"),
            callback: secret("callback_secret"),
        };
        assert!(
            self.inner.secrets.set(secrets).is_ok(),
            "its secrets were set before"
        );
    }

    /// Sets the moods of the next requests, one each; later ones get the mood set by [`Self::always`], else `Fine`.
    pub fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.inner.memory.lock().next.extend(moods);
    }

    pub fn always(&self, mood: Mood) {
        self.inner.memory.lock().then = mood;
    }

    /// Sends every later callback `copies` times, with the same `webhook-id`.
    pub fn set_callback_copies(&self, copies: u32) {
        self.inner.memory.lock().copies = copies;
    }

    /// Sets the statuses of later callbacks; without any, no callbacks are sent.
    pub fn set_callback_statuses(&self, steps: impl IntoIterator<Item = &'static str>) {
        self.inner.memory.lock().steps = steps.into_iter().collect();
    }

    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.inner.memory.lock().received.clone()
    }

    /// Returns the maximum number of requests that were open at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.inner.memory.lock().peak
    }

    /// Returns the requests of one order, oldest first.
    #[must_use]
    pub fn received_for(&self, order_id: &str) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|one| one.order_id == order_id);
        received
    }

    /// Returns all requests, grouped by `webhook-id`.
    #[must_use]
    pub fn by_webhook_id(&self) -> BTreeMap<String, Vec<Received>> {
        let mut by_id: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        for one in self.received() {
            by_id.entry(one.webhook_id.clone()).or_default().push(one);
        }
        by_id
    }

    #[must_use]
    pub fn called(&self) -> Vec<SentCallback> {
        self.inner.memory.lock().called.clone()
    }

    /// Waits until `count` requests have arrived in total.
    ///
    /// # Panics
    /// If they do not arrive in time.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} requests at the integrator"), || {
            let received = self.received();
            async move { (received.len() >= count).then_some(received) }
        })
        .await
    }

    /// Sends a callback once, signed according to `with`; returns the response's status and body.
    pub async fn call(
        &self,
        url: &str,
        webhook_id: &str,
        body: &Value,
        with: SignedWith,
    ) -> (u16, Value) {
        self.inner
            .call(url, webhook_id, body, with)
            .await
            .unwrap_or_default()
    }
}

/// Signature of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedWith {
    CallbackSecret,
    /// Wrong: the secret for the other direction.
    SigningSecret,
    /// Correct, but ten minutes old.
    OldCallback,
    /// Wrong: signs another body.
    AnotherBody,
}

impl Inner {
    fn secrets(&self) -> &Secrets {
        self.secrets
            .get()
            .expect("the integrator's secrets are set")
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(***)")
    }
}

impl Drop for Integrator {
    fn drop(&mut self) {
        self.server.abort();
    }
}
