//! Prints the results of a run: a paragraph per round, totals, and all details of the first violation.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    books::{Counts, Violation},
    follower::Followed,
    house::Shape,
    plan,
};

#[derive(Clone, Debug)]
pub struct RoundReport {
    pub number: u32,
    pub plan: plan::Round,
    pub counts: Counts,
    pub screens: Vec<Followed>,
    pub violations: Vec<Violation>,
    /// Duration of the failures, and of the time until all orders had ended.
    pub took: (Duration, Duration),
}

/// Results of a run.
#[derive(Clone, Debug)]
pub struct Report {
    pub shape: Shape,
    pub seed: u64,
    pub rounds: Vec<RoundReport>,
    /// Stored data of the first wrong order, and the processes' warnings and errors.
    pub evidence: Option<String>,
}

impl Report {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rounds.iter().all(|round| round.violations.is_empty())
    }

    fn sum(&self, of: impl Fn(&RoundReport) -> usize) -> usize {
        self.rounds.iter().map(of).sum()
    }
}

impl fmt::Display for RoundReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            orders,
            ends,
            unanswered,
            unavailable,
            attempts,
            unknown,
            requests,
            repeated,
            max_attempts_seen,
            callbacks,
            buns_left,
        } = &self.counts;
        let (trouble, quiet) = self.took;
        writeln!(
            f,
            "round {}: {:.1} s of failures, {:.1} s until settled",
            self.number,
            trouble.as_secs_f64(),
            quiet.as_secs_f64()
        )?;
        for planned in &self.plan.faults {
            writeln!(f, "  {planned}")?;
        }
        let ends: Vec<String> = ends
            .iter()
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        writeln!(
            f,
            "  accepted {orders} ({}); tries without response {unanswered}, with 503 {unavailable}; {buns_left} buns left",
            ends.join(", ")
        )?;
        writeln!(
            f,
            "  attempts {attempts} (at most {max_attempts_seen} a handoff, {unknown} unknown), seen by the integrator \
             {requests} ({repeated} again); callbacks sent {callbacks}, each {} times",
            self.plan.copies
        )?;
        let screens: Vec<String> = self
            .screens
            .iter()
            .map(|screen| {
                format!(
                    "1 to {} over {} connections",
                    screen.last, screen.connections
                )
            })
            .collect();
        writeln!(f, "  screens saw {}", screens.join("; "))?;
        for Violation { what, order_id } in &self.violations {
            writeln!(
                f,
                "  VIOLATION: {}{what}",
                order_id
                    .as_ref()
                    .map(|id| format!("order {id} "))
                    .unwrap_or_default()
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for (status, count) in self.rounds.iter().flat_map(|round| &round.counts.ends) {
            *ends.entry(status).or_default() += count;
        }
        let violations = self.sum(|round| round.violations.len());
        let verdict = if violations == 0 {
            "NOTHING IS WRONG"
        } else {
            "VIOLATED"
        };
        writeln!(
            f,
            "{verdict}: {:?}, seed {}, {} rounds with {} failures",
            self.shape,
            self.seed,
            self.rounds.len(),
            self.sum(|round| round.plan.faults.len())
        )?;
        let names: Vec<String> = self
            .shape
            .roles()
            .iter()
            .enumerate()
            .map(|(n, role)| format!("{n} {role}"))
            .collect();
        writeln!(f, "  processes: {}", names.join(", "))?;
        let ends: Vec<String> = ends
            .iter()
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        let orders = self.sum(|round| round.counts.orders);
        writeln!(
            f,
            "  accepted {orders} = ended {}; ends: {}",
            self.sum(|round| round.counts.ends.values().sum()),
            ends.join(", ")
        )?;
        writeln!(
            f,
            "  attempts {}, unknown outcome {}; requests received {}, repeated {}; callbacks {}",
            self.sum(|round| round.counts.attempts),
            self.sum(|round| round.counts.unknown),
            self.sum(|round| round.counts.requests),
            self.sum(|round| round.counts.repeated),
            self.sum(|round| round.counts.callbacks),
        )?;
        let slowest = self.rounds.iter().max_by_key(|round| round.took.1);
        if let Some(slowest) = slowest {
            writeln!(
                f,
                "  longest time until settled: {:.1} s, in round {}",
                slowest.took.1.as_secs_f64(),
                slowest.number
            )?;
        }
        let first = self
            .rounds
            .iter()
            .find(|round| !round.violations.is_empty());
        if let Some(first) = first {
            let shape = match self.shape {
                Shape::Embedded => "embedded",
                Shape::Fleet | Shape::Three => "fleet",
                Shape::Cluster => "cluster",
            };
            writeln!(f, "\nThe first violation:\n{first}")?;
            writeln!(f, "{}", self.evidence.as_deref().unwrap_or_default())?;
            writeln!(
                f,
                "To repeat it: make chaos GROUND={shape} SEED={} FIRST={} ROUNDS=1   (same plan; exact times may differ)",
                self.seed, first.number
            )?;
        }
        Ok(())
    }
}
