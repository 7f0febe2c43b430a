//! The one table of reasons: the word, the HTTP status, the title.

use http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident, $title:literal;)+) => {
        /// Why a request was not done. The words are a contract; so are their statuses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name),+ }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),+ }
            }

            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

reasons! {
    MalformedJson = "malformed_json", BAD_REQUEST, "The body is not JSON";
    BadRequest = "bad_request", BAD_REQUEST, "The request can't be read";
    IncorrectCredentials = "incorrect_credentials", UNAUTHORIZED, "The credentials are missing, wrong or no longer valid";
    BadSignature = "bad_signature", UNAUTHORIZED, "The signature is missing, wrong or too old";
    Forbidden = "forbidden", FORBIDDEN, "This account may not do this";
    NotFound = "not_found", NOT_FOUND, "There is no such thing here";
    SessionNotFound = "session_not_found", NOT_FOUND, "There is no such session";
    IncorrectAccessMethod = "incorrect_access_method", METHOD_NOT_ALLOWED, "This path does not take this method";
    DuplicateSession = "duplicate_session", CONFLICT, "A session of this name is open";
    SessionClosed = "session_closed", CONFLICT, "The session is closed";
    SessionEnded = "session_ended", GONE, "The session was closed too long ago";
    StorePaused = "store_paused", CONFLICT, "The store takes no orders for now";
    StoreArchived = "store_archived", CONFLICT, "The store is archived";
    InsufficientStock = "insufficient_stock", CONFLICT, "There is not enough in stock";
    ProductUnavailable = "product_unavailable", CONFLICT, "A product can't be ordered now";
    DuplicateProduct = "duplicate_product", CONFLICT, "A product with this sku exists";
    DuplicateOrder = "duplicate_order", CONFLICT, "An order with this reference exists";
    DuplicateUser = "duplicate_user", CONFLICT, "This username is taken";
    InvalidTransition = "invalid_transition", CONFLICT, "The order can't move there";
    OrderNotEditable = "order_not_editable", CONFLICT, "The order can't be edited any more";
    NotRetryable = "not_retryable", CONFLICT, "The handoff can't be retried";
    IntegratorDisabled = "integrator_disabled", CONFLICT, "The integrator is disabled";
    Conflict = "conflict", CONFLICT, "This does not go with how things are";
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT, "A request with this key is still running";
    VersionConflict = "version_conflict", PRECONDITION_FAILED, "Somebody else changed it first";
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is of another kind than this path takes";
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, "Some fields are not as they must be";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "This key came with another request before";
    TotalMismatch = "total_mismatch", UNPROCESSABLE_ENTITY, "The total is not the one that was expected";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, "The database can't be used for now";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too much at once";
    Stopping = "stopping", SERVICE_UNAVAILABLE, "This process is about to stop";
    VerificationServiceUnavailable = "verification_service_unavailable", SERVICE_UNAVAILABLE, "The verification service can't be used for now";
    LocationsServiceUnavailable = "locations_service_unavailable", SERVICE_UNAVAILABLE, "The locations service can't be used for now";
    CodeServiceUnavailable = "code_service_unavailable", SERVICE_UNAVAILABLE, "The code service can't be used for now";
    ProductsServiceUnavailable = "products_service_unavailable", SERVICE_UNAVAILABLE, "The products service can't be used for now";
}
