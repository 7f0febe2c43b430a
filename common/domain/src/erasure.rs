//! Requests to erase what is known of a person, and how far they are.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    ids::{AccountId, ErasureId, IntegratorId, OrderId},
    person::PersonKind,
    words::words,
};

words! {
    /// Why an order of the person is not erased yet.
    pub enum WaitsFor {
        /// The order has not ended.
        OrderEnd = "order_end",
        /// A message about it is still to be sent, or on its way.
        Message = "message",
        /// An integrator's update about it is not applied yet.
        Update = "update",
        /// Its table is open and bears the person's name.
        SessionEnd = "session_end",
        /// An event of it is not announced yet.
        Announcement = "announcement",
        /// A row of it can't be read: an operator mends it first (`expediter audit` names it).
        Repair = "repair",
    }
}

words! {
    pub enum ErasureState {
        /// Not all orders have been looked at.
        Running = "running",
        /// Some orders cannot be erased yet.
        Waiting = "waiting",
        Done = "done",
    }
}

/// An order that is not erased yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingOrder {
    pub order_id: OrderId,
    pub waits_for: WaitsFor,
}

/// A request to erase, without the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    pub id: ErasureId,
    pub kind: PersonKind,
    /// Keyed hash of the person, by which requests about the same one are recognised.
    pub person_hash: Vec<u8>,
    /// The customer's account, if the person has one.
    pub account_id: Option<AccountId>,
    pub requested_at: DateTime<Utc>,
    pub requested_by: Actor,
    pub progress: Progress,
    /// Time of the next step.
    pub next_at: DateTime<Utc>,
    /// Time at which everything was erased.
    pub done_at: Option<DateTime<Utc>>,
}

/// Progress of an erasure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The last order that was looked at.
    pub last_order: Option<OrderId>,
    /// Time at which all orders had been looked at.
    pub walked_at: Option<DateTime<Utc>>,
    pub examined: i64,
    pub erased: i64,
    pub waiting: Vec<WaitingOrder>,
    /// Integrators that may have received an order of the person, and have to be told by people.
    pub recipients: Vec<IntegratorId>,
}

impl Erasure {
    #[must_use]
    pub fn state(&self) -> ErasureState {
        if self.done_at.is_some() {
            ErasureState::Done
        } else if self.progress.walked_at.is_some() {
            ErasureState::Waiting
        } else {
            ErasureState::Running
        }
    }
}
