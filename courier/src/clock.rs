//! The courier's clock, which tests move by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};

/// Source of the current time; clones of a manual clock move together.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    /// Unix time in milliseconds.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that stands still until it is moved.
    #[must_use]
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(
            at.timestamp_millis(),
        ))))
    }

    /// Moves a manual clock forward; a system clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now_ms) = &self.0 {
            now_ms.fetch_add(millis(by), Ordering::SeqCst);
        }
    }

    /// Moves a manual clock back; a system clock stays as it is.
    pub fn set_back(&self, by: Duration) {
        if let Source::Manual(now_ms) = &self.0 {
            now_ms.fetch_sub(millis(by), Ordering::SeqCst);
        }
    }

    /// Returns the time in whole milliseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        from_ms(self.now_ms())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the courier imports none of our crates, so it has its own clock"
    )]
    pub(crate) fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }
}

/// Converts a stored time; one that cannot be shown is the Unix epoch.
pub(crate) fn from_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
