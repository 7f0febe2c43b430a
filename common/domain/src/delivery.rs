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

    /// Returns true if `to` is an earlier step, such as the next round after a failed delivery.
    #[must_use]
    pub const fn goes_back_to(self, to: Self) -> bool {
        to.step() < self.step()
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

/// Maximum number of steps that a delivery's history keeps.
pub const MAX_STEPS: usize = 50;

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

impl Delivery {
    /// Adds a step. A courier may fail and try again as often as it likes: beyond [`MAX_STEPS`], the oldest steps after
    /// the first are dropped.
    pub fn record(&mut self, step: DeliveryStep) {
        if self.history.len() >= MAX_STEPS {
            self.history.drain(1..=self.history.len() - MAX_STEPS + 1);
        }
        self.status = step.status;
        self.history.push(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_keeps_the_first_step_and_the_last_ones() {
        let step = |second: i64| DeliveryStep {
            status: NotDelivered,
            at: DateTime::from_timestamp(second, 0).unwrap(),
        };
        let mut delivery = Delivery {
            status: AtOrigin,
            tracking_number: None,
            history: Vec::new(),
        };
        let most = MAX_STEPS as i64;
        for second in 0..most {
            delivery.record(step(second));
        }
        let seconds = |delivery: &Delivery| -> Vec<i64> {
            let steps = delivery.history.iter();
            steps.map(|step| step.at.timestamp()).collect()
        };
        assert_eq!(seconds(&delivery), (0..most).collect::<Vec<_>>());
        delivery.record(step(most));
        delivery.record(step(most + 1));
        let expected: Vec<_> = [0].into_iter().chain(3..=most + 1).collect();
        assert_eq!(seconds(&delivery), expected);
        assert_eq!(delivery.status, NotDelivered);
        // One that was longer before the limit.
        delivery.history = (0..most + 5).map(step).collect();
        delivery.record(step(most + 5));
        let expected: Vec<_> = [0].into_iter().chain(7..=most + 5).collect();
        assert_eq!(seconds(&delivery), expected);
    }

    #[test]
    fn a_parcel_moves_forward_only_but_may_be_tried_again() {
        assert!(ReadyForPickUp.may_become(AtOrigin));
        assert!(AtOrigin.may_become(Delivered));
        assert!(NotDelivered.may_become(EnRoute));
        assert!(!EnRoute.may_become(AtOrigin));
        assert!(!EnRoute.may_become(EnRoute));
        assert!(NotDelivered.goes_back_to(EnRoute));
        assert!(!NotDelivered.goes_back_to(Delivered));
        for to in DeliveryStatus::ALL {
            assert!(!Delivered.may_become(*to), "{to}");
        }
    }
}
