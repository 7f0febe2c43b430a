//! The only source of time: system clocks are anchored to the database's time, manual ones are moved by tests.

use parking_lot::RwLock;
use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;

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
        let anchor = Anchor {
            time: Utc::now(),
            instant: Instant::now(),
        };
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
                let anchor = *system.anchor.read();
                let time = anchor.time + anchor.instant.elapsed();
                system.pace.time_at(time).trunc_subsecs(6)
            }
            Source::Manual(manual) => *manual.time.borrow(),
        }
    }

    /// Sets the clock to the database's time. `measured_at` is the middle of the round trip that read it. No-op on a
    /// manual clock, which only its test moves.
    pub fn anchor(&self, database_now: DateTime<Utc>, measured_at: Instant) {
        if let Source::System(system) = &self.0 {
            *system.anchor.write() = Anchor {
                time: database_now,
                instant: measured_at,
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-11-20T12:00:00.123456789Z".parse().unwrap()
    }

    #[test]
    fn times_are_whole_microseconds() {
        assert_eq!(
            Clock::manual(noon()).now().timestamp_subsec_nanos(),
            123_456_000
        );
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1000, 0);
    }

    #[test]
    fn an_anchored_clock_counts_on_from_the_databases_time() {
        let clock = Clock::system();
        let asked_at = Instant::now();
        clock.anchor(noon(), asked_at);
        let ahead = clock.clone().now() - noon().trunc_subsecs(6);
        assert!(ahead >= TimeDelta::zero());
        assert!(ahead.to_std().unwrap() <= asked_at.elapsed());
    }

    #[test]
    fn a_fast_clock_gains_the_same_on_whatever_time_it_is_anchored_to() {
        let pace: Pace = "20 since 2026-11-20T12:00:00Z".parse().unwrap();
        let clock = Clock::with_pace(pace);
        let minute_past: DateTime<Utc> = "2026-11-20T12:01:00Z".parse().unwrap();
        clock.anchor(minute_past, Instant::now());
        let gained = clock.now() - pace.since;
        assert!(
            gained >= TimeDelta::minutes(20) && gained < TimeDelta::minutes(30),
            "{gained}"
        );
    }

    #[tokio::test]
    async fn a_fast_clocks_sleeper_wakes_sooner_by_the_machines_time_and_not_sooner_by_its_own() {
        let clock = Clock::with_pace("100 since 2026-11-20T12:00:00Z".parse().unwrap());
        let (begun_at, deadline) = (Instant::now(), clock.now() + TimeDelta::seconds(2));
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline);
        assert!(begun_at.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_pace_that_makes_no_sense_is_refused() {
        for wrong in [
            "",
            "20",
            "0 since 2026-11-20T12:00:00Z",
            "101 since 2026-11-20T12:00:00Z",
            "2 since noon",
        ] {
            assert_eq!(wrong.parse::<Pace>(), Err(InvalidPace), "{wrong}");
        }
    }

    #[test]
    fn a_clock_that_is_anchored_to_the_machine_tells_its_wall_time_again() {
        let clock = Clock::system();
        clock.anchor(noon(), Instant::now());
        clock.anchor_to_system_time();
        assert!((clock.now() - Clock::system().now()).abs() < TimeDelta::seconds(5));
    }

    #[test]
    fn a_manual_clock_ignores_anchors() {
        let clock = Clock::manual(noon());
        let before = clock.now();
        clock.anchor(before + TimeDelta::days(1), Instant::now());
        assert_eq!(clock.now(), before);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_test_moves_the_clock_and_not_before() {
        let clock = Clock::manual(noon());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(60)).await;
                clock.now()
            }
        });
        clock.wait_for_sleepers(1).await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            sleeper.await.unwrap(),
            noon().trunc_subsecs(6) + TimeDelta::minutes(1)
        );
        assert_eq!(*clock.manual_source().sleepers.borrow(), 0);
    }

    #[tokio::test]
    async fn a_passed_deadline_does_not_sleep() {
        for clock in [Clock::manual(noon()), Clock::system()] {
            clock.sleep_until(clock.now() - TimeDelta::seconds(1)).await;
            clock.sleep_until(clock.now()).await;
        }
    }

    #[tokio::test]
    async fn a_system_clock_sleeps_until_the_deadline_has_passed() {
        let clock = Clock::system();
        let deadline = clock.now() + TimeDelta::milliseconds(3);
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline);
    }
}
