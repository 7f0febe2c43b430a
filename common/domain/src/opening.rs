//! Opening hours: weekly spans and exceptions by date, on the clocks of the store's zone.
//!
//! A span belongs to the day on which it begins; if it does not end later than it begins, it ends on the next day. On
//! days when clocks change, a time that happens twice opens at its first and closes at its second occurrence, and a time
//! that does not exist is the moment at which the clocks jump over it: nobody stands before a closed door at a time
//! that the sign calls open.

pub(crate) mod local;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{order::Fulfilment, words::words};

pub use chrono_tz::Tz;
pub use local::{first_instant, last_instant, local_date};

/// Number of days that are searched for the next opening or closing: a year and some days.
pub const HORIZON_DAYS: u64 = 370;

/// Returns the zone with this IANA name. A name that this release does not know is read as UTC: edits check names, but
/// a newer release may know more of them.
#[must_use]
pub fn zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}

words! {
    pub enum Day {
        Mon = "mon",
        Tue = "tue",
        Wed = "wed",
        Thu = "thu",
        Fri = "fri",
        Sat = "sat",
        Sun = "sun",
    }
}

impl Day {
    /// Returns the day of the week of a date.
    #[must_use]
    pub fn of(date: NaiveDate) -> Self {
        Self::ALL[date.weekday().num_days_from_monday() as usize]
    }
}

/// A time of day to the minute, written as `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClockTime(NaiveTime);

/// Error for a text that is not a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time of day from 00:00 to 23:59")]
pub struct NotAClockTime;

impl FromStr for ClockTime {
    type Err = NotAClockTime;

    fn from_str(text: &str) -> Result<Self, NotAClockTime> {
        let is_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        let (hours, minutes) = text.split_once(':').ok_or(NotAClockTime)?;
        if !is_digits(hours) || !is_digits(minutes) {
            return Err(NotAClockTime);
        }
        let number = |part: &str| part.parse::<u32>().map_err(|_| NotAClockTime);
        NaiveTime::from_hms_opt(number(hours)?, number(minutes)?, 0)
            .map(Self)
            .ok_or(NotAClockTime)
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%H:%M"))
    }
}

impl Serialize for ClockTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClockTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Times of a day between which a store is open; `to` is on the next day if it is not later than `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: ClockTime,
    pub to: ClockTime,
}

impl Span {
    /// From midnight to midnight.
    const DAY: Self = Self {
        from: ClockTime(NaiveTime::MIN),
        to: ClockTime(NaiveTime::MIN),
    };

    /// Returns begin and end of the span that begins on this date; they are equal if the clocks jump over all of it.
    fn on(self, date: NaiveDate, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
        let last = if self.to <= self.from {
            date.succ_opt().unwrap_or(date)
        } else {
            date
        };
        (
            first_instant(zone, date.and_time(self.from.0)),
            last_instant(zone, last.and_time(self.to.0)),
        )
    }
}

/// A span that returns each week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    pub days: Vec<Day>,
    #[serde(flatten)]
    pub span: Span,
    /// `None` means all.
    pub fulfilments: Option<Vec<Fulfilment>>,
}

/// The spans of one date, which replace its weekly ones; none of them: closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    pub date: NaiveDate,
    pub spans: Vec<Span>,
    /// `None` means all.
    pub fulfilments: Option<Vec<Fulfilment>>,
}

/// A store's hours. Without weekly spans it is open at all times that no exception names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    pub weekly: Vec<Weekly>,
    pub exceptions: Vec<Exception>,
}

/// Returns true if a list of fulfilments has this one; no list means all.
pub(crate) fn concerns(fulfilments: Option<&Vec<Fulfilment>>, one: Fulfilment) -> bool {
    fulfilments.is_none_or(|named| named.contains(&one))
}

impl Hours {
    /// Returns true if they never close.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weekly.is_empty() && self.exceptions.is_empty()
    }

    #[must_use]
    pub fn is_open(&self, zone: Tz, fulfilment: Fulfilment, at: DateTime<Utc>) -> bool {
        self.is_empty() || self.covered_until(zone, fulfilment, at).is_some()
    }

    /// Returns the first time at or after `at` when it is open, if there is one within [`HORIZON_DAYS`].
    #[must_use]
    pub fn next_opening(
        &self,
        zone: Tz,
        fulfilment: Fulfilment,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if self.is_open(zone, fulfilment, at) {
            return Some(at);
        }
        let yesterday = local_date(zone, at).pred_opt()?;
        let days = (0..=HORIZON_DAYS).map_while(|n| yesterday.checked_add_days(Days::new(n)));
        days.filter_map(|date| {
            let spans = self.spans(fulfilment, date);
            let times = spans.map(|span| span.on(date, zone));
            let later = times.filter(|(from, to)| *from > at && from < to);
            later.map(|(from, _)| from).min()
        })
        .next()
    }

    /// Returns the end of the time for which it is open now; `None` if it is closed, or does not close within
    /// [`HORIZON_DAYS`].
    #[must_use]
    pub fn closes_at(
        &self,
        zone: Tz,
        fulfilment: Fulfilment,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if self.is_empty() {
            return None;
        }
        let horizon = TimeDelta::days(i64::try_from(HORIZON_DAYS).unwrap_or(i64::MAX));
        let mut end = self.covered_until(zone, fulfilment, at)?;
        while let Some(later) = self.covered_until(zone, fulfilment, end) {
            if later - at > horizon {
                return None;
            }
            end = later;
        }
        Some(end)
    }

    /// Returns the latest end of the spans that `at` lies in.
    fn covered_until(
        &self,
        zone: Tz,
        fulfilment: Fulfilment,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let today = local_date(zone, at);
        // Where clocks go back over midnight, tomorrow has begun once already.
        [today.pred_opt(), Some(today), today.succ_opt()]
            .into_iter()
            .flatten()
            .flat_map(|date| self.spans(fulfilment, date).map(move |span| (date, span)))
            .map(|(date, span)| span.on(date, zone))
            .filter(|(from, to)| *from <= at && at < *to)
            .map(|(_, to)| to)
            .max()
    }

    /// Returns the spans that begin on this date.
    fn spans(&self, fulfilment: Fulfilment, date: NaiveDate) -> impl Iterator<Item = Span> + '_ {
        let replaced = move |one: &&Exception| {
            one.date == date && concerns(one.fulfilments.as_ref(), fulfilment)
        };
        let is_replaced = self.exceptions.iter().any(|one| replaced(&one));
        let day = Day::of(date);
        let weekly = self.weekly.iter().filter(move |one| {
            one.days.contains(&day) && concerns(one.fulfilments.as_ref(), fulfilment)
        });
        let always = self.weekly.is_empty().then_some(Span::DAY);
        let usual = weekly.map(|one| one.span).chain(always);
        let exceptional = self.exceptions.iter().filter(replaced);
        exceptional
            .flat_map(|one| one.spans.iter().copied())
            .chain(usual.filter(move |_| !is_replaced))
    }
}

/// Opening or closing by hand: until a time, or until it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    pub open: bool,
    pub until: Option<DateTime<Utc>>,
}

impl ByHand {
    /// Returns true if it decides at this time, in place of the hours.
    #[must_use]
    pub fn is_in_force(self, at: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

/// Everything that decides if a store is open: its hours, and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub hours: Hours,
    pub by_hand: Option<ByHand>,
    pub zone: Tz,
}

impl Opening {
    fn by_hand(&self, at: DateTime<Utc>) -> Option<ByHand> {
        self.by_hand.filter(|by_hand| by_hand.is_in_force(at))
    }

    #[must_use]
    pub fn is_open(&self, fulfilment: Fulfilment, at: DateTime<Utc>) -> bool {
        match self.by_hand(at) {
            Some(by_hand) => by_hand.open,
            None => self.hours.is_open(self.zone, fulfilment, at),
        }
    }

    /// Returns the first time at or after `at` when it is open, as far as is known.
    #[must_use]
    pub fn next_opening(&self, fulfilment: Fulfilment, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.by_hand(at) {
            Some(ByHand { open: true, .. }) => Some(at),
            Some(ByHand { until, .. }) => self.hours.next_opening(self.zone, fulfilment, until?),
            None => self.hours.next_opening(self.zone, fulfilment, at),
        }
    }

    /// Returns the end of the time for which it is open; `None` if it is closed, or if no end is known.
    #[must_use]
    pub fn closes_at(&self, fulfilment: Fulfilment, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.by_hand(at) {
            Some(ByHand { open: false, .. }) => None,
            Some(ByHand { until, .. }) => {
                let until = until?;
                if self.hours.is_open(self.zone, fulfilment, until) {
                    self.hours.closes_at(self.zone, fulfilment, until)
                } else {
                    Some(until)
                }
            }
            None => self.hours.closes_at(self.zone, fulfilment, at),
        }
    }
}
