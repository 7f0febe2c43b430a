//! API types for the enums of `domain`, which defines their words.

use std::borrow::Cow;

use domain::{
    actor, api_key, delivery, erasure, handoff, integrator, menu, opening, order, person, record,
    session, status, stuck, waiting,
};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

macro_rules! wire_words {
    ($($name:ident = $domain:path;)+) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $domain);

        impl From<$domain> for $name {
            fn from(word: $domain) -> Self {
                Self(word)
            }
        }

        impl From<$name> for $domain {
            fn from(word: $name) -> Self {
                word.0
            }
        }

        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Reference(stringify!($name).into())
            }

            fn register(registry: &mut Registry) {
                registry.create_schema::<Self, _>(stringify!($name).into(), |_| MetaSchema {
                    enum_items: <$domain>::ALL.iter().map(|word| word.as_str().into()).collect(),
                    ..MetaSchema::new("string")
                });
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
                    Some(Value::String(text)) => text.parse().map(Self).map_err(ParseError::custom),
                    other => Err(ParseError::expected_type(other.unwrap_or_default())),
                }
            }
        }

        impl ParseFromParameter for $name {
            fn parse_from_parameter(text: &str) -> ParseResult<Self> {
                text.parse().map(Self).map_err(ParseError::custom)
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(self.0.as_str().into())
            }
        }
    )+};
}

wire_words! {
    ActorKind = actor::ActorKind;
    OrderStatus = status::OrderStatus;
    CancelUntil = status::CancelUntil;
    Fulfilment = order::Fulfilment;
    DeliveryStatus = delivery::DeliveryStatus;
    HandoffState = handoff::HandoffState;
    AttemptOutcome = handoff::AttemptOutcome;
    WaitingFor = waiting::WaitingFor;
    StuckKind = stuck::StuckKind;
    IntegratorKind = integrator::IntegratorKind;
    BreakerState = integrator::BreakerState;
    Format = integrator::Format;
    HandoffEvent = integrator::HandoffEvent;
    Confirms = integrator::Confirms;
    UnknownPolicy = integrator::UnknownPolicy;
    CallbackAuth = integrator::CallbackAuth;
    ClientAuth = integrator::ClientAuth;
    SessionState = session::SessionState;
    ChangeSubject = record::Subject;
    ChangeAction = record::Action;
    PersonKind = person::PersonKind;
    ErasureState = erasure::ErasureState;
    ErasureWaitsFor = erasure::WaitsFor;
    Day = opening::Day;
    Allergen = menu::Allergen;
    Diet = menu::Diet;
    KeyAction = api_key::KeyAction;
}
