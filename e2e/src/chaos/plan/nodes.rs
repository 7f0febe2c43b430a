//! Failures of a cluster's nodes.

use std::{fmt, time::Duration};

use test_line::Traffic;

use super::{Dice, Fault};

/// Number of nodes of each kind.
pub(in crate::chaos) const NODES: u32 = 3;

/// A node of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The MariaDB node that most connections of the processes are at when the failure begins.
    Writer,
    /// A MariaDB node, by its place in the URL from 0.
    MariaDb(usize),
    RabbitMq(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// `kill -9`, and a restart on its data after `away`.
    Killed { away: Duration },
    /// SIGSTOP, and SIGCONT after `lasts`: shorter or longer than the other nodes wait for it.
    Stalled { lasts: Duration },
    /// Its lines to the other nodes are cut; clients still reach it.
    Isolated { lasts: Duration },
    /// `kill -9`, and a restart without its data folder.
    Wiped,
    /// The lines to it fail, for all processes or for one.
    Unreachable {
        process: Option<usize>,
        passage: Traffic,
        lasts: Duration,
    },
}

impl Dice {
    /// Returns the failure that every round on a cluster has: each kind in turn, so that a few rounds have them all.
    pub(super) fn first_of_cluster(&self, number: u32, processes: u32) -> Fault {
        let fault = match number % 6 {
            0 => self.killed(),
            1 => self.isolated(),
            2 => NodeFault::Wiped,
            3 => self.stalled(),
            4 => {
                let node = Node::RabbitMq(self.one_of(NODES));
                let fault = self.killed();
                return Fault::Node { node, fault };
            }
            _ => self.unreachable(processes),
        };
        let node = Node::Writer;
        Fault::Node { node, fault }
    }

    pub(super) fn of_cluster(&self, processes: u32) -> Fault {
        let node = match self.below(4) {
            0 | 1 => Node::Writer,
            2 => Node::MariaDb(self.one_of(NODES)),
            _ => Node::RabbitMq(self.one_of(NODES)),
        };
        let fault = match (self.below(5), node) {
            (0, _) => self.killed(),
            (1, _) => self.stalled(),
            (2, _) => self.unreachable(processes),
            (3, Node::Writer | Node::MariaDb(_)) => self.isolated(),
            _ => NodeFault::Wiped,
        };
        Fault::Node { node, fault }
    }

    fn one_of(&self, count: u32) -> usize {
        self.below(count) as usize
    }

    fn killed(&self) -> NodeFault {
        let away = self.ms(0, 3000);
        NodeFault::Killed { away }
    }

    /// MariaDB's nodes give a silent one up after 2 s. RabbitMQ's do after a minute; its queues need two of three.
    fn stalled(&self) -> NodeFault {
        let lasts = self.ms(500, 10_000);
        NodeFault::Stalled { lasts }
    }

    fn isolated(&self) -> NodeFault {
        let lasts = self.ms(500, 6000);
        NodeFault::Isolated { lasts }
    }

    fn unreachable(&self, processes: u32) -> NodeFault {
        let passage = match self.below(3) {
            0 => Traffic::Refused,
            1 => Traffic::Frozen,
            _ => Traffic::Slow(self.ms(5, 120)),
        };
        NodeFault::Unreachable {
            process: (self.below(2) == 0).then(|| self.one_of(processes)),
            passage,
            lasts: self.ms(500, 6000),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writer => write!(f, "the writer"),
            Self::MariaDb(n) => write!(f, "mariadb-{}", n + 1),
            Self::RabbitMq(n) => write!(f, "rabbitmq-{}", n + 1),
        }
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { away } => write!(f, "killed, back after {} ms", away.as_millis()),
            Self::Stalled { lasts } => write!(f, "stalled for {} ms", lasts.as_millis()),
            Self::Isolated { lasts } => {
                let lasts = lasts.as_millis();
                write!(f, "isolated from the other nodes for {lasts} ms")
            }
            Self::Wiped => write!(f, "killed and its data folder deleted"),
            Self::Unreachable {
                process,
                passage,
                lasts,
            } => {
                let who = process.map_or("all".to_owned(), |process| format!("process {process}"));
                let lasts = lasts.as_millis();
                write!(f, "{passage:?} for {who} for {lasts} ms")
            }
        }
    }
}
