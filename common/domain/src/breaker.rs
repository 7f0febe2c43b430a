//! The circuit breaker of an integrator: when requests stop, when a probe is sent, and when the integrator is given up.
//!
//! It opens when attempts of three different handoffs have failed with no sign of life between them: three failed
//! attempts of one handoff may be that order's fault. While it is open, nothing is sent before a given time; then one
//! request goes out as a probe. Any response that asks for no retry closes it, even a refusal: the integrator is alive.
//! A failed probe opens it again, for longer.
//!
//! "Slow down" (`pressure`) is overload, not an outage. It counts neither as a failure nor as a sign of life (a gateway
//! may send it for a dead service), so it never opens the breaker. A probe that is answered so leaves it open, and the
//! next one goes as soon as the integrator's pause is over. A 401 for a cached token is about our token: a sign of life.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{
    handoff::{AttemptOutcome, SendResult},
    ids::HandoffId,
    integrator::BreakerState,
};

/// Number of different handoffs that must fail in a row before the breaker opens.
pub const OPENS_AFTER_HANDOFFS: usize = 3;
/// How long it stays open the first time, minus up to a fifth; twice as long each further time.
const MIN_WAIT: Duration = Duration::from_secs(5);
/// Maximum time that it stays open without a probe. People who mended their system wait for no longer than this.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Maximum fraction that is cut from a wait, so that breakers that opened together do not probe together.
const JITTER: f64 = 0.2;
/// Minimum number of failures in a row before the integrator is given up.
const GIVEN_UP_AFTER_FAILURES: u32 = 15;
/// Minimum time that those failures must span. People must then look at the integrator.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(1);

/// State of an integrator's circuit breaker, and its recent failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub state: BreakerState,
    /// Open: when a probe may go out. Probing: when the probe counts as lost.
    pub until: Option<DateTime<Utc>>,
    /// The handoff whose attempt is the probe.
    pub probe: Option<HandoffId>,
    /// Number of times it has opened since it was last closed.
    pub openings: u32,
    /// Failed attempts since the last sign of life.
    pub failures_in_a_row: u32,
    pub failing_since: Option<DateTime<Utc>>,
    /// The first different handoffs of those failures, at most [`OPENS_AFTER_HANDOFFS`].
    pub failing: Vec<HandoffId>,
}

impl Default for Breaker {
    /// Returns a closed breaker without failures.
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

/// Conclusion about an integrator from one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Alive,
    /// The integrator asks for fewer requests.
    Pressure,
    Failure,
}

/// Amount of requests that may be sent to an integrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    Free,
    OneProbe,
    /// Nothing before this time; then the breaker is checked again.
    NotBefore(DateTime<Utc>),
}

#[must_use]
pub fn sign(outcome: AttemptOutcome, heard: &SendResult) -> Sign {
    match (outcome, heard) {
        (AttemptOutcome::Acknowledged | AttemptOutcome::Refused | AttemptOutcome::Gone, _)
        | (AttemptOutcome::Retry, SendResult::Answer { status: 401, .. }) => Sign::Alive,
        (AttemptOutcome::Retry, heard) if heard.asks_to_slow_down() => Sign::Pressure,
        (AttemptOutcome::Retry | AttemptOutcome::Unknown, _) => Sign::Failure,
    }
}

impl Breaker {
    /// Returns true if no failures are known.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn pace(&self, now: DateTime<Utc>) -> Allowance {
        let Some(until) = self.until.filter(|_| self.state != BreakerState::Closed) else {
            return Allowance::Free;
        };
        match self.state {
            _ if until <= now => Allowance::OneProbe,
            // The probe's response may come at any time, perhaps to another process.
            BreakerState::Probing => Allowance::NotBefore(until.min(now + MIN_WAIT)),
            BreakerState::Open | BreakerState::Closed => Allowance::NotBefore(until),
        }
    }

    /// Returns the breaker after an attempt of the handoff with this sign. `jitter` is a fraction from 0 to 1.
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
            Sign::Alive => Self::default(),
            Sign::Pressure if is_the_probe => self.open_until(now),
            Sign::Pressure => self,
            Sign::Failure => {
                self.count(handoff, now);
                let opens = match self.state {
                    BreakerState::Closed => self.failing.len() >= OPENS_AFTER_HANDOFFS,
                    BreakerState::Probing => is_the_probe,
                    // The attempt was under way when the breaker opened.
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

    /// Returns true if it has failed so often and for so long that nothing more is sent until people have looked at it.
    #[must_use]
    pub fn should_give_up(&self, now: DateTime<Utc>) -> bool {
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

/// Returns 5, 10, 20, 30, 30 … seconds, minus up to a fifth.
fn wait(openings: u32, jitter: f64) -> Duration {
    let doublings = openings.saturating_sub(1).min(16);
    let longest = (MIN_WAIT * (1 << doublings)).min(MAX_WAIT);
    longest.mul_f64(1.0 - JITTER * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
