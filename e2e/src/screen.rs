//! A screen that follows a table whatever happens: its channel ends, it comes back with its last number.

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{Channel, Expediter, Frame, SOON};

/// Before it comes back.
const PAUSE: Duration = Duration::from_millis(20);

/// Follows until it is dropped, over the ends and starts of the process.
#[derive(Debug)]
pub struct Screen {
    /// The number of the last event that it was told.
    last: watch::Receiver<i64>,
    following: JoinHandle<()>,
}

impl Screen {
    /// From the table's first event on.
    #[must_use]
    pub fn follow(expediter: &Expediter, code: &str) -> Self {
        let url = expediter.url.replacen("http", "ws", 1);
        let (told, last) = watch::channel(0);
        let url = format!("{url}/ws/sessions/{code}");
        Self {
            last,
            following: tokio::spawn(async move {
                loop {
                    let after = *told.borrow();
                    if let Some(channel) = Channel::try_open(&format!("{url}?after={after}")).await
                    {
                        follow(channel, &told).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }),
        }
    }

    /// Waits until it was told of this event: of each one before, once and in order.
    ///
    /// # Panics
    /// When it is not, or was told of another in between.
    pub async fn until_told_of(&mut self, seq: i64) {
        let waited = timeout(SOON, self.last.wait_for(|last| *last >= seq)).await;
        let told = waited.map(|told| told.is_ok());
        let last = *self.last.borrow();
        assert_eq!(
            told,
            Ok(true),
            "told of {last}, and not of {seq}; why, it said above"
        );
        assert_eq!(last, seq);
    }
}

/// Until the channel ends.
async fn follow(mut channel: Channel, told: &watch::Sender<i64>) {
    while let Frame::Message(message) = channel.read().await {
        let last = *told.borrow();
        let seq = message["seq"].as_i64();
        if message["type"] == "hello" {
            assert_eq!(
                (&message["resumed"], seq),
                (&true.into(), Some(last)),
                "{message}"
            );
        } else {
            assert_eq!(
                (seq, message["prev"].as_i64()),
                (Some(last + 1), Some(last)),
                "{message}"
            );
            told.send_replace(last + 1);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.following.abort();
    }
}
