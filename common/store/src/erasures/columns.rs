//! Every column that holds text, and if an erasure reaches it. A test demands that each is listed: whoever adds one decides.

/// Columns that may say something of a customer. An erasure clears them, or takes out of them what people wrote.
pub const ERASED: &[(&str, &[&str])] = &[
    ("accounts", &["username", "username_key", "password_hash"]),
    ("attempts", &["error", "response"]),
    ("callbacks", &["payload", "detail"]),
    ("changes", &["actor", "address", "fields"]),
    ("erasures", &["sealed"]),
    ("events", &["actor", "data"]),
    ("external_identities", &["user_id"]),
    ("handoffs", &["body", "cause", "error"]),
    ("order_items", &["note"]),
    ("orders", &["customer", "user_note", "reason", "delivery"]),
    ("sessions", &["name"]),
];

/// Columns that say nothing of a customer, with the reason.
pub const FREE: &[(&str, &[&str], &str)] = &[
    ("accounts", &["role"], OUR_WORD),
    ("api_keys", &["name", "actions"], BUSINESS),
    ("attempts", &["outcome"], OUR_WORD),
    (
        "callbacks",
        &["webhook_id", "repeated_id", "reference"],
        REFERENCE,
    ),
    ("callbacks", &["result"], OUR_WORD),
    (
        "categories",
        &["name", "description", "translations"],
        BUSINESS,
    ),
    ("changes", &["subject", "action"], OUR_WORD),
    (
        "erasures",
        &["kind", "requested_by", "waiting", "recipients"],
        "ids, words, and the operator who asked",
    ),
    ("events", &["kind"], OUR_WORD),
    ("handoffs", &["event", "state", "reason"], OUR_WORD),
    ("handoffs", &["reference"], REFERENCE),
    (
        "idempotency_keys",
        &["idempotency_key"],
        "a random key of a client, kept for a day; no answer is stored",
    ),
    ("images", &["content_type", "bytes"], BUSINESS),
    (
        "integrators",
        &[
            "name",
            "kind",
            "format",
            "events",
            "url",
            "confirms",
            "unknown_policy",
            "callback_auth",
            "auth_kind",
            "auth_sealed",
            "signing_sealed",
            "old_signing_sealed",
            "callback_sealed",
            "old_callback_sealed",
            "status_map",
            "disabled_reason",
            "breaker_state",
            "failing_handoffs",
            "given_up_because",
            "pressure",
            "answers",
        ],
        BUSINESS,
    ),
    ("ledger_epoch", &["home"], "the name of a database server"),
    ("live_tickets", &["subject"], OUR_WORD),
    (
        "option_groups",
        &["name", "options", "translations"],
        BUSINESS,
    ),
    ("order_items", &["sku", "name", "options"], BUSINESS),
    ("orders", &["reference"], REFERENCE),
    (
        "orders",
        &["traceparent"],
        "the number of a request in tracing systems, which keep no trace for long",
    ),
    (
        "orders",
        &["fulfilment", "status", "currency", "cancel_until"],
        OUR_WORD,
    ),
    (
        "outbox",
        &["announcement", "error"],
        "an order is not erased before its events are announced and their row is gone",
    ),
    ("outside_products", &["external_id"], BUSINESS),
    (
        "product_details",
        &["image_url", "allergens", "diets", "translations"],
        BUSINESS,
    ),
    (
        "products",
        &["sku", "name", "description", "currency", "option_group_ids"],
        BUSINESS,
    ),
    (
        "retries",
        &["filter", "refused"],
        "ids, times and words of ours",
    ),
    (
        "sessions",
        &["code", "state"],
        "a random code, and a word of ours",
    ),
    ("sessions", &["open_key"], "null once the session is closed"),
    ("retention_leftovers", &["kind"], OUR_WORD),
    ("retention_walks", &["kind"], OUR_WORD),
    ("slot_holds", &["fulfilment"], OUR_WORD),
    ("stock_movements", &["reason"], BUSINESS),
    ("store_counters", &["rules"], BUSINESS),
    (
        "stores",
        &[
            "name",
            "timezone",
            "currency",
            "phone",
            "email",
            "address",
            "external_location_id",
            "timing",
            "language",
        ],
        BUSINESS,
    ),
    ("workers", &["label"], "the name of a machine"),
    ("workers", &["lags"], "ids of integrators, and numbers"),
];

const OUR_WORD: &str = "one of our own words";
const BUSINESS: &str = "written by the business about itself";
const REFERENCE: &str = "the number of an order or a message in another system";
