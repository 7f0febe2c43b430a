//! Retention: one batch of each kind at a time, by whichever worker comes first.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ledger::retention::Retained;

use super::{Sweep, is_due, ok_or_default};

/// Interval of the looks for something to remove, if the last one found no more.
const INTERVAL: Duration = Duration::from_secs(60);
/// Interval of the lines in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// State that one batch leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    looked_at: Option<DateTime<Utc>>,
    logged_at: Option<DateTime<Utc>>,
    /// Counts since the last line in the log.
    removed: Retained,
}

impl Sweep {
    /// Removes periodically, or in the next sweep if one batch was not enough.
    pub(super) async fn retain_if_due(&self) -> Retained {
        let now = self.ledger.clock().now();
        if !is_due(&mut self.memory.lock().retention.looked_at, now, INTERVAL) {
            return Retained::default();
        }
        let retained = ok_or_default("retention", self.ledger.retain().await);
        for (kind, rows) in retained.counts() {
            let counter = self.metrics.retention_rows.with_label_values(&[kind]);
            counter.inc_by(rows);
        }
        let mut memory = self.memory.lock();
        let memory = &mut memory.retention;
        memory.removed.add(&retained);
        if retained.is_behind {
            memory.looked_at = None;
        }
        if !memory.removed.is_empty() && is_due(&mut memory.logged_at, now, LOG_INTERVAL) {
            let Retained {
                contacts,
                messages,
                events,
                orders,
                sessions,
                callbacks,
                ..
            } = std::mem::take(&mut memory.removed);
            tracing::info!(
                contacts,
                messages,
                events,
                orders,
                sessions,
                callbacks,
                "retention removed the contact data of {contacts} orders, the messages of {messages}, {events} events, \
                 {orders} orders, {sessions} sessions and {callbacks} callbacks about no order; the next line comes in a day"
            );
        }
        retained
    }
}
