//! Hours on the days when clocks change: an hour that happens twice, one that does not exist, and a day that does not.

use super::*;

/// Zone, a span, and the times at which it opens and closes on the day when clocks change.
type ClockChange = (Tz, &'static str, &'static str, &'static str, &'static str);

#[test]
fn an_hour_that_happens_twice_opens_at_its_first_and_closes_at_its_second() {
    let cases: [ClockChange; 6] = [
        // Berlin: 2026-10-25, 03:00 goes back to 02:00 at 01:00Z.
        (
            BERLIN,
            "02:30",
            "04:00",
            "2026-10-25T00:30:00Z",
            "2026-10-25T03:00:00Z",
        ),
        (
            BERLIN,
            "01:00",
            "02:30",
            "2026-10-24T23:00:00Z",
            "2026-10-25T01:30:00Z",
        ),
        // Santiago: 2026-04-04, 24:00 goes back to 23:00 at 03:00Z.
        (
            Tz::America__Santiago,
            "18:00",
            "23:30",
            "2026-04-04T21:00:00Z",
            "2026-04-05T03:30:00Z",
        ),
        (
            Tz::America__Santiago,
            "23:30",
            "01:00",
            "2026-04-05T02:30:00Z",
            "2026-04-05T05:00:00Z",
        ),
        // Lord Howe: 2026-04-05, 02:00 goes back by half an hour to 01:30 at 15:00Z.
        (
            Tz::Australia__Lord_Howe,
            "01:45",
            "03:00",
            "2026-04-04T14:45:00Z",
            "2026-04-04T16:30:00Z",
        ),
        (
            Tz::Australia__Lord_Howe,
            "01:00",
            "01:45",
            "2026-04-04T14:00:00Z",
            "2026-04-04T15:15:00Z",
        ),
    ];
    for (zone, from, to, opens, closes) in cases {
        check(zone, from, to, opens, closes);
    }
}

#[test]
fn an_hour_that_does_not_exist_is_the_moment_when_clocks_jump_over_it() {
    let cases: [ClockChange; 6] = [
        // Berlin: 2026-03-29, 02:00 becomes 03:00 at 01:00Z.
        (
            BERLIN,
            "02:30",
            "04:00",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
        ),
        (
            BERLIN,
            "01:00",
            "02:30",
            "2026-03-29T00:00:00Z",
            "2026-03-29T01:00:00Z",
        ),
        // Santiago: 2026-09-06, 00:00 becomes 01:00 at 04:00Z: the day has no midnight.
        (
            Tz::America__Santiago,
            "00:00",
            "02:00",
            "2026-09-06T04:00:00Z",
            "2026-09-06T05:00:00Z",
        ),
        (
            Tz::America__Santiago,
            "22:00",
            "00:30",
            "2026-09-06T02:00:00Z",
            "2026-09-06T04:00:00Z",
        ),
        // Lord Howe: 2026-10-04, 02:00 becomes 02:30 at 15:30Z.
        (
            Tz::Australia__Lord_Howe,
            "02:15",
            "03:00",
            "2026-10-03T15:30:00Z",
            "2026-10-03T16:00:00Z",
        ),
        (
            Tz::Australia__Lord_Howe,
            "01:00",
            "02:15",
            "2026-10-03T14:30:00Z",
            "2026-10-03T15:30:00Z",
        ),
    ];
    for (zone, from, to, opens, closes) in cases {
        check(zone, from, to, opens, closes);
    }
}

fn check(zone: Tz, from: &str, to: &str, opens: &str, closes: &str) {
    let hours = daily(from, to);
    let (opens, closes) = (at(opens), at(closes));
    let second = TimeDelta::seconds(1);
    let case = format!("{zone} {from}-{to}");
    assert!(!hours.is_open(zone, TABLE, opens - second), "{case}");
    assert_eq!(
        hours.next_opening(zone, TABLE, opens - second),
        Some(opens),
        "{case}"
    );
    assert_eq!(hours.closes_at(zone, TABLE, opens), Some(closes), "{case}");
    assert!(hours.is_open(zone, TABLE, closes - second), "{case}");
    assert!(!hours.is_open(zone, TABLE, closes), "{case}");
}

#[test]
fn a_span_within_an_hour_that_does_not_exist_is_left_out_that_day() {
    let hours = daily("02:15", "02:45");
    let before = at("2026-03-28T23:30:00Z");
    assert_eq!(
        hours.next_opening(BERLIN, TABLE, before),
        Some(at("2026-03-30T00:15:00Z"))
    );
}

#[test]
fn a_day_that_a_zone_left_out_is_no_day() {
    // Apia went from the end of 2011-12-29 to the beginning of 2011-12-31.
    let hours = daily("10:00", "12:00");
    let end_of_29th = at("2011-12-30T08:00:00Z");
    assert_eq!(
        hours.next_opening(Tz::Pacific__Apia, TABLE, end_of_29th),
        Some(at("2011-12-30T20:00:00Z"))
    );
}
