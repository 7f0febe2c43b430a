//! Bounds and descriptions of parameters that Rust's types do not express.

use serde_json::{Value, json};

use super::operations;
use crate::http::parameters::VISIBLE;

/// Adds bounds and default descriptions by name: a parameter means the same in every operation.
pub(super) fn add_bounds(document: &mut Value) {
    for (_, _, operation) in operations(document) {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            let Some((bounds, told)) = rules_for(&name) else {
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

/// Returns schema keywords for a parameter name, and the description to use if it has none.
fn rules_for(name: &str) -> Option<(Value, &'static str)> {
    Some(match name {
        "id" => (json!({}), "A UUID."),
        "item" => (json!({}), "The item's `id`."),
        "code" => (
            json!({"pattern": "^[0-9a-f]{40}$"}),
            "The session's secret code of 40 hex digits.",
        ),
        "token" => (json!({}), "The token of the order's link."),
        "store_id" => (json!({}), "Only for this store."),
        "integrator_id" => (json!({}), "Only for this integrator."),
        "order_id" => (json!({}), "Only for this order."),
        "event" => (json!({}), "Only for this event."),
        "fulfilment" => (json!({}), "Only with this fulfilment."),
        "Expediter-Guest" => (
            json!({"minLength": 16, "maxLength": 200, "pattern": VISIBLE}),
            "The guest's own random key. Orders placed with it are `mine` for this guest, who may cancel them.",
        ),
        _ => return None,
    })
}
