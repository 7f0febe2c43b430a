//! The kitchen: its settings, the shared board, and the loop that prepares orders and sends callbacks.

use parking_lot::{Mutex, MutexGuard};
use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    board::{Answer, Board, Request, Timing},
    callback::{Callback, Sent},
    journal::Journal,
    metrics::Metrics,
    mode::Behaviour,
    signature::Secret,
};

/// Maximum number of concurrent callbacks.
const SENDING_MAX: usize = 32;

const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Running kitchen; clones share one board.
#[derive(Debug, Clone)]
pub struct Kitchen {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
pub struct KitchenSettings {
    /// Secret that handoffs are signed with.
    pub signing_secret: Secret,
    /// Secret that callbacks are signed with.
    pub callback_secret: Secret,
    /// Time from accepted to preparing, and from preparing to ready.
    pub step: Duration,
    /// Delay of responses in the mode `slow`.
    pub slow_answer: Duration,
    /// Delay after a callback's first failed attempt; it doubles after that, up to 30 s.
    pub first_retry: Duration,
    /// Maximum number of attempts of one callback.
    pub callback_tries: u32,
    /// File in which orders survive a restart; without it they are in memory only. One kitchen per file.
    pub journal: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum KitchenError {
    #[error("building the HTTP client failed")]
    Client(#[source] reqwest::Error),
    #[error("the journal {path} cannot be used")]
    Journal {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

struct Inner {
    settings: KitchenSettings,
    board: Mutex<Board>,
    /// Locked only while the board is locked, so that its lines are in the board's order.
    journal: Mutex<Option<Journal>>,
    changed: Notify,
    client: reqwest::Client,
    metrics: Metrics,
}

impl KitchenSettings {
    /// Returns settings with the default timing.
    pub fn new(signing_secret: Secret, callback_secret: Secret) -> Self {
        Self {
            signing_secret,
            callback_secret,
            step: Duration::from_secs(3),
            slow_answer: Duration::from_secs(12),
            first_retry: Duration::from_secs(1),
            callback_tries: 10,
            journal: None,
        }
    }
}

impl Kitchen {
    /// Creates a kitchen and restores the open orders of an earlier one from the journal.
    pub fn new(settings: KitchenSettings) -> Result<Self, KitchenError> {
        // An error means that the process has installed a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(CALLBACK_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent("expediter-reference-kitchen")
            .build()
            .map_err(KitchenError::Client)?;
        let timing = Timing {
            step: settings.step,
            first_retry: settings.first_retry,
            callback_tries: settings.callback_tries,
        };
        let mut board = Board::new(timing, fresh_name());
        let mut journal = None;
        if let Some(path) = &settings.journal {
            let (opened, kept) =
                Journal::open(path.clone()).map_err(|cause| KitchenError::Journal {
                    path: path.clone(),
                    cause,
                })?;
            board.restore(kept, now());
            journal = Some(opened);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                board: Mutex::new(board),
                journal: Mutex::new(journal),
                changed: Notify::new(),
                client,
                metrics: Metrics::new(),
            }),
        })
    }

    /// Prepares orders and sends callbacks until `shutdown` completes.
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

    /// Handles a request. An order is in the journal before it is answered with 2xx.
    pub(crate) fn receive(&self, request: Request) -> (Answer, Behaviour) {
        let mut board = self.board();
        let (mut answer, behaviour) = board.receive(request, now());
        if !self.write_journal(&mut board) && answer.status == 200 {
            answer = board.withdraw_answer();
        }
        if let Some(request) = board.seen().front() {
            self.inner.metrics.received(request.outcome);
        }
        drop(board);
        self.board_changed();
        (answer, behaviour)
    }

    pub(crate) fn settings(&self) -> &KitchenSettings {
        &self.inner.settings
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Locks the board; never hold the guard across an await.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        // Poisoning is ignored: at worst a panic leaves one ticket half moved.
        self.inner.board.lock()
    }

    /// Wakes the loop, because something may be due earlier than it knows.
    pub(crate) fn board_changed(&self) {
        self.inner.changed.notify_one();
    }

    /// Starts everything that is due and returns the time until the next step; `None` if it must wait for a callback to
    /// finish or nothing is pending.
    fn start_what_is_due(&self, sending: &mut JoinSet<()>) -> Option<Duration> {
        let now = now();
        let mut board = self.board();
        board.advance(now);
        self.write_journal(&mut board);
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
                "callback not accepted"
            );
        }
        let mut board = self.board();
        board.callback_sent(callback, sent, now());
        self.write_journal(&mut board);
    }

    /// Appends the board's new entries to the journal; if that fails, keeps them for the next time and returns false.
    fn write_journal(&self, board: &mut Board) -> bool {
        if board.unwritten().is_empty() {
            return true;
        }
        let mut journal = self.inner.journal.lock();
        // Blocking is acceptable for a short append to a local file.
        if let Some(journal) = journal.as_mut()
            && let Err(error) = journal.append(board.unwritten())
        {
            tracing::error!(%error, "writing the kitchen's journal failed; orders are refused until it works");
            return false;
        }
        board.clear_unwritten();
        true
    }

    async fn try_once(&self, callback: &Callback) -> Sent {
        let body = serde_json::to_vec(&callback.body).expect("the body serializes to JSON");
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
                secret
                    .sign(&callback.webhook_id, timestamp_s, &body)
                    .expect("JSON is UTF-8"),
            )
            .body(body)
            .send()
            .await;
        let sent = match answer {
            Ok(answer) => Sent::from_status(answer.status().as_u16()),
            Err(error) => {
                tracing::debug!(%error, webhook_id = callback.webhook_id, "no response to a callback");
                Sent::TryAgain(None)
            }
        };
        self.inner.metrics.called_back(sent);
        sent
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

/// Returns the kitchen's own time.
#[expect(
    clippy::disallowed_methods,
    reason = "the kitchen imports none of our crates, so it has its own clock"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Returns a random prefix that makes this run's webhook-ids unique.
#[expect(
    clippy::disallowed_methods,
    reason = "the kitchen imports none of our crates, so it has its own randomness"
)]
fn fresh_name() -> String {
    format!("kitchen_{:016x}", rand::random::<u64>())
}
