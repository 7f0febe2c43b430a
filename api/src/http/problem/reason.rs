//! The one table of reasons: the word, the HTTP status, the title, and what to do about it.

use http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident, $title:literal $(, $help:literal)?;)+) => {
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

            /// What to know of it, and what to do; a test wants it of every reason.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => concat!("" $(, $help)?)),+ }
            }
        }
    };
}

reasons! {
    MalformedJson = "malformed_json", BAD_REQUEST, "The body is not JSON",
        "The body ends too early, is empty, or breaks JSON's grammar. Nothing was done. Mend the program that writes it; asking again unchanged gives the same answer.";
    BadRequest = "bad_request", BAD_REQUEST, "The request can't be read",
        "The request was cut off, or its form breaks HTTP. Nothing was done. Send it again whole; if it fails again, look at the program or the proxy between.";
    IncorrectCredentials = "incorrect_credentials", UNAUTHORIZED, "The credentials are missing, wrong or no longer valid",
        "No account was recognised. Sign in with POST /api/v1/token, or trade the refresh token for new ones with POST /api/v1/token/refresh, then ask again. It is not told whether the username or the password was wrong.";
    BadSignature = "bad_signature", UNAUTHORIZED, "The signature is missing, wrong or too old",
        "The callback's Standard Webhooks headers do not fit its body, or its time is too far from ours. Nothing was stored. Sign the raw bytes with the callback secret (not the one that we sign with), and look at the clock.";
    Forbidden = "forbidden", FORBIDDEN, "This account may not do this",
        "The account is known, and its role or its stores do not allow this. Ask somebody who may, or let a manager or an operator change the account. Asking again unchanged gives the same answer.";
    NotFound = "not_found", NOT_FOUND, "There is no such thing here",
        "Nothing of this id or path exists, or it belongs to somebody else: both are answered alike. Check the address and the account.";
    SessionNotFound = "session_not_found", NOT_FOUND, "There is no such session",
        "No session has this code: it was mistyped, or a fresh code took its place. Scan the code at the table again, or ask staff.";
    IncorrectAccessMethod = "incorrect_access_method", METHOD_NOT_ALLOWED, "This path does not take this method",
        "The path exists, for other methods: the header Allow lists them.";
    DuplicateSession = "duplicate_session", CONFLICT, "A session of this name is open",
        "Names are unique among a store's open sessions, whatever their capitals and spaces. Close the other one first, or take another name.";
    SessionClosed = "session_closed", CONFLICT, "The session is closed",
        "Staff closed the session: it takes no orders any more, and can be read for a day. Ask staff to open another.";
    SessionEnded = "session_ended", GONE, "The session was closed too long ago",
        "A closed session's code can be read for 24 hours; this one's are over. Ask staff for the orders' record.";
    StorePaused = "store_paused", CONFLICT, "The store takes no orders for now",
        "Staff paused the store. Nothing was ordered. Try again later, or look at the store's `paused`.";
    StoreArchived = "store_archived", CONFLICT, "The store is archived",
        "The store is closed for good and takes no orders any more; nothing was ordered. There is nothing to try again.";
    InsufficientStock = "insufficient_stock", CONFLICT, "There is not enough in stock",
        "`short` lists every product that is short with what is left. Nothing was ordered and nothing taken. Order less, or leave these out.";
    ProductUnavailable = "product_unavailable", CONFLICT, "A product can't be ordered now",
        "A product is marked as unavailable, was archived, or is not of this store. Nothing was ordered. Read the menu again and leave it out.";
    DuplicateProduct = "duplicate_product", CONFLICT, "A product with this sku exists",
        "The sku is unique among a store's products that are not archived. Take another, or edit the product that has it.";
    DuplicateOrder = "duplicate_order", CONFLICT, "An order with this reference exists",
        "This account has placed an order with this reference: `order_id` and Location name it. If it was the same order, it is placed: do not place it again. To be able to repeat requests safely, send an Idempotency-Key.";
    DuplicateUser = "duplicate_user", CONFLICT, "This username is taken",
        "Usernames are unique, capitals count. Take another.";
    InvalidTransition = "invalid_transition", CONFLICT, "The order can't move there",
        "`next` lists where the order can move, for this caller. It may have moved since you read it: read it again.";
    OrderNotEditable = "order_not_editable", CONFLICT, "The order can't be edited any more",
        "Its handing over has begun, or it has ended. Cancel it and place another where that is allowed.";
    NotRetryable = "not_retryable", CONFLICT, "The handoff can't be retried",
        "Only a handoff that failed, is held or is parked, of an order that is still open, to an integrator that is not archived, can be tried again. Read it again; for an order that failed, place it anew.";
    IntegratorDisabled = "integrator_disabled", CONFLICT, "The integrator is disabled",
        "The integrator is disabled, and is sent nothing. Enable it first.";
    Conflict = "conflict", CONFLICT, "This does not go with how things are",
        "Something about how things are stands against this; `detail` says what. Read the resource again, and decide anew.";
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT, "A request with this key is still running",
        "The first request with this Idempotency-Key is not done yet. Ask again in a moment with the same key: the answer will be the first one's.";
    VersionConflict = "version_conflict", PRECONDITION_FAILED, "Somebody else changed it first",
        "It was changed after the version that If-Match names. Read it again, look at what changed, and repeat the change with its new ETag.";
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large",
        "`limit_bytes` is what a body may have. Nothing was done. Send less at once.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is of another kind than this path takes",
        "Send JSON, and say so: Content-Type: application/json.";
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, "Some fields are not as they must be",
        "`errors` lists every field that is wrong, with a JSON pointer into the body, or a parameter's name. Nothing was done. Mend them all, and ask again.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "This key came with another request before",
        "An Idempotency-Key belongs to one request, and this one differs from the first. Nothing was done. Make a fresh key for each new intent; repeat a request unchanged.";
    TotalMismatch = "total_mismatch", UNPROCESSABLE_ENTITY, "The total is not the one that was expected",
        "Prices changed since they were read: the order would cost another sum than the one that was expected. Nothing was ordered. Read the menu again, and let the person decide.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests",
        "Wait the seconds that Retry-After says, then ask again, more slowly: RateLimit says what is left, RateLimit-Policy what is allowed. After too many wrong passwords, signing in waits too. Nothing was done.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here",
        "An error of ours, which is in our log under `request_id`. It is not known whether something was done: look, or ask again with the same Idempotency-Key. If it stays, tell the operator that id.";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, "The database can't be used for now",
        "Wait the seconds that Retry-After says and ask again with the same Idempotency-Key, which makes that safe. Where `detail` says that the outcome is unknown, look first.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too much at once",
        "More came at once than is taken on. Nothing was done. Wait the seconds that Retry-After says, and ask again.";
    /// Answered by the gateway in place of a process (`deploy/gateway/expediter.conf`).
    Unreachable = "unreachable", SERVICE_UNAVAILABLE, "No process answers for now",
        "The gateway reached none of our processes, or had no answer in time. It is not known whether something was done: wait the seconds that Retry-After says and ask again with the same Idempotency-Key, which makes that safe.";
    VerificationServiceUnavailable = "verification_service_unavailable", SERVICE_UNAVAILABLE, "The verification service can't be used for now",
        "The service that verifies owners did not answer in time or not sensibly. Nothing was done. Ask again after Retry-After.";
    LocationsServiceUnavailable = "locations_service_unavailable", SERVICE_UNAVAILABLE, "The locations service can't be used for now",
        "The service that knows the stores did not answer in time or not sensibly. Nothing was done. Ask again after Retry-After.";
    CodeServiceUnavailable = "code_service_unavailable", SERVICE_UNAVAILABLE, "The code service can't be used for now",
        "The service that makes session codes did not answer in time or not sensibly. Nothing was done. Ask again after Retry-After.";
    ProductsServiceUnavailable = "products_service_unavailable", SERVICE_UNAVAILABLE, "The products service can't be used for now",
        "The service that knows the products did not answer in time or not sensibly. Nothing was done. Ask again after Retry-After.";
}

impl Reason {
    /// What a problem's `type` says, and where it is explained.
    #[must_use]
    pub fn path(self) -> String {
        format!("/problems/{}", self.as_str())
    }

    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| reason.as_str() == word)
    }
}
