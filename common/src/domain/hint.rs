//! What travels through the broker: wake-ups that may be lost, repeated or late without harm.

use serde::{Deserialize, Serialize};

use super::{
    event::Event,
    ids::{IntegratorId, OrderId},
};

/// "Look into the ledger": said to whichever worker hears it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "hint", rename_all = "snake_case")]
pub enum Hint {
    /// This integrator has handoffs that are due.
    Handoffs { integrator: IntegratorId },
    /// This order has callbacks that are not applied.
    Callbacks { order: OrderId },
    /// This order waits for nobody outside: accept it if its store does so by itself.
    Accept { order: OrderId },
}

/// What one committed change has to tell; the payload of an outbox row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    pub events: Vec<Event>,
    pub hints: Vec<Hint>,
}

impl Announcement {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.hints.is_empty()
    }
}
