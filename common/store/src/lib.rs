//! All SQL, one file per group of tables. MySQL and SQLite share statements and code; where they must differ, the call
//! of `Tx::pick` says why.
//!
//! Invariants: no other crate names sqlx; nothing here commits by itself; only `ledger` calls functions that write.
//! `migrations/mysql/0001_schema.sql` shows the tables.

#[cfg(test)]
extern crate self as store; // for #[each_database(store)]

/// Opens the databases, and checks how they are set.
mod connect;
/// Errors, by what a caller can do about them.
mod error;
/// Counts failures of a row, and parks it at the limit.
mod failures;
/// Applies missing migrations.
mod migrate;
/// A transaction on MySQL; one whose statement did not end takes its connection along.
mod mysql_tx;
/// Reads domain types from rows, column by column.
mod rows;
/// Runs one statement with its values, on either database.
mod statements;
/// Bounds how long a statement is waited for.
mod timeouts;
/// A transaction, and what differs between the databases.
mod tx;
/// The mark of a statement that has not ended.
mod under_way;

/// Multi-row statements in few shapes.
mod bulk;
/// Lets a list return its plan, for tests.
mod explain;

/// Headings of menus.
pub mod categories;
/// Uploaded images of products.
pub mod images;
/// Look-ups and writes of intake, many orders at once.
pub mod intake;
/// Parts of a menu, and its version.
pub mod menus;
/// Groups of options that products offer.
pub mod option_groups;
/// Orders, their items, edits and lists.
pub mod orders;
/// Products, also those of an external service.
pub mod products;
/// Tables' sessions.
pub mod sessions;
/// Holds of orders on their store's capacity.
pub mod slots;
/// Counted quantities.
pub mod stock;
/// Changes of stock by people.
pub mod stock_movements;
/// Rules by which stores take orders.
pub mod store_rules;
/// Stores and their counters.
pub mod stores;

/// One row per HTTP request.
pub mod attempts;
/// Callbacks: stored, applied, listed.
pub mod callbacks;
/// Handoffs: claims, outcomes, lists.
pub mod handoffs;
/// Integrators, their breaker and their health.
pub mod integrators;
/// Records of people's changes besides orders.
pub mod records;
/// Retries by hand.
pub mod retries;
/// Workers that are alive.
pub mod workers;

/// The ledger's epoch.
pub mod epochs;
/// Numbered events.
pub mod events;
/// Announcements that wait to be published.
pub mod outbox;
/// A store's open orders and stream numbers, for screens.
pub mod store_snapshot;

/// Accounts, refresh tokens, tickets, sign-in failures.
pub mod accounts;
/// Requests to erase a person's data.
pub mod erasures;
/// Accounts as the verification service knows them.
pub mod external_identities;
/// Keys of requests that were done.
pub mod idempotency;

/// The promises as queries.
pub mod audit;
/// Work that is due and not done yet.
pub mod backlog;
/// Walks over old rows, and their end.
pub mod retention;
/// Sums over orders.
pub mod stats;
/// Look-ups of the reconciler and of the stuck list.
pub mod sweep;

#[cfg(test)]
mod reads;
#[cfg(test)]
mod schema;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use connect::{Db, DbOptions};
pub use error::{Result, StoreError};
pub use migrate::migrate;
pub use tx::Tx;

pub(crate) use bulk::{insert_many, push_ids, update_many};
pub(crate) use statements::{
    execute, execute_in, fetch, fetch_all, fetch_in, fetch_one, fetch_optional,
    fetch_optional_scalar, fetch_scalar, fetch_scalars, read_all, read_in, read_optional,
};
#[cfg(any(test, feature = "testing"))]
pub(crate) use timeouts::counted;
#[cfg(any(test, feature = "testing"))]
pub(crate) use tx::on;
pub(crate) use tx::{for_update, skip_locked};
