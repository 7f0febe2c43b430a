//! Small kitchen display: a reference integrator that knows only the published contract.
//!
//! [`Kitchen`] joins the parts, listed in reading order:

mod kitchen; // the shared state, and the loop that prepares orders and sends callbacks
mod routes; // POST /orders, GET /board, GET and PUT /mode, GET /metrics

mod board; // the state, and its changes by requests, time and responses
mod callback; // one update to Expediter
mod handoff; // parsing of handoffs
mod journal; // the file from which a restart resumes
mod metrics; // counters
mod mode; // down, slow, twice, fine
mod signature; // Standard Webhooks
mod ticket; // the content of the board

pub use kitchen::{Kitchen, KitchenError, KitchenSettings};
pub use signature::{Secret, SecretError};
