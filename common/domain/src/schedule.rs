//! The retry schedule of a handoff: after 2, 8, 32 and 128 seconds, plus up to a fifth, never earlier.
//!
//! The only place that names the `backoff` crate (unmaintained, named by the user; see docs/adr): used as a plain
//! iterator of delays, without its own clock or randomness.

use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff};

const INITIAL_DELAY: Duration = Duration::from_secs(2);
const MULTIPLIER: f64 = 4.0;
/// Maximum delay, for attempts past the fifth (an integrator may have a larger `max_attempts`).
const MAX_DELAY: Duration = Duration::from_secs(512);
/// Maximum fraction that is added to a delay, so that handoffs that failed together are not retried together.
const JITTER: f64 = 0.2;

/// Returns the delay between the `attempts`-th attempt (from 1) and the next one. `jitter` is a fraction from 0 to 1.
#[must_use]
pub fn delay_after(attempts: u32, jitter: f64) -> Duration {
    let mut delays = delays();
    let mut delay = INITIAL_DELAY;
    for _ in 0..attempts.clamp(1, 16) {
        delay = delays
            .next_backoff()
            .expect("without an elapsed limit it never ends");
    }
    delay.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0))
}

fn delays() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(INITIAL_DELAY)
        .with_multiplier(MULTIPLIER)
        .with_randomization_factor(0.0)
        .with_max_interval(MAX_DELAY)
        .with_max_elapsed_time(None)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_waits_are_2_8_32_and_128_seconds() {
        let waits: Vec<u64> = (1..=4)
            .map(|attempts| delay_after(attempts, 0.0).as_secs())
            .collect();
        assert_eq!(waits, [2, 8, 32, 128]);
        assert_eq!(delay_after(50, 0.0), MAX_DELAY);
    }

    #[test]
    fn jitter_only_ever_adds_and_at_most_a_fifth() {
        for attempts in 1..=6 {
            let least = delay_after(attempts, 0.0);
            for jitter in [-1.0, 0.0, 0.3, 1.0, 7.0] {
                let delay = delay_after(attempts, jitter);
                assert!(
                    delay >= least && delay <= least.mul_f64(1.2),
                    "{attempts} {jitter} {delay:?}"
                );
            }
        }
    }
}
