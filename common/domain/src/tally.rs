//! Counts of orders by status, and the time that they waited for acceptance.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{order::Order, status::OrderStatus};

/// Counts of some placed orders; drafts are not counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    by_status: BTreeMap<OrderStatus, i64>,
    ever_accepted: i64,
    acceptance_us: i64,
}

/// Facts of an order that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub status: OrderStatus,
    pub placed_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    /// Time of the hand-over of an order for later, from which on it waited for acceptance.
    pub hand_over_at: Option<DateTime<Utc>>,
}

impl Counted {
    #[must_use]
    pub fn of(order: &Order) -> Self {
        Self {
            status: order.status,
            placed_at: order.placed_at,
            accepted_at: order.accepted_at,
            hand_over_at: order.timing.hand_over_at,
        }
    }

    /// Returns the time for which it waited; nothing for an order for later that was accepted in advance.
    fn acceptance_us(self) -> Option<i64> {
        let accepted_at = self.accepted_at?;
        let since = self.hand_over_at.max(Some(self.placed_at?))?;
        (accepted_at - since.min(accepted_at)).num_microseconds()
    }
}

impl Tally {
    #[must_use]
    pub fn of(orders: &[Counted]) -> Self {
        let mut tally = Self::default();
        orders.iter().for_each(|order| tally.add(*order, 1));
        tally
    }

    /// Returns the difference that changes a tally from the order as it was to the order as it is.
    #[must_use]
    pub fn of_change(was: Counted, is: Counted) -> Self {
        let mut tally = Self::default();
        tally.add(was, -1);
        tally.add(is, 1);
        tally
    }

    fn add(&mut self, order: Counted, times: i64) {
        let took = order.acceptance_us();
        self.add_counted(
            order.status,
            times,
            times * i64::from(took.is_some()),
            times * took.unwrap_or(0),
        );
    }

    /// Adds several orders of one status, as counted by a database.
    pub fn add_counted(
        &mut self,
        status: OrderStatus,
        orders: i64,
        ever_accepted: i64,
        acceptance_us: i64,
    ) {
        *self.by_status.entry(status).or_default() += orders;
        self.ever_accepted += ever_accepted;
        self.acceptance_us += acceptance_us;
    }

    pub fn add_all(&mut self, other: &Self) {
        for (status, orders) in &other.by_status {
            *self.by_status.entry(*status).or_default() += orders;
        }
        self.ever_accepted += other.ever_accepted;
        self.acceptance_us += other.acceptance_us;
    }

    #[must_use]
    pub fn orders(&self) -> i64 {
        self.by_status.values().sum()
    }

    #[must_use]
    pub fn in_status(&self, status: OrderStatus) -> i64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }

    /// Returns the number of orders that were accepted at any time, whatever their status now.
    #[must_use]
    pub fn ever_accepted(&self) -> i64 {
        self.ever_accepted
    }

    /// Returns the total time from placement to acceptance of all accepted orders, in microseconds.
    #[must_use]
    pub fn acceptance_us(&self) -> i64 {
        self.acceptance_us
    }

    /// Returns the mean time from placement to acceptance in seconds, with two decimals; 0 if nothing was accepted.
    #[must_use]
    pub fn mean_acceptance_s(&self) -> f64 {
        if self.ever_accepted <= 0 {
            return 0.0;
        }
        let seconds = self.acceptance_us as f64 / self.ever_accepted as f64 / 1e6;
        (seconds * 100.0).round() / 100.0
    }
}

/// Compares the counts; a status with count 0 equals a missing one.
impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        let same = |status: &OrderStatus| self.in_status(*status) == other.in_status(*status);
        OrderStatus::ALL.iter().all(same)
            && self.ever_accepted == other.ever_accepted
            && self.acceptance_us == other.acceptance_us
    }
}

impl Eq for Tally {}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn order(status: OrderStatus, accepted_after_ms: Option<i64>) -> Counted {
        let placed_at = DateTime::UNIX_EPOCH;
        Counted {
            status,
            placed_at: Some(placed_at),
            accepted_at: accepted_after_ms.map(|ms| placed_at + TimeDelta::milliseconds(ms)),
            hand_over_at: None,
        }
    }

    #[test]
    fn the_mean_has_two_decimals_and_is_0_where_nothing_was_accepted() {
        use OrderStatus::{Accepted, Delivered, Pending};
        assert_eq!(Tally::default().mean_acceptance_s(), 0.0);
        let waiting = Tally::of(&[order(Pending, None)]);
        assert_eq!((waiting.orders(), waiting.mean_acceptance_s()), (1, 0.0));
        let accepted = [
            order(Accepted, Some(1000)),
            order(Accepted, Some(1000)),
            order(Delivered, Some(2)),
        ];
        assert_eq!(Tally::of(&accepted).mean_acceptance_s(), 0.67);
    }

    #[test]
    fn an_order_that_is_counted_as_it_was_and_then_changed_is_counted_as_it_is() {
        let was = order(OrderStatus::Processing, None);
        let is = order(OrderStatus::Accepted, Some(3));
        let other = order(OrderStatus::Delivered, Some(7));
        let mut tally = Tally::of(&[was, other]);
        tally.add_all(&Tally::of_change(was, is));
        assert_eq!(tally, Tally::of(&[is, other]));
        assert_ne!(tally, Tally::of(&[was, other]));
    }
    #[test]
    fn an_order_for_later_waits_for_acceptance_from_its_hand_over_on() {
        let accepted = |accepted_s: i64, hand_over_s: i64| {
            let hand_over_at = Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(hand_over_s));
            let order = order(OrderStatus::Accepted, Some(accepted_s * 1000));
            let tally = Tally::of(&[Counted {
                hand_over_at,
                ..order
            }]);
            (tally.ever_accepted(), tally.mean_acceptance_s())
        };
        assert_eq!(accepted(3605, 3600), (1, 5.0));
        assert_eq!(accepted(60, 3600), (1, 0.0), "in advance");
    }
}
