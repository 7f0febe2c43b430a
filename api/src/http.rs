//! HTTP as every resource uses it: problems, bodies, conditions, pages, limits.

/// The only place that picks the HTTP status of an error.
pub mod problem;

/// Request bodies, checked against the schema that the document publishes.
pub mod body;
/// Merge patches (RFC 7396).
pub(crate) mod merge_patch;
/// Query parameters that take a list.
pub(crate) mod query_list;

/// Entity tags and the conditions on them.
pub(crate) mod etag;
/// `Idempotency-Key`.
pub(crate) mod idempotency;
/// Pages of lists.
pub mod paging;
/// Successes that are not a plain 200.
pub mod response;

/// The domain's enums, as the document shows them.
pub(crate) mod enums;
/// Money and times.
pub(crate) mod scalars;

/// Around everything: request ids, panics, headers, CORS, the body limit.
pub mod front;
/// Rate limits.
pub mod limits;
/// `X-Request-Id`.
pub mod request_id;
