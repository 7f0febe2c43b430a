//! Responses to requests for channels that are refused before they begin: problems, as those of the api
//! (docs/design.md section 7). The api's table of reasons is out of reach here; a test in `e2e` compares them.

use http::{HeaderMap, StatusCode, header};
use poem::Response;
use serde_json::{Value, json};

use crate::protocol::Close;
use runtime::request_id::REQUEST_ID;

/// Maximum number of unknown parameters in one response, and of characters of each.
const MAX_UNKNOWN: usize = 100;

/// Reason why a channel does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    reason: &'static str,
    title: &'static str,
    retry_after_s: Option<u32>,
}

impl Refusal {
    /// The page of another site may not open channels.
    pub(crate) const ORIGIN: Self = Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden");
    pub(crate) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "not_found", "Not found");
    /// The request asks for a socket without the upgrade of RFC 6455, or over HTTP/1.0.
    pub(crate) const HANDSHAKE: Self =
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "Bad request");
    pub(crate) const SESSION_NOT_FOUND: Self = Self::new(
        StatusCode::NOT_FOUND,
        "session_not_found",
        "Session not found",
    );
    pub(crate) const METHOD: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "incorrect_access_method",
        "Method not allowed",
    );
    const VALIDATION: Self = Self::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation_failed",
        "Validation failed",
    );
    const CREDENTIALS: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "incorrect_credentials",
        "Invalid credentials",
    );
    const ENDED: Self = Self::new(StatusCode::GONE, "session_ended", "Session expired");
    /// The client's address, table or account has as many channels as it may have.
    pub(crate) const TOO_MANY: Self = Self::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "Too many requests",
    )
    .after(5);
    /// The process has no room, or stops.
    pub(crate) const OVERLOADED: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Server overloaded",
    )
    .after(1);
    const DATABASE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "database_unavailable",
        "Database unavailable",
    )
    .after(1);

    const fn new(status: StatusCode, reason: &'static str, title: &'static str) -> Self {
        Self {
            status,
            reason,
            title,
            retry_after_s: None,
        }
    }

    const fn after(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// Returns the response to a request with query parameters that its channel does not take.
    pub(crate) fn unknown_parameters(unknown: &[&str], headers: &HeaderMap) -> Response {
        let shown = unknown.iter().take(MAX_UNKNOWN).map(|name| {
            let name: String = name.chars().take(MAX_UNKNOWN).collect();
            json!({"pointer": name, "detail": "is an unknown parameter"})
        });
        Self::VALIDATION.answer_with(headers, shown.collect())
    }

    /// Returns the response to a request with these headers.
    pub(crate) fn answer(self, headers: &HeaderMap) -> Response {
        self.answer_with(headers, Vec::new())
    }

    fn answer_with(self, headers: &HeaderMap, errors: Vec<Value>) -> Response {
        let Self {
            status,
            reason,
            title,
            retry_after_s,
        } = self;
        let mut problem = json!({
            "type": format!("/problems/{reason}"),
            "title": title,
            "status": status.as_u16(),
            "reason": reason,
        });
        if !errors.is_empty() {
            problem["errors"] = errors.into();
        }
        let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        if let Some(request_id) = request_id {
            problem["request_id"] = json!(request_id);
        }
        let mut response = Response::builder()
            .status(status)
            .content_type("application/problem+json");
        for (name, value) in [
            (header::RETRY_AFTER, retry_after_s.map(|s| s.to_string())),
            (
                header::WWW_AUTHENTICATE,
                (self == Self::CREDENTIALS).then(|| "Bearer".to_owned()),
            ),
            (
                header::ALLOW,
                (self == Self::METHOD).then(|| "GET, HEAD".to_owned()),
            ),
            // The version that would do (RFC 6455, section 4.4).
            (
                header::SEC_WEBSOCKET_VERSION,
                (self == Self::HANDSHAKE).then(|| "13".to_owned()),
            ),
        ] {
            if let Some(value) = value {
                response = response.header(name, value);
            }
        }
        response.body(problem.to_string())
    }
}

impl From<Close> for Refusal {
    fn from(close: Close) -> Self {
        match close {
            Close::NotFound => Self::NOT_FOUND,
            Close::Revoked => Self::CREDENTIALS,
            Close::Ended => Self::ENDED,
            Close::TryAgain => Self::DATABASE,
            Close::TooMany => Self::TOO_MANY,
            // The others close channels that have begun.
            Close::Restart | Close::Away | Close::TooLong | Close::TooSlow => Self::OVERLOADED,
        }
    }
}
