//! How long a lane's handoffs wait for this system alone: what intake slows down for.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Time over which a lane is judged.
const WINDOW: Duration = Duration::from_millis(250);
/// Share of its slots' time that the integrator takes to answer, from which it is the integrator that is slow.
const SLOW_INTEGRATOR: f64 = 0.75;
/// Growth of the wait within a window that no load explains. Such handoffs waited for a worker, for a broker or for their
/// integrator to come back, and their stores take orders as ever.
const OUTAGE: Duration = Duration::from_secs(1);

/// Notes on a lane since it was last judged.
#[derive(Debug)]
pub(super) struct Lag {
    since: DateTime<Utc>,
    /// Longest wait of a handoff behind which others wait still.
    longest_wait: Duration,
    /// How far behind the lane was when it was last judged.
    behind: Duration,
    /// Time that requests took, all together.
    sending: Duration,
    /// True from when something other than this system made handoffs wait, until none waits.
    is_excused: bool,
}

impl Lag {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            since: now,
            longest_wait: Duration::ZERO,
            behind: Duration::ZERO,
            sending: Duration::ZERO,
            is_excused: false,
        }
    }

    /// Notes a claim that left nothing due.
    pub(super) fn note_caught_up(&mut self) {
        self.longest_wait = Duration::ZERO;
        self.is_excused = false;
    }

    /// Notes a claim that took as much as it might, and how long the oldest had waited.
    pub(super) fn note_full_claim(&mut self, longest_wait: Duration) {
        self.longest_wait = self.longest_wait.max(longest_wait);
        self.is_excused |= longest_wait > self.behind + OUTAGE;
    }

    /// Notes that the integrator takes no more for now, by its rate or its pause.
    pub(super) fn note_limit(&mut self) {
        self.is_excused = true;
    }

    /// Notes the time that a request took.
    pub(super) fn note_sent(&mut self, took: Duration) {
        self.sending += took;
    }

    /// Returns how far the lane is behind, if it was watched for long enough, and begins to watch anew.
    pub(super) fn judge(&mut self, now: DateTime<Utc>, width: usize) -> Option<Duration> {
        let watched = (now - self.since).to_std().unwrap_or_default();
        if watched < WINDOW {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a lane has few slots")]
        let slots = watched.as_secs_f64() * width as f64;
        self.is_excused |= self.sending.as_secs_f64() >= SLOW_INTEGRATOR * slots && width > 0;
        let behind = if self.is_excused {
            Duration::ZERO
        } else {
            self.longest_wait
        };
        *self = Self {
            behind,
            is_excused: self.is_excused,
            ..Self::new(now)
        };
        Some(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lane_is_as_far_behind_as_the_oldest_of_what_it_could_not_take_at_once() {
        let mut lag = Lag::new(at(0));
        lag.note_full_claim(ms(400));
        lag.note_full_claim(ms(300));
        assert_eq!(lag.judge(at(249), 8), None);
        assert_eq!(lag.judge(at(250), 8), Some(ms(400)));
        lag.note_full_claim(ms(300));
        lag.note_caught_up();
        assert_eq!(lag.judge(at(500), 8), Some(ms(0)));
    }

    #[test]
    fn whoever_waits_for_a_slow_integrator_is_not_behind_until_all_was_taken() {
        let mut lag = Lag::new(at(0));
        lag.note_full_claim(ms(400));
        lag.note_sent(ms(750));
        lag.note_sent(ms(750));
        assert_eq!(lag.judge(at(250), 8), Some(ms(0)));
        lag.note_full_claim(ms(500));
        assert_eq!(lag.judge(at(500), 8), Some(ms(0)));
        lag.note_caught_up();
        lag.note_full_claim(ms(200));
        lag.note_sent(ms(1400));
        assert_eq!(lag.judge(at(750), 8), Some(ms(200)));
    }

    #[test]
    fn a_wait_that_grows_with_the_load_counts_however_long_it_gets() {
        let mut lag = Lag::new(at(0));
        for window in 1..100 {
            lag.note_full_claim(ms(window * 250));
            let behind = lag.judge(at(window * 250), 8);
            assert_eq!(behind, Some(ms(window * 250)));
        }
    }

    #[test]
    fn neither_an_outage_nor_a_limit_of_the_integrator_counts() {
        for excuse in [
            (|lag: &mut Lag| lag.note_full_claim(ms(1001))) as fn(&mut Lag),
            Lag::note_limit,
        ] {
            let mut lag = Lag::new(at(0));
            excuse(&mut lag);
            assert_eq!(lag.judge(at(250), 8), Some(ms(0)));
            lag.note_full_claim(ms(500));
            assert_eq!(lag.judge(at(500), 8), Some(ms(0)));
            lag.note_caught_up();
            lag.note_full_claim(ms(500));
            assert_eq!(lag.judge(at(750), 8), Some(ms(500)));
        }
    }
}
