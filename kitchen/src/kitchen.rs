//! The kitchen itself: its settings, its shared board, and the loop that prepares and calls back.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    board::{Answer, Board, Pace, Request},
    callback::{Callback, Sent},
    journal::Journal,
    mode::Behaviour,
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
    /// Where orders outlive the process; without it they live in memory only. One kitchen a file.
    pub journal: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum KitchenError {
    #[error("the HTTP client could not be made")]
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
    /// Locked only by whoever holds the board, so that its lines come in the board's order.
    journal: Mutex<Option<Journal>>,
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
            journal: None,
        }
    }
}

impl Kitchen {
    /// Takes up again what an earlier kitchen left open in the journal.
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
        let mut board = Board::new(pace, fresh_name());
        let mut journal = None;
        if let Some(path) = &settings.journal {
            let (opened, kept) =
                Journal::open(path.clone()).map_err(|cause| KitchenError::Journal {
                    path: path.clone(),
                    cause,
                })?;
            board.take_up(kept, now());
            journal = Some(opened);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                board: Mutex::new(board),
                journal: Mutex::new(journal),
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

    /// Takes a request in. What is answered 2xx is in the journal by then.
    pub(crate) fn receive(&self, request: Request) -> (Answer, Behaviour) {
        let mut board = self.board();
        let (mut answer, behaviour) = board.receive(request, now());
        if !self.write_down(&mut board) && answer.status == 200 {
            answer = board.take_answer_back();
        }
        drop(board);
        self.board_changed();
        (answer, behaviour)
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
        self.write_down(&mut board);
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
        let mut board = self.board();
        board.callback_sent(callback, sent, now());
        self.write_down(&mut board);
    }

    /// Puts into the journal what the board wants remembered; what fails is kept for the next time.
    fn write_down(&self, board: &mut Board) -> bool {
        if board.unwritten().is_empty() {
            return true;
        }
        let mut journal = self
            .inner
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A short append to a local file, so it may block this thread.
        if let Some(journal) = journal.as_mut()
            && let Err(error) = journal.append(board.unwritten())
        {
            tracing::error!(%error, "the kitchen's journal cannot be written");
            return false;
        }
        board.written_down();
        true
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
