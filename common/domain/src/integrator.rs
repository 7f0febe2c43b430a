//! Integrators, the outside systems that are handed orders: their events, authentication and status words.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    answers::Answers,
    ids::{IntegratorId, StoreId},
    status::OrderStatus,
    words::words,
};

words! {
    /// Kind of an integrator: a label for people that decides only defaults.
    pub enum IntegratorKind {
        Pos = "pos",
        Kitchen = "kitchen",
        Delivery = "delivery",
        Loyalty = "loyalty",
        Push = "push",
    }
}

words! {
    /// Format of the bodies that an integrator is sent (docs/design.md section 6).
    pub enum Format {
        Order = "order",
        Delivery = "delivery",
    }
}

words! {
    /// Events that an integrator may listen to, and `test`, which is sent only on request.
    pub enum HandoffEvent {
        OrderPlaced = "order.placed",
        OrderCancelled = "order.cancelled",
        OrderDispatched = "order.dispatched",
        OrderStatusChanged = "order.status_changed",
        OrderReadyAtChanged = "order.ready_at_changed",
        /// A step of the delivery, told by its event of the same name.
        DeliveryMoved = "delivery.moved",
        Test = "test",
    }
}

impl HandoffEvent {
    /// Returns true if the message is pointless once its order has ended.
    #[must_use]
    pub fn requires_open_order(self) -> bool {
        matches!(
            self,
            Self::OrderPlaced | Self::OrderDispatched | Self::OrderReadyAtChanged
        )
    }
}

words! {
    /// Signal that counts as an integrator's acceptance of an order.
    pub enum Confirms {
        /// A 2xx means accepted.
        Acknowledgement = "acknowledgement",
        /// A 2xx only ends the handoff; the order waits for a callback.
        Callback = "callback",
    }
}

words! {
    /// Policy for a handoff after an unknown outcome.
    pub enum UnknownPolicy {
        Resend = "resend",
        Hold = "hold",
    }
}

words! {
    pub enum CallbackAuth {
        Signature = "signature",
        Bearer = "bearer",
    }
}

words! {
    /// State of an integrator's circuit breaker.
    pub enum BreakerState {
        Closed = "closed",
        /// Its requests have failed one after another: nothing is sent before the breaker's `until`.
        Open = "open",
        /// One request is under way to check whether it responds again.
        Probing = "probing",
    }
}

words! {
    /// Reason for which an integrator was disabled automatically; low-cardinality, used as a metric label.
    pub enum DisableReason {
        /// It answered 410.
        Gone = "gone",
        /// It failed too often in a row, for too long.
        Failing = "failing",
    }
}

impl DisableReason {
    /// Returns the reason as a text for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Gone => "it answered 410 Gone",
            Self::Failing => "it has failed for an hour or longer, 15 times in a row or more",
        }
    }
}

/// Authentication of our requests to an integrator. Stored encrypted as a whole.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum OutboundAuth {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Bearer {
        token: String,
    },
    Header {
        name: String,
        value: String,
    },
    /// OAuth 2 client credentials (RFC 6749 section 4.4).
    Oauth2 {
        token_url: Url,
        client_id: String,
        client_secret: String,
        scope: Option<String>,
        #[serde(default)]
        client_auth: ClientAuth,
    },
    /// Seed 004: a sign-in whose response contains a JWT.
    SignIn {
        url: Url,
        username: String,
        password: String,
    },
}

words! {
    /// How a client says who it is when it asks for a token (RFC 6749 section 2.3.1).
    pub enum ClientAuth {
        /// In the header `Authorization`.
        Basic = "client_secret_basic",
        /// In the body of the request.
        Post = "client_secret_post",
    }
}

/// RFC 6749 requires it of every server.
impl Default for ClientAuth {
    fn default() -> Self {
        Self::Basic
    }
}

impl OutboundAuth {
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
            Self::Header { .. } => "header",
            Self::Oauth2 { .. } => "oauth2",
            Self::SignIn { .. } => "sign_in",
        }
    }
}

impl std::fmt::Debug for OutboundAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutboundAuth({})", self.kind())
    }
}

/// An integrator's settings as people see and edit them; its secrets are stored apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Integrator {
    pub id: IntegratorId,
    /// Its first store.
    pub store_id: StoreId,
    pub name: String,
    pub kind: IntegratorKind,
    pub format: Format,
    pub events: Vec<HandoffEvent>,
    pub url: Url,
    /// An order is accepted only when every required integrator has confirmed.
    pub required: bool,
    pub confirms: Confirms,
    pub unknown_policy: UnknownPolicy,
    pub callback_auth: CallbackAuth,
    /// The kind of its [`OutboundAuth`].
    pub auth_kind: String,
    /// Maps its status words to ours.
    pub status_map: BTreeMap<String, OrderStatus>,
    pub answers: Answers,
    pub max_attempts: u32,
    /// Maximum number of concurrent requests to it, over all workers.
    pub concurrency: u32,
    /// Maximum number of requests to it per second, over all workers.
    pub rate_per_s: Option<u32>,
    pub enabled: bool,
    pub disabled_reason: Option<String>,
    /// Set for a listener: it goes away after this time.
    pub listens_until: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    /// Its stores beside `store_id`, where people see or edit it; empty elsewhere.
    pub further_stores: Vec<StoreId>,
    /// Since when it belongs to the store that it was read for; without one, to its first.
    pub joined_at: DateTime<Utc>,
    /// Set if it has left the store that it was read for: it is handed no new orders of it.
    pub left_at: Option<DateTime<Utc>>,
}

impl Integrator {
    /// Returns all its stores, the first one first.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreId> {
        let further = self.further_stores.iter().copied();
        std::iter::once(self.store_id).chain(further).collect()
    }

    /// Returns true for a listener: its handoffs are claimed over the API, and move no order.
    #[must_use]
    pub fn is_listener(&self) -> bool {
        self.listens_until.is_some()
    }

    #[must_use]
    pub fn listens_to(&self, event: HandoffEvent) -> bool {
        event == HandoffEvent::Test || self.events.contains(&event)
    }

    /// Returns true if orders of the store that it was read for must have its confirmation, even while it is disabled.
    #[must_use]
    pub fn must_confirm(&self) -> bool {
        self.required && self.left_at.is_none() && self.listens_to(HandoffEvent::OrderPlaced)
    }

    /// Returns true if it is handed this event of the store that it was read for.
    #[must_use]
    pub fn is_handed(&self, event: HandoffEvent) -> bool {
        self.enabled && self.left_at.is_none() && self.listens_to(event)
    }
}

/// Returns the events that an integrator of that kind listens to by default.
#[must_use]
pub const fn default_events(kind: IntegratorKind) -> &'static [HandoffEvent] {
    match kind {
        IntegratorKind::Delivery => &[HandoffEvent::OrderDispatched, HandoffEvent::OrderCancelled],
        IntegratorKind::Push => &[HandoffEvent::OrderStatusChanged],
        IntegratorKind::Pos | IntegratorKind::Kitchen | IntegratorKind::Loyalty => {
            &[HandoffEvent::OrderPlaced, HandoffEvent::OrderCancelled]
        }
    }
}

/// Translates an integrator's status word: by its own map first, else as one of our words, ignoring case.
#[must_use]
pub fn meaning(status_map: &BTreeMap<String, OrderStatus>, word: &str) -> Option<OrderStatus> {
    status_map
        .get(word)
        .copied()
        .or_else(|| word.to_lowercase().parse().ok())
}
