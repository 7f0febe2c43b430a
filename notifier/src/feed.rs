//! Passes events from the broker's feed to the hub.

use broker::{FeedItem, Subscription};
use domain::event;
use platform::crash;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;

/// Runs until `stopping` is cancelled.
pub(crate) async fn run(mut feed: Box<dyn Subscription>, hub: Hub, stopping: CancellationToken) {
    loop {
        let item = tokio::select! {
            item = feed.next() => item,
            () = stopping.cancelled() => return,
        };
        crash::point("feed.after_receive");
        match item {
            Some(FeedItem::Message(body)) => match event::in_feed_message(&body) {
                Ok(events) => events.iter().for_each(|event| hub.handle_event(event)),
                // From a newer version during an update; the events are read from the ledger instead.
                Err(error) => {
                    tracing::warn!(%error, "unreadable feed message; comparing all streams with the ledger");
                    hub.note_gap();
                }
            },
            Some(FeedItem::Gap) => hub.note_gap(),
            None => {
                // The broker was closed before the shutdown.
                stopping.cancelled().await;
                return;
            }
        }
    }
}
