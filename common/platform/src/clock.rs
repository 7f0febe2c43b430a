//! The only source of time: system clocks are anchored to the database's time, manual ones are moved by tests.

use parking_lot::RwLock;
use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;

mod follow;
#[cfg(test)]
mod tests;

pub use follow::{Followed, TimeSample};

/// Longest sleep before the clock is read again, so that a new anchor moves sleepers too.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// A clock. Cheap to clone; all clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Arc<System>),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct System {
    anchor: RwLock<Anchor>,
    pace: Pace,
}

/// Speed of a system clock. Tests of debug builds speed it up, so that leases, schedules and deadlines keep their
/// proportions. Processes with the same pace show the same time, also after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    rate: u32,
    since: DateTime<Utc>,
}

/// "It was `time` at `instant`." Everything after is counted on the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    time: DateTime<Utc>,
    instant: Instant,
    /// False until a database's time was followed; before, any difference is followed at once.
    is_of_database: bool,
    /// A jump that one answer told of, and when.
    suspicion: Option<(TimeDelta, Instant)>,
}

#[derive(Debug)]
struct Manual {
    time: watch::Sender<DateTime<Utc>>,
    sleepers: watch::Sender<usize>,
}

impl Clock {
    /// Creates a clock that starts at the machine's wall time. Only `anchor_to_system_time` reads that again; `anchor` sets
    /// the clock to the database's time.
    #[must_use]
    pub fn system() -> Self {
        Self::with_pace(Pace::NORMAL)
    }

    /// Creates a clock like [`Self::system`] that runs at another pace.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all other code must use"
    )]
    pub fn with_pace(pace: Pace) -> Self {
        let anchor = Anchor::new(Utc::now(), Instant::now());
        Self(Source::System(Arc::new(System {
            anchor: RwLock::new(anchor),
            pace,
        })))
    }

    /// Creates a clock that stands still until `advance` or `set` moves it.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            time: watch::Sender::new(start.trunc_subsecs(6)),
            sleepers: watch::Sender::new(0),
        })))
    }

    /// Returns the current time in whole microseconds, the precision of both databases.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System(system) => {
                let time = system.anchor.read().at(Instant::now());
                system.pace.time_at(time).trunc_subsecs(6)
            }
            Source::Manual(manual) => *manual.time.borrow(),
        }
    }

    /// Sets the clock to the database's time. `measured_at` is the middle of the round trip that read it. No-op on a
    /// manual clock, which only its test moves.
    pub fn anchor(&self, database_now: DateTime<Utc>, measured_at: Instant) {
        if let Source::System(system) = &self.0 {
            *system.anchor.write() = Anchor::new(database_now, measured_at);
        }
    }

    /// Sets the clock to the machine's wall time, for a database that has no time of its own. Without it the clock
    /// would lag by as long as the machine was suspended, and receivers would reject its signatures.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all other code must use"
    )]
    pub fn anchor_to_system_time(&self) {
        self.anchor(Utc::now(), Instant::now());
    }

    /// Follows the database's time, as told by several answers. A difference that the round trip explains changes
    /// nothing; one of more than a second is only followed if a later call finds it again. On a manual clock it is a
    /// no-op.
    pub fn follow(&self, samples: &[TimeSample]) -> Followed {
        match (&self.0, follow::best(samples)) {
            (Source::System(system), Some(sample)) => system.anchor.write().follow(sample),
            _ => Followed::Adjusted,
        }
    }

    /// Returns the difference between the clock and this machine's wall time; zero on a manual clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all other code must use"
    )]
    pub fn skew(&self) -> Duration {
        match &self.0 {
            Source::System(system) => {
                let ahead = system.anchor.read().at(Instant::now()) - Utc::now();
                ahead.abs().to_std().unwrap_or(Duration::MAX)
            }
            Source::Manual(_) => Duration::ZERO,
        }
    }

    /// Returns true while the database's time was last found to jump, and no second answer has confirmed it.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        match &self.0 {
            Source::System(system) => system.anchor.read().suspicion.is_some(),
            Source::Manual(_) => false,
        }
    }

    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System(system) => tokio::time::sleep(duration / system.pace.rate).await,
            Source::Manual(manual) => manual.sleep_until(self.now() + duration).await,
        }
    }

    /// Sleeps until `deadline`; returns at once if it has passed.
    pub async fn sleep_until(&self, deadline: DateTime<Utc>) {
        match &self.0 {
            Source::System(system) => {
                while let Ok(left) = (deadline - self.now()).to_std()
                    && !left.is_zero()
                {
                    tokio::time::sleep((left / system.pace.rate).min(MAX_SLEEP)).await;
                }
            }
            Source::Manual(manual) => manual.sleep_until(deadline).await,
        }
    }

    /// Moves a manual clock forward and wakes the sleepers whose deadline has passed.
    ///
    /// # Panics
    /// On a system clock: only tests move time.
    pub fn advance(&self, by: Duration) {
        let by = TimeDelta::from_std(by).expect("a test moves the clock by less than 292 years");
        self.set(self.now() + by);
    }

    /// Sets a manual clock, also backwards.
    ///
    /// # Panics
    /// On a system clock: only tests move time.
    pub fn set(&self, time: DateTime<Utc>) {
        self.manual_source()
            .time
            .send_replace(time.trunc_subsecs(6));
    }

    /// Waits until at least `count` tasks sleep on this manual clock, so that a test knows which ones `advance` wakes.
    ///
    /// # Panics
    /// On a system clock, which does not count its sleepers.
    pub async fn wait_for_sleepers(&self, count: usize) {
        let mut sleepers = self.manual_source().sleepers.subscribe();
        sleepers
            .wait_for(|now| *now >= count)
            .await
            .expect("the sender lives as long as this clock");
    }

    fn manual_source(&self) -> &Manual {
        match &self.0 {
            Source::Manual(manual) => manual,
            Source::System(_) => panic!("only a manual clock can be moved"),
        }
    }
}

impl Pace {
    const NORMAL: Self = Self {
        rate: 1,
        since: DateTime::UNIX_EPOCH,
    };
    const MAX_RATE: u32 = 100;

    fn time_at(self, time: DateTime<Utc>) -> DateTime<Utc> {
        if self.rate == 1 {
            return time;
        }
        self.since + (time - self.since) * i32::try_from(self.rate).unwrap_or(1)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// Parses for example `"20 since 2026-11-20T12:00:00Z"`: twenty times as fast from that time on.
impl FromStr for Pace {
    type Err = InvalidPace;

    fn from_str(text: &str) -> Result<Self, InvalidPace> {
        let (rate, since) = text.split_once(" since ").ok_or(InvalidPace)?;
        let pace = Self {
            rate: rate.parse().map_err(|_| InvalidPace)?,
            since: since.parse().map_err(|_| InvalidPace)?,
        };
        if (1..=Self::MAX_RATE).contains(&pace.rate) {
            Ok(pace)
        } else {
            Err(InvalidPace)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"20 since 2026-11-20T12:00:00Z\", with a rate from 1 to {fastest}", fastest = Pace::MAX_RATE)]
pub struct InvalidPace;

impl Manual {
    async fn sleep_until(&self, deadline: DateTime<Utc>) {
        let mut time = self.time.subscribe();
        let _guard = SleeperGuard::new(&self.sleepers);
        time.wait_for(|now| *now >= deadline)
            .await
            .expect("the sender lives as long as this clock");
    }
}

/// Counts one sleeper for as long as it lives; a cancelled sleep is no longer counted.
struct SleeperGuard<'a>(&'a watch::Sender<usize>);

impl<'a> SleeperGuard<'a> {
    fn new(sleepers: &'a watch::Sender<usize>) -> Self {
        sleepers.send_modify(|count| *count += 1);
        Self(sleepers)
    }
}

impl Drop for SleeperGuard<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
