//! What stands still until a person looks at it: why in words, and what to do next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    ids::{CallbackId, HandoffId, IntegratorId, OrderId, StoreId},
    words::words,
};

words! {
    /// Why something stands still until a person looks at it.
    pub enum StuckKind {
        /// Its claim failed five times.
        HandoffParked = "handoff_parked",
        /// After an unknown outcome, where the integrator's policy is `hold`.
        HandoffHeld = "handoff_held",
        /// A required handoff failed after its order was accepted, or a courier's did.
        HandoffFailed = "handoff_failed",
        /// Due, or on its way, for longer than its limit, and nobody sends it.
        HandoffLate = "handoff_late",
        /// Applying it failed five times.
        CallbackParked = "callback_parked",
        /// No order had its reference within ten minutes.
        CallbackUnmatched = "callback_unmatched",
        /// Received longer ago than its limit, and still not applied.
        CallbackLate = "callback_late",
        /// Open past its `accept_by`, or waiting for nobody.
        OrderOverdue = "order_overdue",
        /// Accepted, and then in one state for longer than that state's limit.
        OrderIdle = "order_idle",
        /// Publishing it failed five times.
        OutboxParked = "outbox_parked",
        /// Announcements that wait for the broker for longer than their limit: one entry for all.
        OutboxLate = "outbox_late",
    }
}

/// How long each thing may stand still before it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckLimits {
    /// Of an order in this state, as the three below.
    pub accepted: Duration,
    pub preparing: Duration,
    pub ready: Duration,
    pub dispatched: Duration,
    /// Past its due time, or past its lease.
    pub handoff: Duration,
    pub callback: Duration,
    pub outbox: Duration,
}

impl Default for StuckLimits {
    /// As default.toml has them.
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

/// One place on the stuck list.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    pub kind: StuckKind,
    /// The handoff's, callback's, order's or outbox row's id: with the kind, one entry.
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
    pub hindrance: Option<Hindrance>,
}

words! {
    /// Why nobody sends a handoff that is due.
    pub enum Hindrance {
        Disabled = "disabled",
        /// Its requests failed one after another: its breaker is open.
        LeftAlone = "left_alone",
        /// Nothing speaks against it: no worker takes it.
        NoWorker = "no_worker",
    }
}

impl Stuck {
    /// In a sentence or two, for whoever was woken by it.
    #[must_use]
    pub fn why(&self) -> String {
        let said = self.said.as_deref().unwrap_or("nothing is on record");
        match self.kind {
            StuckKind::HandoffParked => {
                format!("It could not be claimed five times over, and is left alone; the last error: {said}.")
            }
            StuckKind::HandoffHeld => format!(
                "Nobody knows whether the integrator got it ({said}), and it wants no second message without a person's word."
            ),
            StuckKind::HandoffFailed => {
                format!("The order needs it, and it failed for good after the order was accepted: {said}.")
            }
            StuckKind::HandoffLate => match self.hindrance {
                Some(Hindrance::Disabled) => "It is due, and its integrator is disabled.".to_owned(),
                Some(Hindrance::LeftAlone) => {
                    "It is due, and its integrator is left alone because it has not answered for a while."
                        .to_owned()
                }
                _ => "It is due, and no worker sends it.".to_owned(),
            },
            StuckKind::CallbackParked => {
                format!("It could not be applied five times over, and is left alone; the last error: {said}.")
            }
            StuckKind::CallbackUnmatched => format!("It belongs to nothing: {said}."),
            StuckKind::CallbackLate => {
                format!("It was received and is still not applied; the last error: {said}.")
            }
            StuckKind::OrderOverdue => {
                format!("It is still {said} past its accept_by, where the sweep should have ended it.")
            }
            StuckKind::OrderIdle => {
                format!("It has been {said} for longer than the setting stuck.{said}_s allows.")
            }
            StuckKind::OutboxParked => {
                format!("Publishing an announcement failed five times, and it is left alone; the last error: {said}.")
            }
            StuckKind::OutboxLate => {
                format!("{said} announcements wait to be published, this the oldest.")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> String {
        let id = |id: Option<Uuid>| id.map_or_else(|| "{id}".to_owned(), |id| id.to_string());
        let handoff = id(self.handoff_id.map(HandoffId::uuid));
        let order = id(self.order_id.map(OrderId::uuid));
        let integrator = id(self.integrator_id.map(IntegratorId::uuid));
        match self.kind {
            StuckKind::HandoffParked => {
                format!("When the cause is gone: POST /handoffs/{handoff}/retry")
            }
            StuckKind::HandoffHeld if self.order_id.is_none() => {
                format!("It is a test. To send it once more: POST /handoffs/{handoff}/retry")
            }
            StuckKind::HandoffHeld => format!(
                "Ask the integrator. Where it has nothing: POST /handoffs/{handoff}/retry. Where it has the order: PUT /orders/{order}/status"
            ),
            StuckKind::HandoffFailed => format!(
                "GET /handoffs/{handoff} shows every attempt. When the cause is gone: POST /handoffs/{handoff}/retry"
            ),
            StuckKind::HandoffLate => match self.hindrance {
                Some(Hindrance::Disabled) => format!(
                    "PATCH /integrators/{integrator} with {{\"enabled\":true}}, or move the order by hand: PUT /orders/{order}/status"
                ),
                Some(Hindrance::LeftAlone) => format!(
                    "Call the integrator: it does not answer. Meanwhile, by hand: PUT /orders/{order}/status"
                ),
                _ => "See that a worker runs: its /readyz, and its log".to_owned(),
            },
            StuckKind::CallbackParked => format!(
                "GET /callbacks?order_id={order} shows what it says. Do that by hand: PUT /orders/{order}/status"
            ),
            StuckKind::CallbackUnmatched => format!(
                "GET /callbacks?integrator_id={integrator}&result=unmatched shows what it says. Find its order, and move it by hand"
            ),
            StuckKind::CallbackLate | StuckKind::OrderOverdue => format!(
                "See that a worker runs: its /readyz, and its log. Meanwhile, by hand: PUT /orders/{order}/status"
            ),
            StuckKind::OrderIdle => {
                format!("Ask the store how it stands, then say so: PUT /orders/{order}/status")
            }
            StuckKind::OutboxParked => {
                "Nothing waits for it: workers and screens find by themselves what it told of. Find the cause in the log"
                    .to_owned()
            }
            StuckKind::OutboxLate => {
                "See that the broker is reached (the metric expediter_broker_connected) and that a worker runs"
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
            (Some(Hindrance::Disabled), "disabled", "\"enabled\":true"),
            (
                Some(Hindrance::LeftAlone),
                "left alone",
                "Call the integrator",
            ),
            (Some(Hindrance::NoWorker), "no worker", "a worker runs"),
            (None, "no worker", "a worker runs"),
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
