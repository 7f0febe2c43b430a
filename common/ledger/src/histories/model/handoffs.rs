//! The model's claims, outcomes and retries by hand.

use chrono::TimeDelta;

use super::{
    Acknowledged, Due, Duty, Failed, Held, Model, OrderDispatched, OrderPlaced, OutcomeEffect,
    Pending, Processing, RecordedAttempt, Sending, Time, Waiting, Withdrawn, is_closed,
    needs_open_order,
};
use crate::histories::step::Hears;
use domain::handoff::AttemptOutcome;

impl Model {
    /// Claims; returns the duty that was taken, if any.
    pub(in crate::histories) fn claims(
        &mut self,
        party: usize,
        claim: usize,
        lease: TimeDelta,
    ) -> Option<usize> {
        let is_paused = self.pauses[party].1.is_some_and(|until| until > self.now);
        if !self.enabled[party] || is_paused {
            return None;
        }
        let mine = |duty: &Duty| duty.party == party && !is_closed(duty.state);
        let at = self.duties.iter().position(mine)?;
        let (now, ended) = (self.now, self.has_ended());
        let max_attempts = self.parties[party].max_attempts;
        let duty = &mut self.duties[at];
        let is_due = matches!(duty.state, Due | Waiting)
            && duty.due.is_some_and(|(from, _)| from <= self.now);
        if !is_due {
            return None;
        }
        if ended && needs_open_order(duty.event) {
            duty.state = Withdrawn;
            return None;
        }
        if duty.deadline <= now || duty.attempts - duty.uncounted >= max_attempts {
            self.fails(at);
            return None;
        }
        duty.state = Sending;
        duty.attempts += 1;
        duty.wire = Some((claim, now + lease));
        duty.record.push(RecordedAttempt {
            round: duty.round,
            n: duty.attempts,
            outcome: None,
            counted: true,
            may_have_arrived: true,
        });
        if duty.event == OrderPlaced && self.status == Pending {
            self.stands(Processing, None);
        }
        Some(at)
    }

    /// Records an outcome; `it_failed` decides the cases that depend on the jitter.
    pub(in crate::histories) fn hears(
        &mut self,
        claim: usize,
        heard: Hears,
        it_failed: impl Fn(usize) -> bool,
    ) -> OutcomeEffect {
        let on_wire = |duty: &Duty| duty.wire.is_some_and(|(on_wire, _)| on_wire == claim);
        match self.duties.iter().position(on_wire) {
            Some(at) => self.concludes(at, heard, it_failed(at)),
            None => OutcomeEffect::Fenced,
        }
    }

    pub(super) fn concludes(&mut self, at: usize, heard: Hears, it_failed: bool) -> OutcomeEffect {
        if let Hears::Deferred(seconds) = heard {
            self.defers(at, seconds);
            return OutcomeEffect::Recorded;
        }
        let (now, ended) = (self.now, self.has_ended());
        let duty = &mut self.duties[at];
        let party = self.parties[duty.party];
        let outcome = match heard {
            Hears::Status(200..=299) => AttemptOutcome::Acknowledged,
            Hears::Status(408 | 425 | 429 | 500..=599)
            | Hears::RetryAfter(_)
            | Hears::TokenExpired
            | Hears::NotConnected => AttemptOutcome::Retry,
            Hears::Status(410) => AttemptOutcome::Gone,
            Hears::Status(_) => AttemptOutcome::Refused,
            Hears::Lost | Hears::Deferred(_) => AttemptOutcome::Unknown,
        };
        duty.wire = None;
        let slow_down = matches!(heard, Hears::Status(429) | Hears::RetryAfter(_));
        let pauses = &mut self.pauses[duty.party];
        if slow_down {
            // One order is sent to a party at a time, so every such answer begins a new pause.
            let wanted_s = match heard {
                Hears::RetryAfter(seconds) => seconds,
                _ => 0,
            };
            let least_s = 2_u64.pow(pauses.0.min(6)).min(60);
            let wait_s = wanted_s.max(least_s).min(300);
            let until = now + TimeDelta::seconds(i64::try_from(wait_s).unwrap());
            *pauses = (pauses.0 + 1, Some(until));
            duty.uncounted += 1;
        } else if matches!(heard, Hears::Status(200..=404 | 409..=424 | 426..=499) | Hears::TokenExpired)
        {
            pauses.0 = 0;
        }
        let paused_until = pauses.1;
        let attempt = duty.record.last_mut().unwrap();
        attempt.counted = !slow_down;
        attempt.outcome = Some(outcome);
        attempt.may_have_arrived = match outcome {
            AttemptOutcome::Acknowledged | AttemptOutcome::Unknown => true,
            AttemptOutcome::Retry => !matches!(heard, Hears::NotConnected | Hears::Status(429)),
            AttemptOutcome::Refused | AttemptOutcome::Gone => false,
        };
        let overtaken = duty.state == Acknowledged;
        let mut heeded = OutcomeEffect::Recorded;
        match outcome {
            _ if overtaken => {}
            AttemptOutcome::Acknowledged => {
                duty.state = Acknowledged;
                if duty.event == OrderPlaced && !party.confirms_by_callback {
                    duty.confirmed = true;
                    self.settle();
                }
                self.courier_has_it(at);
            }
            AttemptOutcome::Refused | AttemptOutcome::Gone => self.fails(at),
            AttemptOutcome::Retry | AttemptOutcome::Unknown => {
                let holds = outcome == AttemptOutcome::Unknown && party.holds_the_unknown;
                let counted = duty.attempts - duty.uncounted;
                if slow_down {
                    if ended && needs_open_order(duty.event) {
                        duty.state = Withdrawn;
                        return OutcomeEffect::CalledOff;
                    }
                    let due = paused_until.unwrap().min(duty.deadline);
                    duty.state = if counted == 0 { Due } else { Waiting };
                    duty.due = Some((due, due));
                    return OutcomeEffect::Recorded;
                }
                let (from, until) = wait_after(counted, now);
                let is_over = counted >= party.max_attempts
                    || from >= duty.deadline
                    || (until >= duty.deadline && it_failed);
                if !holds && is_over {
                    self.fails(at);
                } else if ended && needs_open_order(duty.event) {
                    duty.state = Withdrawn;
                    heeded = OutcomeEffect::CalledOff;
                } else if holds {
                    duty.state = Held;
                } else {
                    duty.state = Waiting;
                    duty.due = Some((from, until));
                }
            }
        }
        if outcome == AttemptOutcome::Gone {
            let party = self.duties[at].party;
            self.enabled[party] = false;
        }
        heeded
    }

    fn defers(&mut self, at: usize, seconds: u64) {
        let until = self.now + TimeDelta::seconds(i64::try_from(seconds).unwrap());
        let ended = self.has_ended();
        let duty = &mut self.duties[at];
        duty.wire = None;
        duty.attempts -= 1;
        duty.record.pop();
        let until = until.min(duty.deadline);
        duty.due = Some((until, until));
        if duty.state != Acknowledged {
            duty.state = match duty.attempts - duty.uncounted {
                _ if ended && needs_open_order(duty.event) => Withdrawn,
                0 => Due,
                _ => Waiting,
            };
        }
    }

    pub(super) fn fails(&mut self, at: usize) {
        self.duties[at].state = Failed;
        self.courier_lacks_it(at);
        // A callback that came meanwhile is applied first.
        if !self.said.iter().any(|said| said.result.is_none()) {
            self.settle();
        }
    }

    /// Opens a new round; returns true if that is allowed.
    pub(in crate::histories) fn retries_by_hand(&mut self, at: usize) -> bool {
        let party = self.duties[at].party;
        let later = self.duties[at + 1..].iter();
        let later: Vec<&Duty> = later.filter(|later| later.party == party).collect();
        let is_last = later.is_empty();
        let is_dispatch = self.duties[at].event == OrderDispatched;
        let overtaken = !is_dispatch && later.iter().any(|later| !later.record.is_empty());
        let deadline = if self.waits_for_acceptance() {
            self.accept_by
        } else {
            self.now + TimeDelta::hours(24)
        };
        let is_open = !self.has_ended();
        let archived = self.archived[party];
        let duty = &mut self.duties[at];
        let is_too_late = deadline <= self.now;
        if !is_open || archived || overtaken || is_too_late || !matches!(duty.state, Failed | Held)
        {
            return false;
        }
        duty.state = Due;
        duty.round += 1;
        duty.attempts = 0;
        duty.uncounted = 0;
        duty.due = Some((self.now, self.now));
        duty.deadline = deadline;
        if is_dispatch && !is_last {
            // It is sent after the news that came meanwhile.
            let duty = self.duties.remove(at);
            self.duties.push(duty);
        }
        true
    }
}

/// Returns the earliest and latest next attempt: after 2, 8, 32 or 128 seconds and up to a fifth more.
fn wait_after(attempts: u32, now: Time) -> (Time, Time) {
    let scheduled_ms = 2000 * 4_i64.pow(attempts - 1);
    let until_ms = scheduled_ms + scheduled_ms / 5;
    (
        now + TimeDelta::milliseconds(scheduled_ms),
        now + TimeDelta::milliseconds(until_ms) + TimeDelta::microseconds(1),
    )
}
