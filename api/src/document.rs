//! The generated OpenAPI document, and the page that shows it.

use std::{collections::BTreeSet, marker::PhantomData, sync::OnceLock};

use poem_openapi::{
    ExtraHeader, OpenApi, OpenApiService,
    registry::{MetaApi, MetaPath, Registry},
};
use serde_json::{Map, Value, json};

use crate::{routes, state::ApiState};

pub(crate) const TITLE: &str = "Expediter";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// OpenAPI 3.1, pretty JSON, with a new line at its end; what `openapi/` holds.
#[must_use]
pub fn openapi_document() -> String {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(generate).clone()
}

/// Needs nothing from outside.
pub(crate) fn page() -> String {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        // The page is poem-openapi's; the document in it is ours. `<` would end the script that holds it.
        let document = openapi_document().replace('<', "\\u003c");
        let html = OpenApiService::new((), TITLE, VERSION).scalar_html();
        let start = html
            .find("type=\"application/json\"")
            .and_then(|at| Some(at + html[at..].find('>')? + 1));
        let end = start.and_then(|start| Some(start + html[start..].find("</script>")?));
        let (start, end) = start
            .zip(end)
            .expect("Scalar's page holds the document in a script of JSON");
        format!("{}{document}{}", &html[..start], &html[end..])
    })
    .clone()
}

/// A resource's description without the resource.
struct Described<T>(PhantomData<fn() -> T>);

fn described<T: OpenApi>(_: fn(&ApiState) -> T) -> Described<T> {
    Described(PhantomData)
}

impl<T: OpenApi> OpenApi for Described<T> {
    /// A path of two resources once, with the operations of both: poem-openapi writes it twice, and a reader keeps one.
    fn meta() -> Vec<MetaApi> {
        let mut paths: Vec<MetaPath> = Vec::new();
        for path in T::meta().into_iter().flat_map(|api| api.paths) {
            match paths.iter_mut().find(|known| known.path == path.path) {
                Some(known) => known.operations.extend(path.operations),
                None => paths.push(path),
            }
        }
        vec![MetaApi { paths }]
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(
        self,
        _: &mut std::collections::HashMap<
            String,
            std::collections::HashMap<http::Method, poem::endpoint::BoxEndpoint<'static>>,
        >,
    ) {
    }
}

fn generate() -> String {
    let request_id =
        ExtraHeader::new("X-Request-Id").description("Names this request in our logs.");
    let service = OpenApiService::new(described(routes::resources), TITLE, VERSION)
        .description(
            "Takes orders, never loses one, hands each to those who fulfil it, and shows every step. Every error is a \
             `Problem`; `reason` tells programs which. Ids are UUIDs, times RFC 3339 in UTC, money is in minor units.",
        )
        .license("MIT OR Apache-2.0")
        .server("/api/v1")
        .extra_response_header::<String, _>(request_id);
    let mut document: Value =
        serde_json::from_str(&service.spec()).expect("poem-openapi writes JSON");
    relabel(&mut document);
    tell_who_may_call(&mut document);
    close_request_schemas(&mut document);
    let mut text = serde_json::to_string_pretty(&document).expect("a Value is JSON");
    text.push('\n');
    text
}

/// From 3.0 to 3.1, where `null` is a type and exclusive bounds are numbers.
fn relabel(document: &mut Value) {
    document["openapi"] = json!("3.1.0");
    if let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        schemas.values_mut().for_each(modernise);
    }
}

fn modernise(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
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
            modernise(property);
            if !required.contains(name) {
                allow_null(property);
            }
        }
    }
    for below in ["items", "additionalProperties"] {
        if let Some(schema) = members.get_mut(below) {
            modernise(schema);
        }
    }
    for below in ["allOf", "anyOf", "oneOf"] {
        if let Some(parts) = members.get_mut(below).and_then(Value::as_array_mut) {
            parts.iter_mut().for_each(modernise);
        }
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
        *property = json!({"anyOf": [property.take(), {"type": "null"}]});
    }
}

fn tell_who_may_call(document: &mut Value) {
    for (method, pattern, access) in routes::OPERATIONS {
        let operation = document["paths"][*pattern].get_mut(method.to_lowercase());
        if let Some(operation) = operation.and_then(Value::as_object_mut) {
            operation.insert(
                "x-access".into(),
                json!(format!("{access:?}").to_lowercase()),
            );
        }
    }
}

/// Unknown fields of requests are refused, and the document says so.
fn close_request_schemas(document: &mut Value) {
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
        let Some(members) = schema.as_object_mut() else {
            continue;
        };
        if members.contains_key("allOf") {
            members.insert("unevaluatedProperties".into(), json!(false));
        } else if members.contains_key("properties")
            && !members.contains_key("additionalProperties")
            // What is a part of a composition can't know the other parts' fields.
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
