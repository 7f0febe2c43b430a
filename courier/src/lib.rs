//! Courier: a delivery service in the manner of seed 004, which knows only the published contract.
//!
//! [`Courier`] joins the parts, listed in reading order:

mod courier; // settings, shared state, and the loops
mod http; // the HTTP API and its document

mod intake; // a message makes or cancels a delivery
mod notifying; // sends updates to their receivers
mod stepping; // one step of each delivery at a time

mod database; // all SQL
mod passwords; // Argon2
mod signature; // Standard Webhooks
mod tokens; // JWTs

mod chance; // randomness
mod clock; // time
mod metrics; // counters
mod status; // statuses of a delivery

pub use clock::Clock;
pub use courier::{Courier, CourierError, CourierSettings, Login, MockUser};
pub use database::DatabaseError;
pub use http::openapi_document;
pub use signature::{Secret, SecretError, SignatureError, SignatureHeaders};
