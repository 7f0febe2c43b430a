//! Content of the board: a ticket for each order, and a line for each request.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::handoff::{Item, PlacedOrder};

/// Maximum number of finished tickets, and of requests, that the board shows.
pub(crate) const SHOWN_MAX: usize = 500;

/// Maximum number of orders in preparation; further ones get a 503 until some are ready.
pub(crate) const OPEN_MAX: usize = 10_000;

/// Order on the board.
#[derive(Debug, Serialize)]
pub(crate) struct Ticket {
    pub(crate) order_id: String,
    pub(crate) number: String,
    /// Reference that the response contained, such as `K-17`.
    pub(crate) reference: String,
    pub(crate) items: Vec<Item>,
    pub(crate) state: State,
    pub(crate) accepted_at: DateTime<Utc>,
    pub(crate) preparing_at: Option<DateTime<Utc>>,
    pub(crate) ready_at: Option<DateTime<Utc>>,
    pub(crate) cancelled_at: Option<DateTime<Utc>>,
    pub(crate) callbacks: Vec<CallbackLine>,
    #[serde(skip)]
    pub(crate) callback_url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Accepted,
    Preparing,
    Ready,
    Cancelled,
}

/// State of one callback about the ticket.
#[derive(Debug, Serialize)]
pub(crate) struct CallbackLine {
    pub(crate) webhook_id: String,
    pub(crate) status: &'static str,
    pub(crate) sequence: u32,
    pub(crate) copies: u32,
    pub(crate) state: CallbackState,
    pub(crate) tries: u32,
    /// Last HTTP status, if there was a response.
    pub(crate) answered: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallbackState {
    Waiting,
    Taken,
    Refused,
    GivenUp,
}

/// Request to `POST /orders`, whatever its outcome.
#[derive(Debug, Serialize)]
pub(crate) struct ReceivedRequest {
    pub(crate) webhook_id: String,
    /// Value of the `Expediter-Attempt` header, such as `2/5`.
    pub(crate) attempt: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) order_number: Option<String>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) outcome: Outcome,
    /// HTTP status of our response.
    pub(crate) answered: u16,
    /// True if the response is delayed beyond the sender's timeout.
    pub(crate) slowly: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Accepted,
    /// Repeated webhook-id.
    Duplicate,
    /// New webhook-id about an order that is on the board already.
    KnownOrder,
    Cancelled,
    /// Cancellation of an order that is not on the board.
    UnknownOrder,
    /// Event that does not concern a kitchen.
    Noted,
    BadSignature,
    Malformed,
    TooLarge,
    Down,
    Full,
    /// The journal cannot be written at the moment.
    NotWritten,
}

impl Ticket {
    pub(crate) fn accepted(
        count: u64,
        order: &PlacedOrder,
        callback_url: Option<&str>,
        now: DateTime<Utc>,
    ) -> Self {
        let reference = if order.number.is_empty() {
            format!("K-{count}")
        } else {
            format!("K-{}", order.number)
        };
        Self {
            order_id: order.id.clone(),
            number: order.number.clone(),
            reference,
            items: order.items.clone(),
            state: State::Accepted,
            accepted_at: now,
            preparing_at: None,
            ready_at: None,
            cancelled_at: None,
            callbacks: Vec::new(),
            callback_url: callback_url.map(str::to_owned),
        }
    }

    pub(crate) fn enter(&mut self, state: State, now: DateTime<Utc>) {
        self.state = state;
        match state {
            State::Accepted => self.accepted_at = now,
            State::Preparing => self.preparing_at = Some(now),
            State::Ready => self.ready_at = Some(now),
            State::Cancelled => self.cancelled_at = Some(now),
        }
    }

    pub(crate) fn callback_mut(&mut self, webhook_id: &str) -> Option<&mut CallbackLine> {
        self.callbacks
            .iter_mut()
            .find(|line| line.webhook_id == webhook_id)
    }
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
        }
    }
}
