//! The integrator's own id of the order, read from its answer to a handoff, however much of that arrived.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, Utc};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::answers::JsonPointer;

/// Maximum length of a reference, in bytes.
const MAX_BYTES: usize = 200;
/// Usual places of a reference, the best one first. Seed 004's answers have an envelope, whose `data` is the resource.
const REFERENCES: &[&[&str]] = &[
    &["reference"],
    &["tracking_number"],
    &["id"],
    &["data", "reference"],
    &["data", "tracking_number"],
    &["data", "id"],
];
/// Usual places of a courier's tracking number.
const TRACKING_NUMBERS: &[&[&str]] = &[&["tracking_number"], &["data", "tracking_number"]];
/// Usual places of the time at which an order is expected to be ready.
const READY_TIMES: &[&[&str]] = &[&["ready_at"], &["data", "ready_at"]];

/// Returns the integrator's own id of the order from its response: what stands at `at`, or else at the first usual
/// place that has one.
///
/// A response that was cut short counts as far as it came. A number keeps its digits, because it may be longer than
/// any number type. A value that is empty or longer than 200 bytes is skipped.
#[must_use]
pub fn parse_reference(answer: &[u8], at: Option<&JsonPointer>) -> Option<String> {
    // A stray byte of another encoding must not hide the fields around it.
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_start_matches('\u{feff}');
    match at {
        Some(at) => find(text, &at.steps()),
        None => REFERENCES.iter().find_map(|place| find(text, place)),
    }
}

/// Returns the number under which a courier's customers find the delivery: what stands at `at`, or else the
/// `tracking_number` of the response, or its reference.
#[must_use]
pub fn parse_tracking_number(answer: &[u8], at: Option<&JsonPointer>) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_start_matches('\u{feff}');
    let mut usual = TRACKING_NUMBERS.iter().filter(|_| at.is_none());
    let number = usual.find_map(|place| find(text, place));
    number.or_else(|| parse_reference(answer, at))
}

/// Returns the time at which the integrator expects the order to be ready: an RFC 3339 `ready_at` of its response.
#[must_use]
pub fn parse_ready_at(answer: &[u8]) -> Option<DateTime<Utc>> {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_start_matches('\u{feff}');
    let at = READY_TIMES.iter().find_map(|place| find(text, place))?;
    let at = DateTime::parse_from_rfc3339(&at).ok()?;
    Some(at.to_utc())
}

fn find<S: AsRef<str>>(text: &str, path: &[S]) -> Option<String> {
    let mut found = None;
    let place = Place {
        text,
        path,
        found: &mut found,
    };
    // An error ends the reading; it does not take back what was read.
    let _ = place.deserialize(&mut serde_json::Deserializer::from_str(text));
    found
}

/// The rest of the way to a value, below the one that is being read.
struct Place<'p, S> {
    text: &'p str,
    path: &'p [S],
    found: &'p mut Option<String>,
}

impl<S> Place<'_, S> {
    /// Returns the place one step further down.
    fn below(&mut self) -> Place<'_, S> {
        Place {
            text: self.text,
            path: &self.path[1..],
            found: &mut *self.found,
        }
    }
}

impl<'a, S: AsRef<str>> DeserializeSeed<'a> for Place<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return json.deserialize_any(self);
        }
        let value = <&RawValue>::deserialize(json)?.get();
        // More digits may have been to come.
        let is_last =
            self.text.as_bytes().as_ptr_range().end == value.as_bytes().as_ptr_range().end;
        if value.ends_with('"') || !is_last {
            *self.found = reference(value);
        }
        Ok(())
    }
}

impl<'a, S: AsRef<str>> Visitor<'a> for Place<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<(), M::Error> {
        let path = self.path;
        let step = path[0].as_ref();
        while let Some(name) = map.next_key::<Cow<'a, str>>()? {
            if name == step {
                map.next_value_seed(self.below())?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<Q: SeqAccess<'a>>(mut self, mut items: Q) -> Result<(), Q::Error> {
        let path = self.path;
        let step = path[0].as_ref();
        let is_index = step.bytes().all(|digit| digit.is_ascii_digit())
            && (step == "0" || !step.starts_with('0'));
        let index: Option<usize> = step.parse().ok().filter(|_| is_index);
        for _ in 0..index.ok_or_else(|| Q::Error::custom("no index"))? {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        items.next_element_seed(self.below())?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
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
        parse_reference(answer.as_bytes(), None)
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
            (r#"{"result":{"id":"inner"}}"#, None),
            (r#"["R"]"#, None),
            ("OK", None),
            ("", None),
        ] {
            assert_eq!(parsed(answer).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn seed_004s_envelope_is_opened_if_there_is_nothing_beside_it() {
        for (answer, expected) in [
            (r#"{"data":{"tracking_number":41}}"#, Some("41")),
            (
                r#"{"code":"created","message":"","data":{"id":7,"tracking_number":"T"}}"#,
                Some("T"),
            ),
            (r#"{"data":{"id":7},"id":8}"#, Some("8")),
            (r#"{"data":{"reference":"","id":7}}"#, Some("7")),
            (r#"{"data":{"tracking_number":41"#, None),
            (r#"{"data":{"tracking_number":41,"stat"#, Some("41")),
            (r#"{"data":41}"#, None),
            (r#"{"data":[{"id":7}]}"#, None),
            (r#"{"data":{"data":{"id":7}}}"#, None),
        ] {
            assert_eq!(parsed(answer).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn a_pointer_says_alone_where_the_reference_stands() {
        let answer = r#"{"id":1,"a":{"b":[{"n":"x"},{"n":20.50}]},"a/b~":{"":"deep"},"0":"zero"} "#;
        for (pointer, expected) in [
            ("/a/b/0/n", Some("x")),
            ("/a/b/1/n", Some("20.50")),
            ("/a~1b~0/", Some("deep")),
            ("/0", Some("zero")),
            // Not an index.
            ("/a/b/01/n", None),
            ("/a/b/-/n", None),
            ("/a/b/+1/n", None),
            ("/a/b/2/n", None),
            ("/a/b/99999999999999999999/n", None),
            // There is something, but no text and no number.
            ("/a", None),
            ("/a/b/1", None),
            ("", None),
            // Nothing is there, and no other place is looked at.
            ("/tracking_number", None),
            ("/id/n", None),
        ] {
            let at: JsonPointer = pointer.parse().unwrap();
            let parsed = parse_reference(answer.as_bytes(), Some(&at));
            assert_eq!(parsed.as_deref(), expected, "{pointer}");
        }
        let whole = "".parse().unwrap();
        let parsed = parse_reference(br#""R-1""#, Some(&whole));
        assert_eq!(parsed.as_deref(), Some("R-1"));
    }

    #[test]
    fn a_pointer_finds_what_came_of_an_answer_that_was_cut_short() {
        let at: JsonPointer = "/list/1/n".parse().unwrap();
        for (answer, expected) in [
            (r#"{"list":[{"n":1},{"n":2,"#, Some("2")),
            (r#"{"list":[{"n":1},{"n":2"#, None),
            (r#"{"list":[{"n":1},{"n":"2""#, Some("2")),
            (r#"{"list":[{"n":1},"#, None),
            (r#"{"list":[{"n":1}]}"#, None),
        ] {
            let parsed = parse_reference(answer.as_bytes(), Some(&at));
            assert_eq!(parsed.as_deref(), expected, "{answer}");
        }
        let deep = format!("{}/n", "/a".repeat(240)).parse().unwrap();
        let answer = format!("{}{{\"n\":1", "{\"a\":".repeat(240));
        assert_eq!(parse_reference(answer.as_bytes(), Some(&deep)), None);
    }

    #[test]
    fn a_tracking_number_is_called_so_or_is_the_reference() {
        let number = |answer: &str| parse_tracking_number(answer.as_bytes(), None);
        for (answer, expected) in [
            (r#"{"reference":"ours","tracking_number":41}"#, Some("41")),
            (r#"{"id":7,"data":{"tracking_number":"T"}}"#, Some("T")),
            (r#"{"id":7}"#, Some("7")),
            ("{}", None),
        ] {
            assert_eq!(number(answer).as_deref(), expected, "{answer}");
        }
        let at: JsonPointer = "/code".parse().unwrap();
        let answer = br#"{"code":"C","tracking_number":41}"#;
        let number = parse_tracking_number(answer, Some(&at));
        assert_eq!(number.as_deref(), Some("C"));
    }

    #[test]
    fn the_time_when_an_order_is_ready_is_read_if_it_is_one() {
        let read = |answer: &str| parse_ready_at(answer.as_bytes()).map(|at| at.to_rfc3339());
        let noon = Some("2026-11-25T12:00:00+00:00".to_owned());
        for answer in [
            r#"{"ready_at":"2026-11-25T12:00:00Z"}"#,
            r#"{"id":7,"ready_at":"2026-11-25T13:00:00+01:00"}"#,
            r#"{"data":{"ready_at":"2026-11-25T12:00:00.000Z","x"#,
        ] {
            assert_eq!(read(answer), noon, "{answer}");
        }
        for answer in [
            "",
            "{}",
            r#"{"ready_at":null}"#,
            r#"{"ready_at":1795608000}"#,
            r#"{"ready_at":"soon"}"#,
            r#"{"ready_at":"2026-11-25T12:00:00"}"#,
            r#"{"ready_at":"2026-11-25T12:0"#,
        ] {
            assert_eq!(read(answer), None, "{answer}");
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
        assert_eq!(parse_reference(latin, None).as_deref(), Some("R"));
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
