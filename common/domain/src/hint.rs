//! Messages through the broker: wake-ups that may be lost, repeated or late without harm.

use serde::{Deserialize, Serialize};

use super::{
    event::Event,
    ids::{IntegratorId, OrderId},
};

/// A wake-up that tells any one worker to look into the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "hint", rename_all = "snake_case")]
pub enum Hint {
    /// This integrator has due handoffs.
    Handoffs { integrator: IntegratorId },
    /// This order has unapplied callbacks.
    Callbacks { order: OrderId },
    /// This order waits for no integrator: accept it if its store accepts automatically.
    Accept { order: OrderId },
}

/// A hint as a worker receives it; a worker without a share of the integrator may have forwarded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedHint {
    #[serde(flatten)]
    pub hint: Hint,
    /// Number of times it was forwarded.
    #[serde(default)]
    pub hops: u8,
}

/// Events and hints of one committed change; the payload of an outbox row.
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
        let fresh: ReceivedHint = serde_json::from_value(serde_json::json!(hint)).unwrap();
        assert_eq!((&fresh.hint, fresh.hops), (&hint, 0));
        let handed_on = serde_json::to_string(&ReceivedHint { hops: 3, ..fresh }).unwrap();
        let read: ReceivedHint = serde_json::from_str(&handed_on).unwrap();
        assert_eq!((&read.hint, read.hops), (&hint, 3));
        assert_eq!(serde_json::from_str::<Hint>(&handed_on).unwrap(), hint);
    }
}
