//! Examples of stores, products and accounts.

use serde_json::{Value, json};

use super::{
    super::request_examples::{CATEGORY, OPTION, OPTION_GROUP, ORDER, PRODUCT, STORE},
    at, euros,
    handoffs::INTEGRATOR,
    with_fields,
};

pub(super) const ACCOUNT: &str = "01980000-0000-7000-8000-000000000008";
const RECORD: &str = "01980000-0000-7000-8000-000000000009";
const ERASURE: &str = "01980000-0000-7000-8000-00000000000c";
const OPENED: &str = "08:00:00.000000";

pub(super) fn store() -> Value {
    json!({
        "id": STORE, "name": "Café Berta", "timezone": "Europe/Berlin", "currency": "EUR", "exponent": 2,
        "phone": null, "email": null, "address": "Hauptstraße 1, Berlin", "lat": null, "lng": null,
        "external_location_id": null, "auto_accept": true, "accept_within_s": 600, "deliver_accepted_after_h": null,
        "lead_time_min": 30, "prepare_min": 15, "order_ahead_days": 0, "cancel_until": "accepted", "paused": false,
        "language": "en", "archived_at": null, "version": 1, "created_at": at(OPENED),
    })
}

pub(super) fn category() -> Value {
    json!({
        "id": CATEGORY, "store_id": STORE, "name": "Coffee", "description": null, "position": 1, "weight": 1,
        "translations": {"de": {"name": "Kaffee", "description": null}}, "version": 1, "created_at": at(OPENED),
    })
}

pub(super) fn change() -> Value {
    json!({
        "id": RECORD, "at": at(OPENED), "store_id": STORE, "subject": "product", "subject_id": PRODUCT,
        "action": "edited",
        "actor": {"kind": "account", "id": ACCOUNT, "name": "ada", "role": "manager"},
        "fields": {"price": {"from": euros(250), "to": euros(280)}},
    })
}

pub(super) fn audit_entry() -> Value {
    with_fields(change(), json!({"address": "203.0.113.7"}))
}

pub(super) fn erasure() -> Value {
    json!({
        "id": ERASURE, "by": "phone", "state": "waiting", "requested_at": at(OPENED),
        "requested_by": {"kind": "account", "id": ACCOUNT, "name": "ada", "role": "operator"},
        "account_id": null, "examined": 48_211, "erased": 3,
        "waiting": [{"order_id": ORDER, "waits_for": "order_end"}],
        "recipients": [INTEGRATOR], "done_at": null,
    })
}

pub(super) fn product() -> Value {
    json!({
        "id": PRODUCT, "store_id": STORE, "sku": "ESP", "name": "Espresso", "description": null,
        "price": euros(250), "option_group_ids": [OPTION_GROUP], "available": true, "available_from": null, "stock": 40, "sold_out": false,
        "categories": [{"category_id": CATEGORY, "position": 1}], "image_url": "https://cafe.example/espresso.webp",
        "allergens": ["milk"], "diets": ["vegetarian"],
        "translations": {"de": {"name": "Espresso", "description": "Kurz und stark"}},
        "archived_at": null, "version": 1, "created_at": at(OPENED),
    })
}

pub(super) fn option_group() -> Value {
    json!({
        "id": OPTION_GROUP, "store_id": STORE, "name": "Milk", "min": 0, "max": 1, "position": 1,
        "options": [{
            "id": OPTION, "name": "Oat milk", "price": euros(0), "available": true, "is_default": false,
            "sku": "OAT", "product_id": null, "translations": {"de": {"name": "Hafermilch"}},
        }],
        "translations": {"de": {"name": "Milch"}}, "version": 1, "created_at": at(OPENED),
    })
}

pub(super) fn menu() -> Value {
    json!({
        "store_id": STORE, "store_name": "Café Berta", "currency": "EUR", "exponent": 2, "language": "en", "languages": ["en", "de"],
        "paused": false,
        "categories": [{
            "id": CATEGORY, "name": "Coffee", "description": null, "position": 1, "product_ids": [PRODUCT],
        }],
        "items": [product()],
        "option_groups": [option_group()],
    })
}

pub(super) fn account() -> Value {
    json!({
        "id": ACCOUNT, "username": "ada", "role": "staff", "stores": [STORE], "integrator_ids": [],
        "disabled": false, "created_at": at(OPENED),
    })
}

pub(super) fn api_key() -> Value {
    json!({
        "id": "01980000-0000-7000-8000-000000000026", "name": "Till at the window", "store_ids": [STORE],
        "actions": ["orders:read", "orders:write"], "made_by": ACCOUNT, "created_at": at(OPENED),
        "expires_at": null, "last_used_at": null,
    })
}

pub(super) fn tokens() -> Value {
    json!({
        "access": "header.payload.signature", "refresh": "b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM",
        "token_type": "Bearer", "expires_in_s": 300,
    })
}

pub(super) fn live_ticket() -> Value {
    json!({
        "ticket": "Y2xvc2Ugc2VzYW1lIGNsb3NlIHNlc2FtZSBjbG9zZSA",
        "expires_at": at("19:20:30.000000"),
    })
}

pub(super) fn external_identity() -> Value {
    json!({"user_id": "17", "session_key": "open sesame"})
}

pub(super) fn stats() -> Value {
    json!({
        "total_orders": 17, "pending_orders": 1, "processing_orders": 0, "completed_orders": 14,
        "avg_processing_time_seconds": 21.5,
        "by_status": {
            "pending": 1, "processing": 0, "accepted": 1, "preparing": 1, "ready": 1, "dispatched": 1,
            "delivered": 10, "rejected": 1, "failed": 0, "cancelled": 1,
        },
        "backlog": {
            "outbox": {"waiting": 1, "since": at("19:20:00.481516")},
            "handoffs": {"waiting": 2, "since": at("19:19:59.234200")},
            "callbacks": {"waiting": 0, "since": null},
        },
    })
}
