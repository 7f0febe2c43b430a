//! JSON as other languages write it: with a byte-order mark, integers with a fraction of zero, coordinates in quotes, and
//! halves of characters.

use serde_json::{Error, Number, Value};

use super::schema::pointer_step;
use crate::http::problem::FieldError;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Up to here a float that was read is exactly the integer that was written, or no integer: larger ones are read less
/// exactly.
const MAX_EXACT_INTEGER: f64 = 1e15;
/// Stands for half of a character while its place is looked for: a code point that no text may contain (Unicode 23.7).
const MARK: char = '\u{fdd0}';
/// [`MARK`] as an escape, as long as the escape that it replaces.
const ESCAPED_MARK: &[u8] = b"\\ufdd0";
/// Fields whose numbers may be in quotes: databases keep coordinates as decimals, and many drivers give these as texts.
const COORDINATES: [&str; 2] = ["lat", "lng"];
/// Maximum number of errors that one body is told.
const MAX_ERRORS: usize = 100;

/// Parses a body. The errors tell the fields that contain half of a surrogate pair (`"\ud83d"`), which is no character.
pub(super) fn parse(bytes: &[u8]) -> Result<(Value, Vec<FieldError>), Error> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let (mut value, errors) = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => (value, Vec::new()),
        Err(error) => {
            // Whatever else is wrong is told as it would be without them.
            let Some(marked) = mark_half_characters(bytes) else {
                return Err(error);
            };
            let value = serde_json::from_slice(&marked)?;
            let mut errors = Vec::new();
            find_marks(&value, &mut String::new(), &mut errors);
            (value, errors)
        }
    };
    normalise(&mut value);
    Ok((value, errors))
}

/// Shows the names of fields with half of a character, which no answer can contain.
pub(super) fn show_half_characters(errors: &mut [FieldError]) {
    for error in errors {
        error.pointer = error.pointer.replace(MARK, "\u{fffd}");
    }
}

/// Replaces each escape of half of a surrogate pair; `None` if there is none.
fn mark_half_characters(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut marked = bytes.to_vec();
    let mut found = false;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        at += match unit(bytes, at) {
            Some(0xd800..=0xdbff) if matches!(unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                marked[at..at + 6].copy_from_slice(ESCAPED_MARK);
                found = true;
                6
            }
            // Also the second of two backslashes, which begins no escape.
            _ => 2,
        };
    }
    found.then_some(marked)
}

/// Returns the UTF-16 unit of an escape such as `\u00e9` that begins here.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

fn find_marks(value: &Value, pointer: &mut String, errors: &mut Vec<FieldError>) {
    let length = pointer.len();
    let mut tell = |pointer: &str| {
        if errors.len() < MAX_ERRORS {
            let detail = "must not contain half of a surrogate pair, such as \\ud83d alone";
            errors.push(FieldError::new(pointer, detail));
        }
    };
    match value {
        Value::String(text) if text.contains(MARK) => tell(pointer.as_str()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&pointer_step(&index.to_string()));
                find_marks(item, pointer, errors);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push_str(&pointer_step(name));
                if name.contains(MARK) && errors.len() < MAX_ERRORS {
                    let detail = "is the name of a field with half of a surrogate pair";
                    errors.push(FieldError::new(pointer.clone(), detail));
                }
                find_marks(member, pointer, errors);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// Makes integers of `1.0` and `2e0`, and numbers of coordinates in quotes.
fn normalise(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = as_integer(number) {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(members) => {
            for (name, member) in members {
                if COORDINATES.contains(&name.as_str())
                    && let Some(number) = member.as_str().and_then(decimal)
                {
                    *member = Value::Number(number);
                }
                normalise(member);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn as_integer(number: &Number) -> Option<i64> {
    if !number.is_f64() {
        return None;
    }
    let float = number.as_f64()?;
    let is_whole = float.fract() == 0.0 && float.abs() <= MAX_EXACT_INTEGER;
    // Formatted without a fraction and an exponent: exact, where a cast might cut.
    is_whole.then(|| format!("{float:.0}").parse().ok())?
}

/// Parses a plain decimal: no exponent, no white space, nothing that is no number.
fn decimal(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > 40 || !is_number(whole) || !is_number(part) {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let (_, errors) = parse(text.as_bytes()).unwrap();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn half_of_a_character_is_told_with_the_name_of_its_field() {
        for (text, pointers) in [
            (r#"{"note":"a\ud83d"}"#, vec!["/note"]),
            (r#"{"note":"\udc00\ud83d"}"#, vec!["/note"]),
            (
                r#"{"a":[{"b/c":"x\uD83Dx"},"\uDFFF"]}"#,
                vec!["/a/0/b~1c", "/a/1"],
            ),
            (r#"{"\ud800":1}"#, vec!["/\u{fdd0}"]),
            (r#""\ud800\u0041""#, vec![""]),
            (
                r#"{"pair":"\ud83d\ude00","half":"\ud83d\ud83d\ude00"}"#,
                vec!["/half"],
            ),
            // A backslash that is escaped begins no escape.
            (r#"{"note":"\\ud83d"}"#, vec![]),
            (r#"{"note":"\\\ud83d"}"#, vec!["/note"]),
            (r#"{"whole":"\ud83d\ude00 \u00e9"}"#, vec![]),
        ] {
            assert_eq!(errors(text), pointers, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_stays_malformed() {
        for text in [
            r#"{"note":"\ud83d""#,
            r#"{"note":"\ud83"}"#,
            r#"{"note":"\ud83d"#,
            r"\ud83d",
            "\u{feff}\u{feff}{}",
            "",
            "\\",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse(b"\xff\xfe{\0}\0").is_err());
    }

    #[test]
    fn errors_about_half_characters_are_bounded() {
        let many = vec![r#""\ud83d""#; 5000].join(",");
        assert_eq!(errors(&format!("[{many}]")).len(), MAX_ERRORS);
    }

    #[test]
    fn a_byte_order_mark_and_integers_with_a_point_are_read() {
        let read = |text: &str| parse(text.as_bytes()).unwrap().0;
        assert_eq!(read("\u{feff}{\"n\":1}"), json!({"n": 1}));
        for (text, number) in [
            ("1.0", json!(1)),
            ("2e0", json!(2)),
            ("-0.0", json!(0)),
            ("25E1", json!(250)),
            ("1500e-2", json!(15)),
            ("1000000000000.00", json!(1_000_000_000_000_i64)),
            ("1000000000000000.0", json!(1_000_000_000_000_000_i64)),
            ("2e15", json!(2e15)),
            ("1.5", json!(1.5)),
            ("1e300", json!(1e300)),
            ("\"1.0\"", json!("1.0")),
        ] {
            assert_eq!(read(text), number, "{text}");
        }
    }

    #[test]
    fn coordinates_may_be_decimals_in_quotes_and_nothing_else_may() {
        let read = |text: &str| parse(text.as_bytes()).unwrap().0;
        assert_eq!(
            read(r#"{"c":{"lat":"52.5200","lng":"-13.4"},"amount":"1.5"}"#),
            json!({"c": {"lat": 52.52, "lng": -13.4}, "amount": "1.5"})
        );
        assert_eq!(
            read(r#"{"lat":"+7","lng":"0"}"#),
            json!({"lat": 7, "lng": 0})
        );
        for wrong in [
            "", " 1", "1e1", "NaN", "inf", "1,5", "0x1", ".5", "5.", "--1", "1_0", "north",
        ] {
            assert_eq!(
                read(&json!({"lat": wrong}).to_string()),
                json!({"lat": wrong})
            );
        }
    }
}
