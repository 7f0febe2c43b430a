//! Sends orders to integrators, applies their callbacks, and reconciles what was missed.

/// Makes one attempt and records its outcome.
mod attempt;
/// Passes the broker's hints to the lanes and the order duties.
mod consume;
/// Claims handoffs per integrator, within its limits.
mod lanes;
/// Which workers are alive, and each one's share.
mod membership;
/// Applies callbacks and settles orders.
mod order_duties;
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
pub use sweep::SweepCounts;
