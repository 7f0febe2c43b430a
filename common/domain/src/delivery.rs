//! The delivery of an order: its status, and the steps it may take.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// Status of a delivery; upper case, as in seed 004. `HANDOFF_FAILED`: no courier was told, until the handoff is
    /// retried.
    pub enum DeliveryStatus {
        ReadyForPickUp = "READY_FOR_PICK_UP",
        AtOrigin = "AT_ORIGIN",
        EnRoute = "EN_ROUTE_OF_DELIVERY",
        NotDelivered = "NOT_DELIVERED",
        Delivered = "DELIVERED",
        HandoffFailed = "HANDOFF_FAILED",
    }
}

use DeliveryStatus::{AtOrigin, Delivered, EnRoute, HandoffFailed, NotDelivered, ReadyForPickUp};

impl DeliveryStatus {
    /// Returns true if a courier may report `to` after `self`: one or more steps forward, or another round after a
    /// failed delivery.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        match (self, to) {
            (Delivered, _) | (_, HandoffFailed) => false,
            (HandoffFailed, _) => true,
            (NotDelivered, to) => matches!(to, EnRoute | Delivered),
            (from, to) => to.step() > from.step(),
        }
    }

    const fn step(self) -> u8 {
        match self {
            HandoffFailed => 0,
            ReadyForPickUp => 1,
            AtOrigin => 2,
            EnRoute => 3,
            NotDelivered | Delivered => 4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub status: DeliveryStatus,
    pub tracking_number: Option<String>,
    pub history: Vec<DeliveryStep>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryStep {
    pub status: DeliveryStatus,
    pub at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_moves_forward_only_but_may_be_tried_again() {
        assert!(ReadyForPickUp.may_become(AtOrigin));
        assert!(AtOrigin.may_become(Delivered));
        assert!(NotDelivered.may_become(EnRoute));
        assert!(!EnRoute.may_become(AtOrigin));
        assert!(!EnRoute.may_become(EnRoute));
        for to in DeliveryStatus::ALL {
            assert!(!Delivered.may_become(*to), "{to}");
        }
    }
}
