//! From the broker's feed to the hub.

use broker::{FeedItem, Subscription};
use domain::event::Event;
use platform::crash;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;

/// Until `stopping`.
pub(crate) async fn run(mut feed: Box<dyn Subscription>, hub: Hub, stopping: CancellationToken) {
    loop {
        let item = tokio::select! {
            item = feed.next() => item,
            () = stopping.cancelled() => return,
        };
        crash::point("feed.after_receive");
        match item {
            Some(FeedItem::Message(body)) => match serde_json::from_slice::<Event>(&body) {
                Ok(event) => hub.hear(&event),
                // A newer version's, during an update: what it means is found in the ledger.
                Err(error) => {
                    tracing::warn!(%error, "a feed message could not be read");
                    hub.something_was_missed();
                }
            },
            Some(FeedItem::Gap) => hub.something_was_missed(),
            None => {
                // The broker was closed first; the stop follows.
                stopping.cancelled().await;
                return;
            }
        }
    }
}
