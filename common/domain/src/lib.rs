//! Domain rules: what an order is and what may happen to it. No I/O, no clock, no randomness of its own.

pub mod ids;
pub mod money;
mod words;

pub mod account;
pub mod order;
pub mod session;
pub mod status;
pub mod store;

pub mod breaker;
pub mod callback;
pub mod delivery;
pub mod handoff;
pub mod integrator;
pub mod payload;
pub mod retry;
pub mod schedule;
pub mod sharing;
pub mod signature;

pub mod event;
pub mod hint;
pub mod stuck;
pub mod tally;

pub use words::UnknownWord;

/// When tests begin.
#[cfg(test)]
fn noon() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(1_795_608_000, 0).expect("2026-11-25T12:00:00Z is a time")
}
