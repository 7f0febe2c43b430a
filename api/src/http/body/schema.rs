//! Validation of JSON against the schema that poem-openapi publishes for a type; collects all errors.

use std::collections::BTreeMap;

use domain::name::{self, NameRefused};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde_json::{Map, Value};

use super::format;
use crate::http::problem::FieldError;

/// Maximum number of errors in one response.
const MAX_ERRORS: usize = 100;

pub(super) struct Schema {
    root: MetaSchemaRef,
    named: Named,
}

/// Schemas by the names that references use.
pub(crate) type Named = BTreeMap<String, MetaSchema>;

impl Schema {
    pub(super) fn of<T: Type>() -> Self {
        let mut registry = Registry::new();
        T::register(&mut registry);
        Self {
            root: T::schema_ref(),
            named: registry.schemas,
        }
    }

    pub(super) fn errors(&self, value: &Value, unknown: Unknown) -> Vec<FieldError> {
        let mut walk = Walk::new(&self.named, unknown);
        walk.check(value, &self.root, true);
        walk.errors
    }
}

/// Returns what is wrong with a value; `named` has the schemas that `schema` refers to.
pub(crate) fn errors(value: &Value, schema: &MetaSchemaRef, named: &Named) -> Vec<FieldError> {
    let mut walk = Walk::new(named, Unknown::Refused);
    walk.check(value, schema, true);
    walk.errors
}

/// Returns the schema itself, if it is a reference.
pub(crate) fn resolve<'s>(schema: &'s MetaSchemaRef, named: &'s Named) -> &'s MetaSchema {
    match schema {
        MetaSchemaRef::Inline(schema) => schema,
        MetaSchemaRef::Reference(name) => named
            .get(name)
            .expect("a type registers all that its schema refers to"),
    }
}

/// Returns a step of a JSON pointer (RFC 6901).
pub(super) fn pointer_step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Treatment of fields that a schema does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Refused,
    Ignored,
}

struct Walk<'s> {
    named: &'s Named,
    unknown: Unknown,
    pointer: String,
    errors: Vec<FieldError>,
}

impl<'s> Walk<'s> {
    fn new(named: &'s Named, unknown: Unknown) -> Self {
        Self {
            named,
            unknown,
            pointer: String::new(),
            errors: Vec::new(),
        }
    }

    fn resolve(&self, schema: &'s MetaSchemaRef) -> &'s MetaSchema {
        resolve(schema, self.named)
    }

    fn wrong(&mut self, detail: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors
                .push(FieldError::new(self.pointer.clone(), detail.into()));
        }
    }

    fn below(&mut self, step: &str, look: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        self.pointer.push_str(&pointer_step(step));
        look(self);
        self.pointer.truncate(length);
    }

    /// Checks a value. `closed`: fields that the schema does not name are refused here; otherwise the schema that is
    /// composed of this one refuses them.
    fn check(&mut self, value: &Value, schema: &'s MetaSchemaRef, closed: bool) {
        let schema = self.resolve(schema);
        if let Some(discriminator) = &schema.discriminator {
            return self.check_variant(value, discriminator.property_name, &discriminator.mapping);
        }
        let alternatives = || schema.any_of.iter().chain(&schema.one_of);
        if alternatives().next().is_some() {
            let fits = |one| {
                let mut walk = Walk::new(self.named, self.unknown);
                walk.check(value, one, closed);
                walk.errors.is_empty()
            };
            if !alternatives().any(fits) {
                self.wrong("does not match any of the allowed types");
            }
            return;
        }
        if !schema.all_of.is_empty() {
            return self.check_composed(value, schema, closed);
        }
        self.check_enum(value, schema);
        match (schema.ty, value) {
            ("object", Value::Object(members)) => self.check_object(members, schema, closed),
            ("array", Value::Array(items)) => self.check_array(items, schema),
            ("string", Value::String(text)) => self.check_text(text, schema),
            ("integer" | "number", Value::Number(number)) => self.check_number(number, schema),
            ("boolean", Value::Bool(_)) | ("", _) => {}
            (expected, _) => self.wrong(format!("must be {}", with_article(expected))),
        }
    }

    fn check_composed(&mut self, value: &Value, schema: &'s MetaSchema, closed: bool) {
        let names_fields = |part| {
            let part = self.resolve(part);
            part.ty == "object" || part.discriminator.is_some() || !part.all_of.is_empty()
        };
        // A description on a field turns its type into a composition with a single part.
        let is_one = schema
            .all_of
            .iter()
            .filter(|part| names_fields(part))
            .count()
            <= 1;
        for part in &schema.all_of {
            self.check(value, part, closed && is_one);
        }
        if let (true, false, Value::Object(members)) = (closed, is_one, value) {
            self.refuse_unknown(members, schema);
        }
    }

    fn check_variant(&mut self, value: &Value, property: &str, mapping: &'s [(String, String)]) {
        let Value::Object(members) = value else {
            return self.wrong("must be an object");
        };
        let word = members.get(property).and_then(Value::as_str);
        let Some((_, reference)) = mapping.iter().find(|(name, _)| Some(name.as_str()) == word)
        else {
            let words: Vec<_> = mapping.iter().map(|(name, _)| name.as_str()).collect();
            let detail = format!("must be one of {}", words.join(", "));
            return self.below(property, |walk| walk.wrong(detail));
        };
        let name = reference.rsplit('/').next().unwrap_or(reference);
        let Some(variant) = self.named.get(name) else {
            return;
        };
        for part in &variant.all_of {
            self.check(value, part, false);
        }
        if variant.all_of.is_empty() {
            self.check_object(members, variant, false);
        }
        let mut known = vec![property];
        known.extend(self.names_of(variant));
        self.refuse_others(members, &known);
    }

    fn check_object(&mut self, members: &Map<String, Value>, schema: &'s MetaSchema, closed: bool) {
        for name in &schema.required {
            if !members.contains_key(*name) {
                self.below(name, |walk| walk.wrong("is required"));
            }
        }
        for (name, property) in &schema.properties {
            let Some(value) = members.get(*name) else {
                continue;
            };
            // An optional field may also be null.
            if value.is_null() && !schema.required.contains(name) {
                continue;
            }
            self.below(name, |walk| walk.check(value, property, true));
        }
        if let Some(others) = &schema.additional_properties {
            for (name, value) in members {
                if !schema.properties.iter().any(|(known, _)| known == name) {
                    self.below(name, |walk| walk.check(value, others, true));
                }
            }
        } else if closed {
            self.refuse_unknown(members, schema);
        }
        if schema
            .max_properties
            .is_some_and(|most| members.len() > most)
        {
            self.wrong(format!(
                "must have at most {} members",
                schema.max_properties.unwrap_or(0)
            ));
        }
    }

    fn refuse_unknown(&mut self, members: &Map<String, Value>, schema: &'s MetaSchema) {
        let known = self.names_of(schema);
        self.refuse_others(members, &known);
    }

    fn refuse_others(&mut self, members: &Map<String, Value>, known: &[&str]) {
        if self.unknown == Unknown::Ignored {
            return;
        }
        for name in members.keys() {
            if !known.contains(&name.as_str()) {
                self.below(name, |walk| walk.wrong("is an unknown field"));
            }
        }
    }

    fn names_of(&self, schema: &'s MetaSchema) -> Vec<&'s str> {
        let mut names: Vec<_> = schema.properties.iter().map(|(name, _)| *name).collect();
        for part in &schema.all_of {
            names.extend(self.names_of(self.resolve(part)));
        }
        names
    }

    fn check_array(&mut self, items: &[Value], schema: &'s MetaSchema) {
        if let Some(most) = schema.max_items.filter(|most| items.len() > *most) {
            // The items are not checked, because there may be very many.
            return self.wrong(format!("must have at most {most} items"));
        }
        if let Some(least) = schema.min_items.filter(|least| items.len() < *least) {
            self.wrong(format!("must have at least {least} items"));
        }
        if schema.unique_items == Some(true) && has_duplicates(items) {
            self.wrong("must not contain duplicate items");
        }
        let Some(one) = &schema.items else { return };
        for (index, item) in items.iter().enumerate() {
            self.below(&index.to_string(), |walk| walk.check(item, one, true));
        }
    }

    fn check_text(&mut self, text: &str, schema: &MetaSchema) {
        if let Some(most) = schema
            .max_length
            .filter(|most| text.chars().count() > *most)
        {
            return self.wrong(format!("must be at most {most} characters long"));
        }
        if let Some(least) = schema
            .min_length
            .filter(|least| text.chars().count() < *least)
        {
            return self.wrong(match least {
                1 => "must not be empty".to_owned(),
                _ => format!("must be at least {least} characters long"),
            });
        }
        if schema.format.is_none()
            && self.pointer.ends_with("/name")
            && let Err(refused) = name::check(text)
            && (refused != NameRefused::Blank || schema.min_length.is_some_and(|least| least > 0))
        {
            return self.wrong(refused.to_string());
        }
        if let Some(what) = schema.format.and_then(|format| format::wrong(format, text)) {
            self.wrong(what);
        }
    }

    fn check_number(&mut self, number: &serde_json::Number, schema: &MetaSchema) {
        if schema.ty == "integer" && number.as_i64().is_none() {
            return self.wrong("must be a 64-bit integer");
        }
        let Some(value) = number.as_f64() else { return };
        if let Some(least) = schema.minimum {
            let exclusive = schema.exclusive_minimum == Some(true);
            if value < least || (exclusive && value <= least) {
                let bound = if exclusive { "more than" } else { "at least" };
                return self.wrong(format!("must be {bound} {least}"));
            }
        }
        if let Some(most) = schema.maximum {
            let exclusive = schema.exclusive_maximum == Some(true);
            if value > most || (exclusive && value >= most) {
                let bound = if exclusive { "less than" } else { "at most" };
                return self.wrong(format!("must be {bound} {most}"));
            }
        }
        if let (Some(whole), Some((least, most))) = (number.as_i64(), schema.format.and_then(range))
            && schema.ty == "integer"
            && !(least..=most).contains(&whole)
        {
            self.wrong(format!("must be from {least} to {most}"));
        }
    }

    fn check_enum(&mut self, value: &Value, schema: &MetaSchema) {
        if schema.enum_items.is_empty() || schema.enum_items.contains(value) || !value.is_string() {
            return;
        }
        let words: Vec<_> = schema.enum_items.iter().filter_map(Value::as_str).collect();
        self.wrong(format!("must be one of {}", words.join(", ")));
    }
}

fn has_duplicates(items: &[Value]) -> bool {
    let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
    texts.sort_unstable();
    texts.windows(2).any(|pair| pair[0] == pair[1])
}

/// Returns the range of one of poem-openapi's integer formats.
fn range(format: &str) -> Option<(i64, i64)> {
    Some(match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" => (0, i64::MAX),
        _ => return None,
    })
}

fn with_article(kind: &str) -> &'static str {
    match kind {
        "object" => "an object",
        "array" => "an array",
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "of another type",
    }
}
