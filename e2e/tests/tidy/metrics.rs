//! Checks that every declared metric is updated by shipped code: an alert on any other would never fire.

use platform::metrics::DECLARED;

use super::code::shipped_lines;
use super::workspace_files;

/// Method calls that update a metric.
const COUNTING: &[&str] = &[".inc", ".dec", ".set(", ".observe(", ".with_label_values("];

#[test]
fn every_metric_that_is_declared_is_counted_by_shipped_code() {
    let counting: Vec<String> = workspace_files()
        .iter()
        .filter(|source| is_shipped(&source.path))
        .map(|source| {
            shipped_lines(&source.text)
                .concat()
                .split_whitespace()
                .collect()
        })
        .collect();
    let never: Vec<&str> = DECLARED
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !counting.iter().any(|code| counts(code, name)))
        .collect();
    assert!(never.is_empty(), "no shipped code updates {never:?}");
}

fn is_shipped(path: &str) -> bool {
    let of_ours = ["common/", "api/src/", "worker/src/", "notifier/src/"];
    path.ends_with(".rs")
        && of_ours.iter().any(|folder| path.starts_with(folder))
        && !path.contains("/tests")
        && !path.contains("/testing")
        && !path.starts_with("common/platform/src/metrics")
}

/// Returns true if `code` updates the metric: `expediter_orders_placed_total` is the field `orders_placed`. Some fields
/// are borrowed before they are updated (`let stuck = &self.metrics.stuck`).
fn counts(code: &str, name: &str) -> bool {
    let field = name
        .trim_start_matches("expediter_")
        .trim_end_matches("_total");
    code.contains(&format!("metrics.{field};"))
        || COUNTING
            .iter()
            .any(|done| code.contains(&format!(".{field}{done}")))
}

#[test]
fn whether_a_metric_is_counted_can_be_told() {
    for counted in [
        "self.metrics.stuck.set(1);",
        "let of=&metrics.stuck;",
        "self.0.stuck.with_label_values(&[kind]).inc();",
    ] {
        assert!(counts(counted, "expediter_stuck"), "{counted}");
    }
    for other in [
        "self.metrics.stuck_orders.inc();",
        "report.stuck.len()",
        "metrics.unstuck.inc();",
    ] {
        assert!(!counts(other, "expediter_stuck"), "{other}");
    }
}
