//! Error responses as RFC 9457 problem documents. Only this module chooses an HTTP error status.

mod foreign;
mod ledger;
mod pages;
mod reason;

use std::fmt;

use http::{HeaderValue, StatusCode, header};
use poem::{Response, error::ResponseError};
use poem_openapi::{
    ApiResponse,
    registry::{
        MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
    },
};
use serde_json::{Map, Value, json};

pub(crate) use self::pages::{escaped, routes, wants_html};
pub use self::reason::Reason;
use runtime::request_id::RequestId;

pub const CONTENT_TYPE: &str = "application/problem+json";

/// Default `Retry-After` of a 503, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// Error type of every handler: `Result<Json<T>, Problem>`.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    reason: Reason,
    detail: Option<String>,
    errors: Vec<FieldError>,
    more: Map<String, Value>,
    location: Option<String>,
    allow: Option<String>,
    accept_encoding: Option<&'static str>,
    retry_after_s: Option<u32>,
    /// Logged, never sent.
    cause: Option<String>,
}

/// One invalid field, parameter or header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, empty for the body itself; or the name of a parameter or header.
    pub pointer: String,
    pub detail: String,
}

impl FieldError {
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

impl Problem {
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        let retry_after_s =
            (reason.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S);
        Self(Box::new(Parts {
            reason,
            detail: None,
            errors: Vec::new(),
            more: Map::new(),
            location: None,
            allow: None,
            accept_encoding: None,
            retry_after_s,
            cause: None,
        }))
    }

    /// Returns a 500 for a bug or an unexpected error. The cause is logged, never sent.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(Reason::Internal).caused_by(cause)
    }

    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Reason::NotFound)
    }

    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(Reason::Forbidden)
    }

    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(Reason::ValidationFailed);
        problem.0.errors = errors;
        problem
    }

    /// Returns a 422 with one invalid field: `Problem::invalid_field("/items/0/sku", "is unknown")`.
    #[must_use]
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// Returns a 422 for a `store_id` that does not exist or is archived.
    #[must_use]
    pub(crate) fn unknown_store() -> Self {
        Self::invalid_field("/store_id", "must be an existing, unarchived store")
    }

    /// Sets `detail`: a sentence for people about this one occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds an extension member such as `next`, `short`, `current_version` or `order_id`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    /// Sets `Location` to the resource that conflicts with the request.
    #[must_use]
    pub fn at(mut self, location: impl Into<String>) -> Self {
        self.0.location = Some(location.into());
        self
    }

    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Sets the cause, which is logged and never sent.
    #[must_use]
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    #[must_use]
    pub(crate) fn with_allow(mut self, methods: impl Into<String>) -> Self {
        self.0.allow = Some(methods.into());
        self
    }

    /// Sets the encodings of a request's body that would have been read.
    #[must_use]
    pub(crate) fn with_accept_encoding(mut self, encodings: &'static str) -> Self {
        self.0.accept_encoding = Some(encodings);
        self
    }

    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// Returns the response and logs it if it is a 5xx. `route` is a pattern: a path may contain a session's code.
    pub(crate) fn answer(self, request_id: &RequestId, route: &str) -> Response {
        let status = self.0.reason.status();
        if status.is_server_error() {
            let cause = self.0.cause.as_deref().unwrap_or_default();
            let reason = self.0.reason.as_str();
            tracing::error!(%request_id, route, reason, cause, "request failed");
        }
        self.document(Some(request_id))
    }

    /// Builds the members (RFC 9457 section 3.1). `type` is an absolute path, so it is the same in every installation.
    fn members(&self, request_id: Option<&str>) -> Map<String, Value> {
        let parts = &self.0;
        let reason = parts.reason;
        let mut members = Map::new();
        members.insert("type".into(), json!(reason.path()));
        members.insert("title".into(), json!(reason.title()));
        members.insert("status".into(), json!(reason.status().as_u16()));
        members.insert("reason".into(), json!(reason.as_str()));
        if let Some(detail) = &parts.detail {
            members.insert("detail".into(), json!(detail));
        }
        if let Some(id) = request_id {
            members.insert("request_id".into(), json!(id));
        }
        if !parts.errors.is_empty() {
            let errors = parts.errors.iter();
            let errors = errors.map(|e| json!({"pointer": e.pointer, "detail": e.detail}));
            members.insert("errors".into(), errors.collect());
        }
        members.extend(parts.more.clone());
        members
    }

    fn document(self, request_id: Option<&RequestId>) -> Response {
        let members = self.members(request_id.map(RequestId::as_str));
        let parts = *self.0;
        let status = parts.reason.status();
        let mut response = Response::builder()
            .status(status)
            .content_type(CONTENT_TYPE)
            .body(Value::Object(members).to_string());
        let headers = response.headers_mut();
        let retry_after = parts.retry_after_s.map(|seconds| seconds.to_string());
        // No Basic challenge, because a browser would open its own sign-in dialog over the page's.
        let challenge = (status == StatusCode::UNAUTHORIZED).then(|| "Bearer".to_owned());
        for (name, value) in [
            (header::LOCATION, parts.location),
            (header::ALLOW, parts.allow),
            (
                header::ACCEPT_ENCODING,
                parts.accept_encoding.map(str::to_owned),
            ),
            (header::RETRY_AFTER, retry_after),
            (header::WWW_AUTHENTICATE, challenge),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.reason.as_str())?;
        match &self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.0.reason.status()
    }
}

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let response = |range: &str, description, headers| MetaResponse {
            description,
            status: None,
            status_range: Some(range.to_owned()),
            content: vec![MetaMediaType {
                content_type: CONTENT_TYPE,
                schema: MetaSchemaRef::Reference("Problem".into()),
            }],
            headers,
        };
        let retry_after = MetaHeader {
            name: "Retry-After".into(),
            description: Some("Seconds to wait before retrying.".into()),
            required: false,
            deprecated: false,
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("integer"))),
        };
        MetaResponses {
            responses: vec![
                response(
                    "4XX",
                    "The request was not carried out, and the same request will fail again.",
                    vec![],
                ),
                response(
                    "5XX",
                    "The server failed: the request was not carried out, or its outcome is unknown.",
                    vec![retry_after],
                ),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>("FieldError".into(), |_| {
            object(
                &["pointer", "detail"],
                vec![
                    (
                        "pointer",
                        text("JSON pointer (RFC 6901) into the body, or the name of a parameter or header."),
                    ),
                    ("detail", text("Description of the error.")),
                ],
            )
        });
        registry.create_schema::<Reason, _>("Problem".into(), |_| {
            let reason = MetaSchema {
                enum_items: Reason::ALL
                    .iter()
                    .map(|reason| json!(reason.as_str()))
                    .collect(),
                description: Some("Stable machine-readable reason; it determines the status."),
                ..MetaSchema::new("string")
            };
            let errors = MetaSchema {
                items: Some(Box::new(MetaSchemaRef::Reference("FieldError".into()))),
                description: Some("All invalid fields, not only the first."),
                ..MetaSchema::new("array")
            };
            let status =
                MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("integer", "int32")));
            MetaSchema {
                description: Some(
                    "Problem details (RFC 9457). Some reasons add members, such as `next` or `short`.",
                ),
                ..object(
                    &["type", "title", "status", "reason"],
                    vec![
                        ("type", text("`/problems/{reason}`, a page that explains the reason.")),
                        ("title", text("Short summary of the reason for people.")),
                        ("status", status),
                        ("reason", MetaSchemaRef::Inline(Box::new(reason))),
                        ("detail", text("Explanation of this occurrence.")),
                        ("request_id", text("Same value as the header `X-Request-Id`.")),
                        ("errors", MetaSchemaRef::Inline(Box::new(errors))),
                    ],
                )
            }
        });
    }
}

fn object(required: &[&'static str], properties: Vec<(&'static str, MetaSchemaRef)>) -> MetaSchema {
    MetaSchema {
        required: required.to_vec(),
        properties,
        ..MetaSchema::new("object")
    }
}

fn text(description: &'static str) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema {
        description: Some(description),
        ..MetaSchema::new("string")
    }))
}
