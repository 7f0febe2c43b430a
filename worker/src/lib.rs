//! Brings orders to integrators, applies what they call back, and puts right what nobody told of.

/// From a claimed handoff to its outcome on record.
mod attempt;
/// What the broker tells, passed on to lanes and inbox.
mod consume;
/// Who else works, and who has which share.
mod crew;
/// What integrators call back, and what nobody outside is waited for.
mod inbox;
/// Who is sent what, when, and how much at one time.
mod lanes;
/// One HTTP request.
pub mod outbound;
/// Joins the parts below.
mod start;
/// What was lost on the way.
mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use start::{Worker, WorkerParts, WorkerSettings};
pub use sweep::Swept;
