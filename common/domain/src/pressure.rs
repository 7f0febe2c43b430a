//! The pace of an integrator that says "slow down": until when it is left alone, and how fast it is sent to after that.
//!
//! A 429, or a 503 with `Retry-After`, pauses the integrator, not only the order: the largest wait that it named counts,
//! within a bound. Without a `Retry-After` the pause is a default that grows while every answer is "slow down".
//! After the pause one request goes out at a time, until one is answered otherwise. Then a rate that doubles each second
//! finds out how much the integrator takes; the next "slow down" halves it, and from then on it only grows by addition.
//! The rate is remembered, and all workers share it (`sharing`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{handoff::RetryAfter, sharing::Limits};

/// Shortest pause, for a `Retry-After` of 0, of the past, or none at all. It doubles each time that the integrator says
/// "slow down" again without another answer in between.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that the integrator did not ask for.
const MAX_DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// Rate after the first "slow down".
const FIRST_RATE_PER_S: u32 = 1;
/// Minimum time between two increases of the rate.
const GROWTH_INTERVAL: Duration = Duration::from_secs(1);
/// Increase of the rate, as a part of the rate at which the integrator said "slow down"; at least 1 per second.
const GROWTH_PART: u32 = 16;
/// Rate from which on there is nothing to remember.
const UNLIMITED_PER_S: u32 = 1000;

/// Pace of one integrator. The default is that of one that never said "slow down".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Nothing is sent before this time. It stays after it has passed: requests that began before it say nothing new.
    pub paused_until: Option<DateTime<Utc>>,
    /// Number of pauses since the last other answer.
    pub pauses_in_a_row: u32,
    /// Learned rate, over all workers; `None` is unlimited.
    pub rate_per_s: Option<u32>,
    /// Rate at which the integrator last said "slow down" although it had taken that rate before.
    pub too_fast_per_s: Option<u32>,
    /// Time at which the rate last changed.
    pub rate_since: Option<DateTime<Utc>>,
}

impl Pressure {
    /// Returns true if nothing limits the integrator beside its settings.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the end of the pause, if there is one now.
    #[must_use]
    pub fn pause(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Returns the limits of the integrator, given those of its settings.
    #[must_use]
    pub fn limits(&self, settings: Limits) -> Limits {
        Limits {
            concurrency: if self.is_unproven() {
                1
            } else {
                settings.concurrency
            },
            rate_per_s: match (settings.rate_per_s, self.rate_per_s) {
                (Some(set), Some(learned)) => Some(set.min(learned)),
                (set, learned) => set.or(learned),
            },
        }
    }

    /// Returns the most requests that one claim may take, whatever limits its lane has learned before.
    #[must_use]
    pub fn max_per_claim(&self) -> u32 {
        if self.is_unproven() { 1 } else { u32::MAX }
    }

    /// Returns the pace after an answer that means "slow down", to a request that began at `started_at`.
    ///
    /// Many requests may be under way when the first such answer comes. Those only make the pause longer; a request that
    /// began after the pause tells something new.
    #[must_use]
    pub fn slowed_down(
        mut self,
        started_at: DateTime<Utc>,
        asked: Option<RetryAfter>,
        now: DateTime<Utc>,
        max_pause: Duration,
    ) -> Self {
        let is_news = self.paused_until.is_none_or(|until| until <= started_at);
        if is_news {
            match self.rate_per_s {
                None => self.rate_per_s = Some(FIRST_RATE_PER_S),
                // While no answer in between was another one, the rate is not what is wrong.
                Some(_) if self.is_unproven() => {}
                Some(rate) => {
                    self.too_fast_per_s = Some(rate);
                    self.rate_per_s = Some((rate / 2).max(FIRST_RATE_PER_S));
                }
            }
            self.rate_since = Some(now);
            self.pauses_in_a_row = self.pauses_in_a_row.saturating_add(1);
        }
        let least = now + default_pause(self.pauses_in_a_row);
        let wanted = asked.map_or(least, |asked| asked.from(now).max(least));
        let until = wanted.min(now + max_pause.max(MIN_PAUSE));
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
        self
    }

    /// Returns true if an answer other than "slow down", to a request that began at `started_at`, changes the pace.
    #[must_use]
    pub fn is_eased_by(&self, started_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let is_news = self.paused_until.is_some_and(|until| until <= started_at);
        let may_grow = self
            .rate_since
            .is_none_or(|since| since + GROWTH_INTERVAL <= now || now < since);
        is_news && (self.is_unproven() || may_grow)
    }

    /// Returns the pace after such an answer.
    #[must_use]
    pub fn eased(mut self, started_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let Some(rate) = self
            .rate_per_s
            .filter(|_| self.is_eased_by(started_at, now))
        else {
            return self;
        };
        self.rate_since = Some(now);
        if self.is_unproven() {
            self.pauses_in_a_row = 0;
            return self;
        }
        let faster = match self.too_fast_per_s {
            None => rate.saturating_mul(2),
            Some(too_fast) => rate.saturating_add((too_fast / GROWTH_PART).max(1)),
        };
        if faster >= UNLIMITED_PER_S {
            return Self::default();
        }
        self.rate_per_s = Some(faster);
        self
    }

    /// Returns true if every answer since the last pause was "slow down".
    fn is_unproven(&self) -> bool {
        self.pauses_in_a_row > 0
    }
}

/// Returns 1, 2, 4 … 60, 60 … seconds.
fn default_pause(in_a_row: u32) -> Duration {
    let doublings = in_a_row.saturating_sub(1).min(16);
    (MIN_PAUSE * (1 << doublings)).min(MAX_DEFAULT_PAUSE)
}

#[cfg(test)]
mod tests;
