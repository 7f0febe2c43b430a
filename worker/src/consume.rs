//! Passes the broker's hints to lanes and order duties and acknowledges them at once; nothing else acknowledges.

use broker::{Broker, Delivery};
use domain::hint::{Hint, ReceivedHint};
use platform::crash;
use tokio_util::sync::CancellationToken;

use crate::{
    lanes::Lanes,
    order_duties::{Duty, OrderDuties},
};

/// Hints are acknowledged before the work begins, so this only has to cover the round trip to the broker.
const PREFETCH: u16 = 256;

/// Task that reads the work queue, and the receivers of its hints.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) lanes: Lanes,
    pub(crate) order_duties: OrderDuties,
}

impl Consumer {
    /// Runs until `stopping` is cancelled, also if the broker is closed before.
    pub(crate) async fn run(self, broker: std::sync::Arc<dyn Broker>, stopping: CancellationToken) {
        let mut deliveries = broker.work(PREFETCH).await;
        let mut said_unreadable = false;
        loop {
            let delivery = tokio::select! {
                delivery = deliveries.next() => delivery,
                () = stopping.cancelled() => return,
            };
            let Some(delivery) = delivery else {
                // The broker was closed before the shutdown; the sweep finds the work alone.
                return stopping.cancelled().await;
            };
            crash::point("work.after_receive");
            match serde_json::from_slice(&delivery.body) {
                Ok(told) => self.note(told),
                Err(error) => {
                    if !std::mem::replace(&mut said_unreadable, true) {
                        tracing::warn!(%error, "unreadable work message dropped; further ones are dropped without a log line: {error}");
                    }
                }
            }
            crash::point("work.after_note");
            // Unreadable messages too: a redelivery would be just as unreadable.
            Delivery::ack(delivery);
        }
    }

    fn note(&self, told: ReceivedHint) {
        match told.hint {
            Hint::Handoffs { integrator } => self.lanes.note_hint(integrator, told.hops),
            Hint::Callbacks { order } => self.order_duties.note(Duty::ApplyCallbacks(order)),
            Hint::Accept { order } => self.order_duties.note(Duty::Settle(order)),
        }
    }
}
