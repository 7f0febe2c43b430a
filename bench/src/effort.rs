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
    /// Number of sockets that one process holds.
    pub(crate) crowd: usize,
    /// Length of a load that saturates the machine.
    pub(crate) saturation: Duration,
    /// Length of such a load beside the peer, in each round.
    pub(crate) beside_peer: Duration,
    /// Length of a load on a schedule.
    pub(crate) scheduled: Duration,
    /// Maximum time for what a load has left to be handed over.
    pub(crate) patience: Duration,
    /// Numbers of orders that wait for an integrator that comes back.
    pub(crate) backlogs: &'static [usize],
    /// Maximum time that the draining of a backlog is measured for.
    pub(crate) drain: Duration,
    /// Number of batches of plain claims and outcomes, for each connection and round.
    pub(crate) batches: usize,
    /// Numbers of old orders that may not make an order dearer.
    pub(crate) old_orders: &'static [i64],
    /// Number of old orders of the stats.
    pub(crate) history: i64,
    /// Number of times that each query on them is measured.
    pub(crate) readings: usize,
}

impl Effort {
    /// Under 25 minutes, on two cores.
    pub(crate) const FULL: Self = Self {
        length: Duration::from_millis(1200),
        warm_up: Duration::from_millis(400),
        rounds: 3,
        callers: &[1, 16, 64, 256],
        in_flight: &[1, 16, 64],
        sockets: &[100, 1000, 5000],
        crowd: 20_000,
        saturation: Duration::from_secs(12),
        beside_peer: Duration::from_secs(8),
        scheduled: Duration::from_secs(8),
        patience: Duration::from_secs(60),
        drain: Duration::from_secs(90),
        backlogs: &[1000, 10_000, 100_000],
        batches: 100,
        old_orders: &[1000, 100_000, 1_000_000],
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
        crowd: 500,
        saturation: Duration::from_secs(3),
        beside_peer: Duration::from_secs(2),
        scheduled: Duration::from_secs(1),
        patience: Duration::from_secs(20),
        drain: Duration::from_secs(10),
        backlogs: &[100, 300, 1000],
        batches: 20,
        old_orders: &[1000, 10_000],
        history: 50_000,
        readings: 5,
    };
}
