//! Length, repetitions and sizes of the measurements.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Length of one measured run.
    pub(crate) length: Duration,
    /// Length of the unmeasured run before the first one.
    pub(crate) warm_up: Duration,
    /// Number of rounds; each round measures every row of a table once.
    pub(crate) rounds: usize,
    /// Numbers of concurrent callers.
    pub(crate) callers: &'static [usize],
    /// Numbers of orders in flight.
    pub(crate) in_flight: &'static [usize],
    /// Numbers of sockets that listen to one session.
    pub(crate) sockets: &'static [usize],
    /// Number of old orders.
    pub(crate) history: i64,
    /// Number of times that each query on them is measured.
    pub(crate) readings: usize,
}

impl Effort {
    /// Under five minutes, on two cores.
    pub(crate) const FULL: Self = Self {
        length: Duration::from_millis(1200),
        warm_up: Duration::from_millis(400),
        rounds: 3,
        callers: &[1, 16, 64, 256],
        in_flight: &[1, 16, 64],
        sockets: &[100, 1000, 5000],
        history: 1_000_000,
        readings: 30,
    };

    /// Under a minute: shows that everything runs, and rough numbers.
    pub(crate) const QUICK: Self = Self {
        length: Duration::from_millis(300),
        warm_up: Duration::from_millis(100),
        rounds: 1,
        callers: &[1, 16, 64, 256],
        in_flight: &[1, 16],
        sockets: &[100, 1000],
        history: 50_000,
        readings: 5,
    };
}
