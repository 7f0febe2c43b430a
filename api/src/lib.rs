//! The HTTP front: parses at the edge, calls the ledger, and says what became of it.

/// Every operation and page, and who may call it: the table.
pub mod access;
/// Holds the table's rules before every operation.
mod guard;
/// The resources, one line each.
mod resources;
/// Mounts everything.
pub mod routes;
/// What all handlers share.
pub mod state;

/// Who calls: bearer tokens and Basic, checked before the body is read.
pub mod auth;
/// Request bodies, checked against the schema that the document publishes.
pub mod body;
/// How often each may ask.
pub mod limits;
/// The only place that picks an HTTP status.
pub mod problem;

/// The services of seed 000, in this process or asked over HTTP.
pub mod outside;

/// The generated OpenAPI document.
pub mod document;
/// Around everything: request ids, panics, headers, CORS, limits.
pub mod front;
/// The pages, and their files.
pub mod pages;

/// Successes that are not a plain 200, and pages of lists.
pub mod answer;
/// Money and times, the same in every resource.
mod values;

mod accounts;
mod callbacks;
mod handoffs;
mod integrators;
mod merge;
mod once;
mod orders;
mod ping;
mod products;
mod sessions;
mod several;
mod stats;
mod stores;
mod tagged;
mod tokens;
mod words;

pub use document::openapi_document;
pub use front::Front;
pub use routes::routes;
pub use state::ApiState;
