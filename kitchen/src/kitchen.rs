//! The kitchen itself: its settings, its shared board, and the loop that prepares and calls back.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    board::{Board, Pace},
    callback::{Callback, Sent},
    signature::Secret,
};

/// Callbacks on their way at once.
const SENDING_MAX: usize = 32;

const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// A kitchen; clones share one board.
#[derive(Debug, Clone)]
pub struct Kitchen {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
pub struct KitchenSettings {
    /// Handoffs come signed with this one.
    pub signing_secret: Secret,
    /// Callbacks leave signed with this one.
    pub callback_secret: Secret,
    /// From accepted to preparing, and from preparing to ready.
    pub step: Duration,
    /// How long the mode `slow` holds an answer back.
    pub slow_answer: Duration,
    /// The pause after a callback's first failed try; it doubles after that, up to 30 s.
    pub first_retry: Duration,
    /// Tries of one callback before it is given up.
    pub callback_tries: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum KitchenError {
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

struct Inner {
    settings: KitchenSettings,
    board: Mutex<Board>,
    changed: Notify,
    client: reqwest::Client,
}

impl KitchenSettings {
    /// A kitchen of ordinary pace.
    pub fn new(signing_secret: Secret, callback_secret: Secret) -> Self {
        Self {
            signing_secret,
            callback_secret,
            step: Duration::from_secs(3),
            slow_answer: Duration::from_secs(12),
            first_retry: Duration::from_secs(1),
            callback_tries: 10,
        }
    }
}

impl Kitchen {
    pub fn new(settings: KitchenSettings) -> Result<Self, KitchenError> {
        // An error says that the process has its provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(CALLBACK_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent("expediter-reference-kitchen")
            .build()
            .map_err(KitchenError::Client)?;
        let pace = Pace {
            step: settings.step,
            first_retry: settings.first_retry,
            callback_tries: settings.callback_tries,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                board: Mutex::new(Board::new(pace, fresh_name())),
                changed: Notify::new(),
                client,
            }),
        })
    }

    /// Prepares what is on the board and calls back, until `shutdown` is there.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut sending = JoinSet::new();
        loop {
            let due_in = self.start_what_is_due(&mut sending);
            tokio::select! {
                () = &mut shutdown => return,
                () = self.inner.changed.notified() => {}
                Some(_) = sending.join_next() => {}
                () = tokio::time::sleep(due_in.unwrap_or_default()), if due_in.is_some() => {}
            }
        }
    }

    pub(crate) fn settings(&self) -> &KitchenSettings {
        &self.inner.settings
    }

    /// The board, for a moment: never hold it across an await.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        // A panic elsewhere leaves at worst one ticket half moved; the others are still cooking.
        self.inner
            .board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the loop, since something may be due earlier than it thought.
    pub(crate) fn board_changed(&self) {
        self.inner.changed.notify_one();
    }

    /// How long until there is more to do; `None` when only a finished callback can tell.
    fn start_what_is_due(&self, sending: &mut JoinSet<()>) -> Option<Duration> {
        let now = now();
        let mut board = self.board();
        board.advance(now);
        while sending.len() < SENDING_MAX {
            let Some(callback) = board.next_callback(now) else {
                let due_at = board.next_due()?;
                return Some((due_at - now).to_std().unwrap_or_default());
            };
            sending.spawn(self.clone().call_back(callback));
        }
        None
    }

    async fn call_back(self, callback: Callback) {
        let mut sent = self.try_once(&callback).await;
        for _ in 1..callback.copies {
            let copy = self.try_once(&callback).await;
            if !matches!(sent, Sent::Taken(_)) {
                sent = copy;
            }
        }
        if !matches!(sent, Sent::Taken(_)) {
            tracing::warn!(
                webhook_id = callback.webhook_id,
                ?sent,
                "a callback was not taken"
            );
        }
        self.board().callback_sent(callback, sent, now());
    }

    async fn try_once(&self, callback: &Callback) -> Sent {
        let body = serde_json::to_vec(&callback.body).expect("a body of texts and numbers is JSON");
        let timestamp_s = now().timestamp();
        let secret = &self.inner.settings.callback_secret;
        let answer = self
            .inner
            .client
            .post(&callback.url)
            .header("content-type", "application/json")
            .header("webhook-id", &callback.webhook_id)
            .header("webhook-timestamp", timestamp_s)
            .header(
                "webhook-signature",
                secret.sign(&callback.webhook_id, timestamp_s, &body),
            )
            .body(body)
            .send()
            .await;
        match answer {
            Ok(answer) => Sent::from_status(answer.status().as_u16()),
            Err(error) => {
                tracing::debug!(%error, webhook_id = callback.webhook_id, "no answer to a callback");
                Sent::TryAgain(None)
            }
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Kitchen")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The kitchen's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the kitchen imports nothing of ours, so this is its own clock"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// What tells this run's webhook-ids from every other run's.
#[expect(
    clippy::disallowed_methods,
    reason = "the kitchen imports nothing of ours, so this is its own chance"
)]
fn fresh_name() -> String {
    format!("kitchen_{:016x}", rand::random::<u64>())
}
