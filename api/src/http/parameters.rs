//! Parameters that carry their own name, description and bounds, so that handlers repeat none of them.

use poem_openapi::registry::{MetaOperationParam, MetaSchema, MetaSchemaRef};

/// Implements [`poem_openapi::ApiExtractor`] for an optional header or query parameter, which `$read` makes from the
/// request and the value. The bounds are fields of [`MetaSchema`].
macro_rules! parameter {
    ($extractor:ident $(<$key:ident: $bound:path>)?, $place:ident $name:literal: $value:ty, $description:literal,
        { $($bounds:tt)* }, $read:expr) => {
        impl<'a $(, $key: $bound)?> poem_openapi::ApiExtractor<'a> for $extractor $(<$key>)? {
            const TYPES: &'static [poem_openapi::ApiExtractorType] =
                &[poem_openapi::ApiExtractorType::Parameter];
            type ParamType = Option<$value>;
            type ParamRawType = $value;

            fn param_in() -> Option<poem_openapi::registry::MetaParamIn> {
                Some(poem_openapi::registry::MetaParamIn::$place)
            }

            fn param_schema_ref() -> Option<poem_openapi::registry::MetaSchemaRef> {
                let about = poem_openapi::registry::MetaSchema {
                    title: Some($name.to_owned()),
                    description: Some($description),
                    $($bounds)*
                    ..poem_openapi::registry::MetaSchema::ANY
                };
                Some(<$value as poem_openapi::types::Type>::schema_ref().merge(about))
            }

            async fn from_request(
                request: &'a poem::Request,
                body: &mut poem::RequestBody,
                mut options: poem_openapi::ExtractParamOptions<Option<$value>>,
            ) -> poem::Result<Self> {
                options.name = $name;
                let value = <poem_openapi::param::$place<Option<$value>> as poem_openapi::ApiExtractor>::from_request(
                    request, body, options,
                );
                let value = value.await?.0;
                Ok($read(request, value)?)
            }
        }
    };
}

pub(crate) use parameter;

/// Pattern of a header value: ASCII without control characters, and without spaces at either end.
pub(crate) const VISIBLE: &str = "^[!-~]([ -~]*[!-~])?$";

/// Moves the name and the description that a parameter carries in its schema to where the document has them.
pub(crate) fn name_and_describe(parameter: &mut MetaOperationParam) {
    if let MetaSchemaRef::Inline(schema) = &mut parameter.schema
        && let MetaSchema {
            title: title @ Some(_),
            description,
            ..
        } = &mut **schema
    {
        parameter.name = title.take().unwrap_or_default();
        let described = description.take().map(str::to_owned);
        parameter.description = parameter.description.take().or(described);
    }
}
