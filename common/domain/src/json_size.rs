//! Sizes of JSON without writing it, so that an answer can be bounded before it is made.

use serde_json::Value;

/// Bytes of the longest number.
const NUMBER_BYTES: usize = 24;

/// Returns the bytes of a text in JSON, without its quotation marks; an upper bound.
#[must_use]
pub fn text_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        // The longest form, `\u0001`.
        0..=31 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// Returns an upper bound of the bytes of a value in JSON.
#[must_use]
pub fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => NUMBER_BYTES,
        Value::String(text) => 2 + text_bytes(text),
        Value::Array(values) => 2 + values.iter().map(|one| 1 + value_bytes(one)).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(name, one): (&String, &Value)| 4 + text_bytes(name) + value_bytes(one);
            2 + fields.iter().map(field).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_as_long_as_serde_writes_it_or_shorter() {
        for value in [
            json!(null),
            json!([
                true,
                false,
                -9_223_372_036_854_775_808_i64,
                1.234_567_890_123_456_7e-300
            ]),
            json!({"": {}, "a\"": [], "b\u{1}": ["\n\t\u{1}\u{1f}\u{7f}", "ünïcode ☕\u{2028}", "\\/"]}),
        ] {
            let written = value.to_string().len();
            assert!(written <= value_bytes(&value), "{value}");
        }
    }
}
