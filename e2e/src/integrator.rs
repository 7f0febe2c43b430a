//! An integrator that the test itself is: checks what it is sent, answers as its mood is, calls back, forgets nothing.

mod callback; // preparing, then ready, until each is taken
mod take; // one handoff: checked, remembered, answered

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use kitchen::Secret;
use platform::clock::Clock;
use poem::{Server, listener::TcpAcceptor};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::until;

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Integrator {
    /// Where handoffs are sent.
    pub url: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

/// How one request is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Taken with 200; an order is then prepared, and called back about.
    Fine,
    /// Answered with this status, and forgotten.
    Answers(u16),
    /// Read, and answered only after so long, as if it were fine.
    Slow(Duration),
    /// Read, and never answered.
    Silent,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub webhook_id: String,
    /// `2/5`
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

/// One callback as it was answered.
#[derive(Clone, Debug)]
pub struct Called {
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
    /// How often each callback is sent.
    copies: u32,
    steps: Vec<&'static str>,
    received: Vec<Received>,
    /// Requests that are read and not answered, now and at most.
    open: usize,
    peak: usize,
    called: Vec<Called>,
    taken: HashSet<String>,
    cancelled: HashSet<String>,
}

impl Integrator {
    /// `clock`: the one of the expediter that it works with, by which signatures are dated.
    ///
    /// # Panics
    /// When the machine has no port for it.
    #[must_use]
    pub fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made so");
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
            served.await.expect("a server on loopback goes on");
        });
        Self { url, inner, server }
    }

    /// What `POST /integrators` answered with, once.
    ///
    /// # Panics
    /// When that has no secrets.
    pub fn learn(&self, created: &Value) {
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
            "it has learnt its secrets before"
        );
    }

    /// How the next requests are met, one each; after them as [`Self::always`] says, or fine.
    pub fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.inner.memory().next.extend(moods);
    }

    pub fn always(&self, mood: Mood) {
        self.inner.memory().then = mood;
    }

    /// From now on every callback is sent so often, with one `webhook-id`.
    pub fn calls_back_times(&self, copies: u32) {
        self.inner.memory().copies = copies;
    }

    /// From now on it calls back with these, and with nothing where there are none.
    pub fn calls_back_with(&self, steps: impl IntoIterator<Item = &'static str>) {
        self.inner.memory().steps = steps.into_iter().collect();
    }

    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.inner.memory().received.clone()
    }

    /// The most requests that were open at one time.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.inner.memory().peak
    }

    /// Of one order, in the order in which they came.
    #[must_use]
    pub fn received_of(&self, order_id: &str) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|one| one.order_id == order_id);
        received
    }

    /// All requests by their `webhook-id`.
    #[must_use]
    pub fn by_webhook_id(&self) -> BTreeMap<String, Vec<Received>> {
        let mut by_id: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        for one in self.received() {
            by_id.entry(one.webhook_id.clone()).or_default().push(one);
        }
        by_id
    }

    #[must_use]
    pub fn called(&self) -> Vec<Called> {
        self.inner.memory().called.clone()
    }

    /// Waits until so many requests have come in all.
    ///
    /// # Panics
    /// When they don't.
    pub async fn until_received(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} requests at the integrator"), || {
            let received = self.received();
            async move { (received.len() >= count).then_some(received) }
        })
        .await
    }

    /// Sends one callback, once: signed with the secret that `secret` picks; status and body of its answer.
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

/// What a callback is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedWith {
    CallbackSecret,
    /// The secret of the other direction: wrong.
    SigningSecret,
    /// Right, but ten minutes ago.
    OldCallback,
    /// Over another body.
    AnotherBody,
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secrets(&self) -> &Secrets {
        self.secrets
            .get()
            .expect("the integrator has learnt its secrets")
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
