//! The integrator's own id of the order, read from its answer to a handoff, however much of that arrived.

use std::{borrow::Cow, fmt};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum length of a reference, in bytes.
const MAX_BYTES: usize = 200;

/// Returns the integrator's own id of the order from its response: `reference`, else `tracking_number`, else `id`.
///
/// A response that was cut short counts as far as it came. A number keeps its digits, because it may be longer than
/// any number type. A field that is empty or longer than 200 bytes is skipped.
#[must_use]
pub fn parse_reference(answer: &[u8]) -> Option<String> {
    // A stray byte of another encoding must not hide the fields around it.
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_start_matches('\u{feff}');
    let mut fields = Fields {
        text,
        reference: None,
        tracking_number: None,
        id: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    // An error ends the reading; it does not take back what was read.
    let _ = json.deserialize_map(&mut fields);
    fields.reference.or(fields.tracking_number).or(fields.id)
}

/// Fields read so far.
struct Fields<'a> {
    text: &'a str,
    reference: Option<String>,
    tracking_number: Option<String>,
    id: Option<String>,
}

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key::<Cow<'a, str>>()? {
            let field = match &*name {
                "reference" => &mut self.reference,
                "tracking_number" => &mut self.tracking_number,
                "id" => &mut self.id,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<&RawValue>()?.get();
            // More digits may have been to come.
            let is_last =
                self.text.as_bytes().as_ptr_range().end == value.as_bytes().as_ptr_range().end;
            if value.ends_with('"') || !is_last {
                *field = reference(value);
            }
        }
        Ok(())
    }
}

/// Returns a string's text or a number's digits.
fn reference(value: &str) -> Option<String> {
    let text = match value.bytes().next()? {
        b'"' => serde_json::from_str(value).ok()?,
        b'-' | b'0'..=b'9' => value.to_owned(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= MAX_BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: &str) -> Option<String> {
        parse_reference(answer.as_bytes())
    }

    #[test]
    fn the_reference_is_the_first_of_three_fields() {
        for (answer, expected) in [
            (r#"{"id":7,"tracking_number":"T1"}"#, Some("T1")),
            (r#"{"id":7}"#, Some("7")),
            (r#"{"id":"","reference":"R"}"#, Some("R")),
            (r#"{"id":"I","reference":null}"#, Some("I")),
            (r#"{"id":"I","reference":{"id":"inner"}}"#, Some("I")),
            (r#"{"id":true}"#, None),
            (r#"{"data":{"id":"inner"}}"#, None),
            (r#"["R"]"#, None),
            ("OK", None),
            ("", None),
        ] {
            assert_eq!(parsed(answer).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn a_field_that_is_empty_or_longer_than_200_bytes_is_skipped() {
        let long = "R".repeat(201);
        for reference in ["", &long] {
            let answer = serde_json::json!({"reference": reference, "id": "I1"}).to_string();
            assert_eq!(parsed(&answer).as_deref(), Some("I1"));
        }
        let longest = serde_json::json!({"reference": &long[1..]}).to_string();
        assert_eq!(parsed(&longest).as_deref(), Some(&long[1..]));
        let digits = "7".repeat(201);
        assert_eq!(parsed(&format!(r#"{{"id":{digits}}}"#)), None);
    }

    #[test]
    fn a_number_keeps_its_digits() {
        for digits in [
            "123456789012345678901234",
            "-18446744073709551617",
            "0.10",
            "1e3",
            "4503599627370497.5",
        ] {
            for answer in [
                format!(r#"{{"reference":{digits}}}"#),
                format!("{{\"id\": {digits} ,\"x\":1}}"),
            ] {
                assert_eq!(parsed(&answer).as_deref(), Some(digits), "{answer}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_and_bytes_of_another_encoding_hide_nothing() {
        assert_eq!(parsed("\u{feff}{\"id\":\"R\"}").as_deref(), Some("R"));
        let latin = b"{\"note\":\"caf\xe9\",\"reference\":\"R\"}";
        assert_eq!(parse_reference(latin).as_deref(), Some("R"));
    }

    #[test]
    fn an_answer_that_was_cut_short_counts_as_far_as_it_came() {
        for (answer, expected) in [
            (r#"{"reference":"R-7","items":[{"a"#, Some("R-7")),
            (r#"{"reference":"R-7""#, Some("R-7")),
            (r#"{"reference":"R-7"} trailing"#, Some("R-7")),
            (r#"{"reference":"R-"#, None),
            (r#"{"id":12,"reference":"R-"#, Some("12")),
            // More digits may have been to come.
            (r#"{"id":123"#, None),
            (r#"{"id":123,"#, Some("123")),
        ] {
            assert_eq!(parsed(answer).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn a_deep_answer_and_one_with_a_field_twice_are_read() {
        let deep = format!(
            r#"{{"items":{}{},"id":"R"}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(parsed(&deep).as_deref(), Some("R"));
        assert_eq!(parsed(r#"{"id":"a","id":"b"}"#).as_deref(), Some("b"));
    }
}
