//! The table of problem reasons: word, HTTP status, title and help text.

use http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident, $title:literal $(, $help:literal)?;)+) => {
        /// A reason why a request failed. The words and their statuses are part of the published contract.
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

            /// Returns an explanation and what to do; a test requires one for every reason.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => concat!("" $(, $help)?)),+ }
            }
        }
    };
}

reasons! {
    MalformedJson = "malformed_json", BAD_REQUEST, "Malformed JSON",
        "The body is empty, incomplete or not valid JSON. Nothing was done. Fix the client that writes it; the same request will fail again.";
    BadRequest = "bad_request", BAD_REQUEST, "Bad request",
        "The request was cut off or is not valid HTTP. Nothing was done. Send the complete request again; if that fails, check the client and any proxy in between. A live channel's socket needs the upgrade of RFC 6455 over HTTP/1.1.";
    IncorrectCredentials = "incorrect_credentials", UNAUTHORIZED, "Invalid credentials",
        "The credentials are missing, wrong or expired. Sign in with POST /api/v1/token, or exchange the refresh token for new tokens with POST /api/v1/token/refresh, then retry. The response does not say whether the username or the password was wrong.";
    BadSignature = "bad_signature", UNAUTHORIZED, "Invalid signature",
        "The callback's Standard Webhooks signature is missing, does not match the body, or its timestamp is too far from the server's clock. Nothing was stored. Sign the raw bytes with the callback secret (not with the signing secret of our requests), and check the clock.";
    Forbidden = "forbidden", FORBIDDEN, "Forbidden",
        "The account's role or its stores do not allow this request. Ask someone who has permission, or have a manager or an operator change the account. The same request will fail again.";
    RegistrationClosed = "registration_closed", FORBIDDEN, "Registration closed",
        "Nobody may register here: accounts are created by managers and operators. Ask the store, or sign in with an account that you have.";
    NotFound = "not_found", NOT_FOUND, "Not found",
        "No resource has this id or path, or it belongs to someone else: both cases get the same response. Check the address and the account.";
    SessionNotFound = "session_not_found", NOT_FOUND, "Session not found",
        "No session has this code: it was mistyped, or a new code has replaced it. Scan the code at the table again, or ask staff.";
    IncorrectAccessMethod = "incorrect_access_method", METHOD_NOT_ALLOWED, "Method not allowed",
        "The path exists but does not support this method. The Allow header lists the supported methods.";
    DuplicateSession = "duplicate_session", CONFLICT, "Session name already in use",
        "Session names are unique among a store's open sessions, ignoring capitals, spaces and how letters are encoded. Close the other session first, or choose another name.";
    SessionClosed = "session_closed", CONFLICT, "Session closed",
        "Staff closed the session: it takes no more orders and stays readable for 24 hours. Ask staff to open a new session.";
    SessionEnded = "session_ended", GONE, "Session expired",
        "The code of a closed session can be read for 24 hours, and that time has passed. Ask staff for a record of the orders.";
    StorePaused = "store_paused", CONFLICT, "Store paused",
        "Staff paused the store, so it takes no orders at the moment. Nothing was ordered. Retry at `opens_at`, if it is there, or later, or check the store's `paused`.";
    StoreClosed = "store_closed", CONFLICT, "Store closed",
        "The store is closed at the time of the order. Nothing was ordered. `opens_at` is the next time when it is open, or null if nobody knows it. Retry then, or order for a time within the hours, if the store takes orders for later.";
    SlotFull = "slot_full", CONFLICT, "No room at this time",
        "The store takes only so much at one time, and this time is full. Nothing was ordered. `next_free_at` is the next time with room for this order, or null if there is none within a day. Order for then, if the store takes orders for later, or retry.";
    StoreArchived = "store_archived", CONFLICT, "Store archived",
        "The store is permanently closed and takes no more orders. Nothing was ordered. Do not retry.";
    InsufficientStock = "insufficient_stock", CONFLICT, "Insufficient stock",
        "`short` lists every product that is out of stock or short, with the quantity left. Nothing was ordered and no stock was taken. Reduce the quantities or remove these products.";
    ProductUnavailable = "product_unavailable", CONFLICT, "Product unavailable",
        "A product is marked unavailable, is archived, or does not belong to this store. Nothing was ordered. Read the menu again and remove the product.";
    OptionUnavailable = "option_unavailable", CONFLICT, "Option unavailable",
        "An option is marked unavailable: `options` lists the ids, `items` the indices of the items. Nothing was ordered. Read the menu again and choose other options; a quantity of 0 declines an option that is a default.";
    DuplicateProduct = "duplicate_product", CONFLICT, "SKU already in use",
        "A sku is unique among a store's products that are not archived. Choose another sku, or edit the product that has it.";
    DuplicateOrder = "duplicate_order", CONFLICT, "Order reference already in use",
        "This account or guest has already placed an order with this reference: `order_id` and the Location header identify it. If it is the same order, do not place it again. To make requests safe to repeat, send an Idempotency-Key.";
    DuplicateUser = "duplicate_user", CONFLICT, "Username already taken",
        "No two usernames differ by case only. Choose another.";
    InvalidTransition = "invalid_transition", CONFLICT, "Invalid status transition",
        "`next` lists the statuses that this caller may move the order to. The order may have changed since you read it: read it again.";
    OrderNotEditable = "order_not_editable", CONFLICT, "Order not editable",
        "The handoff of the order has begun, or the order has ended. Cancel it and place a new one where that is allowed.";
    NotRetryable = "not_retryable", CONFLICT, "Handoff not retryable",
        "Only a handoff in state failed, held or parked can be retried, and only if its order is still open and its integrator is not archived. Read the handoff again; if the order failed, place it again as a new order.";
    IntegratorDisabled = "integrator_disabled", CONFLICT, "Integrator disabled",
        "The integrator is disabled and receives nothing. Enable it first.";
    Conflict = "conflict", CONFLICT, "Conflict with the current state",
        "The current state does not allow this request; `detail` says why. Read the resource again before you retry.";
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT, "Request with this idempotency key in progress",
        "The first request with this Idempotency-Key is still being processed. Retry shortly with the same key to get its result.";
    VersionConflict = "version_conflict", PRECONDITION_FAILED, "Version conflict",
        "The resource has changed since the version in If-Match. Read it again, review the changes, and repeat the edit with the new ETag.";
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "Payload too large",
        "`limit_bytes` is the maximum size of a request body. Nothing was done. Send less in one request.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "Send a JSON body with the header Content-Type: application/json. It may be compressed with gzip, and then needs the header Content-Encoding: gzip.";
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, "Validation failed",
        "`errors` lists every invalid field, with a JSON pointer into the body or the name of a parameter or header. Nothing was done. Correct all of them and retry.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency key reused for a different request",
        "An Idempotency-Key belongs to one request, and this request differs from the first one sent with it. Nothing was done. Use a new key for each new operation, and repeat a request unchanged.";
    WebhookIdReused = "webhook_id_reused", UNPROCESSABLE_ENTITY, "Webhook id reused for a different update",
        "A webhook-id belongs to one update, and this body differs from the first one sent with it. Nothing was applied; the callback is on record with the result conflict. Use a new webhook-id for each new update, and repeat a callback unchanged.";
    TotalMismatch = "total_mismatch", UNPROCESSABLE_ENTITY, "Total differs from the expected total",
        "The order's total is not the expected total, because prices have changed since they were read. Nothing was ordered. Read the menu again and ask the customer to confirm.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests",
        "Wait for the number of seconds in Retry-After, then retry at a lower rate: RateLimit shows the remaining quota, RateLimit-Policy the limits. Too many wrong passwords also block sign-in for a while. Nothing was done.";
    TooManyOrders = "too_many_orders", TOO_MANY_REQUESTS, "Too many unfinished orders",
        "`limit` is the number of orders of one session that may be unfinished at the same time. Nothing was ordered. Wait until some of the table's orders have ended; staff can end them, or close the session and open another.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal server error",
        "An unexpected error on the server, logged under `request_id`. The outcome is unknown: check the resource, or repeat the request with the same Idempotency-Key. If the error persists, give that id to the operator.";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, "Database unavailable",
        "Wait for the number of seconds in Retry-After and retry with the same Idempotency-Key, which makes the retry safe. If `detail` says that the outcome is unknown, check the resource first.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Server overloaded",
        "Too many requests arrived at once. Nothing was done. Wait for the number of seconds in Retry-After, then retry.";
    /// Sent by the gateway when no process answers (`deploy/gateway/expediter.conf`).
    Unreachable = "unreachable", SERVICE_UNAVAILABLE, "Service unreachable",
        "The gateway could not reach a server process, or did not get a response in time. The outcome is unknown: wait for the number of seconds in Retry-After and retry with the same Idempotency-Key, which makes the retry safe.";
    VerificationServiceUnavailable = "verification_service_unavailable", SERVICE_UNAVAILABLE, "Verification service unavailable",
        "The service that verifies owners did not respond in time, or its response was invalid. Nothing was done. Retry after the number of seconds in Retry-After.";
    LocationsServiceUnavailable = "locations_service_unavailable", SERVICE_UNAVAILABLE, "Locations service unavailable",
        "The service that knows the stores did not respond in time, or its response was invalid. Nothing was done. Retry after the number of seconds in Retry-After.";
    CodeServiceUnavailable = "code_service_unavailable", SERVICE_UNAVAILABLE, "Code service unavailable",
        "The service that creates session codes did not respond in time, or its response was invalid. Nothing was done. Retry after the number of seconds in Retry-After.";
    ProductsServiceUnavailable = "products_service_unavailable", SERVICE_UNAVAILABLE, "Products service unavailable",
        "The service that knows the products did not respond in time, or its response was invalid. Nothing was done. Retry after the number of seconds in Retry-After.";
}

impl Reason {
    /// Returns the `type` of a problem, which is also the path of the page that explains it.
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
