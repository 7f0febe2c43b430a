//! What parameters must be like, where Rust's types do not tell.

use serde_json::{Value, json};

use super::operations;

/// Of every operation: a word that means the same everywhere has the same bounds everywhere.
pub(super) fn bound(document: &mut Value) {
    for (_, _, operation) in operations(document) {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            let Some((bounds, told)) = known(&name) else {
                continue;
            };
            for (keyword, value) in bounds.as_object().into_iter().flatten() {
                parameter["schema"][keyword] = value.clone();
            }
            if let Some(parameter) = parameter.as_object_mut() {
                parameter.entry("description").or_insert(json!(told));
            }
        }
    }
}

/// By the parameter's name: keywords of its schema, and a description where it has none of its own.
fn known(name: &str) -> Option<(Value, &'static str)> {
    Some(match name {
        "id" => (json!({}), "A UUID."),
        "item" => (json!({}), "The item's `id`."),
        "code" => (
            json!({"pattern": "^[0-9a-f]{40}$"}),
            "The session's code: 40 hex digits, and a secret.",
        ),
        "store_id" => (json!({}), "Only of this store."),
        "integrator_id" => (json!({}), "Only of this integrator."),
        "order_id" => (json!({}), "Only of this order."),
        "event" => (json!({}), "Only those that tell of this."),
        "fulfilment" => (json!({}), "Only of this kind."),
        "cursor" => (json!({}), "`next_cursor` of the page before."),
        "limit" => (
            json!({"minimum": 1, "maximum": 100, "default": 50}),
            "How many at most.",
        ),
        "Idempotency-Key" => (
            json!({"minLength": 1, "maxLength": 200, "pattern": VISIBLE}),
            "Any text of up to 200 bytes that names this request among the caller's.",
        ),
        "Expediter-Guest" => (
            json!({"minLength": 16, "maxLength": 200, "pattern": VISIBLE}),
            "The guest's own random key: whoever placed an order with it sees it as `mine`, and may cancel it.",
        ),
        "If-Match" => (
            json!({}),
            "Only if it is still as this `ETag` says; or a version in quotes.",
        ),
        _ => return None,
    })
}

/// Of a header's text: ASCII without control characters, and no space at either end.
const VISIBLE: &str = "^[!-~]([ -~]*[!-~])?$";
