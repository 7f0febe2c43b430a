//! Callback to Expediter: its body, and whether a response asks for a retry.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Maximum delay between two attempts of one callback.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Update about one order. Its `webhook_id` is the same on every attempt and every copy.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    pub(crate) webhook_id: String,
    /// Ticket on the board that it is about.
    pub(crate) ticket: u64,
    pub(crate) url: String,
    pub(crate) body: CallbackBody,
    pub(crate) tries: u32,
    /// Number of requests per attempt: two in the mode `twice`.
    pub(crate) copies: u32,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct CallbackBody {
    pub(crate) order_id: String,
    pub(crate) status: &'static str,
    pub(crate) sequence: u32,
    pub(crate) occurred_at: DateTime<Utc>,
}

/// Result of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken(u16),
    Refused(u16),
    /// No response, or one that asks for a retry.
    TryAgain(Option<u16>),
}

impl Sent {
    /// Classifies a status: 2xx is success; 408, 425, 429 and 5xx ask for a retry; all others are final.
    pub(crate) fn from_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken(status),
            408 | 425 | 429 | 500..=599 => Self::TryAgain(Some(status)),
            _ => Self::Refused(status),
        }
    }
}

/// Returns the delay after the given number of failed attempts: it doubles up to a limit.
pub(crate) fn pause_after(tries: u32, first: Duration) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_and_is_bounded() {
        let first = Duration::from_secs(1);
        let pauses_s: Vec<u64> = (1..8).map(|n| pause_after(n, first).as_secs()).collect();
        assert_eq!(pauses_s, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause_after(u32::MAX, first), PAUSE_MAX);
    }

    #[test]
    fn only_an_answer_that_asks_for_it_is_tried_again() {
        assert_eq!(Sent::from_status(202), Sent::Taken(202));
        assert_eq!(Sent::from_status(503), Sent::TryAgain(Some(503)));
        assert_eq!(Sent::from_status(429), Sent::TryAgain(Some(429)));
        assert_eq!(Sent::from_status(404), Sent::Refused(404));
        assert_eq!(Sent::from_status(302), Sent::Refused(302));
    }
}
