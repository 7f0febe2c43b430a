//! The page's first table: targets, and what this run measured for each.

use std::collections::BTreeMap;

use crate::report::{Report, Section};

/// The number of the table among the page's sections.
pub(crate) const NUMBER: u32 = 0;
const NOTHING: &str = "not measured in this run";

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
}

/// A measured value of a target.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    target: Target,
    text: String,
}

impl Target {
    const ALL: [Self; 16] = [
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
    ];

    /// Returns a value of this target. `of`: the ground or size that it was measured on.
    pub(crate) fn is(self, of: &str, value: impl std::fmt::Display) -> Figure {
        Figure {
            target: self,
            text: format!("{value} ({of})"),
        }
    }

    /// Returns the target's name, its value and the section that measures it.
    fn facts(self) -> [&'static str; 3] {
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
        }
    }
}

/// Renders the table from the run's sections. `before`: the page's own table, whose other values stay.
pub(crate) fn table(report: &Report, before: Option<&str>) -> String {
    let old = before.map(values).unwrap_or_default();
    let measured = |target: Target| {
        let figures = report
            .sections
            .iter()
            .flat_map(|section: &Section| &section.figures);
        let texts: Vec<&str> = figures
            .filter(|figure| figure.target == target)
            .map(|figure| figure.text.as_str())
            .collect();
        if !texts.is_empty() {
            return texts.join(", ");
        }
        let kept = old.get(target.facts()[0]);
        kept.map_or(NOTHING, String::as_str).to_owned()
    };
    let rows = Target::ALL.map(|target| {
        let [what, wanted, section] = target.facts();
        format!("| {what} | {wanted} | {} | {section} |", measured(target))
    });
    format!(
        "## {NUMBER}. Targets\n\nEach value comes from the section that is named beside it.\n\n\
         | measurement | target | measured | section |\n|---|---:|---|---|\n{}",
        rows.join("\n"),
    )
}

/// Reads the measured values of a table that was written earlier, by the target's name.
fn values(table: &str) -> BTreeMap<String, String> {
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, _, measured, _] = cells.as_slice() else {
            return None;
        };
        Some(((*what).to_owned(), (*measured).to_owned()))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(figures: Vec<Figure>) -> Report {
        Report {
            sections: vec![Section {
                figures,
                ..Section::default()
            }],
        }
    }

    #[test]
    fn a_target_that_was_not_measured_says_so() {
        let table = table(&report(vec![Target::Socket.is("SQLite", 7.5)]), None);
        assert!(table.contains("| memory of an idle socket, KiB | ≤ 8 | 7.5 (SQLite) | 11 |"));
        let unmeasured = table.matches(NOTHING).count();
        assert_eq!(unmeasured, Target::ALL.len() - 1);
    }

    #[test]
    fn a_run_of_some_sections_keeps_the_values_of_the_others() {
        let first = table(
            &report(vec![
                Target::Socket.is("SQLite", 7.5),
                Target::Idle.is("SQLite", 39),
            ]),
            None,
        );
        let second = table(&report(vec![Target::Idle.is("SQLite", 38)]), Some(&first));
        assert!(second.contains("| 7.5 (SQLite) |") && second.contains("| 38 (SQLite) |"));
        assert!(!second.contains("39"));
    }
}
