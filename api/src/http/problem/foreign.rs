//! Conversion of the framework's own errors to problems.

use http::StatusCode;
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, SizedLimitError};
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};

use super::{Problem, Reason};

impl Problem {
    /// Converts an error of poem or poem-openapi. `path` is used only to find the methods for the `Allow` of a 405.
    pub(crate) fn from_framework(error: poem::Error, path: &str) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
            // An id in the path that can't be parsed identifies nothing.
            return Self::not_found();
        }
        if error.is::<MethodNotAllowedError>() {
            let allow = crate::access::allowed(path, crate::pages::is_file(path));
            return Self::new(Reason::IncorrectAccessMethod).with_allow(allow);
        }
        if let Some(ParseParamError { name, .. }) = error.downcast_ref() {
            // The framework's reason names types of Rust; `http/query.rs` has told all that a client can understand.
            return Self::invalid_field(*name, "is not valid");
        }
        if let Some(ParseRequestPayloadError { reason }) = error.downcast_ref() {
            return Self::invalid_field("", reason.as_str());
        }
        if error.is::<ContentTypeError>() {
            return Self::new(Reason::UnsupportedMediaType);
        }
        if error.is::<AuthorizationError>() {
            return Self::new(Reason::IncorrectCredentials);
        }
        match error.downcast_ref::<ReadBodyError>() {
            Some(ReadBodyError::PayloadTooLarge) => return Self::new(Reason::PayloadTooLarge),
            Some(ReadBodyError::Io(_) | ReadBodyError::Utf8(_)) => {
                return Self::new(Reason::BadRequest).detail("The body could not be read.");
            }
            Some(ReadBodyError::BodyHasBeenTaken) => return Self::internal(error),
            None => {}
        }
        if error.is::<SizedLimitError>() {
            return Self::new(Reason::PayloadTooLarge);
        }
        // Routes of other crates, such as the live channel's, mean their status.
        let reason = match error.status() {
            StatusCode::FORBIDDEN => Reason::Forbidden,
            StatusCode::NOT_FOUND => Reason::NotFound,
            StatusCode::TOO_MANY_REQUESTS => Reason::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Reason::Overloaded,
            status if status.is_client_error() => Reason::BadRequest,
            _ => return Self::internal(error),
        };
        Self::new(reason).caused_by(error)
    }
}
