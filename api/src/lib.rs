//! The HTTP API: parses requests at the edge, calls the ledger, and turns the results into responses.

/// The access table: every operation and page, and who may call it.
pub mod access;
/// Enforces the access table before every operation.
mod guard;
/// Mounts all routes.
pub mod routes;

/// HTTP as all resources use it: problems, bodies, entity tags, pages, limits.
pub mod http;
/// The resources of the API, one file each.
mod resources;

/// Authentication with bearer tokens and Basic, checked before the body is read.
pub mod auth;
/// The external services of seed 000, built in or called over HTTP.
pub mod outside;

/// The generated OpenAPI document.
pub mod document;
/// Web pages and their files.
pub mod pages;
/// State shared by all handlers.
pub mod state;

pub use self::{
    document::{documents, openapi_document},
    http::front::Front,
    routes::routes,
    state::ApiState,
};
