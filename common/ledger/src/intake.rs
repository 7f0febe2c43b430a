//! Intake: many concurrent orders, one commit. Whoever comes while a commit runs goes into the next one; there is no
//! timer, so that an idle system adds no delay.

mod batch;
mod decide;
mod draft;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub(super) use draft::{lock_place, place_draft};
pub(super) use writer::start_writers;

pub use super::idempotency::Idempotency;
use super::{Inner, Ledger, LedgerError, Result};
use domain::{
    ids::{AccountId, OrderId, ProductId, SessionId, StoreId},
    money::Money,
    order::{Customer, Fulfilment, Item, Order},
};

/// Bounds of a batch.
#[derive(Clone, Copy, Debug)]
pub struct IntakeSettings {
    pub max_batch_orders: usize,
    pub max_batch_bytes: usize,
    /// Batches that commit side by side.
    pub writers: usize,
    /// Orders that may wait for a writer; more are refused as overload.
    pub queue_capacity: usize,
}

/// An order to be placed, as it was asked for.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    pub store_id: StoreId,
    pub session: Option<SessionId>,
    pub placer: Placer,
    /// The client's own id for it: unique among the same placer's.
    pub reference: Option<String>,
    pub fulfilment: Fulfilment,
    pub customer: Customer,
    pub lines: Vec<Line>,
    pub user_note: Option<String>,
    /// The total that the client reckons with; another one is refused.
    pub expected_total: Option<Money>,
    pub idempotency: Option<Idempotency>,
    pub replaces: Option<OrderId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placer {
    Account(AccountId),
    /// Only in a session.
    Guest {
        key_hash: Option<[u8; 32]>,
    },
}

#[derive(Clone, Debug)]
pub struct Line {
    pub product: ProductRef,
    /// From 1.
    pub quantity: u32,
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
    /// The idempotency key was known: this is the order that it made, as it is now.
    pub replayed: bool,
}

/// Why an order is not placed; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceRefused {
    #[error("there is no such store")]
    UnknownStore,
    #[error("the store is archived")]
    StoreArchived,
    #[error("the store takes no orders at the moment")]
    StorePaused,
    #[error("there is no such session")]
    UnknownSession,
    #[error("the session is closed")]
    SessionClosed,
    /// Index of each such line.
    #[error("some products are not of this store")]
    UnknownProducts { lines: Vec<usize> },
    #[error("some products are not available at the moment")]
    Unavailable { lines: Vec<usize> },
    #[error("there is not enough of some products")]
    InsufficientStock { short: Vec<Short> },
    #[error("the order's total is too large")]
    TotalTooLarge,
    #[error("the total is not what was expected")]
    TotalMismatch { expected: Money, actual: Money },
    #[error("an order needs an item")]
    NoItems,
    #[error("a delivery needs an address")]
    AddressMissing,
    #[error("there is an order with this reference already")]
    DuplicateOrder { existing: OrderId },
    #[error("the order was replaced before")]
    AlreadyReplaced { by: OrderId },
    #[error("the idempotency key was used for something else")]
    IdempotencyKeyReused,
}

/// A counted product of which there is less than was asked for, all lines of it together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    pub product_id: ProductId,
    pub name: String,
    pub wanted: i64,
    pub left: i64,
}

impl Line {
    /// As much of the same, whatever it costs now.
    #[must_use]
    pub fn again(item: &Item) -> Self {
        Self {
            product: ProductRef::Id(item.product_id),
            quantity: item.quantity,
            note: item.note.clone(),
        }
    }
}

impl PlaceOrder {
    /// Whose references it is unique among.
    pub(crate) fn placed_by(&self) -> Uuid {
        match (&self.placer, self.session) {
            (Placer::Account(account), _) => account.uuid(),
            (Placer::Guest { .. }, Some(session)) => session.uuid(),
            (Placer::Guest { .. }, None) => Uuid::nil(),
        }
    }

    /// Roughly what its rows take, so that a batch stays bounded.
    fn size_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        1024 + text(&self.user_note)
            + self
                .lines
                .iter()
                .map(|line| 256 + text(&line.note))
                .sum::<usize>()
    }
}

/// One that waits for its commit.
#[derive(Debug)]
pub(super) struct Waiting {
    order: PlaceOrder,
    /// Drawn once, so that an unknown commit can be looked up.
    id: OrderId,
    answer: oneshot::Sender<Result<Placed, PlaceRefused>>,
}

pub(super) type Queue = mpsc::Sender<Waiting>;

pub(super) fn queue(settings: &IntakeSettings) -> (Queue, mpsc::Receiver<Waiting>) {
    mpsc::channel(settings.queue_capacity.max(1))
}

impl Ledger {
    /// Places an order: `Ok` means that it is committed.
    pub async fn place_order(&self, order: PlaceOrder) -> Result<Placed, PlaceRefused> {
        let (answer, answered) = oneshot::channel();
        let id = self.inner.chance.id(self.inner.clock.now());
        self.inner
            .intake
            .try_send(Waiting { order, id, answer })
            .map_err(|_| LedgerError::Overloaded)?;
        // A writer that panicked dropped the answer: what became of the order is not known here.
        answered.await.unwrap_or(Err(LedgerError::Overloaded))
    }
}

/// Kept weakly by the writers, so that they end with the last [`Ledger`].
type Shared = Arc<Inner>;
