//! Times on the clocks of a zone as instants, on days when these clocks change too.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Largest distance between the clocks of a zone and UTC, with some room for a day that a zone leaves out.
const FAR: TimeDelta = TimeDelta::hours(50);

/// Returns the date on the zone's calendar.
#[must_use]
pub fn local_date(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// Returns the first instant at which the zone's clocks show this time. If they never do, returns the one at which they
/// jump over it.
#[must_use]
pub fn first_instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => at.to_utc(),
        MappedLocalTime::Ambiguous(one, other) => one.min(other).to_utc(),
        MappedLocalTime::None => jump(zone, local),
    }
}

/// Returns the last instant at which the zone's clocks show this time. If they never do, returns the one at which they
/// jump over it.
#[must_use]
pub fn last_instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => at.to_utc(),
        MappedLocalTime::Ambiguous(one, other) => one.max(other).to_utc(),
        MappedLocalTime::None => jump(zone, local),
    }
}

/// Finds the second from which on the clocks show more than `local`, which they jump over.
fn jump(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    let near = local.and_utc();
    let shows_more = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() >= local;
    first_second(near - FAR, near + FAR, shows_more)
}

/// Finds the first second after `before`, where `is_after` is false, at which it is true. From there on it is true up
/// to `after`.
pub(crate) fn first_second(
    before: DateTime<Utc>,
    after: DateTime<Utc>,
    is_after: impl Fn(DateTime<Utc>) -> bool,
) -> DateTime<Utc> {
    let (mut low, mut high) = (before.timestamp(), after.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match DateTime::from_timestamp(middle, 0) {
            Some(at) if !is_after(at) => low = middle,
            _ => high = middle,
        }
    }
    DateTime::from_timestamp(high, 0).unwrap_or(after)
}
