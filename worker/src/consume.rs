//! What the broker tells: noted by a lane or the inbox, and acknowledged at once. The only place that acknowledges.

use broker::{Broker, Delivery};
use domain::hint::{Hint, Told};
use platform::crash;
use tokio_util::sync::CancellationToken;

use crate::{
    inbox::{Duty, Inbox},
    lanes::Lanes,
};

/// Nothing is held while it is worked on, so that this only covers the way to the server and back.
const PREFETCH: u16 = 256;

/// Who is told.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) lanes: Lanes,
    pub(crate) inbox: Inbox,
}

impl Consumer {
    /// Until `stopping`, or until the broker is closed.
    pub(crate) async fn run(self, broker: std::sync::Arc<dyn Broker>, stopping: CancellationToken) {
        let mut deliveries = broker.work(PREFETCH).await;
        let mut said_unreadable = false;
        loop {
            let delivery = tokio::select! {
                delivery = deliveries.next() => delivery,
                () = stopping.cancelled() => return,
            };
            let Some(delivery) = delivery else {
                // Closed before we were told to stop: without the broker, the sweep goes on alone.
                return stopping.cancelled().await;
            };
            crash::point("work.after_receive");
            match serde_json::from_slice(&delivery.body) {
                Ok(told) => self.note(told),
                Err(error) => {
                    if !std::mem::replace(&mut said_unreadable, true) {
                        tracing::warn!(%error, "a message is no hint of ours; it is dropped, as further ones will be: {error}");
                    }
                }
            }
            crash::point("work.after_note");
            // An unreadable one too: it would be no more readable the next time.
            Delivery::ack(delivery);
        }
    }

    fn note(&self, told: Told) {
        match told.hint {
            Hint::Handoffs { integrator } => self.lanes.hear(integrator, told.hops),
            Hint::Callbacks { order } => self.inbox.note(Duty::ApplyCallbacks(order)),
            Hint::Accept { order } => self.inbox.note(Duty::Settle(order)),
        }
    }
}
