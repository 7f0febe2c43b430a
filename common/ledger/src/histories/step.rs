//! Random steps that may happen to an order: any list of them can be played, also with some taken out.

use domain::status::{By, OrderStatus};
use platform::chance::Chance;

/// A step. Its numbers select among existing things, so that each step is valid at any position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Move {
        to: OrderStatus,
        by: By,
        with_reason: bool,
    },
    Claim {
        party: usize,
    },
    /// An outcome of the claim that is this many claims old: late and repeated outcomes occur too.
    Hears {
        claims_ago: usize,
        heard: Hears,
    },
    Says {
        party: usize,
        word: &'static str,
        sequence: Option<i64>,
        /// Seconds after the start.
        occurred_at: Option<i64>,
    },
    /// Sends an earlier callback again.
    Replays {
        callback: usize,
    },
    AppliesCallbacks,
    RetriesByHand {
        handoff: usize,
    },
    Enables {
        party: usize,
        enabled: bool,
    },
    Archives {
        party: usize,
    },
    WithdrawsFromArchived,
    /// Workers with a request on the wire stay silent until their leases have expired, and the sweep runs.
    WorkersDie,
    FreesLeases,
    FailsOverdueHandoffs,
    EndsOverdueOrders,
    Settles,
    Waits {
        seconds: i64,
    },
    /// Waits until the order's next handoff is due.
    WaitsForTheNext,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Hears {
    Status(u16),
    /// A 503 with a `Retry-After` of so many seconds.
    RetryAfter(u64),
    /// A 401 on a cached token.
    TokenExpired,
    NotConnected,
    Lost,
    /// The request was never sent.
    Deferred(u64),
}

/// A random integrator.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartyPlan {
    pub(super) is_courier: bool,
    /// True if it is disabled when the order comes.
    pub(super) begins_disabled: bool,
    pub(super) required: bool,
    pub(super) confirms_by_callback: bool,
    pub(super) holds_the_unknown: bool,
    /// True if it listens to the steps of the delivery, too.
    pub(super) hears_of_steps: bool,
    pub(super) max_attempts: u32,
}

/// A history: its participants and its steps.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) auto_accept: bool,
    /// Seconds until the hand-over of an order for later.
    pub(super) later_s: Option<i64>,
    pub(super) parties: Vec<PartyPlan>,
    pub(super) steps: Vec<Step>,
}

const WORDS: &[&str] = &[
    "accepted",
    "accepted",
    "preparing",
    "ready",
    "dispatched",
    "delivered",
    "rejected",
    "cancelled",
    "failed",
    "pending",
    "burnt",
];
/// Words of a courier; the last one is not its to say.
const STEPS: &[&str] = &[
    "READY_FOR_PICK_UP",
    "AT_ORIGIN",
    "EN_ROUTE_OF_DELIVERY",
    "NOT_DELIVERED",
    "DELIVERED",
    "HANDOFF_FAILED",
];
const WAITS_S: &[i64] = &[1, 2, 3, 9, 31, 40, 160, 601, 90_000];

impl Plan {
    pub(super) fn drawn(seed: u64) -> Self {
        let lot = RandomSource(Chance::seeded(seed));
        let mut parties: Vec<PartyPlan> = (0..lot.below(3)).map(|_| lot.party(false)).collect();
        if parties.is_empty() && lot.one_in(2) {
            parties.push(lot.party(false));
        }
        let mut steps = Vec::new();
        if lot.one_in(3) {
            parties.push(lot.party(true));
            if lot.one_in(2) {
                steps = lot.way_to_the_courier(parties.len() - 1);
            }
        }
        steps.extend((0..8 + lot.below(22)).map(|_| lot.step()));
        Self {
            auto_accept: !lot.one_in(3),
            later_s: lot.one_in(3).then(|| lot.of(&[1, 60, 3600])),
            parties,
            steps,
        }
    }
}

struct RandomSource(Chance);

impl RandomSource {
    fn below(&self, end: usize) -> usize {
        let drawn = u64::from_le_bytes(self.0.bytes());
        usize::try_from(drawn % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_in(&self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn party(&self, is_courier: bool) -> PartyPlan {
        PartyPlan {
            is_courier,
            begins_disabled: self.one_in(8),
            required: !is_courier && !self.one_in(4),
            confirms_by_callback: self.one_in(3),
            holds_the_unknown: self.one_in(5),
            hears_of_steps: self.one_in(3),
            max_attempts: self.of(&[5, 5, 5, 2, 1]),
        }
    }

    /// Draws steps that dispatch the order, and some of its courier's.
    fn way_to_the_courier(&self, party: usize) -> Vec<Step> {
        let by_staff = |to| Step::Move {
            to,
            by: By::Staff,
            with_reason: true,
        };
        let mut steps = vec![
            by_staff(OrderStatus::Accepted),
            by_staff(OrderStatus::Dispatched),
            Step::Claim { party },
        ];
        for _ in 0..self.below(8) {
            steps.push(match self.below(5) {
                0 => self.step(),
                1 => Step::AppliesCallbacks,
                _ => self.says(party, STEPS),
            });
        }
        steps
    }

    fn says(&self, party: usize, words: &[&'static str]) -> Step {
        Step::Says {
            party,
            word: self.of(words),
            sequence: self.one_in(2).then(|| 1 + self.below(5) as i64),
            occurred_at: self.one_in(4).then(|| self.below(6) as i64),
        }
    }

    fn step(&self) -> Step {
        let party = self.below(4);
        match self.below(41) {
            0..11 => Step::Claim { party },
            11..19 => Step::Hears {
                claims_ago: self.of(&[0, 0, 0, 1, 2]),
                heard: self.heard(),
            },
            19..24 => self.says(party, if self.one_in(4) { STEPS } else { WORDS }),
            24..28 => Step::AppliesCallbacks,
            28 => Step::Replays {
                callback: self.below(4),
            },
            29..31 => Step::Move {
                to: self.of(OrderStatus::ALL),
                by: self.of(&[By::Owner, By::Guest, By::Staff, By::Staff, By::Operator]),
                with_reason: !self.one_in(4),
            },
            31..33 => Step::WaitsForTheNext,
            33 => Step::Waits {
                seconds: self.of(WAITS_S),
            },
            34 => Step::WorkersDie,
            35 => Step::FreesLeases,
            36 => self.of(&[
                Step::FailsOverdueHandoffs,
                Step::EndsOverdueOrders,
                Step::Settles,
            ]),
            37 => Step::RetriesByHand {
                handoff: self.below(4),
            },
            38 => Step::Enables {
                party,
                enabled: !self.one_in(3),
            },
            39 => self.of(&[
                Step::Archives { party },
                Step::WithdrawsFromArchived,
                Step::WithdrawsFromArchived,
            ]),
            _ => Step::Move {
                to: self.of(&[
                    OrderStatus::Accepted,
                    OrderStatus::Dispatched,
                    OrderStatus::Cancelled,
                ]),
                by: By::Staff,
                with_reason: true,
            },
        }
    }

    fn heard(&self) -> Hears {
        match self.below(12) {
            0..4 => Hears::Status(200),
            4 | 5 => Hears::Status(self.of(&[500, 503, 408, 425, 429])),
            6 => Hears::RetryAfter(self.of(&[1, 30, 300, 700])),
            7 => Hears::Status(self.of(&[422, 400, 302, 410])),
            8 => Hears::TokenExpired,
            9 => Hears::NotConnected,
            10 => Hears::Lost,
            _ => Hears::Deferred(self.of(&[0, 5, 1000])),
        }
    }
}
