//! Compares the guide's tables and lists of words with the code.

use domain::{
    callback::CallbackResult,
    delivery::DeliveryStatus,
    handoff::{RetryAfter, SendResult, outcome},
    integrator::{Format, HandoffEvent},
    schedule::delay_after,
    status::{By, OrderStatus, TABLE},
};

use runtime::config::DEFAULT_TOML;

use crate::blocks::guide;

/// Lines of `default.toml`, and the guide's words for them.
const NUMBERS: [(&str, &str); 9] = [
    (
        "attempt_timeout_ms = 10_000",
        "at most 10 seconds in all (`worker.attempt_timeout_ms`)",
    ),
    ("connect_timeout_ms = 2000", "2 of them to connect"),
    (
        "body_grace_ms = 1000",
        "one more second (`worker.body_grace_ms`)",
    ),
    (
        "response_limit_bytes = 65_536",
        "at most 64 KiB of it are read",
    ),
    (
        "max_pause_s = 300",
        "at most five minutes (`worker.max_pause_s`)",
    ),
    (
        "default_concurrency = 8",
        "requests at one time (8 by default)",
    ),
    (
        "tolerance_s = 300",
        "a clock that is wrong by more than 5 minutes",
    ),
    (
        "integrator_per_minute = 12_000",
        "`rate_limits.integrator_per_minute` (12,000)",
    ),
    ("body_limit_bytes = 1_048_576", "more than 1 MiB"),
];

/// Returns the cells of the table below a heading, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let guide = guide();
    let (_, section) = guide
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("the guide has no section {heading}"));
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.skip(2).map(cells).collect()
}

/// Returns the words of a cell in backticks.
fn words(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_guide_has_every_event() {
    let rows = table("Events");
    let listed: Vec<String> = rows.iter().flat_map(|row| words(&row[0])).collect();
    let events: Vec<&str> = HandoffEvent::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(listed, events);
    for format in Format::ALL {
        let heading = format!("### The format `{format}`");
        assert!(guide().contains(&heading), "no heading {heading}");
    }
}

#[test]
fn the_guides_table_of_answers_is_the_codes() {
    let rows = table("Your answer");
    let row_of = |status: u16| {
        let exact = status.to_string();
        let class = format!("{}xx", status / 100);
        let has = |word: &str| {
            rows.iter()
                .find(|row| words(&row[0]).contains(&word.to_owned()))
        };
        has(&exact)
            .or_else(|| has(&class))
            .unwrap_or_else(|| panic!("the guide says nothing of {status}"))
    };
    let retry_after = RetryAfter::parse("7", None);
    assert!(retry_after.is_some());
    for status in 200..=599 {
        let heard = SendResult::Answer {
            status,
            retry_after: retry_after.filter(|_| [429, 503].contains(&status)),
        };
        let outcome = outcome(&heard, false);
        let row = row_of(status);
        assert_eq!(words(&row[1]), [outcome.as_str()], "{status}: {row:?}");
        let slows = row[2].contains("uses up no attempt");
        assert_eq!(slows, heard.asks_to_slow_down(), "{status}: {row:?}");
    }
    let busy = SendResult::Answer {
        status: 503,
        retry_after: None,
    };
    assert!(
        !busy.asks_to_slow_down(),
        "the guide says: 503 with Retry-After"
    );
    let lost = SendResult::Lost {
        error: String::new(),
    };
    let unknown = rows.iter().find(|row| row[0].starts_with("no status line"));
    let unknown = unknown.expect("a row for no answer");
    assert_eq!(words(&unknown[1]), [outcome(&lost, false).as_str()]);
}

#[test]
fn the_guides_schedule_is_the_codes() {
    let seconds = [1, 2, 3, 4].map(|attempts| delay_after(attempts, 0.0).as_secs());
    assert_eq!(seconds, [2, 8, 32, 128]);
    assert!(guide().contains("2, 8, 32 and 128 seconds"));
}

#[test]
fn the_guide_has_every_status_that_an_integrator_may_set() {
    let rows = table("Callbacks");
    let listed: Vec<String> = rows.iter().flat_map(|row| words(&row[0])).collect();
    let may = |status: &&OrderStatus| {
        let mut moves = TABLE.iter().filter(|one| one.to == **status);
        moves.any(|one| one.by.contains(&By::Integrator))
    };
    let statuses: Vec<&str> = OrderStatus::ALL
        .iter()
        .filter(may)
        .map(|status| status.as_str())
        .collect();
    assert_eq!(listed, statuses);
    let guide = guide();
    for status in DeliveryStatus::ALL {
        assert!(guide.contains(&format!("`{status}`")), "{status}");
    }
}

#[test]
fn the_guide_has_every_result_of_a_callback() {
    let rows = table("The result of a callback");
    let listed: Vec<String> = rows.iter().flat_map(|row| words(&row[0])).collect();
    let results: Vec<&str> = CallbackResult::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(listed, results);
}

#[test]
fn the_guides_numbers_are_the_defaults() {
    // The guide's lines are broken anywhere.
    let guide = guide().split_whitespace().collect::<Vec<_>>().join(" ");
    for (line, words) in NUMBERS {
        assert!(DEFAULT_TOML.lines().any(|one| one == line), "{line}");
        assert!(guide.contains(words), "the guide does not say: {words}");
    }
}
