//! Retention: how long ended orders and what belongs to them are kept.

use chrono::{DateTime, TimeDelta, Utc};

use super::{order::Order, words::words};

words! {
    /// Kind of a walk over old rows.
    pub enum Kind {
        /// Removes names, phones, addresses and notes from ended orders, and what may repeat them.
        Contact = "contact",
        /// Removes the bodies of messages, of their answers and of callbacks.
        Messages = "messages",
        /// Deletes the events of ended orders.
        Events = "events",
        /// Deletes events of stores' own streams.
        StoreEvents = "store_events",
        /// Deletes ended orders with everything that belongs to them.
        Orders = "orders",
        /// Deletes closed sessions without orders.
        Sessions = "sessions",
        /// Writes ended orders into files; deletes nothing.
        Archive = "archive",
    }
}

/// How long things are kept after they have ended; `None`: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub orders: Option<TimeDelta>,
    pub contact: Option<TimeDelta>,
    pub messages: Option<TimeDelta>,
    pub events: Option<TimeDelta>,
    /// True if no order, and none of its messages and events, goes before it is in the archive.
    pub archived_only: bool,
    /// Maximum number of orders in one transaction.
    pub batch: u32,
}

impl Limits {
    /// Returns how long a walk's rows are kept; `None` if it has nothing to do.
    #[must_use]
    pub const fn age(&self, kind: Kind) -> Option<TimeDelta> {
        match kind {
            Kind::Contact => self.contact,
            Kind::Messages => self.messages,
            Kind::Events | Kind::StoreEvents => self.events,
            Kind::Orders | Kind::Sessions => self.orders,
            Kind::Archive => None,
        }
    }

    /// Returns how old ended orders are when the archive must have them: before the first thing of theirs that waits for
    /// it goes. `None` if they stay for ever.
    #[must_use]
    pub fn archived_age(&self) -> Option<TimeDelta> {
        let earlier = [self.messages, self.events].into_iter().flatten();
        let earlier = earlier.filter(|_| self.archived_only);
        self.orders.into_iter().chain(earlier).min()
    }

    /// Returns true if the walk goes no further than the archive.
    #[must_use]
    pub const fn waits_for_archive(&self, kind: Kind) -> bool {
        self.archived_only && matches!(kind, Kind::Messages | Kind::Events | Kind::Orders)
    }
}

/// Age below which retention deletes no event, and no order, session or stream: settings count in days. So what is missing
/// and younger was lost by the database (`common/ledger/src/epochs.rs`).
pub const MIN_AGE: TimeDelta = TimeDelta::days(1);

/// Time between the making of an order and the walk that looks at it, beyond its age: most orders end within a day, so
/// that few are passed while they are too young and looked at again.
const SLACK: TimeDelta = TimeDelta::days(1);
/// Pause before a walk looks again at a row that it has left.
const LOOK_AGAIN_AFTER: TimeDelta = TimeDelta::days(1);

/// Returns the time before which rows were made that a walk looks at.
#[must_use]
pub fn walk_end(ended_before: DateTime<Utc>) -> DateTime<Utc> {
    ended_before - SLACK
}

/// Returns the time at which a row is looked at again that was left.
#[must_use]
pub fn look_again_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LOOK_AGAIN_AFTER
}

impl Order {
    /// Returns true if the order ended at this time or before.
    #[must_use]
    pub fn has_ended_by(&self, at: DateTime<Utc>) -> bool {
        self.status.is_final() && self.ended_at.is_some_and(|ended| ended <= at)
    }

    /// Returns true if nothing has changed it after this time, not even an update that came late.
    #[must_use]
    pub fn is_unchanged_since(&self, at: DateTime<Utc>) -> bool {
        self.updated_at.is_none_or(|updated| updated <= at)
    }
}
