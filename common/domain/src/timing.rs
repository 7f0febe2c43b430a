//! Times of an order, and the settings of its store that decide them.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::status::CancelUntil;

/// Times of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Time for which it is ordered; `None` for as soon as possible.
    pub wanted_at: Option<DateTime<Utc>>,
    /// Time at which it is expected to be ready; `None` for a draft, and for an order of an older version.
    pub ready_at: Option<DateTime<Utc>>,
    /// Time at which an order for later is, or was, handed over; `None` if that was the time of its placing.
    pub hand_over_at: Option<DateTime<Utc>>,
    /// Until when its owner or guest may cancel it, by its store's setting when it was placed.
    pub cancel_until: CancelUntil,
}

/// Settings of a store that decide the times of its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreTiming {
    /// Minutes before `wanted_at` at which an order for later is handed over.
    pub lead_time_min: u32,
    /// Minutes that an order usually takes until it is ready.
    pub prepare_min: u32,
    /// Days that an order may lie ahead; with 0 the store takes no orders for later.
    pub order_ahead_days: u32,
    /// Until when customers and guests may cancel their orders.
    pub cancel_until: CancelUntil,
}

impl Default for StoreTiming {
    fn default() -> Self {
        Self {
            lead_time_min: 30,
            prepare_min: 15,
            order_ahead_days: 0,
            cancel_until: CancelUntil::default(),
        }
    }
}

/// Why an order can't be wanted at a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedRefused {
    #[error("the store takes no orders for later")]
    NotForLater,
    #[error("it must not be before {earliest}")]
    TooSoon { earliest: DateTime<Utc> },
    #[error("it must not be after {latest}")]
    TooFarAhead { latest: DateTime<Utc> },
}

/// Cuts a client's time to the precision of the databases.
#[must_use]
pub fn stored(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

impl StoreTiming {
    /// Returns the time at which an order that is placed now is usually ready, if the store is `busy` for so much longer.
    #[must_use]
    pub fn ready_at(&self, now: DateTime<Utc>, busy: TimeDelta) -> DateTime<Utc> {
        now + TimeDelta::minutes(self.prepare_min.into()) + busy
    }

    /// Returns the times of an order that is placed, or edited, now.
    ///
    /// # Errors
    ///
    /// Refuses a time that is less than the lead time ahead, or further ahead than the store allows.
    pub fn of_order(
        &self,
        wanted_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        busy: TimeDelta,
    ) -> Result<Timing, WantedRefused> {
        let Some(wanted_at) = wanted_at.map(stored) else {
            return Ok(Timing {
                ready_at: Some(self.ready_at(now, busy)),
                cancel_until: self.cancel_until,
                ..Timing::default()
            });
        };
        if self.order_ahead_days == 0 {
            return Err(WantedRefused::NotForLater);
        }
        let lead_time = TimeDelta::minutes(self.lead_time_min.into());
        let earliest = now + lead_time;
        if wanted_at < earliest {
            return Err(WantedRefused::TooSoon { earliest });
        }
        let latest = now + TimeDelta::days(self.order_ahead_days.into());
        if wanted_at > latest {
            return Err(WantedRefused::TooFarAhead { latest });
        }
        Ok(Timing {
            wanted_at: Some(wanted_at),
            ready_at: Some(wanted_at),
            hand_over_at: Some(wanted_at - lead_time),
            cancel_until: self.cancel_until,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noon;

    const AHEAD: StoreTiming = StoreTiming {
        lead_time_min: 30,
        prepare_min: 10,
        order_ahead_days: 2,
        cancel_until: CancelUntil::Preparing,
    };

    fn in_min(minutes: i64) -> DateTime<Utc> {
        noon() + TimeDelta::minutes(minutes)
    }

    #[test]
    fn an_order_for_now_is_ready_after_the_preparation_and_waits_for_nothing() {
        let timing = AHEAD.of_order(None, noon(), TimeDelta::minutes(5)).unwrap();
        assert_eq!(timing.ready_at, Some(in_min(15)));
        assert_eq!((timing.wanted_at, timing.hand_over_at), (None, None));
        assert_eq!(timing.cancel_until, CancelUntil::Preparing);
    }

    #[test]
    fn an_order_for_later_is_handed_over_the_lead_time_before_it_is_wanted() {
        for minutes in [30, 31, 600, 2 * 24 * 60] {
            let timing = AHEAD
                .of_order(Some(in_min(minutes)), noon(), TimeDelta::zero())
                .unwrap();
            assert_eq!(timing.wanted_at, Some(in_min(minutes)));
            assert_eq!(timing.ready_at, Some(in_min(minutes)));
            assert_eq!(timing.hand_over_at, Some(in_min(minutes - 30)));
        }
        let finer = in_min(60) + TimeDelta::nanoseconds(1_999);
        let timing = AHEAD
            .of_order(Some(finer), noon(), TimeDelta::zero())
            .unwrap();
        assert_eq!(
            timing.wanted_at,
            Some(in_min(60) + TimeDelta::microseconds(1))
        );
    }

    #[test]
    fn a_time_that_is_too_near_or_too_far_or_with_a_store_for_now_only_is_refused() {
        let microsecond = TimeDelta::microseconds(1);
        let (earliest, latest) = (in_min(30), in_min(2 * 24 * 60));
        for (wanted, refused) in [
            (earliest - microsecond, WantedRefused::TooSoon { earliest }),
            (noon(), WantedRefused::TooSoon { earliest }),
            (DateTime::UNIX_EPOCH, WantedRefused::TooSoon { earliest }),
            (latest + microsecond, WantedRefused::TooFarAhead { latest }),
            (
                DateTime::<Utc>::MAX_UTC,
                WantedRefused::TooFarAhead { latest },
            ),
        ] {
            assert_eq!(
                AHEAD.of_order(Some(wanted), noon(), TimeDelta::zero()),
                Err(refused),
                "{wanted}"
            );
        }
        let for_now = StoreTiming::default().of_order(Some(in_min(60)), noon(), TimeDelta::zero());
        assert_eq!(for_now, Err(WantedRefused::NotForLater));
    }

    #[test]
    fn settings_of_an_earlier_and_of_a_later_version_are_read() {
        let read: StoreTiming = serde_json::from_str(r#"{"prepare_min":5,"later":1}"#).unwrap();
        let expected = StoreTiming {
            prepare_min: 5,
            ..StoreTiming::default()
        };
        assert_eq!(read, expected);
    }
}
