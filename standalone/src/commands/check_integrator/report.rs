//! Findings of a check, and the report of them as text or as JSON.

use std::{collections::HashSet, fmt::Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    catalogue::{ALL, Check},
    sender::Exchange,
};

/// Result of a check that was not made.
const SKIPPED: &str = "skipped";
/// Findings of one check that a report shows; more of the same kind are counted.
const MAX_SHOWN: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Works, but loses something.
    Warning,
    Fault,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    #[serde(skip)]
    check: &'static Check,
    level: Level,
    sent: String,
    got: String,
    /// The reason why it is wrong, and what to do about it.
    advice: String,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    ran: HashSet<&'static str>,
    found: Vec<Finding>,
    notes: Vec<String>,
}

impl Findings {
    /// Records that a check was made.
    pub(super) fn ran(&mut self, check: &'static Check) {
        self.ran.insert(check.name);
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn fault(
        &mut self,
        check: &'static Check,
        exchange: &Exchange,
        advice: impl Into<String>,
    ) {
        self.add(check, Level::Fault, &exchange.sent, exchange.got(), advice);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static Check,
        exchange: &Exchange,
        advice: impl Into<String>,
    ) {
        self.add(
            check,
            Level::Warning,
            &exchange.sent,
            exchange.got(),
            advice,
        );
    }

    pub(super) fn add(
        &mut self,
        check: &'static Check,
        level: Level,
        sent: impl Into<String>,
        got: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.ran(check);
        self.found.push(Finding {
            check,
            level,
            sent: sent.into(),
            got: got.into(),
            advice: advice.into(),
        });
    }

    pub(super) fn has_faults(&self) -> bool {
        self.count(Level::Fault) > 0
    }

    fn count(&self, level: Level) -> usize {
        let levels = ALL.iter().map(|check| self.level(check));
        levels.filter(|known| *known == Some(level)).count()
    }

    /// Returns the worst finding of a check; `None` if there is none.
    fn level(&self, check: &Check) -> Option<Level> {
        self.of(check).map(|one| one.level).max()
    }

    fn of(&self, check: &Check) -> impl Iterator<Item = &Finding> {
        self.found.iter().filter(move |one| one.check == check)
    }

    fn word(&self, check: &Check) -> &'static str {
        match self.level(check) {
            Some(Level::Fault) => "fault",
            Some(Level::Warning) => "warning",
            None if self.ran.contains(check.name) => "ok",
            None => SKIPPED,
        }
    }

    /// Returns the last line of the report.
    fn verdict(&self) -> String {
        let count = |number: usize, word: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {word}{plural}")
        };
        let ran = ALL.iter().filter(|check| self.ran.contains(check.name));
        let checks = count(ran.count(), "check");
        let warnings = self.count(Level::Warning);
        let with = match warnings {
            0 => String::new(),
            some => format!(", {}", count(some, "warning")),
        };
        match self.count(Level::Fault) {
            0 => format!("ready: {checks}{with}"),
            faults => format!("not ready: {}{with}, of {checks}", count(faults, "fault")),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("writing to a String cannot fail");
        };
        let (skipped, made): (Vec<&&Check>, Vec<&&Check>) =
            ALL.iter().partition(|check| self.word(check) == SKIPPED);
        for check in made {
            let word = self.word(check);
            line(format_args!("{word:8} {:24} {}", check.name, check.title));
            let found: Vec<&Finding> = self.of(check).collect();
            for one in found.iter().take(MAX_SHOWN) {
                line(format_args!("           sent  {}", one.sent));
                line(format_args!("           got   {}", one.got));
                line(format_args!("           so    {}", one.advice));
            }
            if found.len() > MAX_SHOWN {
                line(format_args!(
                    "           and {} more",
                    found.len() - MAX_SHOWN
                ));
            }
            if !found.is_empty() {
                line(format_args!("           why   {}", check.why));
                line(format_args!("           see   {}", check.link()));
            }
        }
        let skipped: Vec<&str> = skipped.iter().map(|check| check.name).collect();
        if !skipped.is_empty() {
            line(format_args!("{SKIPPED:8} {}", skipped.join(", ")));
        }
        for note in &self.notes {
            line(format_args!("note     {note}"));
        }
        line(format_args!("{}", self.verdict()));
        text
    }

    pub(super) fn json(&self, url: &str) -> Value {
        let checks: Vec<Value> = ALL
            .iter()
            .map(|check| {
                json!({
                    "name": check.name,
                    "title": check.title,
                    "result": self.word(check),
                    "why": check.why,
                    "see": check.link(),
                    "findings": self.of(check).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "url": url,
            "result": if self.has_faults() { "faults" } else { "ready" },
            "summary": self.verdict(),
            "notes": self.notes,
            "checks": checks,
        })
    }
}
