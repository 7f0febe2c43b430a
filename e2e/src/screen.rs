//! A screen that follows a table: when its channel ends, it reconnects with its last number.

use std::time::Duration;

use serde_json::Value;
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
                let mut epoch = None;
                loop {
                    let after = *told.borrow();
                    let named: Option<String> =
                        epoch.as_ref().map(|epoch| format!("&epoch={epoch}"));
                    let url = format!("{url}?after={after}{}", named.unwrap_or_default());
                    if let Some(channel) = Channel::try_open(&url).await {
                        follow(channel, &told, &mut epoch).await;
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

/// Reads events until the channel ends. A process on SQLite begins a new epoch: then there is a snapshot.
async fn follow(mut channel: Channel, told: &watch::Sender<i64>, epoch: &mut Option<String>) {
    while let Frame::Message(message) = channel.read().await {
        let last = *told.borrow();
        let seq = message["seq"].as_i64();
        if message["type"] == "hello" {
            let now = message["epoch"].as_str().map(str::to_owned);
            let goes_on = message["resumed"] == Value::Bool(true);
            if !goes_on && epoch.is_some() && now.is_some() && *epoch != now {
                assert!(seq >= Some(last), "{message}");
                told.send_replace(seq.unwrap_or(last));
            } else {
                assert_eq!((goes_on, seq), (true, Some(last)), "{message}");
            }
            *epoch = now;
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
