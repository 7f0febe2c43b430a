//! The page's first table: targets, and what this run measured for each.

use std::collections::BTreeMap;

use crate::{
    report::{Report, Section},
    targets::Target,
};

/// The number of the table among the page's sections.
pub(crate) const NUMBER: u32 = 0;
const NOTHING: &str = "not measured in this run";

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
    use crate::targets::Figure;

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
