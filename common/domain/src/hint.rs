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

/// A hint as a worker gets it: one that had no share of the integrator may have handed it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    #[serde(flatten)]
    pub hint: Hint,
    /// How often it was handed on.
    #[serde(default)]
    pub hops: u8,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noon;
    use platform::chance::Chance;

    #[test]
    fn a_hint_is_read_with_and_without_hops_and_one_that_was_handed_on_is_still_a_hint() {
        let hint = Hint::Handoffs {
            integrator: Chance::seeded(1).id(noon()),
        };
        let fresh: Told = serde_json::from_value(serde_json::json!(hint)).unwrap();
        assert_eq!((&fresh.hint, fresh.hops), (&hint, 0));
        let handed_on = serde_json::to_string(&Told { hops: 3, ..fresh }).unwrap();
        let read: Told = serde_json::from_str(&handed_on).unwrap();
        assert_eq!((&read.hint, read.hops), (&hint, 3));
        assert_eq!(serde_json::from_str::<Hint>(&handed_on).unwrap(), hint);
    }
}
