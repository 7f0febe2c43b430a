//! The reason why a handoff is not sent at this moment, for people.

use chrono::{DateTime, Utc};

use super::{
    breaker::{Allowance, Breaker},
    handoff::Handoff,
    integrator::{BreakerState, HandoffEvent},
    pressure::Pressure,
    sharing::Limits,
    words::words,
};

words! {
    pub enum WaitingFor {
        /// The time of its next attempt.
        Schedule = "schedule",
        /// The integrator's breaker is open: only a probe is sent.
        Breaker = "breaker",
        /// The integrator said "slow down", or has a rate.
        Rate = "rate",
        /// As many requests as the integrator allows are under way.
        Concurrency = "concurrency",
        /// An earlier handoff of the same order to the same integrator.
        EarlierHandoff = "earlier_handoff",
    }
}

/// The condition that holds a handoff up, and its end if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: WaitingFor,
    pub until: Option<DateTime<Utc>>,
}

/// Facts about the integrator that decide what its handoffs wait for.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// False if nothing is sent to it until a person acts.
    pub is_sent_to: bool,
    /// Limits of its settings.
    pub limits: Limits,
    pub breaker: Breaker,
    pub pressure: Pressure,
    /// Number of its handoffs with a request under way.
    pub in_flight: u32,
}

/// Returns what a handoff waits for; `None` if it will be sent at any moment, or not at all. If several conditions hold
/// it up, the one that lasts longest counts.
#[must_use]
pub fn waiting(
    handoff: &Handoff,
    has_earlier: bool,
    traffic: &Traffic,
    now: DateTime<Utc>,
) -> Option<Waiting> {
    let due_at = handoff.next_attempt_at.filter(|_| traffic.is_sent_to)?;
    let reason = |reason, until| Some(Waiting { reason, until });
    if has_earlier {
        return reason(WaitingFor::EarlierHandoff, None);
    }
    // With the time until which each lasts, and whether that is certain.
    let mut lasting = Vec::new();
    if due_at > now {
        lasting.push((due_at, WaitingFor::Schedule, true));
    }
    if let Some(until) = traffic.pressure.pause(now) {
        lasting.push((until, WaitingFor::Rate, true));
    }
    // A test goes out even while the breaker is open.
    if handoff.event != HandoffEvent::Test {
        let breaker = &traffic.breaker;
        match (breaker.pace(now), breaker.state) {
            (Allowance::Free, _) => {}
            (Allowance::OneProbe, _) => lasting.push((now, WaitingFor::Breaker, false)),
            (Allowance::NotBefore(at), state) => {
                lasting.push((at, WaitingFor::Breaker, state == BreakerState::Open));
            }
        }
    }
    if let Some((until, why, is_certain)) = lasting.into_iter().max_by_key(|(until, ..)| *until) {
        return reason(why, is_certain.then_some(until));
    }
    let limits = traffic.pressure.limits(traffic.limits);
    if traffic.in_flight >= limits.concurrency && traffic.pressure.is_none() {
        reason(WaitingFor::Concurrency, None)
    } else if limits.rate_per_s.is_some() {
        reason(WaitingFor::Rate, None)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{handoff::HandoffState, noon};
    use platform::chance::Chance;

    fn at(seconds: i64) -> DateTime<Utc> {
        noon() + TimeDelta::seconds(seconds)
    }

    fn handoff(due_s: i64) -> Handoff {
        let chance = Chance::seeded(1);
        Handoff {
            id: chance.id(noon()),
            store_id: chance.id(noon()),
            order_id: Some(chance.id(noon())),
            integrator_id: chance.id(noon()),
            event: HandoffEvent::OrderPlaced,
            state: HandoffState::Waiting,
            required: true,
            position: 1,
            confirmed_at: None,
            round: 1,
            attempts: 1,
            uncounted: 0,
            max_attempts: 5,
            next_attempt_at: Some(at(due_s)),
            deadline: at(600),
            reference: None,
            reason: None,
            created_at: noon(),
            closed_at: None,
        }
    }

    fn quiet() -> Traffic {
        Traffic {
            is_sent_to: true,
            limits: Limits {
                concurrency: 2,
                rate_per_s: None,
            },
            breaker: Breaker::default(),
            pressure: Pressure::default(),
            in_flight: 0,
        }
    }

    fn open(state: BreakerState, until_s: i64) -> Traffic {
        let breaker = Breaker {
            state,
            until: Some(at(until_s)),
            ..Breaker::default()
        };
        Traffic { breaker, ..quiet() }
    }

    fn paused(until_s: i64) -> Traffic {
        let pressure = Pressure {
            paused_until: Some(at(until_s)),
            pauses_in_a_row: 1,
            rate_per_s: Some(1),
            ..Pressure::default()
        };
        Traffic {
            pressure,
            ..quiet()
        }
    }

    fn of(due_s: i64, traffic: &Traffic) -> Option<(&'static str, Option<i64>)> {
        let waiting = waiting(&handoff(due_s), false, traffic, noon())?;
        let until_s = waiting.until.map(|until| (until - noon()).num_seconds());
        Some((waiting.reason.as_str(), until_s))
    }

    #[test]
    fn what_lasts_longest_is_what_a_handoff_waits_for() {
        assert_eq!(of(0, &quiet()), None);
        assert_eq!(of(8, &quiet()), Some(("schedule", Some(8))));
        assert_eq!(
            of(0, &open(BreakerState::Open, 20)),
            Some(("breaker", Some(20)))
        );
        assert_eq!(
            of(8, &open(BreakerState::Open, 20)),
            Some(("breaker", Some(20)))
        );
        assert_eq!(
            of(32, &open(BreakerState::Open, 20)),
            Some(("schedule", Some(32)))
        );
        assert_eq!(of(0, &paused(3)), Some(("rate", Some(3))));
        assert_eq!(of(8, &paused(3)), Some(("schedule", Some(8))));
    }

    #[test]
    fn the_end_of_a_probe_is_known_to_nobody() {
        assert_eq!(
            of(0, &open(BreakerState::Probing, 20)),
            Some(("breaker", None))
        );
        assert_eq!(
            of(0, &open(BreakerState::Open, -1)),
            Some(("breaker", None))
        );
        assert_eq!(
            of(32, &open(BreakerState::Probing, 20)),
            Some(("schedule", Some(32)))
        );
    }

    #[test]
    fn what_is_due_waits_for_a_place_or_for_the_rate() {
        let busy = Traffic {
            in_flight: 2,
            ..quiet()
        };
        assert_eq!(of(0, &busy), Some(("concurrency", None)));
        let one_more = Traffic {
            in_flight: 1,
            ..quiet()
        };
        assert_eq!(of(0, &one_more), None);
        assert_eq!(of(0, &paused(-1)), Some(("rate", None)));
        let limited = Traffic {
            limits: Limits {
                rate_per_s: Some(1),
                ..quiet().limits
            },
            ..quiet()
        };
        assert_eq!(of(0, &limited), Some(("rate", None)));
    }

    #[test]
    fn one_behind_another_waits_for_that_and_one_that_is_not_sent_waits_for_nothing() {
        let behind = waiting(&handoff(8), true, &quiet(), noon());
        assert_eq!(
            behind.map(|one| one.reason),
            Some(WaitingFor::EarlierHandoff)
        );
        let disabled = Traffic {
            is_sent_to: false,
            ..quiet()
        };
        assert_eq!(waiting(&handoff(8), true, &disabled, noon()), None);
        let sending = Handoff {
            next_attempt_at: None,
            ..handoff(0)
        };
        assert_eq!(waiting(&sending, false, &quiet(), noon()), None);
        let test = Handoff {
            event: HandoffEvent::Test,
            ..handoff(0)
        };
        let open = open(BreakerState::Open, 20);
        assert_eq!(waiting(&test, false, &open, noon()), None);
    }
}
