//! Time, randomness, keys, metrics and crash points: handed to a process in place of the globals.

/// Randomness and ids; tests seed it.
pub mod chance;
/// The time, anchored to the database's; tests move it.
pub mod clock;
/// Named crash points; none in release builds.
pub mod crash;
/// URLs that name several servers.
pub mod hosts;
/// Every metric, in one list.
pub mod metrics;
/// Keys, the encryption of stored secrets, and comparisons in constant time.
pub mod secrets;
