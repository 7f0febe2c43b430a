//! The breaker of an integrator: when it is left alone, asked again with one request, and given up.
//!
//! It opens when attempts of three different handoffs have failed with no sign of life between them: three attempts of
//! one handoff may be that order's fault. Open, nothing is sent before its time; then one request goes out as a probe.
//! Any answer that wants no other try closes it, a refusal too: whoever says no is there. A probe that fails opens it
//! again, for longer.
//!
//! A 429 with `Retry-After` is pressure, not death: somebody is there, and says when to come back. It counts neither
//! as a failure nor as a sign of life (a gateway may say it for a service that is dead), and a probe that meets with it
//! opens the breaker again until the time it names, at most as long as it is ever open, without counting as another
//! failure. A 429 without it says nothing that we could keep to, and counts as the failure it is. A 401 on a token that
//! was not fresh is about our token: a sign of life.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{
    handoff::{AttemptOutcome, Heard},
    ids::HandoffId,
    integrator::BreakerState,
};

/// So many different handoffs must have failed in a row.
pub const OPENS_AFTER_HANDOFFS: usize = 3;
/// How long it is open the first time, less up to a fifth; twice as long each further time.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// It is never open for longer without a probe.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// At most this part of a wait is left out, so that those who were left alone together are not asked together.
const JITTER: f64 = 0.2;
/// So many failures in a row …
const GIVEN_UP_AFTER_FAILURES: u32 = 15;
/// … over at least so long: then people must look at it.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(1);

/// How an integrator has answered lately, and whether it is spoken to for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub state: BreakerState,
    /// Open: when a probe may go out. Probing: when the probe counts as lost.
    pub until: Option<DateTime<Utc>>,
    /// The handoff whose attempt is the probe.
    pub probe: Option<HandoffId>,
    /// How often it has opened since it was last closed.
    pub openings: u32,
    /// Failed attempts since the last sign of life.
    pub failures_in_a_row: u32,
    pub failing_since: Option<DateTime<Utc>>,
    /// The first different handoffs of those failures: as many as it takes to open, at most.
    pub failing: Vec<HandoffId>,
}

impl Default for Breaker {
    /// Of an integrator of which nothing bad is known.
    fn default() -> Self {
        Self {
            state: BreakerState::Closed,
            until: None,
            probe: None,
            openings: 0,
            failures_in_a_row: 0,
            failing_since: None,
            failing: Vec::new(),
        }
    }
}

/// What an attempt tells of its integrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    OfLife,
    /// Somebody is there, and asks to be left alone until then.
    Pressure {
        until: DateTime<Utc>,
    },
    Failure,
}

/// How much may be sent to an integrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Free,
    OneProbe,
    /// Nothing before this; then it is worth another look.
    NotBefore(DateTime<Utc>),
}

#[must_use]
pub fn sign(outcome: AttemptOutcome, heard: &Heard, now: DateTime<Utc>) -> Sign {
    match (outcome, heard) {
        (AttemptOutcome::Acknowledged | AttemptOutcome::Refused | AttemptOutcome::Gone, _)
        | (AttemptOutcome::Retry, Heard::Answer { status: 401, .. }) => Sign::OfLife,
        (
            AttemptOutcome::Retry,
            Heard::Answer {
                status: 429,
                retry_after: Some(hint),
            },
        ) => Sign::Pressure {
            until: hint.from(now),
        },
        (AttemptOutcome::Retry | AttemptOutcome::Unknown, _) => Sign::Failure,
    }
}

impl Breaker {
    /// Nothing bad is known.
    #[must_use]
    pub fn is_well(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn pace(&self, now: DateTime<Utc>) -> Pace {
        let Some(until) = self.until.filter(|_| self.state != BreakerState::Closed) else {
            return Pace::Free;
        };
        match self.state {
            _ if until <= now => Pace::OneProbe,
            // Its answer may come at any time, and whoever sent it need not be this process.
            BreakerState::Probing => Pace::NotBefore(until.min(now + FIRST_WAIT)),
            BreakerState::Open | BreakerState::Closed => Pace::NotBefore(until),
        }
    }

    /// As it is after an attempt of a handoff gave this sign. `jitter` is a fraction from 0 to 1.
    #[must_use]
    pub fn after(
        mut self,
        sign: Sign,
        handoff: HandoffId,
        now: DateTime<Utc>,
        jitter: f64,
    ) -> Self {
        let is_the_probe = self.state == BreakerState::Probing && self.probe == Some(handoff);
        match sign {
            Sign::OfLife => Self::default(),
            Sign::Pressure { until } if is_the_probe => {
                self.open_until(until.clamp(now + FIRST_WAIT, now + LONGEST_WAIT))
            }
            Sign::Pressure { .. } => self,
            Sign::Failure => {
                self.count(handoff, now);
                let opens = match self.state {
                    BreakerState::Closed => self.failing.len() >= OPENS_AFTER_HANDOFFS,
                    BreakerState::Probing => is_the_probe,
                    // What was on its way when it opened.
                    BreakerState::Open => false,
                };
                if !opens {
                    return self;
                }
                self.openings = self.openings.saturating_add(1);
                let until = now + wait(self.openings, jitter);
                self.open_until(until)
            }
        }
    }

    /// It has failed so often and for so long that nothing more is sent until people have looked at it.
    #[must_use]
    pub fn is_beyond_hope(&self, now: DateTime<Utc>) -> bool {
        self.failures_in_a_row >= GIVEN_UP_AFTER_FAILURES
            && self
                .failing_since
                .is_some_and(|since| now - since >= GIVEN_UP_AFTER)
    }

    fn count(&mut self, handoff: HandoffId, now: DateTime<Utc>) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failing_since.get_or_insert(now);
        if self.failing.len() < OPENS_AFTER_HANDOFFS && !self.failing.contains(&handoff) {
            self.failing.push(handoff);
        }
    }

    fn open_until(mut self, until: DateTime<Utc>) -> Self {
        self.state = BreakerState::Open;
        // Times are stored in microseconds.
        self.until = Some(until.trunc_subsecs(6));
        self.probe = None;
        self
    }
}

/// 5, 10, 20, 40, 60, 60 … seconds, less up to a fifth.
fn wait(openings: u32, jitter: f64) -> Duration {
    let doublings = openings.saturating_sub(1).min(16);
    let longest = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
    longest.mul_f64(1.0 - JITTER * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
