//! Entries of the stuck list: why something waits until a person looks at it, and what to do next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    ids::{CallbackId, HandoffId, IntegratorId, OrderId, StoreId},
    words::words,
};

words! {
    /// Kind of an entry on the stuck list: why something waits until a person looks at it.
    pub enum StuckKind {
        /// Its claim failed five times.
        HandoffParked = "handoff_parked",
        /// The outcome is unknown and the integrator's policy is `hold`.
        HandoffHeld = "handoff_held",
        /// A required handoff failed after its order was accepted, or a courier's did.
        HandoffFailed = "handoff_failed",
        /// Due, or under way, for longer than its limit, and nobody sends it.
        HandoffLate = "handoff_late",
        /// Applying it failed five times.
        CallbackParked = "callback_parked",
        /// No order had its reference within ten minutes.
        CallbackUnmatched = "callback_unmatched",
        /// Received longer ago than its limit, and still not applied.
        CallbackLate = "callback_late",
        /// Open past its `accept_by`, or waiting for nothing.
        OrderOverdue = "order_overdue",
        /// Accepted, and then in one status for longer than that status's limit.
        OrderIdle = "order_idle",
        /// Publishing it failed five times.
        OutboxParked = "outbox_parked",
        /// Announcements that have waited for the broker longer than their limit: one entry for all.
        OutboxLate = "outbox_late",
    }
}

/// Time after which each kind of thing is listed as stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckLimits {
    /// Limit of an order in this status, like the three below.
    pub accepted: Duration,
    pub preparing: Duration,
    pub ready: Duration,
    pub dispatched: Duration,
    /// After its due time, or after its lease.
    pub handoff: Duration,
    pub callback: Duration,
    pub outbox: Duration,
}

impl Default for StuckLimits {
    /// Returns the defaults of default.toml.
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            accepted: hours(2),
            preparing: hours(2),
            ready: hours(4),
            dispatched: hours(24),
            handoff: Duration::from_secs(300),
            callback: Duration::from_secs(60),
            outbox: Duration::from_secs(60),
        }
    }
}

/// One entry of the stuck list.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    pub kind: StuckKind,
    /// Id of the handoff, callback, order or outbox row; unique together with the kind.
    pub subject: Uuid,
    pub store_id: Option<StoreId>,
    pub order_id: Option<OrderId>,
    /// The order's number in its store.
    pub order_number: Option<i64>,
    pub integrator_id: Option<IntegratorId>,
    pub integrator_name: Option<String>,
    pub handoff_id: Option<HandoffId>,
    pub callback_id: Option<CallbackId>,
    pub since: DateTime<Utc>,
    /// The last error, the reason or the state on record.
    pub said: Option<String>,
    pub hindrance: Option<Obstacle>,
}

words! {
    /// Reason why nobody sends a due handoff.
    pub enum Obstacle {
        Disabled = "disabled",
        /// Its circuit breaker is open, because its requests failed one after another.
        LeftAlone = "left_alone",
        /// No known obstacle: no worker takes it.
        NoWorker = "no_worker",
    }
}

impl Stuck {
    /// Explains in one or two sentences why it is stuck.
    #[must_use]
    pub fn why(&self) -> String {
        let said = self.said.as_deref().unwrap_or("nothing recorded");
        match self.kind {
            StuckKind::HandoffParked => {
                format!("Claiming it failed five times, so it was parked. Last error: {said}.")
            }
            StuckKind::HandoffHeld => format!(
                "It is unknown whether the integrator received it ({said}), and its policy is `hold`: a person must decide."
            ),
            StuckKind::HandoffFailed => {
                format!("The order requires it, but it failed permanently after the order was accepted: {said}.")
            }
            StuckKind::HandoffLate => match self.hindrance {
                Some(Obstacle::Disabled) => "It is due, but its integrator is disabled.".to_owned(),
                Some(Obstacle::LeftAlone) => {
                    "It is due, but its integrator's circuit breaker is open because requests have failed for a while."
                        .to_owned()
                }
                _ => "It is due, but no worker sends it.".to_owned(),
            },
            StuckKind::CallbackParked => {
                format!("Applying it failed five times, so it was parked. Last error: {said}.")
            }
            StuckKind::CallbackUnmatched => format!("It could not be matched: {said}."),
            StuckKind::CallbackLate => {
                format!("It was received but is still not applied. Last error: {said}.")
            }
            StuckKind::OrderOverdue => {
                format!("It is still {said} after its accept_by; the sweep should have ended it.")
            }
            StuckKind::OrderIdle => {
                format!("It has been {said} for longer than the setting stuck.{said}_s allows.")
            }
            StuckKind::OutboxParked => {
                format!("Publishing an announcement failed five times, so it was parked. Last error: {said}.")
            }
            StuckKind::OutboxLate => {
                format!("{said} announcements wait to be published; this is the oldest.")
            }
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn next(&self) -> String {
        let id = |id: Option<Uuid>| id.map_or_else(|| "{id}".to_owned(), |id| id.to_string());
        let handoff = id(self.handoff_id.map(HandoffId::uuid));
        let order = id(self.order_id.map(OrderId::uuid));
        let integrator = id(self.integrator_id.map(IntegratorId::uuid));
        match self.kind {
            StuckKind::HandoffParked => {
                format!("After fixing the cause: POST /handoffs/{handoff}/retry")
            }
            StuckKind::HandoffHeld if self.order_id.is_none() => {
                format!("It is a test. To send it again: POST /handoffs/{handoff}/retry")
            }
            StuckKind::HandoffHeld => format!(
                "Ask the integrator. If it does not have the order: POST /handoffs/{handoff}/retry. If it does: PUT /orders/{order}/status"
            ),
            StuckKind::HandoffFailed => format!(
                "GET /handoffs/{handoff} shows every attempt. After fixing the cause: POST /handoffs/{handoff}/retry"
            ),
            StuckKind::HandoffLate => match self.hindrance {
                Some(Obstacle::Disabled) => format!(
                    "PATCH /integrators/{integrator} with {{\"enabled\":true}}, or move the order by hand: PUT /orders/{order}/status"
                ),
                Some(Obstacle::LeftAlone) => format!(
                    "Contact the integrator: requests to it fail. Meanwhile, move the order by hand: PUT /orders/{order}/status"
                ),
                _ => "Check that a worker is running: see its /readyz and its log".to_owned(),
            },
            StuckKind::CallbackParked => format!(
                "GET /callbacks?order_id={order} shows its content. Apply it by hand: PUT /orders/{order}/status"
            ),
            StuckKind::CallbackUnmatched => format!(
                "GET /callbacks?integrator_id={integrator}&result=unmatched shows its content. Find its order and move that by hand"
            ),
            StuckKind::CallbackLate | StuckKind::OrderOverdue => format!(
                "Check that a worker is running: see its /readyz and its log. Meanwhile, move the order by hand: PUT /orders/{order}/status"
            ),
            StuckKind::OrderIdle => {
                format!("Ask the store for the order's real status, then set it: PUT /orders/{order}/status")
            }
            StuckKind::OutboxParked => {
                "Nothing depends on it: workers and screens find the change by themselves. Find the cause in the log"
                    .to_owned()
            }
            StuckKind::OutboxLate => {
                "Check that the broker is connected (metric expediter_broker_connected) and that a worker is running"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuck(kind: StuckKind) -> Stuck {
        Stuck {
            kind,
            subject: Uuid::from_u128(1),
            store_id: None,
            order_id: Some(Uuid::from_u128(2).into()),
            order_number: None,
            integrator_id: Some(Uuid::from_u128(3).into()),
            integrator_name: None,
            handoff_id: Some(Uuid::from_u128(4).into()),
            callback_id: None,
            since: DateTime::UNIX_EPOCH,
            said: Some("ready".to_owned()),
            hindrance: None,
        }
    }

    #[test]
    fn a_late_handoff_names_what_hinders_it_and_what_helps_against_that() {
        for (hindrance, why, next) in [
            (Some(Obstacle::Disabled), "disabled", "\"enabled\":true"),
            (
                Some(Obstacle::LeftAlone),
                "circuit breaker",
                "Contact the integrator",
            ),
            (Some(Obstacle::NoWorker), "no worker", "is running"),
            (None, "no worker", "is running"),
        ] {
            let late = Stuck {
                hindrance,
                ..stuck(StuckKind::HandoffLate)
            };
            assert!(late.why().contains(why), "{}", late.why());
            assert!(late.next().contains(next), "{}", late.next());
        }
    }

    #[test]
    fn every_kind_says_why_and_what_to_do_next() {
        for kind in StuckKind::ALL.iter().copied() {
            let stuck = stuck(kind);
            assert!(stuck.why().ends_with('.'), "{}", stuck.why());
            assert!(!stuck.next().is_empty() && !stuck.next().contains("{id}"));
        }
    }
}
