//! Ids of users, locations and products in other systems: a string, or an equivalent integer.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// Id in an external system. `17` and `"17"` are equal; it is displayed as a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExternalId {
    text: String,
    /// True if it came as a number; it is then sent to external services as a number, for their typed clients.
    was_number: bool,
}

impl ExternalId {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn wire_value(&self) -> Value {
        match self.text.parse::<u64>() {
            Ok(number) if self.was_number => number.into(),
            _ => self.text.as_str().into(),
        }
    }
}

/// Returns the text of an id in a service's JSON; `None` if it is not a valid id.
pub(super) fn id_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64()?.to_string(),
        _ => return None,
    };
    is_external_id(&text).then_some(text)
}

/// Checks that an id can stand alone as a segment of a path.
pub(crate) fn is_external_id(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._:@+-".contains(c))
}

impl Type for ExternalId {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "ExternalId".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let one = |schema| MetaSchemaRef::Inline(Box::new(schema));
        let number = MetaSchema {
            minimum: Some(0.0),
            ..MetaSchema::new("integer")
        };
        let text = MetaSchema::new_with_format("string", "external-id");
        one(MetaSchema {
            any_of: vec![one(text), one(number)],
            ..MetaSchema::ANY
        })
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for ExternalId {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        match id_text(&value) {
            Some(text) => Ok(Self {
                text,
                was_number: value.is_number(),
            }),
            None => Err(ParseError::custom(
                "must be a non-negative integer, or 1 to 100 letters, digits or any of . _ : @ + -",
            )),
        }
    }
}

impl ToJSON for ExternalId {
    fn to_json(&self) -> Option<Value> {
        Some(self.text.as_str().into())
    }
}
