//! How long and how often each thing is measured.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Of one measured run.
    pub(crate) length: Duration,
    /// Before the first one, unmeasured.
    pub(crate) warm_up: Duration,
    /// Interleaved: everything of a table once, then all of it again.
    pub(crate) rounds: usize,
    /// How many callers at a time.
    pub(crate) callers: &'static [usize],
    /// How many orders on their whole way at a time.
    pub(crate) under_way: &'static [usize],
    /// How many sockets listen to one session.
    pub(crate) sockets: &'static [usize],
    /// How many old orders there are.
    pub(crate) history: i64,
    /// How often they are asked for.
    pub(crate) readings: usize,
}

impl Effort {
    /// Under five minutes, on two cores.
    pub(crate) const FULL: Self = Self {
        length: Duration::from_millis(1200),
        warm_up: Duration::from_millis(400),
        rounds: 3,
        callers: &[1, 16, 64, 256],
        under_way: &[1, 16, 64],
        sockets: &[100, 1000, 5000],
        history: 1_000_000,
        readings: 30,
    };

    /// Under a minute: whether everything still runs, and roughly how.
    pub(crate) const QUICK: Self = Self {
        length: Duration::from_millis(300),
        warm_up: Duration::from_millis(100),
        rounds: 1,
        callers: &[1, 16, 64, 256],
        under_way: &[1, 16],
        sockets: &[100, 1000],
        history: 50_000,
        readings: 5,
    };
}
