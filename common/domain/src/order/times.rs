//! An order's times: if it waits for its hand-over, and when it may be expected to be ready.

use chrono::{DateTime, TimeDelta, Utc};

use super::Order;
use crate::{status::OrderStatus, timing::stored};

/// Time after the present, or after `wanted_at`, up to which an order may be expected: a later time is a mistake, such
/// as milliseconds taken for seconds.
const MAX_UNTIL_READY: TimeDelta = TimeDelta::hours(24);

/// Why an order can't be expected at a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadyRefused {
    #[error("the order is {status}: it is not expected to become ready")]
    NotExpected { status: OrderStatus },
    #[error("ready_at must be from {earliest} to {latest}")]
    OutOfRange {
        earliest: DateTime<Utc>,
        latest: DateTime<Utc>,
    },
}

impl Order {
    /// Returns true unless the order is for later and its hand-over is still to come.
    #[must_use]
    pub fn is_handed_over_by(&self, now: DateTime<Utc>) -> bool {
        self.timing.hand_over_at.is_none_or(|at| at <= now)
    }

    /// Returns the time of the hand-over that the order waits for; `None` once work on it has begun. It may also have
    /// been accepted in advance, and waits all the same.
    #[must_use]
    pub fn waits_until(&self) -> Option<DateTime<Utc>> {
        let accepted_before = |at| self.accepted_at.is_some_and(|accepted| accepted < at);
        self.timing.hand_over_at.filter(|at| match self.status {
            OrderStatus::Pending => true,
            OrderStatus::Accepted => accepted_before(*at),
            _ => false,
        })
    }

    /// Checks a new time at which the order is expected to be ready, and returns it as it is stored.
    ///
    /// # Errors
    ///
    /// Refuses it if the order is a draft, ready already or ended, and if no kitchen can have meant that time.
    pub fn check_ready_at(
        &self,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, ReadyRefused> {
        let status = self.status;
        if !matches!(
            status,
            OrderStatus::Pending
                | OrderStatus::Processing
                | OrderStatus::Accepted
                | OrderStatus::Preparing
        ) {
            return Err(ReadyRefused::NotExpected { status });
        }
        let earliest = self.placed_at.unwrap_or(self.created_at);
        let latest = self.timing.wanted_at.map_or(now, |wanted| wanted.max(now)) + MAX_UNTIL_READY;
        let at = stored(at);
        if (earliest..=latest).contains(&at) {
            Ok(at)
        } else {
            Err(ReadyRefused::OutOfRange { earliest, latest })
        }
    }
}
