//! Sends orders to integrators, applies their callbacks, and reconciles what was missed.

/// Makes one attempt and records its outcome.
mod attempt;
/// Passes the broker's hints to the lanes and the order duties.
mod consume;
/// Which workers are alive, and each one's share.
mod crew;
/// Applies callbacks and settles orders.
mod inbox;
/// Claims handoffs per integrator, within its limits.
mod lanes;
/// Sends one HTTP request.
pub mod outbound;
/// Starts the parts of a worker.
mod start;
/// Reconciles what was missed.
mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use start::{Worker, WorkerParts, WorkerSettings};
pub use sweep::Swept;
