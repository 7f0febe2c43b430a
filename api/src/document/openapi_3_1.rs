//! Conversion from OpenAPI 3.0 to 3.1: `null` is a type, exclusive bounds are numbers, references have descriptions.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::http::body::format;

pub(super) fn upgrade_to_3_1(document: &mut Value) {
    document["openapi"] = json!("3.1.0");
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.values_mut().for_each(schema);
    }
    convert_inline_schemas(&mut document["paths"]);
}

/// Converts the inline schemas of parameters, headers and bodies.
fn convert_inline_schemas(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(headers) = members.get_mut("headers").and_then(Value::as_object_mut) {
                *headers = std::mem::take(headers)
                    .into_iter()
                    .map(|(name, header)| (canonical_header_name(&name), header))
                    .collect();
            }
            for (name, below) in members {
                if name == "schema" {
                    schema(below);
                } else {
                    convert_inline_schemas(below);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(convert_inline_schemas),
        _ => {}
    }
}

/// Restores the usual spelling of a header name, which poem-openapi writes in capitals.
fn canonical_header_name(header: &str) -> String {
    if header.eq_ignore_ascii_case("etag") {
        return "ETag".into();
    }
    let words = header.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    });
    words.collect::<Vec<_>>().join("-")
}

fn schema(value: &mut Value) {
    unwrap_described_reference(value);
    let Some(members) = value.as_object_mut() else {
        return;
    };
    bounds(members);
    let required: BTreeSet<String> = members
        .get("required")
        .and_then(Value::as_array)
        .map(|names| {
            names
                .iter()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect()
        })
        .unwrap_or_default();
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            schema(property);
            if !required.contains(name) {
                allow_null(property);
            }
        }
    }
    for below in ["items", "additionalProperties"] {
        if let Some(below) = members.get_mut(below) {
            schema(below);
        }
    }
    for below in ["allOf", "anyOf", "oneOf"] {
        if let Some(parts) = members.get_mut(below).and_then(Value::as_array_mut) {
            parts.iter_mut().for_each(schema);
        }
    }
}

/// Moves a description from a composition to its reference. OpenAPI 3.0 allowed it only in a composition, which client
/// generators turn into a separate type.
fn unwrap_described_reference(value: &mut Value) {
    let parts = value.get("allOf").and_then(Value::as_array);
    let Some([reference, told]) = parts.map(Vec::as_slice) else {
        return;
    };
    let is_told_only = told
        .as_object()
        .is_some_and(|told| told.keys().all(|key| key == "description"));
    if let (Some(name), true) = (reference.get("$ref").cloned(), is_told_only) {
        let told = told["description"].clone();
        *value = json!({"$ref": name, "description": told});
    }
}

fn bounds(members: &mut Map<String, Value>) {
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if members.get(exclusive) == Some(&json!(true)) {
            let value = members.remove(bound).unwrap_or_default();
            members.insert(exclusive.into(), value);
        } else {
            members.remove(exclusive);
        }
    }
    if members.get("type") == Some(&json!("integer")) {
        for bound in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
            if let Some(value) = members.get_mut(bound) {
                make_integer(value);
            }
        }
    }
    let Some(name) = members.get("format").and_then(Value::as_str) else {
        return;
    };
    if name == "image" {
        // 3.1 has no format for bytes. Generated clients read them by this one all the same.
        members.insert("format".into(), json!("binary"));
        return;
    }
    if name == "binary" {
        // 3.1 has no such format, and what has it here is text (CSV), which generated clients would read as bytes.
        members.remove("format");
        return;
    }
    if name.starts_with("uint") {
        let has_least = members.contains_key("exclusiveMinimum");
        if !has_least {
            members.entry("minimum").or_insert(json!(0));
        }
        return;
    }
    for (keyword, value) in format::keywords(name) {
        members.entry(keyword).or_insert(value);
    }
}

/// Writes a bound as an integer; poem-openapi stores bounds as floating-point numbers.
fn make_integer(value: &mut Value) {
    // A double represents every integer below this exactly.
    let exact = value.as_f64().filter(|bound| bound.abs() < 9e15);
    if let Some(bound) = exact {
        #[expect(clippy::cast_possible_truncation, reason = "small enough, see above")]
        let bound = bound as i64;
        *value = json!(bound);
    }
}

fn allow_null(property: &mut Value) {
    let Some(members) = property.as_object_mut() else {
        return;
    };
    if let Some(kind) = members.get("type").cloned() {
        members.insert("type".into(), json!([kind, "null"]));
        if let Some(words) = members.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
    } else if !members.is_empty() {
        let told = members.remove("description");
        let mut either = json!({"anyOf": [property.take(), {"type": "null"}]});
        if let Some(told) = told {
            either["description"] = told;
        }
        *property = either;
    }
}
