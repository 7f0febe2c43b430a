//! The plan of a round, derived from its seed alone: orders with their times, and failures meanwhile.

use std::{fmt, time::Duration};

use platform::chance::Chance;

use super::servers::Server;
use crate::Mood;
use test_line::Traffic;

mod nodes; // failures of a cluster's nodes

pub(super) use nodes::{Node, NodeFault};

/// Time within which orders and failures begin.
const LOAD_DURATION: Duration = Duration::from_millis(2000);

/// The same on a cluster, whose nodes take seconds to notice that one has failed.
const CLUSTER_LOAD_DURATION: Duration = Duration::from_millis(6000);

/// Time after which MySQL ends a silent session of the processes, in milliseconds of real time.
pub(super) const SESSION_TIMEOUT_MS: u32 = 3000;

/// Parts of the setup that can fail.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub processes: usize,
    /// True if MySQL and RabbitMQ are used, through proxies.
    pub on_servers: bool,
    /// True if the run started the servers, which may then be killed.
    pub servers_are_own: bool,
    /// True if the servers have several nodes. Then these fail, and not all of them at once.
    pub is_cluster: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    pub orders: Vec<PlannedOrder>,
    pub faults: Vec<Planned>,
    /// Number of times that the integrator sends each callback.
    pub copies: u32,
}

/// One order to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedOrder {
    pub at: Duration,
    /// True: by a guest at the table. False: by an account, without a session.
    pub by_guest: bool,
    /// Number of buns; 0 means one espresso.
    pub buns: u32,
    /// Delay between the response and the cancellation, if it is cancelled.
    pub cancel_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    pub trouble: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Database,
    Broker,
    /// From clients and integrators to the processes.
    Front,
    /// From the processes to the integrator.
    Integrator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`, and a restart after `away`.
    Killed {
        process: usize,
        away: Duration,
    },
    /// SIGSTOP, and SIGCONT after `lasts`.
    Stalled {
        process: usize,
        lasts: Duration,
    },
    /// The process and its connections to the servers go silent for ever, as with a machine that loses its power;
    /// another one takes over after `away`. Without servers it is like [`Self::Killed`].
    Gone {
        process: usize,
        away: Duration,
    },
    /// SIGSTOP for longer than a lease and a session may last.
    Paused {
        process: usize,
        lasts: Duration,
    },
    /// SIGTERM, and a restart when the process has ended.
    Restarted {
        process: usize,
    },
    /// All connections are closed at once; new ones are accepted.
    Cut {
        wire: Wire,
    },
    Impeded {
        wire: Wire,
        passage: Traffic,
        lasts: Duration,
    },
    ServerDies {
        server: Server,
        away: Duration,
    },
    /// One node of a cluster fails.
    Node {
        node: Node,
        fault: NodeFault,
    },
    QueueEmptied,
    QueueDeleted,
    Mood {
        mood: Mood,
        lasts: Duration,
    },
}

impl Reach {
    fn processes(self) -> u32 {
        u32::try_from(self.processes).expect("a handful")
    }

    fn load_duration(self) -> Duration {
        if self.is_cluster {
            CLUSTER_LOAD_DURATION
        } else {
            LOAD_DURATION
        }
    }
}

impl Round {
    #[must_use]
    pub fn of(seed: u64, number: u32, reach: Reach) -> Self {
        // Each round has its own random numbers, so that it can be repeated without the earlier rounds.
        let mixed = seed ^ u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let dice = Dice(Chance::seeded(mixed));
        let lasts = reach.load_duration();
        let orders = (0..dice.between(12, 30))
            .map(|_| dice.wanted(lasts))
            .collect();
        // Larger setups get more failures at once. A cluster gets fewer, because its nodes take long to come back.
        let most = match (reach.on_servers, reach.is_cluster) {
            (_, true) => 4,
            (true, false) => 7,
            (false, false) => 5,
        };
        let mut faults: Vec<Planned> = (0..dice.between(2, most))
            .map(|_| Planned {
                at: dice.within(lasts),
                trouble: dice.trouble(reach),
            })
            .collect();
        if reach.is_cluster {
            faults.push(Planned {
                at: dice.within(lasts / 2),
                trouble: dice.first_of_cluster(number, reach.processes()),
            });
        }
        faults.sort_by_key(|planned| planned.at);
        Self {
            orders,
            faults,
            copies: dice.between(1, 3),
        }
    }
}

struct Dice(Chance);

impl Dice {
    fn below(&self, end: u32) -> u32 {
        u32::from_le_bytes(self.0.bytes()) % end
    }

    fn between(&self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    fn within(&self, most: Duration) -> Duration {
        let most_ms = u32::try_from(most.as_millis()).expect("rounds are short");
        Duration::from_millis(u64::from(self.below(most_ms)))
    }

    fn ms(&self, least: u32, most: u32) -> Duration {
        Duration::from_millis(u64::from(self.between(least, most)))
    }

    fn wanted(&self, lasts: Duration) -> PlannedOrder {
        PlannedOrder {
            at: self.within(lasts),
            by_guest: self.below(2) == 0,
            buns: self.below(2) * self.between(1, 3),
            cancel_after: (self.below(6) == 0).then(|| self.within(LOAD_DURATION / 2)),
        }
    }

    fn trouble(&self, reach: Reach) -> Fault {
        let process = self.below(reach.processes()) as usize;
        let kinds = match (reach.on_servers, reach.servers_are_own) {
            (false, _) => 11,
            (true, false) => 16,
            (true, true) if reach.is_cluster => 22,
            (true, true) => 18,
        };
        match self.below(kinds) {
            0 | 1 => Fault::Killed {
                process,
                away: self.ms(0, 600),
            },
            // A lease expires in less than a second.
            2 | 3 => Fault::Stalled {
                process,
                lasts: self.ms(300, 2500),
            },
            4 => Fault::Restarted { process },
            5 => self.on_wire(Wire::Front),
            6 => self.on_wire(Wire::Integrator),
            7 | 8 => Fault::Mood {
                mood: self.mood(),
                lasts: self.ms(200, 1500),
            },
            9 => Fault::Gone {
                process,
                away: self.ms(0, 600),
            },
            10 => Fault::Paused {
                process,
                lasts: self.ms(SESSION_TIMEOUT_MS + 500, SESSION_TIMEOUT_MS + 2500),
            },
            11 | 12 => self.on_wire(Wire::Database),
            13 => self.on_wire(Wire::Broker),
            14 => Fault::QueueEmptied,
            15 => Fault::QueueDeleted,
            _ if reach.is_cluster => self.of_cluster(reach.processes()),
            16 => Fault::ServerDies {
                server: Server::MariaDb,
                away: self.ms(0, 800),
            },
            _ => Fault::ServerDies {
                server: Server::RabbitMq,
                away: self.ms(0, 800),
            },
        }
    }

    fn on_wire(&self, wire: Wire) -> Fault {
        let passage = match self.below(4) {
            0 => return Fault::Cut { wire },
            1 => Traffic::Refused,
            2 => Traffic::Frozen,
            _ => Traffic::Slow(self.ms(5, 120)),
        };
        Fault::Impeded {
            wire,
            passage,
            lasts: self.ms(200, 2000),
        }
    }

    fn mood(&self) -> Mood {
        match self.below(4) {
            0 => Mood::Answers(503),
            1 => Mood::Answers(429),
            2 => Mood::Silent,
            // Just before its timeout, or after it.
            _ => Mood::Slow(self.ms(100, 900)),
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} ms  ", self.at.as_millis())?;
        match &self.trouble {
            Fault::Killed { process, away } => {
                write!(
                    f,
                    "process {process} killed, back after {} ms",
                    away.as_millis()
                )
            }
            Fault::Stalled { process, lasts } => {
                write!(f, "process {process} stalled for {} ms", lasts.as_millis())
            }
            Fault::Gone { process, away } => {
                let away = away.as_millis();
                write!(
                    f,
                    "process {process} gone for ever, another after {away} ms"
                )
            }
            Fault::Paused { process, lasts } => {
                write!(f, "process {process} paused for {} ms", lasts.as_millis())
            }
            Fault::Restarted { process } => write!(f, "process {process} restarted with SIGTERM"),
            Fault::Cut { wire } => write!(f, "{wire:?} cut"),
            Fault::Impeded {
                wire,
                passage,
                lasts,
            } => {
                write!(f, "{wire:?} {passage:?} for {} ms", lasts.as_millis())
            }
            Fault::ServerDies { server, away } => {
                write!(f, "{server:?} killed, back after {} ms", away.as_millis())
            }
            Fault::Node { node, fault } => write!(f, "{node} {fault}"),
            Fault::QueueEmptied => write!(f, "work queue emptied"),
            Fault::QueueDeleted => write!(f, "work queue deleted"),
            Fault::Mood { mood, lasts } => {
                write!(f, "integrator {mood:?} for {} ms", lasts.as_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        processes: 6,
        on_servers: true,
        servers_are_own: true,
        is_cluster: false,
    };

    const CLUSTER: Reach = Reach {
        is_cluster: true,
        ..REACH
    };

    #[test]
    fn a_seed_and_a_number_make_one_round_and_others_another() {
        assert_eq!(Round::of(7, 3, REACH), Round::of(7, 3, REACH));
        assert_ne!(Round::of(7, 3, REACH), Round::of(7, 4, REACH));
        assert_ne!(Round::of(7, 3, REACH), Round::of(8, 3, REACH));
    }

    #[test]
    fn nothing_is_planned_that_is_out_of_reach() {
        let embedded = Reach {
            processes: 1,
            on_servers: false,
            servers_are_own: false,
            is_cluster: false,
        };
        for number in 0..300 {
            for planned in Round::of(1, number, embedded).faults {
                let line = planned.to_string();
                let names_server = ["Database", "Broker", "MariaDb", "RabbitMq", "queue"];
                assert!(
                    !names_server.iter().any(|name| line.contains(name)),
                    "{line}"
                );
                assert!(!line.contains("process 1"), "{line}");
            }
        }
    }

    #[test]
    fn every_kind_of_trouble_is_drawn_in_a_few_hundred_rounds() {
        let drawn: String = (0..300)
            .flat_map(|number| Round::of(1, number, REACH).faults)
            .map(|planned| planned.to_string())
            .collect();
        for word in [
            "killed",
            "stalled",
            "gone for ever",
            "paused",
            "restarted",
            "Front cut",
            "Integrator Slow",
            "Database Frozen",
            "Broker Refused",
            "MariaDb",
            "RabbitMq",
            "emptied",
            "deleted",
            "Silent",
            "Answers(503)",
        ] {
            assert!(drawn.contains(word), "{word}");
        }
    }

    #[test]
    fn on_a_cluster_nodes_fail_in_every_way_and_never_all_together() {
        let drawn: String = (0..2000)
            .flat_map(|number| Round::of(1, number, CLUSTER).faults)
            .map(|planned| format!("{planned}\n"))
            .collect();
        for word in [
            "the writer killed, back",
            "the writer stalled",
            "the writer isolated",
            "the writer killed and its data",
            "the writer Refused for all",
            "Frozen for process",
            "mariadb-2",
            "mariadb-3",
            "rabbitmq-1 killed, back",
            "rabbitmq-2 stalled",
            "rabbitmq-3 killed and its data",
            "Database Frozen",
            "emptied",
        ] {
            assert!(drawn.contains(word), "{word}");
        }
        // Whole servers die on the other grounds, and RabbitMQ has no such command.
        for word in ["MariaDb killed", "RabbitMq killed", "rabbitmq-1 isolated"] {
            assert!(!drawn.contains(word), "{word}");
        }
    }

    #[test]
    fn six_rounds_on_a_cluster_have_each_kind_of_its_failures() {
        for first in [0, 7] {
            let drawn: String = (first..first + 6)
                .flat_map(|number| Round::of(3, number, CLUSTER).faults)
                .map(|planned| format!("{planned}\n"))
                .collect();
            for word in [
                "the writer killed, back",
                "the writer stalled",
                "the writer isolated",
                "the writer killed and its data",
                "rabbitmq",
            ] {
                assert!(drawn.contains(word), "{word}: {drawn}");
            }
        }
    }
}
