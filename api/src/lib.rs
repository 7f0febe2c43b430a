//! The HTTP front: parses at the edge, calls the ledger, and answers with what became of it.

/// The access table: every operation and page, and who may call it.
pub mod access;
/// Holds the access table's rule before every operation.
mod guard;
/// Mounts everything that the api serves.
pub mod routes;

/// HTTP as every resource uses it.
pub mod http;
/// The resources, one file each.
mod resources;

/// Finds out who calls: bearer tokens and Basic, checked before the body is read.
pub mod auth;
/// The services of seed 000, in this process or called over HTTP.
pub mod outside;

/// The generated OpenAPI document.
pub mod document;
/// The pages, and their files.
pub mod pages;
/// What all handlers share.
pub mod state;

pub use self::{document::openapi_document, http::front::Front, routes::routes, state::ApiState};
