//! HTTP as all resources use it: problems, bodies, entity tags, pages, limits.

/// Problem documents; the only module that chooses an HTTP error status.
pub mod problem;

/// Request bodies, validated against the schema in the OpenAPI document.
pub mod body;
/// Merge patches (RFC 7396).
pub(crate) mod merge_patch;
/// Parameters that carry their own name and description.
pub(crate) mod parameters;
/// The rule for query strings: what the OpenAPI document does not list is refused.
pub(crate) mod query;
/// Query parameters that take a list.
pub(crate) mod query_list;

/// Entity tags and conditional requests.
pub(crate) mod etag;
/// `Idempotency-Key`.
pub(crate) mod idempotency;
/// Paginated lists.
pub mod paging;
/// Success responses other than a plain 200.
pub mod response;

/// The domain's enums, as the document shows them.
pub(crate) mod enums;
/// Money and timestamps, in the same format for every resource.
pub(crate) mod scalars;

/// Middleware around all routes: request ids, panics, headers, CORS, body limit.
pub mod front;
/// Rate limits.
pub mod limits;
/// Content security policies.
pub(crate) mod policy;
