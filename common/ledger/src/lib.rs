//! The ledger: every change is one function and one transaction.
//!
//! Invariants: no other crate commits; while a transaction is open, only SQL is awaited; locks are taken in one order
//! (ARCHITECTURE.md, "Locks"). After a commit, the outbox row is offered to the [`Wake`] port, so that no caller can
//! forget to publish it.

#[cfg(test)]
extern crate self as ledger; // for #[each_database]

/// Takes what is waiting into one batch.
mod batcher;
/// A transaction with its events and outbox rows, committed together; and how often it is retried.
mod change;
mod crash_points;
mod lags;
/// The port to whoever publishes.
mod wake;

/// Headings of menus.
pub mod categories;
/// Places orders: many concurrent requests in one transaction.
pub mod intake;
/// Menus, and the stamps that prove a copy right.
pub mod menus;
/// Groups of options that products offer.
pub mod option_groups;
/// Moves, drafts, edits and lists of orders.
pub mod orders;
/// Permits to wait for a row that others hold.
mod permits;
/// Products and stock.
pub mod products;
/// Tables' sessions: open, close, fresh code.
pub mod sessions;
/// Stores.
pub mod stores;

/// Stores callbacks, and applies them.
pub mod callbacks;
/// Claims, outcomes, the breaker, retries by hand.
pub mod handoffs;
/// Integrators: settings, secrets, health, archiving.
pub mod integrators;
/// Listeners: integrators whose handoffs are claimed over the API.
pub mod listeners;
/// Workers that are alive.
pub mod workers;

/// The actor of the changes that a task makes.
pub mod actor;
/// Notices when the database lost commits, and begins a new epoch of stream numbers.
pub mod epochs;
/// Reads streams, for screens that come back.
pub mod events;
/// The relay's side of the outbox.
pub mod outbox;
/// The data of persons: handed out to them, and erased.
pub mod persons;
/// Records of what people changed besides orders.
pub mod records;
/// The end of old orders: what is removed and deleted, and the archive.
pub mod retention;
/// The reconciler's steps, and the stuck list.
pub mod sweep;

/// Accounts, sign-ins, tickets.
pub mod accounts;
/// `expediter audit`.
pub mod audit;
/// Work that is due and not done yet.
pub mod backlog;
/// Accounts as the verification service knows them.
pub mod external_identities;
/// Requests with a key are done once.
pub mod idempotency;
/// Stored secrets under the newest key, after a rotation.
pub mod resealing;
/// `GET /stats`.
pub mod stats;

#[cfg(test)]
mod held_rows;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod scene;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::{ops::Deref, sync::Arc, time::Duration};

/// Boxes the future of a public function. Without it, each crate that awaits the function compiles its body again, with
/// all SQL below it (ADR 39). The attribute is made for recursion, but boxing is all that it does.
pub(crate) use async_recursion::async_recursion as boxed;
pub use batcher::BatchLimits;
pub(crate) use change::{Change, in_one_transaction, in_one_try};
pub use change::{ChangeError, Failure, MaybeFailure, Refusal};
pub(crate) use crash_points::CrashPoints;
pub use wake::{NoWake, OutboxRow, Wake};

use domain::stuck::StuckLimits;
use platform::{chance::Chance, clock::Clock, metrics::Metrics, secrets::SealingKeys};
use store::Db;

/// Result of a read, or of a change that can't be refused.
pub type Result<T, E = Failure> = std::result::Result<T, E>;
/// Result of a change; `R` is the type of its refusals.
pub type ChangeResult<T, R> = std::result::Result<T, ChangeError<R>>;

/// Settings of the ledger, fixed at start.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Time that the relay has to publish a new outbox row before the sweep may claim it.
    pub outbox_claim_after: Duration,
    /// Base URL of guests' phones. No trailing slash.
    pub public_url: String,
    /// Base URL of the integrators' callbacks, `{callback_base}/api/v1/integrators/{id}/callbacks`. No trailing slash.
    pub callback_base: String,
    pub intake: BatchLimits,
    /// Longest time for which orders wait for this system alone before more are refused; `None` refuses none.
    pub max_handover_lag: Option<Duration>,
    /// Longest pause of an integrator that says "slow down".
    pub max_pause: Duration,
    /// Time limits after which something without progress is listed as stuck.
    pub stuck: StuckLimits,
    /// Largest lead of an integrator's `occurred_at` over our clock.
    pub callback_tolerance: Duration,
    /// Time for which records of people's changes are kept; `None`: for good.
    pub audit_retention: Option<Duration>,
    pub bounds: Bounds,
    pub retention: domain::retention::Limits,
}

/// Bounds of what one guest or integrator can make, and so of what a reader holds in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of the text that a client writes into one order.
    pub order_text_bytes: usize,
    /// Orders of one session that have not ended.
    pub unfinished_orders_per_session: u32,
    /// Bytes of the orders in one snapshot.
    pub snapshot_bytes: usize,
    /// Bytes of the items in one page of a list.
    pub page_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            order_text_bytes: 8192,
            unfinished_orders_per_session: 200,
            snapshot_bytes: 512 << 10,
            page_bytes: 1 << 20,
        }
    }
}

/// Handle of the ledger: cheap to clone, and all clones share one state.
#[derive(Clone)]
pub struct Ledger {
    inner: idempotency::Handle,
}

pub(crate) struct Inner {
    parts: LedgerParts,
    intake: intake::Queue,
    held_orders: intake::Lines,
    held_rows: permits::HeldRowPermits,
    outcomes: handoffs::Queues,
    callbacks: callbacks::Queue,
    callbacks_alone: callbacks::Places,
    /// Shared with the tasks that commit, hear of events and compare them with the database; guarded inside.
    epochs: epochs::Memory,
    lags: lags::Lags,
}

impl Deref for Inner {
    type Target = LedgerParts;

    fn deref(&self) -> &LedgerParts {
        &self.parts
    }
}

/// Dependencies of a [`Ledger`].
#[derive(Debug)]
pub struct LedgerParts {
    pub db: Db,
    pub clock: Clock,
    pub chance: Chance,
    /// Encrypts integrators' secrets at rest.
    pub sealing: Arc<SealingKeys>,
    pub wake: Arc<dyn Wake>,
    pub metrics: Arc<Metrics>,
    pub settings: LedgerSettings,
}

impl Ledger {
    /// Starts the writers of orders, outcomes and callbacks on the current runtime; they stop when the last clone is
    /// dropped.
    #[must_use]
    pub fn new(parts: LedgerParts) -> Self {
        let inner = Arc::new_cyclic(|inner| Inner {
            intake: intake::start_writers(inner, parts.settings.intake),
            held_orders: intake::Lines::new(parts.settings.intake.queue_capacity),
            held_rows: permits::HeldRowPermits::default(),
            outcomes: handoffs::start_writers(inner),
            callbacks: callbacks::start_writers(inner),
            callbacks_alone: callbacks::Places::default(),
            epochs: epochs::Memory::default(),
            lags: lags::Lags::default(),
            parts,
        });
        Self {
            inner: idempotency::Handle::new(inner),
        }
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    #[must_use]
    pub fn chance(&self) -> &Chance {
        &self.inner.chance
    }

    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// Returns the base URL for guests' phones, without a trailing slash.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.inner.settings.public_url
    }

    #[must_use]
    pub fn db(&self) -> &Db {
        &self.inner.db
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("db", &self.inner.db)
            .finish_non_exhaustive()
    }
}
