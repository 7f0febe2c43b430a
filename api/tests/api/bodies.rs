//! Every request schema accepts a body with all fields, and a body with only the required ones.

use serde_json::{Map, Value, json};

pub(crate) struct Document(Value);

/// Fields that an example contains.
#[derive(Clone, Copy, PartialEq)]
enum Include {
    AllFields,
    RequiredOnly,
}

impl Document {
    pub(crate) fn read() -> Self {
        Self(serde_json::from_str(&api::openapi_document()).unwrap())
    }

    /// Returns the operation id and the schema of every JSON request body.
    fn bodies(&self) -> Vec<(String, Value)> {
        let paths = self.0["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|methods| methods.as_object().unwrap().values());
        operations
            .filter_map(|operation| {
                let body = operation.pointer("/requestBody/content")?.as_object()?;
                let (_, json) = body.iter().find(|(kind, _)| kind.contains("json"))?;
                Some((
                    operation["operationId"].as_str()?.to_owned(),
                    json["schema"].clone(),
                ))
            })
            .collect()
    }

    pub(crate) fn resolve<'d>(&'d self, schema: &'d Value) -> &'d Value {
        match schema["$ref"].as_str() {
            Some(at) => self.resolve(self.0.pointer(&at[1..]).expect("references resolve")),
            None => schema,
        }
    }

    /// Builds one example for each variant of a schema.
    fn examples(&self, schema: &Value, say: Include) -> Vec<Value> {
        let schema = self.resolve(schema);
        if let Some(variants) = list(schema, "oneOf").or(list(schema, "anyOf")) {
            return variants
                .iter()
                .flat_map(|variant| self.examples(variant, say))
                .collect();
        }
        if let Some(parts) = list(schema, "allOf") {
            let parts = parts
                .iter()
                .map(|part| self.examples(part, say).swap_remove(0));
            return vec![parts.reduce(merged).expect("a composition has parts")];
        }
        if let Some(words) = list(schema, "enum") {
            return vec![words[0].clone()];
        }
        let kind = schema["type"].as_str().or(schema["type"][0].as_str());
        let example = match kind {
            Some("object") => self.object(schema, say),
            Some("array") => {
                let least = schema["minItems"]
                    .as_u64()
                    .unwrap_or(0)
                    .max(u64::from(say == Include::AllFields));
                let items = (0..least).map(|_| self.examples(&schema["items"], say).swap_remove(0));
                items.collect()
            }
            Some("string") => text(schema),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
            Some("boolean") => json!(true),
            Some("null") => Value::Null,
            _ => json!({}),
        };
        vec![example]
    }

    fn object(&self, schema: &Value, say: Include) -> Value {
        let properties = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let required = list(schema, "required").unwrap_or_default();
        let said = properties.iter().filter(|(name, _)| {
            say == Include::AllFields || required.contains(&Value::String((*name).clone()))
        });
        let mut members: Map<String, Value> = said
            .map(|(name, schema)| (name.clone(), self.examples(schema, say).swap_remove(0)))
            .collect();
        if say == Include::AllFields && schema["additionalProperties"].is_object() {
            let value = self
                .examples(&schema["additionalProperties"], say)
                .swap_remove(0);
            members.insert("a_word".into(), value);
        }
        members.into()
    }

    /// Validates a value with the keywords of JSON Schema 2020-12 that the document uses. Returns the errors and the
    /// evaluated members.
    pub(crate) fn wrong(&self, value: &Value, schema: &Value) -> (Vec<String>, Vec<String>) {
        let schema = self.resolve(schema);
        let (mut wrong, mut evaluated) = (Vec::new(), Vec::new());
        if let Some(kinds) = schema.get("type") {
            let fits = |kind: &Value| kind.as_str().is_some_and(|kind| is_of(value, kind));
            if !fits(kinds) && !kinds.as_array().is_some_and(|kinds| kinds.iter().any(fits)) {
                wrong.push(format!("{value} is not {kinds}"));
            }
        }
        if list(schema, "enum").is_some_and(|words| !words.contains(value)) {
            wrong.push(format!("{value} is none of {}", schema["enum"]));
        }
        for part in list(schema, "allOf").unwrap_or_default() {
            let (more, seen) = self.wrong(value, &part);
            wrong.extend(more);
            evaluated.extend(seen);
        }
        for (word, most) in [("anyOf", usize::MAX), ("oneOf", 1)] {
            let Some(variants) = list(schema, word) else {
                continue;
            };
            let checked = variants.iter().map(|variant| self.wrong(value, variant));
            let (fitting, failing): (Vec<_>, Vec<_>) =
                checked.partition(|(wrong, _)| wrong.is_empty());
            if !(1..=most).contains(&fitting.len()) {
                wrong.push(format!(
                    "{value} fits {} of {word}: {failing:?}",
                    fitting.len()
                ));
            }
            evaluated.extend(fitting.into_iter().flat_map(|(_, seen)| seen));
        }
        if let Value::Object(members) = value {
            self.wrong_members(members, schema, &mut wrong, &mut evaluated);
        }
        if let (Value::Array(items), Some(of)) = (value, schema.get("items")) {
            wrong.extend(items.iter().flat_map(|item| self.wrong(item, of).0));
        }
        (wrong, evaluated)
    }

    fn wrong_members(
        &self,
        members: &Map<String, Value>,
        schema: &Value,
        wrong: &mut Vec<String>,
        evaluated: &mut Vec<String>,
    ) {
        for name in list(schema, "required").unwrap_or_default() {
            if !members.contains_key(name.as_str().unwrap()) {
                wrong.push(format!("{name} is missing"));
            }
        }
        for (name, value) in members {
            if let Some(schema) = schema["properties"].get(name) {
                wrong.extend(self.wrong(value, schema).0);
                evaluated.push(name.clone());
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => wrong.push(format!("{name} is one too many")),
                Some(more) => {
                    wrong.extend(self.wrong(value, more).0);
                    evaluated.push(name.clone());
                }
                None => {}
            }
        }
        if schema["unevaluatedProperties"] == false {
            let unseen = members.keys().filter(|name| !evaluated.contains(name));
            wrong.extend(unseen.map(|name| format!("nobody knows {name}")));
        }
    }
}

fn list(schema: &Value, word: &str) -> Option<Vec<Value>> {
    schema[word].as_array().cloned()
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

fn text(schema: &Value) -> Value {
    let least = schema["minLength"].as_u64().unwrap_or(1).max(1) as usize;
    match schema["format"].as_str() {
        Some("uuid") => json!("01980000-0000-7000-8000-000000000000"),
        Some("date-time") => json!("2026-11-20T12:00:00Z"),
        _ => json!("x".repeat(least)),
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        // JSON Schema counts 1.0 as an integer.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is not a type of JSON Schema"),
    }
}

#[test]
fn every_request_body_can_be_satisfied() {
    let document = Document::read();
    let bodies = document.bodies();
    assert!(bodies.len() > 10, "too few bodies found");
    for (name, schema) in bodies {
        for say in [Include::AllFields, Include::RequiredOnly] {
            for example in document.examples(&schema, say) {
                let (wrong, _) = document.wrong(&example, &schema);
                assert!(wrong.is_empty(), "{name} takes {example}: {wrong:?}");
            }
        }
    }
}

#[test]
fn a_schema_that_nothing_satisfies_is_told_apart() {
    let document = Document(json!({}));
    let part = |closed: bool, name: &str| {
        let mut part =
            json!({"type": "object", "required": [name], "properties": {name: {"type": "string"}}});
        if closed {
            part["additionalProperties"] = json!(false);
        }
        part
    };
    for closed in [true, false] {
        let schema = json!({"allOf": [part(closed, "a"), part(closed, "b")], "unevaluatedProperties": false});
        let example = document
            .examples(&schema, Include::AllFields)
            .swap_remove(0);
        assert_eq!(example, json!({"a": "x", "b": "x"}));
        assert_eq!(
            document.wrong(&example, &schema).0.is_empty(),
            !closed,
            "{schema}"
        );
    }
    let open = json!({"allOf": [part(false, "a")], "unevaluatedProperties": false});
    let (wrong, _) = document.wrong(&json!({"a": "x", "c": 1}), &open);
    assert_eq!(wrong, ["nobody knows c"]);
}
