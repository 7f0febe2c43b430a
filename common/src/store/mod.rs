//! All SQL, one file a table group. One text and one body serve MySQL and SQLite; where they must differ, `Tx::pick`
//! says why. Only `ledger` may call what changes anything.

mod batch;
mod connect;
mod error;
mod migrate;
pub(crate) mod plan;
#[cfg(test)]
mod reads;
mod terms;
mod tx;

pub mod accounts;
pub mod attempts;
pub mod audit;
pub mod callbacks;
pub mod events;
pub mod handoffs;
pub mod idempotency;
pub(crate) mod identities;
pub mod intake;
pub mod integrators;
pub(crate) mod live;
pub mod movements;
pub mod orders;
pub mod outbox;
pub mod products;
pub mod retries;
pub(crate) mod scratch;
pub mod sessions;
pub(crate) mod stats;
pub mod stock;
pub mod stores;
pub mod sweep;
pub(crate) mod workers;

pub use connect::{Db, DbOptions};
pub use error::{Result, StoreError};
pub use migrate::migrate;
pub use tx::Tx;

pub(crate) use batch::{insert_many, padded, push_ids};
pub(crate) use terms::counted;
pub(crate) use tx::{for_update, on, skip_locked};
