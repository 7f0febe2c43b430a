//! All SQL, one file per group of tables. MySQL and SQLite share statements and code; where they must differ, the call
//! of `Tx::pick` says why. Only `ledger` may call functions that write.

#[cfg(test)]
extern crate self as store; // for #[each_database(store)]

mod bulk;
mod connect;
mod error;
mod explain;
mod migrate;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod schema;
mod timeouts;
mod tx;

pub mod accounts;
pub mod attempts;
pub mod audit;
pub mod callbacks;
pub mod events;
pub mod external_identities;
pub mod handoffs;
pub mod idempotency;
pub mod intake;
pub mod integrators;
pub mod orders;
pub mod outbox;
pub mod products;
pub mod retries;
pub mod sessions;
pub mod stats;
pub mod stock;
pub mod stock_movements;
pub mod store_snapshot;
pub mod stores;
pub mod sweep;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod workers;

pub use connect::{Db, DbOptions};
pub use error::{Result, StoreError};
pub use migrate::migrate;
pub use tx::Tx;

pub(crate) use bulk::{insert_many, padded, push_ids};
pub(crate) use timeouts::counted;
pub(crate) use tx::{for_update, on, skip_locked};
