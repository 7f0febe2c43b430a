//! Domain rules: what an order is and what may happen to it.
//!
//! Invariant: no I/O, no clock, no randomness of its own. Times and ids are passed in.

/// Ids as newtypes over UUIDs.
pub mod ids;
/// Amounts in minor units, and currencies.
pub mod money;
/// Lets words and currencies stand in SQL statements and rows: the feature `sqlx`, which only `store` switches on.
mod sql;
/// The macro that makes a closed enum with one word per variant.
mod words;

/// Accounts and their roles.
pub mod account;
/// Keys of programs, and the actions that they allow.
pub mod api_key;
/// The number of orders that a store takes for one time, and how busy it is.
pub mod capacity;
/// Requests to erase what is known of a person, and how far they are.
pub mod erasure;
/// Uploaded images, of which only the picture is kept.
pub mod image;
/// Languages of texts.
pub mod language;
/// Menus, as people read them.
pub mod menu;
/// Names, and the keys by which they are compared.
pub mod name;
/// Opening hours of stores.
pub mod opening;
/// Options of products: which of them go together, and what they cost.
pub mod options;
/// Orders and their items.
pub mod order;
/// Passwords: their one form, and which of them are too easy.
pub mod password;
/// Persons whose data is asked for or erased.
pub mod person;
/// Sessions: a table's open tab, and its code.
pub mod session;
/// The one table of an order's moves.
pub mod status;
/// Stores and products.
pub mod store;
/// When an order is wanted, ready, and handed over.
pub mod timing;
/// Places in distributed traces.
pub mod trace;
/// Texts in several languages.
pub mod translations;

/// Places of values in an integrator's answers.
pub mod actor;
pub mod answers;
/// When an integrator is left alone, and when it is probed.
pub mod breaker;
/// Handoffs: the outcome of an attempt, and what follows from it.
pub mod handoff;
/// Integrators: what they listen to, how they confirm.
pub mod integrator;
/// The pace of an integrator that says "slow down".
pub mod pressure;
/// Retries by hand.
pub mod record;
pub mod retry;
/// Times of the next attempts.
pub mod schedule;
/// Each worker's share of an integrator's concurrency and rate.
pub mod sharing;
/// The reason why a handoff is not sent yet.
pub mod waiting;

/// Bodies that integrators send, and what they mean.
pub mod callback;
/// An order's courier part.
pub mod delivery;
/// Bodies that integrators receive.
pub mod payload;
/// Standard Webhooks signatures.
pub mod signature;

/// Sizes of JSON.
pub mod json_size;

/// Numbered events of streams.
pub mod event;
/// Messages that travel through the broker.
pub mod hint;
/// How long ended orders are kept.
pub mod retention;
/// Things that stand still: why, and what to do.
pub mod stuck;
/// Sums over orders.
pub mod tally;

pub use words::UnknownWord;

/// When tests begin.
#[cfg(test)]
fn noon() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(1_795_608_000, 0).expect("2026-11-25T12:00:00Z is a time")
}
