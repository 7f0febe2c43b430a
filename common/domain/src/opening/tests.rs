//! Hours on ordinary days, across midnight, and on the days when clocks change.

mod clock_changes;

use chrono::Timelike;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn time(text: &str) -> ClockTime {
    text.parse().unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span {
        from: time(from),
        to: time(to),
    }
}

fn daily(from: &str, to: &str) -> Hours {
    Hours {
        weekly: vec![Weekly {
            days: Day::ALL.to_vec(),
            span: span(from, to),
            fulfilments: None,
        }],
        exceptions: vec![],
    }
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

const TABLE: Fulfilment = Fulfilment::Table;
const BERLIN: Tz = Tz::Europe__Berlin;

#[test]
fn a_store_without_hours_is_always_open() {
    let hours = Hours::default();
    let now = at("2026-11-25T12:00:00Z");
    assert!(hours.is_open(BERLIN, TABLE, now));
    assert_eq!(hours.next_opening(BERLIN, TABLE, now), Some(now));
    assert_eq!(hours.closes_at(BERLIN, TABLE, now), None);
}

#[test]
fn hours_are_on_the_clocks_of_the_zone_in_summer_and_in_winter() {
    let hours = daily("11:00", "22:00");
    for (at_text, open) in [
        ("2026-07-01T08:59:59Z", false),
        ("2026-07-01T09:00:00Z", true),
        ("2026-07-01T19:59:59Z", true),
        ("2026-07-01T20:00:00Z", false),
        ("2026-12-01T09:59:59Z", false),
        ("2026-12-01T10:00:00Z", true),
    ] {
        assert_eq!(hours.is_open(BERLIN, TABLE, at(at_text)), open, "{at_text}");
    }
    let closed = at("2026-07-01T20:00:00Z");
    assert_eq!(
        hours.next_opening(BERLIN, TABLE, closed),
        Some(at("2026-07-02T09:00:00Z"))
    );
    assert_eq!(hours.closes_at(BERLIN, TABLE, closed), None);
    assert_eq!(
        hours.closes_at(BERLIN, TABLE, at("2026-07-01T09:00:00Z")),
        Some(at("2026-07-01T20:00:00Z"))
    );
}

#[test]
fn a_store_whose_zone_changes_opens_at_the_same_hour_of_the_other_clocks() {
    let hours = daily("11:00", "22:00");
    let now = at("2026-12-01T00:00:00Z");
    let opens = |zone| hours.next_opening(zone, TABLE, now);
    assert_eq!(opens(BERLIN), Some(at("2026-12-01T10:00:00Z")));
    assert_eq!(opens(Tz::Asia__Kathmandu), Some(at("2026-12-01T05:15:00Z")));
    // 10:00 in Honolulu is yesterday's afternoon: it is open right now.
    assert_eq!(opens(Tz::Pacific__Honolulu), Some(now));
}

#[test]
fn a_span_reaches_into_the_next_day_and_belongs_to_the_first() {
    let mut hours = Hours {
        weekly: vec![Weekly {
            days: vec![Day::Fri],
            span: span("18:00", "02:00"),
            fulfilments: None,
        }],
        exceptions: vec![],
    };
    let saturday_night = at("2026-11-28T00:30:00Z");
    assert!(hours.is_open(BERLIN, TABLE, saturday_night));
    assert!(!hours.is_open(BERLIN, TABLE, at("2026-11-27T00:30:00Z")));
    assert!(!hours.is_open(BERLIN, TABLE, at("2026-11-28T01:00:00Z")));
    assert_eq!(
        hours.next_opening(BERLIN, TABLE, at("2026-11-28T01:00:00Z")),
        Some(at("2026-12-04T17:00:00Z"))
    );
    // Closing on Saturday ends nothing that began on Friday; closing on Friday does.
    let closed = |day: &str| Exception {
        date: date(day),
        spans: vec![],
        fulfilments: None,
    };
    hours.exceptions = vec![closed("2026-11-28")];
    assert!(hours.is_open(BERLIN, TABLE, saturday_night));
    hours.exceptions = vec![closed("2026-11-27")];
    assert!(!hours.is_open(BERLIN, TABLE, saturday_night));
}

#[test]
fn an_exception_replaces_the_hours_of_its_date_for_its_fulfilments_only() {
    let mut hours = daily("11:00", "22:00");
    hours.exceptions = vec![
        Exception {
            date: date("2026-12-24"),
            spans: vec![span("09:00", "10:00"), span("12:00", "14:00")],
            fulfilments: Some(vec![Fulfilment::Pickup]),
        },
        Exception {
            date: date("2026-12-25"),
            spans: vec![],
            fulfilments: None,
        },
    ];
    let open = |fulfilment, text: &str| hours.is_open(BERLIN, fulfilment, at(text));
    assert!(open(Fulfilment::Pickup, "2026-12-24T08:30:00Z"));
    assert!(!open(Fulfilment::Pickup, "2026-12-24T10:30:00Z"));
    assert!(open(Fulfilment::Pickup, "2026-12-24T12:59:59Z"));
    assert!(!open(Fulfilment::Pickup, "2026-12-24T15:00:00Z"));
    assert!(open(TABLE, "2026-12-24T15:00:00Z"));
    assert!(!open(TABLE, "2026-12-25T15:00:00Z"));
    assert_eq!(
        hours.next_opening(BERLIN, Fulfilment::Pickup, at("2026-12-24T15:00:00Z")),
        Some(at("2026-12-26T10:00:00Z"))
    );
}

#[test]
fn a_fulfilment_without_a_span_of_its_own_is_closed() {
    let mut hours = daily("11:00", "22:00");
    hours.weekly[0].fulfilments = Some(vec![Fulfilment::Pickup]);
    let noon = at("2026-12-01T12:00:00Z");
    assert!(hours.is_open(BERLIN, Fulfilment::Pickup, noon));
    assert!(!hours.is_open(BERLIN, Fulfilment::Delivery, noon));
    assert_eq!(hours.next_opening(BERLIN, Fulfilment::Delivery, noon), None);
}

#[test]
fn exceptions_without_weekly_hours_leave_all_other_days_open() {
    let hours = Hours {
        weekly: vec![],
        exceptions: vec![Exception {
            date: date("2026-12-24"),
            spans: vec![],
            fulfilments: None,
        }],
    };
    let now = at("2026-12-23T12:00:00Z");
    assert_eq!(
        hours.closes_at(BERLIN, TABLE, now),
        Some(at("2026-12-23T23:00:00Z"))
    );
    assert_eq!(
        hours.next_opening(BERLIN, TABLE, at("2026-12-24T12:00:00Z")),
        Some(at("2026-12-24T23:00:00Z"))
    );
}

#[test]
fn spans_that_touch_or_overlap_close_once_at_the_end() {
    let mut hours = daily("11:00", "15:00");
    hours.weekly.push(Weekly {
        span: span("15:00", "18:00"),
        ..hours.weekly[0].clone()
    });
    hours.weekly.push(Weekly {
        span: span("17:00", "20:00"),
        ..hours.weekly[0].clone()
    });
    assert_eq!(
        hours.closes_at(BERLIN, TABLE, at("2026-12-01T11:00:00Z")),
        Some(at("2026-12-01T19:00:00Z"))
    );
    let always = daily("00:00", "00:00");
    assert_eq!(
        always.closes_at(BERLIN, TABLE, at("2026-12-01T11:00:00Z")),
        None
    );
}

#[test]
fn by_hand_decides_until_its_time_and_then_the_hours_do() {
    let mut opening = Opening {
        hours: daily("11:00", "22:00"),
        by_hand: None,
        zone: BERLIN,
    };
    let noon = at("2026-12-01T12:00:00Z");
    let night = at("2026-12-01T22:30:00Z");
    let mut by_hand = |open, until: Option<&str>| {
        opening.by_hand = Some(ByHand {
            open,
            until: until.map(at),
        });
        opening.clone()
    };

    let closed = by_hand(false, Some("2026-12-01T13:00:00Z"));
    assert!(!closed.is_open(TABLE, noon));
    assert_eq!(
        closed.next_opening(TABLE, noon),
        Some(at("2026-12-01T13:00:00Z"))
    );
    assert!(closed.is_open(TABLE, at("2026-12-01T13:00:00Z")));

    let over_night = by_hand(false, Some("2026-12-01T21:30:00Z"));
    assert_eq!(
        over_night.next_opening(TABLE, noon),
        Some(at("2026-12-02T10:00:00Z"))
    );

    let for_long = by_hand(false, None);
    assert_eq!(for_long.next_opening(TABLE, noon), None);
    assert!(!for_long.is_open(TABLE, at("2027-12-01T12:00:00Z")));

    let later = by_hand(true, Some("2026-12-01T23:00:00Z"));
    assert!(later.is_open(TABLE, night));
    assert_eq!(
        later.closes_at(TABLE, night),
        Some(at("2026-12-01T23:00:00Z"))
    );

    let earlier = by_hand(true, Some("2026-12-02T10:30:00Z"));
    assert_eq!(
        earlier.closes_at(TABLE, night),
        Some(at("2026-12-02T21:00:00Z"))
    );

    assert_eq!(by_hand(true, None).closes_at(TABLE, night), None);
}

#[test]
fn only_times_of_day_are_read() {
    for text in ["00:00", "09:05", "23:59"] {
        assert_eq!(time(text).to_string(), text);
    }
    for text in [
        "24:00", "9:00", "09:5", "09:60", "+9:00", "09:00:00", "", "0９:00",
    ] {
        assert_eq!(text.parse::<ClockTime>(), Err(NotAClockTime), "{text}");
    }
}

#[test]
fn hours_survive_their_own_text() {
    let mut hours = daily("18:00", "02:00");
    hours.exceptions.push(Exception {
        date: date("2026-12-24"),
        spans: vec![span("10:00", "12:00")],
        fulfilments: Some(vec![Fulfilment::Delivery]),
    });
    let text = serde_json::to_string(&hours).unwrap();
    assert_eq!(serde_json::from_str::<Hours>(&text).unwrap(), hours);
}

fn any_hours() -> impl Strategy<Value = Hours> {
    let time = (0_u32..24 * 4).prop_map(|quarter| {
        ClockTime(NaiveTime::from_hms_opt(quarter / 4, quarter % 4 * 15, 0).unwrap())
    });
    let span = (time.clone(), time).prop_map(|(from, to)| Span { from, to });
    let days = proptest::sample::subsequence(Day::ALL.to_vec(), 1..=7);
    let weekly = (days, span.clone()).prop_map(|(days, span)| Weekly {
        days,
        span,
        fulfilments: None,
    });
    let exception =
        (0_u64..8, proptest::collection::vec(span, 0..3)).prop_map(|(day, spans)| Exception {
            date: date("2026-03-25") + Days::new(day),
            spans,
            fulfilments: None,
        });
    (
        proptest::collection::vec(weekly, 0..4),
        proptest::collection::vec(exception, 0..3),
    )
        .prop_map(|(weekly, exceptions)| Hours { weekly, exceptions })
}

proptest! {
    /// Walks over the days around a change of clocks, a quarter of an hour at a time: opening and closing are found where
    /// `is_open` changes, and a time that the clocks show once and that the hours name is open.
    #[test]
    fn openings_and_closings_are_where_it_opens_and_closes(
        hours in any_hours(),
        zone in proptest::sample::select(vec![BERLIN, Tz::America__Santiago, Tz::Australia__Lord_Howe, Tz::UTC]),
        first in 0_i64..4 * 24 * 4,
    ) {
        let begin = at("2026-03-26T00:00:00Z") + TimeDelta::minutes(first * 15);
        let quarters: Vec<bool> = (0..3 * 24 * 4)
            .map(|n| hours.is_open(zone, TABLE, begin + TimeDelta::minutes(n * 15)))
            .collect();
        let found = |open: bool| {
            let n = quarters.iter().position(|one| *one == open)?;
            Some(begin + TimeDelta::minutes(i64::try_from(n).ok()? * 15))
        };
        if let Some(opens) = found(true) {
            prop_assert_eq!(hours.next_opening(zone, TABLE, begin), Some(opens));
        }
        if let (true, Some(closes)) = (quarters[0], found(false)) {
            prop_assert_eq!(hours.closes_at(zone, TABLE, begin), Some(closes));
        }
        let local = begin.with_timezone(&zone).naive_local();
        let named = hours.spans(TABLE, local.date()).any(|span| {
            let now = ClockTime(local.time().with_second(0).unwrap());
            span.from <= now && (now < span.to || span.to <= span.from)
        });
        prop_assert!(!named || quarters[0]);
    }
}
