//! The `Retry-After` header (RFC 9110 section 10.2.3): seconds, or a date by the clock of the integrator.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Time to wait before the next attempt, as the integrator asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    After(Duration),
    /// A date of an answer that did not say what time it was there.
    At(DateTime<Utc>),
}

/// Longest wait; longer than any order waits.
const MAX_WAIT: Duration = Duration::from_secs(u32::MAX as u64);

impl RetryAfter {
    /// Parses the header's value: seconds, or an HTTP date. Returns `None` for anything else.
    ///
    /// A date is read by the integrator's clock, which `date`, the answer's own `Date` header, shows: the wait is the
    /// difference of the two, and none if the first is the earlier. A missing or malformed `date` is ignored, and the
    /// value is compared with our clock.
    #[must_use]
    pub fn parse(text: &str, date: Option<&str>) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Any number of digits is valid.
            let seconds = text.parse().unwrap_or(u32::MAX);
            return Some(Self::After(Duration::from_secs(seconds.into())));
        }
        let at = http_date(text)?;
        Some(match date.and_then(http_date) {
            Some(there) => {
                let wait = (at - there).to_std().unwrap_or_default();
                Self::After(wait.min(MAX_WAIT))
            }
            None => Self::At(at),
        })
    }

    #[must_use]
    pub fn from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::After(wait) => now + wait,
            Self::At(at) => at,
        }
    }
}

/// Parses an HTTP date in one of its three forms (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(text.trim()).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Option<RetryAfter> {
        Some(RetryAfter::After(Duration::from_secs(s)))
    }

    fn at(s: i64) -> Option<RetryAfter> {
        Some(RetryAfter::At(DateTime::from_timestamp(s, 0).unwrap()))
    }

    #[test]
    fn nonsense_in_retry_after_is_no_hint() {
        for nonsense in ["", "soon", "-5", "+5", "1.5"] {
            assert_eq!(RetryAfter::parse(nonsense, None), None, "{nonsense}");
        }
        let for_ever = seconds(u32::MAX.into());
        assert_eq!(RetryAfter::parse("99999999999999999", None), for_ever);
        assert_eq!(RetryAfter::parse(&"9".repeat(40), None), for_ever);
    }

    #[test]
    fn a_date_may_have_any_of_its_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(RetryAfter::parse(text, None), at(784_111_777), "{text}");
            let date = Some("Sun, 06 Nov 1994 08:49:07 GMT");
            assert_eq!(RetryAfter::parse(text, date), seconds(30), "{text}");
            let later = "Sun, 06 Nov 1994 08:50:07 GMT";
            assert_eq!(RetryAfter::parse(later, Some(text)), seconds(30), "{text}");
        }
    }

    #[test]
    fn a_date_is_read_by_the_clock_that_wrote_it_however_wrong_that_is() {
        for (date, retry_after) in [
            (
                "Fri, 15 Jan 2027 09:00:00 GMT",
                "Fri, 15 Jan 2027 09:00:20 GMT",
            ),
            (
                "Thu, 01 Jan 1970 00:00:05 GMT",
                "Thu, 01 Jan 1970 00:00:25 GMT",
            ),
            (
                "Fri, 31 Dec 9999 23:59:30 GMT",
                "Fri, 31 Dec 9999 23:59:50 GMT",
            ),
        ] {
            let wait = RetryAfter::parse(retry_after, Some(date));
            assert_eq!(wait, seconds(20), "{date}");
        }
    }

    #[test]
    fn a_date_that_has_passed_there_is_no_wait_and_a_far_one_is_bounded() {
        let date = Some("Fri, 15 Jan 2027 08:00:00 GMT");
        let passed = RetryAfter::parse("Fri, 15 Jan 2027 07:59:00 GMT", date);
        assert_eq!(passed, seconds(0));
        let far = RetryAfter::parse("Fri, 31 Dec 9999 23:59:59 GMT", date);
        assert_eq!(far, seconds(u32::MAX.into()));
    }

    #[test]
    fn a_bad_date_is_ignored_and_says_nothing_about_seconds() {
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        for bad in [
            "",
            "now",
            "0",
            "Sun, 32 Nov 1994 08:49:07 GMT",
            "Sun, 06 Nov 1994 08:49:07 +0100",
        ] {
            let parsed = RetryAfter::parse(text, Some(bad));
            assert_eq!(parsed, at(784_111_777), "{bad}");
        }
        assert_eq!(RetryAfter::parse("7", Some(text)), seconds(7));
    }
}
