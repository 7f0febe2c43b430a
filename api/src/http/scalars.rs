//! Money and timestamps in the API's format, used by every resource.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use domain::{money, order::rfc3339};
use poem_openapi::{
    Object,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::http::body::format::{CurrencyCode, parse_timestamp};

/// An amount in minor units (cents), never a fraction.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct Money {
    /// Amount in minor units: 250 is 2.50 EUR.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    amount: i64,
    currency: CurrencyCode,
}

/// A difference in price, in minor units (cents); may be negative.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct PriceDifference {
    /// Amount in minor units: -50 is 0.50 EUR less.
    #[oai(validator(minimum(value = "-1000000000000"), maximum(value = "1000000000000")))]
    amount: i64,
    currency: CurrencyCode,
}

impl From<money::Money> for PriceDifference {
    fn from(money: money::Money) -> Self {
        let Money { amount, currency } = money.into();
        Self { amount, currency }
    }
}

impl From<PriceDifference> for money::Money {
    fn from(PriceDifference { amount, currency }: PriceDifference) -> Self {
        Money { amount, currency }.into()
    }
}

impl From<money::Money> for Money {
    fn from(money: money::Money) -> Self {
        Self {
            amount: money.amount,
            currency: CurrencyCode(money.currency.to_string()),
        }
    }
}

impl From<Money> for money::Money {
    fn from(money: Money) -> Self {
        let currency = money.currency.0.parse();
        Self::new(
            money.amount,
            currency.expect("CurrencyCode checks its form"),
        )
    }
}

/// Timestamp in the API: RFC 3339, shown in UTC with microseconds, as in events and live channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub DateTime<Utc>);

impl From<DateTime<Utc>> for Time {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at)
    }
}

impl Type for Time {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Self::of(&text),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl ParseFromParameter for Time {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        // A plus sign that was not percent-encoded arrives as a space.
        Self::of(&text.replace(' ', "+"))
    }
}

impl Time {
    fn of(text: &str) -> ParseResult<Self> {
        let wrong =
            "must be an RFC 3339 timestamp such as 2026-11-20T19:30:00Z, in the years 1000 to 9999";
        parse_timestamp(text)
            .map(Self)
            .ok_or_else(|| ParseError::custom(wrong))
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<Value> {
        Some(rfc3339(self.0).into())
    }
}
