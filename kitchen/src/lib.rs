//! A small kitchen display: a reference integrator that knows only the published contract.
//!
//! [`Kitchen`] joins the parts; in reading order:

mod kitchen; // the server's state, and the loop that prepares and calls back
mod routes; // POST /orders, GET /board, GET and PUT /mode

mod board; // the memory: what a request, a passing step and an answer change
mod callback; // one update that is to be told
mod handoff; // what is read of a handoff
mod journal; // the file from which a killed kitchen goes on
mod mode; // down, slow, twice, fine
mod signature; // Standard Webhooks
mod ticket; // what the board shows

pub use kitchen::{Kitchen, KitchenError, KitchenSettings};
pub use signature::{Secret, SecretError, SignatureError, SignatureHeaders};
