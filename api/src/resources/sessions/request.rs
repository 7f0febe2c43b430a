//! Sessions as they are asked for: opened, and closed with a wish that may be left out.

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
    /// Unique among the store's open sessions, without regard to case and white space.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub(super) name: String,
}

#[derive(Debug, Default, Object)]
pub(super) struct CloseSession {
    /// Accepted orders that are not with a courier count as delivered. False unless said otherwise.
    pub(super) finish: Option<bool>,
}

/// A body that may be left out.
#[derive(Debug)]
pub(super) struct Perhaps<T>(pub(super) Option<T>);

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Perhaps<T> {
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
        // Without a type there is nothing that could be read as one; with one it must be right.
        if request.content_type().is_none() {
            return Ok(Self(None));
        }
        let Checked(said) = Checked::<T>::from_request(request, body, options).await?;
        Ok(Self(Some(said)))
    }
}
