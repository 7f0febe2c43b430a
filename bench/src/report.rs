//! Renders the results as Markdown tables.

use std::{fmt, time::Duration};

use crate::{
    samples::{Run, Spread, median},
    targets::Figure,
};

/// All measured sections, in the order of the page.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) number: u32,
    pub(crate) title: &'static str,
    /// The measured operation and the limit it is compared with.
    pub(crate) about: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Values of the page's first table that this section measured.
    pub(crate) figures: Vec<Figure>,
    /// Limiting factor, as the author of the measurement sees it.
    pub(crate) limiting_factor: &'static str,
}

/// Several runs of one measurement: the median of their rates, and the delays of all of them.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    rates_per_s: Vec<f64>,
    delays: Vec<Duration>,
}

impl Measured {
    pub(crate) fn add(&mut self, run: Run) {
        self.rates_per_s.push(run.rate_per_s());
        self.delays.extend(run.took);
    }

    pub(crate) fn rate_per_s(&self) -> f64 {
        median(self.rates_per_s.iter().copied()).unwrap_or(0.0)
    }

    /// Returns the median of the rounds' ratios: both sides of a round ran under the same load.
    pub(crate) fn ratio_to(&self, limit: &Self) -> String {
        let rounds = self.rates_per_s.iter().zip(&limit.rates_per_s);
        let ratio = median(rounds.map(|(ours, limit)| ours / limit));
        ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
    }

    pub(crate) fn spread(&self) -> [String; 3] {
        spread(Spread::of(self.delays.iter().copied()))
    }
}

/// Formats p50, p99 and max in milliseconds.
pub(crate) fn spread(spread: Option<Spread>) -> [String; 3] {
    spread.map_or_else(
        || ["–", "–", "–"].map(str::to_owned),
        |spread| [spread.p50, spread.p99, spread.max].map(milliseconds),
    )
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.2}")
    } else {
        format!("{ms:.0}")
    }
}

pub(crate) fn rate(per_s: f64) -> String {
    format!("{per_s:.0}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, section) in self.sections.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{section}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}. {}\n", self.number, self.title)?;
        writeln!(f, "{}\n", self.about)?;
        writeln!(f, "| {} |", self.columns.join(" | "))?;
        let rules = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, _)| if at == 0 { "---" } else { "---:" });
        writeln!(f, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        writeln!(f, "\n**Limiting factor.** {}", self.limiting_factor)
    }
}
