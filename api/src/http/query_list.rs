//! Query parameters that may be repeated or comma-separated: `?state=failed,held&state=parked`.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchemaRef, Registry},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};

/// One or more values of a query parameter.
#[derive(Clone, Debug)]
pub(crate) struct CommaSeparated<T>(pub(crate) Vec<T>);

impl<T: Type> Type for CommaSeparated<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = T::RawValueType;

    fn name() -> Cow<'static, str> {
        Vec::<T>::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        Vec::<T>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(
        &'a self,
    ) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(self.0.iter().filter_map(Type::as_raw_value))
    }
}

impl<T: ParseFromParameter> ParseFromParameter for CommaSeparated<T> {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        Self::parse_from_parameters([text])
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(
        texts: I,
    ) -> ParseResult<Self> {
        let mut words = Vec::new();
        for text in texts {
            for word in text.as_ref().split(',') {
                let word = T::parse_from_parameter(word.trim()).map_err(ParseError::propagate)?;
                words.push(word);
            }
        }
        Ok(Self(words))
    }
}
