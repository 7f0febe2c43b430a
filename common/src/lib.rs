//! What api, worker and notifier share: the rules, the database, the broker, and how a process lives.

pub mod broker;
pub mod chance;
pub mod client;
pub mod clock;
pub mod config;
pub mod crash;
pub mod domain;
pub mod ledger;
pub mod lifecycle;
pub mod listen;
pub mod metrics;
pub mod operations;
pub mod process;
pub mod relay;
pub mod secrets;
pub mod store;
pub mod telemetry;
#[doc(hidden)]
pub mod testing;
