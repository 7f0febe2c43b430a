//! Bodies: bounded, JSON, and read field by field, so that an answer names every wrong field at once.

use std::{marker::PhantomData, ops::RangeInclusive};

use bytes::Bytes;
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde_json::Value;

use super::problem::{FieldError, Problem, Reason};

const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// Raw body of a request, which the document shows as `T`.
pub(crate) struct Raw<T> {
    pub(crate) bytes: Bytes,
    shape: PhantomData<fn() -> T>,
}

impl<T> Raw<T> {
    /// Parses the body as a JSON object.
    pub(crate) fn json(&self) -> Result<Value, Problem> {
        json(&self.bytes)
    }
}

pub(crate) fn json(bytes: &[u8]) -> Result<Value, Problem> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Reason::MalformedJson).detail(error))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(Problem::invalid_field("", "must be an object")),
    }
}

impl<'a, T: Type> ApiExtractor<'a> for Raw<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let kind = request.content_type().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(Reason::UnsupportedMediaType)
                .detail("This path expects application/json.")
                .into());
        }
        let bytes = body.take()?.into_bytes_limit(BODY_LIMIT_BYTES).await?;
        Ok(Self {
            bytes,
            shape: PhantomData,
        })
    }
}

/// Reader of a body's fields that collects what is wrong.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    body: &'a Value,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a Value) -> Self {
        Self {
            body,
            errors: Vec::new(),
        }
    }

    /// Returns what was read, or the problem that names every wrong field.
    pub(crate) fn finish<T>(self, read: T) -> Result<T, Problem> {
        if self.errors.is_empty() {
            Ok(read)
        } else {
            Err(Problem::invalid(self.errors))
        }
    }

    pub(crate) fn wrong(&mut self, pointer: &str, detail: &str) {
        self.errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        });
    }

    /// Reads a text, or a number as its digits, of so many characters.
    pub(crate) fn text(&mut self, pointer: &str, chars: RangeInclusive<usize>) -> String {
        let is_required = *chars.start() > 0;
        let found = self.optional_text(pointer, chars);
        if found.is_none() && is_required && !self.is_wrong(pointer) {
            self.wrong(pointer, "is required");
        }
        found.unwrap_or_default()
    }

    /// Reads a text that may be missing or null.
    pub(crate) fn optional_text(
        &mut self,
        pointer: &str,
        chars: RangeInclusive<usize>,
    ) -> Option<String> {
        let text = match self.body.pointer(pointer)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => {
                self.wrong(pointer, "must be a string");
                return None;
            }
        };
        if !chars.contains(&text.chars().count()) {
            let (least, most) = (chars.start(), chars.end());
            self.wrong(pointer, &format!("must have {least} to {most} characters"));
            return None;
        }
        Some(text)
    }

    /// Requires an object.
    pub(crate) fn object(&mut self, pointer: &str) {
        match self.body.pointer(pointer) {
            Some(Value::Object(_)) => {}
            None | Some(Value::Null) => self.wrong(pointer, "is required"),
            Some(_) => self.wrong(pointer, "must be an object"),
        }
    }

    /// Returns the length of an array, which is required.
    pub(crate) fn array(&mut self, pointer: &str, most: usize) -> usize {
        match self.body.pointer(pointer) {
            Some(Value::Array(items)) if items.len() <= most => items.len(),
            Some(Value::Array(_)) => {
                self.wrong(pointer, &format!("must have at most {most} items"));
                0
            }
            None | Some(Value::Null) => {
                self.wrong(pointer, "is required");
                0
            }
            Some(_) => {
                self.wrong(pointer, "must be an array");
                0
            }
        }
    }

    /// Reads a whole number above 0, also from a text of digits.
    pub(crate) fn count(&mut self, pointer: &str) -> i64 {
        let number = match self.body.pointer(pointer) {
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            None | Some(Value::Null) => {
                self.wrong(pointer, "is required");
                return 0;
            }
            Some(_) => None,
        };
        match number {
            Some(number) if number > 0 => number,
            _ => {
                self.wrong(pointer, "must be a whole number above 0");
                0
            }
        }
    }

    fn is_wrong(&self, pointer: &str) -> bool {
        self.errors.iter().any(|error| error.pointer == pointer)
    }
}
