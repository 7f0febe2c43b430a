//! A screen that follows a table: when its channel ends, it reconnects with its last number.

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{Channel, Expediter, Frame, SOON};

/// Delay before it reconnects.
const PAUSE: Duration = Duration::from_millis(20);

/// A screen that follows until it is dropped, also across restarts of the process.
#[derive(Debug)]
pub struct Screen {
    /// Number of the last received event.
    last: watch::Receiver<i64>,
    following: JoinHandle<()>,
}

impl Screen {
    /// Follows a table from its first event on.
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

    /// Waits until it has received this event, and each earlier one once and in order.
    ///
    /// # Panics
    /// If it does not arrive in time, or events were lost, repeated or out of order.
    pub async fn wait_for_event(&mut self, seq: i64) {
        let waited = timeout(SOON, self.last.wait_for(|last| *last >= seq)).await;
        let told = waited.map(|told| told.is_ok());
        let last = *self.last.borrow();
        assert_eq!(
            told,
            Ok(true),
            "received up to {last}, not {seq}; see the panic above"
        );
        assert_eq!(last, seq);
    }
}

/// Reads events until the channel ends.
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
