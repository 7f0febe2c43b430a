//! Following the database's time: neither a slow answer nor one that jumps is believed at once.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::Anchor;

/// Largest step that one good answer is believed.
const MAX_STEP: TimeDelta = TimeDelta::seconds(1);
/// Least time between two answers for them to be two opinions.
const SECOND_OPINION_AFTER: Duration = Duration::from_millis(500);

/// One answer of the database.
#[derive(Clone, Copy, Debug)]
pub struct TimeSample {
    pub time: DateTime<Utc>,
    pub asked_at: Instant,
    pub round_trip: Duration,
}

/// Result of following a database's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The clock and the database agree, maybe after a small step.
    Adjusted,
    /// The database's time jumped by this much, which a second answer confirmed: the clock shows it now.
    Jumped(TimeDelta),
    /// The database's time differs by this much. The clock goes on as before until a second answer confirms it.
    Suspect(TimeDelta),
}

impl TimeSample {
    /// Returns the moment that `time` most likely belongs to, the middle of the round trip; it may be off by half of it.
    fn measured_at(&self) -> Instant {
        self.asked_at + self.round_trip / 2
    }

    fn uncertainty(&self) -> TimeDelta {
        TimeDelta::from_std(self.round_trip / 2).unwrap_or(TimeDelta::MAX)
    }
}

/// Returns the answer with the shortest round trip among those that agree with most of the others.
pub(super) fn best(samples: &[TimeSample]) -> Option<TimeSample> {
    let first = samples.first()?.asked_at;
    let offset = |sample: &TimeSample| {
        let since = sample.measured_at().saturating_duration_since(first);
        sample.time - since
    };
    let mut offsets: Vec<DateTime<Utc>> = samples.iter().map(offset).collect();
    offsets.sort_unstable();
    let median = *offsets.get(offsets.len() / 2)?;
    let agreeing = samples
        .iter()
        .filter(|sample| (offset(sample) - median).abs() <= MAX_STEP + sample.uncertainty());
    agreeing.min_by_key(|sample| sample.round_trip).copied()
}

impl Anchor {
    pub(super) fn new(time: DateTime<Utc>, instant: Instant) -> Self {
        Self {
            time,
            instant,
            is_of_database: false,
            suspicion: None,
        }
    }

    /// Returns the time at a moment, which may be before the anchor's.
    pub(super) fn at(&self, instant: Instant) -> DateTime<Utc> {
        match instant.checked_duration_since(self.instant) {
            Some(since) => self.time + since,
            None => self.time - self.instant.saturating_duration_since(instant),
        }
    }

    pub(super) fn follow(&mut self, sample: TimeSample) -> Followed {
        let difference = sample.time - self.at(sample.measured_at());
        let is_jump = self.is_of_database && difference.abs() > MAX_STEP;
        if self.is_of_database && difference.abs() <= sample.uncertainty() {
            self.suspicion = None;
            return Followed::Adjusted;
        }
        if is_jump && !self.has_second_opinion(difference, sample.asked_at) {
            return Followed::Suspect(difference);
        }
        *self = Self {
            is_of_database: true,
            ..Self::new(sample.time, sample.measured_at())
        };
        if is_jump {
            Followed::Jumped(difference)
        } else {
            Followed::Adjusted
        }
    }

    /// Returns whether an earlier answer told of the same jump; remembers this one if not.
    fn has_second_opinion(&mut self, difference: TimeDelta, asked_at: Instant) -> bool {
        match self.suspicion {
            Some((earlier, at)) if (earlier - difference).abs() <= MAX_STEP => {
                asked_at.saturating_duration_since(at) >= SECOND_OPINION_AFTER
            }
            _ => {
                self.suspicion = Some((difference, asked_at));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_608_000, 0).unwrap()
    }

    /// A database whose time is noon at `begin`, and an answer that takes `round_trip`.
    fn answer(
        begin: Instant,
        after: Duration,
        round_trip: Duration,
        ahead: TimeDelta,
    ) -> TimeSample {
        TimeSample {
            time: noon() + after + round_trip / 2 + ahead,
            asked_at: begin + after,
            round_trip,
        }
    }

    fn followed(begin: Instant) -> Anchor {
        let mut anchor = Anchor::new(noon() - TimeDelta::hours(3), begin);
        let first = answer(begin, MS, MS, TimeDelta::zero());
        assert_eq!(anchor.follow(first), Followed::Adjusted);
        assert_eq!(
            anchor.at(begin),
            noon(),
            "the first answer is followed at once"
        );
        anchor
    }

    #[test]
    fn the_best_answer_is_the_fastest_of_those_that_agree() {
        let begin = Instant::now();
        let hour = TimeDelta::hours(1);
        let samples = [
            answer(begin, MS, 900 * MS, TimeDelta::milliseconds(400)),
            answer(begin, 2 * MS, MS / 10, hour),
            answer(begin, 3 * MS, 2 * MS, TimeDelta::zero()),
            answer(begin, 4 * MS, 5 * MS, TimeDelta::zero()),
            answer(begin, 5 * MS, 3 * MS, TimeDelta::zero()),
        ];
        let best = best(&samples).unwrap();
        assert_eq!(best.round_trip, 2 * MS);
        assert!(super::best(&[]).is_none());
    }

    #[test]
    fn a_slow_answer_moves_nothing_that_its_round_trip_explains() {
        let begin = Instant::now();
        let mut anchor = followed(begin);
        let late = TimeDelta::milliseconds(2900);
        let slow = answer(begin, 10 * MS, 6000 * MS, late);
        assert_eq!(anchor.follow(slow), Followed::Adjusted);
        assert_eq!(anchor.at(begin), noon());
    }

    #[test]
    fn a_small_step_is_followed_at_once() {
        let begin = Instant::now();
        for ahead in [TimeDelta::milliseconds(40), TimeDelta::milliseconds(-999)] {
            let mut anchor = followed(begin);
            assert_eq!(
                anchor.follow(answer(begin, 10 * MS, MS, ahead)),
                Followed::Adjusted
            );
            assert_eq!(anchor.at(begin), noon() + ahead);
        }
    }

    #[test]
    fn a_jump_is_followed_when_a_later_answer_tells_of_it_again() {
        let begin = Instant::now();
        for jump in [TimeDelta::hours(2), TimeDelta::seconds(-90)] {
            let mut anchor = followed(begin);
            for after in [10 * MS, 20 * MS, 500 * MS] {
                let told = anchor.follow(answer(begin, after, MS, jump));
                assert_eq!(told, Followed::Suspect(jump), "after {after:?}");
                assert_eq!(anchor.at(begin), noon());
            }
            let told = anchor.follow(answer(begin, 1000 * MS, MS, jump));
            assert_eq!(told, Followed::Jumped(jump));
            assert_eq!(anchor.at(begin), noon() + jump);
            assert!(anchor.suspicion.is_none());
        }
    }

    #[test]
    fn answers_that_jump_to_and_fro_are_never_followed() {
        let begin = Instant::now();
        let mut anchor = followed(begin);
        for round in 1..50_u32 {
            let jump = TimeDelta::seconds(10 + 15 * i64::from(round % 3));
            let told = anchor.follow(answer(begin, round * 700 * MS, MS, jump));
            assert!(!matches!(told, Followed::Jumped(_)), "{told:?}");
            assert_eq!(anchor.at(begin), noon());
        }
    }

    #[test]
    fn an_answer_that_agrees_ends_the_suspicion() {
        let begin = Instant::now();
        let mut anchor = followed(begin);
        let jump = TimeDelta::minutes(1);
        anchor.follow(answer(begin, 10 * MS, MS, jump));
        anchor.follow(answer(begin, 1000 * MS, MS, TimeDelta::zero()));
        assert!(anchor.suspicion.is_none());
        let told = anchor.follow(answer(begin, 2000 * MS, MS, jump));
        assert_eq!(told, Followed::Suspect(jump));
    }
}
