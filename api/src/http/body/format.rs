//! String formats beyond what lengths and bounds can express: one type and one check for each `format`.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use domain::{answers::JsonPointer, language::Language, opening::ClockTime};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::outside::is_external_id;

/// Returns the error of a text in that format, or `None` if it is valid or the format is unknown.
pub(super) fn wrong(format: &str, text: &str) -> Option<&'static str> {
    let (right, detail) = match format {
        "uuid" => (text.parse::<Uuid>().is_ok(), "must be a UUID"),
        "date-time" => (
            parse_timestamp(text).is_some(),
            "must be an RFC 3339 timestamp such as 2026-11-20T19:30:00Z, in the years 1000 to 9999",
        ),
        "currency" => (
            is_currency(text),
            "must be a three-letter ISO 4217 currency code such as EUR",
        ),
        "timezone" => (
            text.parse::<chrono_tz::Tz>().is_ok(),
            "must be an IANA time zone name such as Europe/Berlin",
        ),
        "time-of-day" => (
            text.parse::<ClockTime>().is_ok(),
            "must be a time of day from 00:00 to 23:59",
        ),
        "date" => (is_date(text), "must be a date such as 2026-12-24"),
        "uri" => (
            is_web_address(text),
            "must be an http:// or https:// URL of at most 2000 characters when percent-encoded",
        ),
        "image-url" => (
            is_image_address(text),
            "must be an https:// URL of at most 2000 characters when percent-encoded, or the product's own /api/v1/images/…",
        ),
        "language" => (
            text.parse::<Language>().is_ok(),
            "must be a language tag such as de, pt-BR or zh-Hant",
        ),
        "email" => (is_email(text), "must be an email address"),
        "username" => (
            is_username(text),
            "must be 1 to 100 letters, digits or any of . _ @ + - and start with a letter or digit",
        ),
        "external-id" => (
            is_external_id(text),
            "must be 1 to 100 letters, digits or any of . _ : @ + - and start with a letter or digit",
        ),
        "password" => (is_password(text), "must be 8 to 200 characters long"),
        "sku" => (
            (1..=100).contains(&text.len()),
            "must be 1 to 100 bytes long in UTF-8",
        ),
        "reference" => (
            (1..=100).contains(&text.chars().count()) && text.len() <= 200,
            "must be 1 to 100 characters long, and at most 200 bytes in UTF-8",
        ),
        "outside-reference" => (
            (1..=200).contains(&text.len()),
            "must be 1 to 200 bytes long in UTF-8",
        ),
        "json-pointer" => (
            text.parse::<JsonPointer>().is_ok(),
            "must be a JSON pointer (RFC 6901) of at most 500 bytes, such as /data/id: empty for the whole answer, or \
             beginning with /, with ~ only in ~0 and ~1",
        ),
        _ => return None,
    };
    (!right).then_some(detail)
}

/// Returns the JSON Schema keywords that approximate a format, for clients that do not know the format.
pub(crate) fn keywords(format: &str) -> Vec<(&'static str, Value)> {
    let (pattern, least, most) = match format {
        "currency" => (Some("^[A-Z]{3}$"), None, None),
        "timezone" => (Some("^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"), None, Some(64)),
        "time-of-day" => (Some("^([01][0-9]|2[0-3]):[0-5][0-9]$"), None, None),
        "uri" => (Some("^[Hh][Tt][Tt][Pp][Ss]?://"), None, Some(2000)),
        "image-url" => (
            Some("^([Hh][Tt][Tt][Pp][Ss]://|/api/v1/images/)"),
            None,
            Some(2000),
        ),
        "language" => (
            Some("^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?$"),
            None,
            None,
        ),
        "email" => (None, Some(3), Some(254)),
        "username" => (Some("^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"), None, None),
        "external-id" => (Some("^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}$"), None, None),
        "password" => (None, Some(8), Some(200)),
        "sku" | "reference" => (None, Some(1), Some(100)),
        "outside-reference" => (None, Some(1), Some(200)),
        "json-pointer" => (Some("^(/([^~/]|~[01])*)*$"), None, Some(500)),
        _ => return Vec::new(),
    };
    let all = [
        pattern.map(|pattern| ("pattern", json!(pattern))),
        least.map(|least| ("minLength", json!(least))),
        most.map(|most| ("maxLength", json!(most))),
    ];
    all.into_iter().flatten().collect()
}

/// Parses an RFC 3339 timestamp. Refuses years that some database can't store, and moves a leap second, which no
/// database can store, into the second before it.
pub(crate) fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    let last_of_second = at.nanosecond().min(999_999_999);
    let at = at.with_nanosecond(last_of_second)?;
    (1000..=9999).contains(&at.year()).then_some(at)
}

fn is_currency(text: &str) -> bool {
    text.parse::<domain::money::Currency>().is_ok()
}

fn is_date(text: &str) -> bool {
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    is_plain
        && text
            .parse::<NaiveDate>()
            .is_ok_and(|date| (1000..=9999).contains(&date.year()))
}

/// Checks the length before and after percent-encoding: the encoded URL is stored, and may be longer (`é` is `%C3%A9`).
fn is_web_address(text: &str) -> bool {
    text.len() <= 2000
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.as_str().len() <= 2000
        })
}

fn is_image_address(text: &str) -> bool {
    is_web_address(text) && text.to_ascii_lowercase().starts_with("https:")
        || text
            .strip_prefix(IMAGES)
            .is_some_and(|id| id.parse::<Uuid>().is_ok())
}

/// Path of an uploaded image without its id.
pub(crate) const IMAGES: &str = "/api/v1/images/";

fn is_email(text: &str) -> bool {
    let sane = |c: char| !c.is_whitespace() && !c.is_control();
    text.len() <= 254
        && text.chars().all(sane)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

#[must_use]
pub fn is_username(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._@+-".contains(c))
}

#[must_use]
pub fn is_password(text: &str) -> bool {
    domain::password::has_right_length(text)
}

/// Defines string types whose `format` is validated with the rest of the body: `Timezone = "timezone";`.
macro_rules! text_format {
    ($($(#[$doc:meta])* $name:ident = $format:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                concat!("string_", $format).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", $format)))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => match wrong($format, &text) {
                        None => Ok(Self(text)),
                        Some(what) => Err(ParseError::custom(what)),
                    },
                    other => Err(ParseError::expected_type(other.unwrap_or_default())),
                }
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(Value::String(self.0.clone()))
            }
        }
    )+};
}

text_format! {
    /// ISO 4217 currency code: three upper-case letters.
    CurrencyCode = "currency";
    /// Name in the IANA time zone database.
    Timezone = "timezone";
    /// Time of day to the minute: `HH:MM`.
    TimeOfDay = "time-of-day";
    /// Date: `YYYY-MM-DD`.
    Date = "date";
    /// URL with the scheme http or https.
    WebAddress = "uri";
    /// Address of an image: https, or an uploaded one's path.
    ImageAddress = "image-url";
    /// Language tag (BCP 47) with an optional script and region.
    LanguageTag = "language";
    Email = "email";
    Username = "username";
    Password = "password";
    /// Store's own code for a product.
    Sku = "sku";
    /// Client's own id for an order.
    Reference = "reference";
    /// Integrator's own id for an order.
    OutsideReference = "outside-reference";
    /// Place in a JSON document (RFC 6901).
    Pointer = "json-pointer";
}

impl From<LanguageTag> for Language {
    fn from(tag: LanguageTag) -> Self {
        tag.0.parse().expect("LanguageTag checks its form")
    }
}

macro_rules! shown {
    ($($name:ident),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }
    )+};
}

shown!(
    CurrencyCode,
    Date,
    TimeOfDay,
    Timezone,
    WebAddress,
    ImageAddress,
    LanguageTag,
    Email,
    Username,
    Sku,
    Reference,
    OutsideReference,
    Pointer
);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_of_a_year_that_every_database_can_keep() {
        let kept = |text| parse_timestamp(text).map(|at| at.to_rfc3339());
        assert_eq!(
            kept("2026-11-20T20:30:00+01:00").as_deref(),
            Some("2026-11-20T19:30:00+00:00")
        );
        assert_eq!(
            kept("2016-12-31T23:59:60Z").as_deref(),
            Some("2016-12-31T23:59:59.999999999+00:00")
        );
        for wrong in [
            "0999-12-31T23:59:59Z",
            "1000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2026-11-20T19:30:00",
            "",
        ] {
            assert_eq!(kept(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_unique_by_its_bytes_is_bounded_by_them() {
        for (format, right, wrong) in [
            ("sku", "é".repeat(50), "é".repeat(51)),
            ("reference", "é".repeat(100), "東".repeat(67)),
            ("outside-reference", "é".repeat(100), "é".repeat(101)),
            (
                "uri",
                format!("http://a/{}", "é".repeat(331)),
                format!("http://a/{}", "é".repeat(332)),
            ),
        ] {
            assert_eq!(super::wrong(format, &right), None, "{format}");
            assert!(super::wrong(format, &wrong).is_some(), "{format}");
            assert!(super::wrong(format, "").is_some(), "{format}");
        }
    }
}
