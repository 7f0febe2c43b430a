//! Request bodies that open and close sessions; the body of a close is optional.

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions, Object,
    registry::{MetaRequest, Registry},
    types::ParseFromJSON,
};
use uuid::Uuid;

use crate::http::body::Checked;

#[derive(Debug, Object)]
pub(super) struct NewSession {
    pub(super) store_id: Uuid,
    /// Unique among the store's open sessions. Case, white space, characters without width and the encoding of letters do
    /// not matter. Line breaks and other control characters are refused.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub(super) name: String,
}

#[derive(Debug, Default, Object)]
pub(super) struct CloseSession {
    /// Marks accepted orders that are not with a courier as delivered. Default `false`.
    pub(super) finish: Option<bool>,
}

/// An optional body.
#[derive(Debug)]
pub(super) struct OptionalBody<T>(pub(super) Option<T>);

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for OptionalBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Checked::<T>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            required: false,
            ..Checked::<T>::request_meta()?
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        // Without a content type there is no body to parse; with one, the body must be valid.
        if request.content_type().is_none() {
            return Ok(Self(None));
        }
        let Checked(said) = Checked::<T>::from_request(request, body, options).await?;
        Ok(Self(Some(said)))
    }
}
