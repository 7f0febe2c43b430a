//! Content security policies of answers.

/// Content security policy of our own pages: same origin only, nothing inline, no framing.
pub(crate) const PAGE: &str = "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Content security policy of responses that are not pages.
pub(crate) const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
/// Content security policy of the documentation page, whose library writes styles into it.
pub(crate) const DOCS: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
