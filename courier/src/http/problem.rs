//! Problems: every error of the API, the framework's own included (RFC 9457).

use std::fmt::Display;

use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
    http::StatusCode,
};
use poem_openapi::{
    ApiResponse, Object,
    error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

use crate::{intake::IntakeError, passwords::PasswordError};

const CONTENT_TYPE: &str = "application/problem+json";

/// Reason of a problem, with its status and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    MalformedJson,
    BadRequest,
    IncorrectCredentials,
    BadSignature,
    Forbidden,
    NotFound,
    IncorrectAccessMethod,
    DuplicateUser,
    DuplicateWebhook,
    TooManyWebhooks,
    AlreadyPickedUp,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    IdempotencyKeyReused,
    Internal,
    DatabaseUnavailable,
    Overloaded,
}

impl Reason {
    fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (400, "malformed_json", "Malformed JSON"),
            Self::BadRequest => (400, "bad_request", "Bad request"),
            Self::IncorrectCredentials => (401, "incorrect_credentials", "Incorrect credentials"),
            Self::BadSignature => (401, "bad_signature", "Invalid signature"),
            Self::Forbidden => (403, "forbidden", "Forbidden"),
            Self::NotFound => (404, "not_found", "Not found"),
            Self::IncorrectAccessMethod => (405, "incorrect_access_method", "Method not allowed"),
            Self::DuplicateUser => (409, "duplicate_user", "Username taken"),
            Self::DuplicateWebhook => (409, "duplicate_webhook", "Webhook already registered"),
            Self::TooManyWebhooks => (409, "too_many_webhooks", "Too many webhooks"),
            Self::AlreadyPickedUp => (409, "already_picked_up", "Already picked up"),
            Self::PayloadTooLarge => (413, "payload_too_large", "Payload too large"),
            Self::UnsupportedMediaType => (415, "unsupported_media_type", "Unsupported media type"),
            Self::ValidationFailed => (422, "validation_failed", "Validation failed"),
            Self::IdempotencyKeyReused => (422, "idempotency_key_reused", "Idempotency key reused"),
            Self::Internal => (500, "internal", "Internal error"),
            Self::DatabaseUnavailable => (503, "database_unavailable", "Database unavailable"),
            Self::Overloaded => (503, "overloaded", "Overloaded"),
        }
    }
}

/// One wrong field.
#[derive(Debug, Clone, Object)]
pub(crate) struct FieldError {
    /// JSON pointer into the body, empty for the body itself; or the name of a parameter.
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

/// Body of every error.
#[derive(Debug, Object)]
#[oai(rename = "Problem")]
struct Body {
    r#type: String,
    title: String,
    status: u16,
    /// Machine-readable reason.
    reason: String,
    #[oai(skip_serializing_if_is_none)]
    detail: Option<String>,
    /// Every wrong field.
    #[oai(skip_serializing_if_is_empty)]
    errors: Vec<FieldError>,
}

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    detail: Option<String>,
    errors: Vec<FieldError>,
    allow: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            errors: Vec::new(),
            allow: None,
        }
    }

    pub(crate) fn detail(mut self, detail: impl Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(Reason::ValidationFailed)
        }
    }

    pub(crate) fn invalid_field(pointer: &str, detail: impl Display) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.to_owned(),
            detail: detail.to_string(),
        }])
    }

    /// Logs the cause, which the client is not told.
    pub(crate) fn internal(error: &dyn Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(Reason::Internal)
    }

    /// Converts an error of the framework; the path tells the methods for the `Allow` of a 405.
    pub(crate) fn of(error: &poem::Error, path: &str) -> Self {
        // An id in the path that cannot be parsed identifies nothing.
        if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
            return Self::new(Reason::NotFound);
        }
        if error.is::<MethodNotAllowedError>() {
            return Self {
                allow: Some(allowed(path)),
                ..Self::new(Reason::IncorrectAccessMethod)
            };
        }
        if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
            return Self::invalid_field(name, reason);
        }
        if error.is::<AuthorizationError>() {
            return Self::new(Reason::IncorrectCredentials);
        }
        if error.is::<ContentTypeError>() {
            return Self::new(Reason::UnsupportedMediaType);
        }
        match error.downcast_ref() {
            Some(ReadBodyError::PayloadTooLarge) => Self::new(Reason::PayloadTooLarge),
            Some(_) => Self::new(Reason::BadRequest).detail("The body could not be read."),
            None if error.status().is_client_error() => Self::new(Reason::BadRequest),
            None => Self::internal(error),
        }
    }
}

/// Returns the methods of a path.
fn allowed(path: &str) -> &'static str {
    match path.trim_end_matches('/') {
        "/signup" | "/signin" => "POST",
        "/deliveries" | "/webhooks" => "GET, POST",
        path if path.starts_with("/deliveries/") => "GET, DELETE",
        path if path.starts_with("/webhooks/") => "DELETE",
        _ => "GET",
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, reason, title) = self.reason.parts();
        let body = Body {
            r#type: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            reason: reason.to_owned(),
            detail: self.detail,
            errors: self.errors,
        };
        let status = StatusCode::from_u16(status).expect("the table has valid statuses");
        let mut answer = Response::builder().status(status);
        if let Some(allow) = self.allow {
            answer = answer.header("allow", allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            answer = answer.header("www-authenticate", "Bearer");
        }
        answer
            .content_type(CONTENT_TYPE)
            .body(body.to_json_string())
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        Self::from_response(problem.into_response())
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the database failed");
        Self::new(Reason::DatabaseUnavailable)
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded => Self::new(Reason::Overloaded),
            PasswordError::Hashing => Self::internal(&error),
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::KeyReused => Self::new(Reason::IdempotencyKeyReused)
                .detail("This webhook-id or Idempotency-Key came with another message."),
            IntakeError::Sql(error) => error.into(),
        }
    }
}

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let problem = |status, description| MetaResponse {
            description,
            status,
            status_range: status.is_none().then(|| "default".to_owned()),
            content: vec![MetaMediaType {
                content_type: CONTENT_TYPE,
                schema: Body::schema_ref(),
            }],
            headers: vec![],
        };
        MetaResponses {
            responses: vec![
                problem(Some(400), "Malformed JSON"),
                problem(Some(401), "Incorrect credentials, or an invalid signature"),
                problem(Some(403), "Forbidden"),
                problem(Some(404), "Not found"),
                problem(Some(409), "Conflict: the reason says which"),
                problem(Some(413), "Payload too large"),
                problem(Some(415), "Unsupported media type"),
                problem(Some(422), "Validation failed, or an idempotency key reused"),
                problem(Some(503), "Database unavailable, or overloaded"),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        Body::register(registry);
    }
}
