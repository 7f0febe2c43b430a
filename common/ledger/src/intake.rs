//! Intake: commits many concurrent orders at once.

mod batch;
mod decide;
mod draft;
mod existing;
mod lines;
mod options;
mod queue;
mod room;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use chrono::{DateTime, Utc};
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

pub(super) use draft::{lock_draft_scope, place_draft};
pub(super) use lines::Lines;
pub(crate) use options::{OptionGroups, Sold, check_available, check_count, groups_of, sell};
pub(crate) use queue::{Queue, start_writers};
pub(super) use room::{check_open, concerned, load, slot_full};

pub use super::idempotency::Idempotency;
use super::{ChangeResult, Failure, Inner, Ledger, Refusal, actor};
use domain::{
    actor::Actor,
    ids::{AccountId, OptionId, OrderId, ProductId, SessionId, StoreId},
    money::Money,
    options::{AskedOption, AskedOptions, MAX_OPTIONS_OF_ORDER, WrongOption},
    order::{
        Customer, Fulfilment, Item, Order,
        size::{TextTooLong, check_text},
    },
    timing::WantedRefused,
    trace::TraceContext,
};
use platform::secrets::sha256;

/// A request to place an order.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    pub store_id: StoreId,
    pub session: Option<SessionId>,
    pub placer: Placer,
    /// The client's own id of the order, unique per placer.
    pub reference: Option<String>,
    pub fulfilment: Fulfilment,
    /// Time for which it is ordered; `None` for as soon as possible.
    pub wanted_at: Option<DateTime<Utc>>,
    pub customer: Customer,
    pub lines: Vec<Line>,
    pub user_note: Option<String>,
    /// The total that the client expects; a different one is refused.
    pub expected_total: Option<Money>,
    pub idempotency: Option<Idempotency>,
    pub replaces: Option<OrderId>,
    /// Place of the request in a trace that is recorded.
    pub trace: Option<TraceContext>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placer {
    Account(AccountId),
    /// A guest, always in a session.
    Guest {
        key_hash: Option<[u8; 32]>,
    },
}

impl Placer {
    /// Returns the request's actor, or what is known without a request.
    fn actor(&self, current: Actor) -> Actor {
        match self {
            _ if current != Actor::SYSTEM => current,
            Self::Account(account) => Actor::account_id(*account),
            Self::Guest { .. } => Actor::GUEST,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Line {
    pub product: ProductRef,
    /// At least 1.
    pub quantity: u32,
    pub options: AskedOptions,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProductRef {
    Id(ProductId),
    Sku(String),
}

#[derive(Clone, Debug)]
pub struct Placed {
    pub order: Order,
    /// True if the idempotency key was known: this is the order that it made, in its current state.
    pub replayed: bool,
}

/// Why an order is not placed. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceRefused {
    #[error("the store does not exist")]
    UnknownStore,
    #[error("the store is archived")]
    StoreArchived,
    #[error("the store is paused")]
    StorePaused,
    #[error("the store is paused until {until}")]
    PausedUntil { until: DateTime<Utc> },
    /// `None` if nobody knows when it opens.
    #[error("the store is closed")]
    StoreClosed { opens_at: Option<DateTime<Utc>> },
    /// `None` if there is no room within a day.
    #[error("the store has no room for this order at its time")]
    SlotFull { next_free_at: Option<DateTime<Utc>> },
    #[error("the session does not exist")]
    UnknownSession,
    #[error("the session is closed")]
    SessionClosed,
    /// Indices of these lines.
    #[error("some products do not belong to this store")]
    UnknownProducts { lines: Vec<usize> },
    #[error("some products are unavailable")]
    Unavailable { lines: Vec<usize> },
    /// Indices of their lines.
    #[error("some options do not fit together")]
    WrongOptions { wrong: Vec<(usize, WrongOption)> },
    #[error("some options are unavailable")]
    OptionsUnavailable {
        lines: Vec<usize>,
        options: Vec<OptionId>,
    },
    #[error("an order has at most {MAX_OPTIONS_OF_ORDER} different options")]
    TooManyOptions,
    #[error("insufficient stock of some products")]
    InsufficientStock { short: Vec<Shortage> },
    #[error("the order's total is too large")]
    TotalTooLarge,
    #[error("the total differs from the expected total")]
    TotalMismatch { expected: Money, actual: Money },
    #[error("an order must have at least one item")]
    NoItems,
    #[error(transparent)]
    TextTooLong(#[from] TextTooLong),
    #[error("the session has {limit} unfinished orders, which is the limit")]
    TooManyUnfinished { limit: u32 },
    #[error("a delivery must have an address")]
    AddressMissing,
    #[error("wanted_at: {0}")]
    WantedAt(#[from] WantedRefused),
    #[error("an order with this reference already exists")]
    DuplicateOrder { existing: OrderId },
    #[error("the order was already replaced")]
    AlreadyReplaced { by: OrderId },
    #[error("the idempotency key was used for a different request")]
    IdempotencyKeyReused,
}

impl Refusal for PlaceRefused {}

/// A counted product whose stock is less than all lines together ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub product_id: ProductId,
    pub name: String,
    pub wanted: i64,
    pub left: i64,
}

/// Returns the scope of a guest's idempotency keys and references: each guest key of a session has its own, and all
/// guests of the session without one share one.
#[must_use]
pub fn guest_scope(session: SessionId, key_hash: Option<[u8; 32]>) -> Uuid {
    let mut scope = session.uuid().as_bytes().to_vec();
    scope.extend(key_hash.iter().flatten());
    let digest = sha256(&scope);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // Version 8, so that it is no account's id, which has version 7.
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl Line {
    /// Returns a line for the same quantity of the same product with the same options, at current prices.
    #[must_use]
    pub fn repeat(item: &Item) -> Self {
        let options = item.options.iter().map(|option| AskedOption {
            id: option.id,
            quantity: option.quantity,
        });
        Self {
            product: ProductRef::Id(item.product_id),
            quantity: item.quantity,
            options: AskedOptions {
                named: options.collect(),
                are_repeated: true,
            },
            note: item.note.clone(),
        }
    }
}

impl PlaceOrder {
    /// Returns the scope in which the reference must be unique.
    pub(crate) fn placed_by(&self) -> Uuid {
        match (&self.placer, self.session) {
            (Placer::Account(account), _) => account.uuid(),
            (Placer::Guest { key_hash }, Some(session)) => guest_scope(session, *key_hash),
            (Placer::Guest { .. }, None) => Uuid::nil(),
        }
    }

    /// Checks that its texts have at most `limit` bytes together.
    pub(crate) fn check_text(&self, limit: usize) -> Result<(), TextTooLong> {
        let notes = self.lines.iter().map(|line| line.note.as_deref());
        check_text(&self.customer, self.user_note.as_deref(), notes, limit)
    }

    /// Returns the scope that processes of an older version give to a guest's reference: the session, for all guests of
    /// the table together (ADR 22).
    fn table_scope(&self) -> Option<Uuid> {
        match self.placer {
            Placer::Account(_) => None,
            Placer::Guest { .. } => self.session.map(SessionId::uuid),
        }
    }

    /// Returns the scope and text that such processes give to the idempotency key, if it is the guest's own and not that
    /// of an account that replaces the guest's order.
    fn table_key(&self) -> Option<(Uuid, &str)> {
        let it = self.idempotency.as_ref()?;
        let scope = self.table_scope().filter(|_| it.owner == self.placed_by());
        Some((scope?, it.key.as_str()))
    }

    /// Estimates the size of its rows, so that a batch stays bounded.
    fn size_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        1024 + text(&self.user_note)
            + self
                .lines
                .iter()
                .map(|line| 256 + text(&line.note) + 256 * line.options.named.len())
                .sum::<usize>()
    }
}

/// An order that waits for its commit.
#[derive(Debug)]
pub(super) struct QueuedOrder {
    order: PlaceOrder,
    /// Generated once, so that a commit with an unknown result can be looked up.
    id: OrderId,
    /// Actor that places it, as far as its request says.
    actor: Actor,
    queued_at: Instant,
    /// Number of batches that it was in.
    tries: u32,
    answer: oneshot::Sender<ChangeResult<Placed, PlaceRefused>>,
}

impl Ledger {
    /// Places an order; `Ok` means that it is committed.
    #[crate::boxed]
    pub async fn place_order(&self, order: PlaceOrder) -> ChangeResult<Placed, PlaceRefused> {
        // Before the queue, which would else hold thousands of orders of any length.
        let limit = self.inner.settings.bounds.order_text_bytes;
        order.check_text(limit).map_err(PlaceRefused::from)?;
        let (now, max) = (self.inner.clock.now(), self.inner.settings.max_handover_lag);
        let refused = self.inner.lags.share_to_refuse(order.store_id, max, now);
        if refused > 0.0 && self.inner.chance.fraction() < refused {
            return Err(Failure::Overloaded.into());
        }
        let (answer, answered) = oneshot::channel();
        let id = self.inner.chance.id(now);
        let actor = order.placer.actor(actor::current());
        self.inner.intake.push(QueuedOrder {
            order,
            id,
            actor,
            queued_at: Instant::now(),
            tries: 0,
            answer,
        })?;
        // The writer panicked, so the order's fate is unknown here.
        answered.await.unwrap_or(Err(Failure::Overloaded.into()))
    }
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}
