//! The targets of the measurements, and values that a run measured for them.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Peer,
    PeerToday,
    PlainSql,
    Before,
    Intake,
    Http,
    HandedOver,
    Drain,
    OldOrders,
    Socket,
    FanOut,
    Storm,
    Idle,
    Loaded,
    FirstHandoff,
    FirstScreen,
    Traces,
}

/// A measured value of a target.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) target: Target,
    pub(crate) text: String,
}

impl Target {
    pub(crate) const ALL: [Self; 17] = [
        Self::Peer,
        Self::PeerToday,
        Self::PlainSql,
        Self::Before,
        Self::Intake,
        Self::Http,
        Self::HandedOver,
        Self::Drain,
        Self::OldOrders,
        Self::Socket,
        Self::FanOut,
        Self::Storm,
        Self::Idle,
        Self::Loaded,
        Self::FirstHandoff,
        Self::FirstScreen,
        Self::Traces,
    ];

    /// Returns a value of this target. `of`: the ground or size that it was measured on.
    pub(crate) fn is(self, of: &str, value: impl std::fmt::Display) -> Figure {
        Figure {
            target: self,
            text: format!("{value} ({of})"),
        }
    }

    /// Returns the target's name, its value and the section that measures it.
    pub(crate) fn facts(self) -> [&'static str; 3] {
        match self {
            Self::Peer => [
                "end to end on MariaDB and RabbitMQ ÷ the peer's",
                "≥ 10",
                "13, with `PEERS=1`",
            ],
            Self::PeerToday => [
                "end to end on today's MySQL (TLS) and RabbitMQ ÷ the peer's there",
                "≥ 10",
                "14, with `REAL=1 PEERS=1`",
            ],
            Self::PlainSql => [
                "end to end ÷ batched claim and outcome in plain SQL",
                "≥ 0.4",
                "15",
            ],
            Self::Before => [
                "end to end on SQLite ÷ an earlier build's in the same run",
                "≥ 3",
                "16, with `BEFORE=path/to/expediter`",
            ],
            Self::Intake => ["intake in process, 256 callers ÷ bulk load", "≥ 0.75", "1"],
            Self::Http => ["intake over HTTP ÷ in process, 64 clients", "≥ 0.75", "2"],
            Self::HandedOver => [
                "handed over ÷ accepted while saturated, in the worst second",
                "≥ 0.8",
                "8",
            ],
            Self::Drain => ["drain rate of backlogs: slowest ÷ fastest", "≥ 0.9", "9"],
            Self::OldOrders => [
                "cost of an order with many old ones ÷ with 1000",
                "≤ 1.2",
                "12, with `OLD=5000000` for the largest",
            ],
            Self::Socket => ["memory of an idle socket, KiB", "≤ 8", "11"],
            Self::FanOut => ["one event to all sockets ÷ bare sockets", "≤ 1.3", "11"],
            Self::Storm => ["all sockets come back after a restart, s", "≤ 10", "11"],
            Self::Idle => ["memory of an idle standalone, MiB", "≤ 40", "10"],
            Self::Loaded => ["memory under the load, MiB", "≤ 120", "10"],
            Self::FirstHandoff => ["idle, POST to the integrator, p50 ms", "≤ 4", "3"],
            Self::FirstScreen => ["idle, POST to the screen, p50 ms", "≤ 6", "3"],
            Self::Traces => [
                "an order's time with the usual part of traces recorded ÷ without",
                "≤ 1.02",
                "17",
            ],
        }
    }
}
