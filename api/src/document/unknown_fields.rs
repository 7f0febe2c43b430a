//! Closed request schemas: the document says that unknown fields are refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Schemas whose readers ignore unknown fields ([`crate::http::body::RawBody`]).
const OPEN: [&str; 2] = ["Callback", "CallbackDelivery"];

pub(super) fn close_request_schemas(document: &mut Value) {
    let mut waiting = Vec::new();
    let paths = document["paths"]
        .as_object()
        .into_iter()
        .flat_map(Map::values);
    for operation in paths.filter_map(Value::as_object).flat_map(Map::values) {
        collect_references(&operation["requestBody"], &mut waiting);
    }
    let mut seen = BTreeSet::new();
    let mut parts = Vec::new();
    while let Some(name) = waiting.pop() {
        if seen.insert(name.clone()) {
            let schema = &document["components"]["schemas"][&name];
            collect_references(schema, &mut waiting);
            collect_references(&schema["allOf"], &mut parts);
        }
    }
    for name in seen {
        let schema = &mut document["components"]["schemas"][&name];
        let Some(members) = schema
            .as_object_mut()
            .filter(|_| !OPEN.contains(&name.as_str()))
        else {
            continue;
        };
        if members.contains_key("allOf") {
            members.insert("unevaluatedProperties".into(), json!(false));
        } else if members.contains_key("properties")
            && !members.contains_key("additionalProperties")
            // A part of a composition does not know the other parts' fields.
            && !parts.contains(&name)
        {
            members.insert("additionalProperties".into(), json!(false));
        }
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                found.extend(
                    name.strip_prefix("#/components/schemas/")
                        .map(str::to_owned),
                );
            }
            members
                .values()
                .for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|value| collect_references(value, found)),
        _ => {}
    }
}
