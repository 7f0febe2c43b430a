//! Image bodies: PNG, JPEG or WebP, of which only the picture is kept.

use domain::image::{self, CleanImage, ImageKind, MAX_BYTES};
use http::header;
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef},
};

use super::{read, too_large};
use crate::http::problem::{Problem, Reason};

/// An uploaded image. Must be the handler's last argument.
#[derive(Debug)]
pub(crate) struct ImageBody(pub(crate) CleanImage);

/// Returns the media types of images, for requests and responses.
pub(crate) fn media_types() -> Vec<MetaMediaType> {
    let media_type = |kind: ImageKind| MetaMediaType {
        content_type: kind.content_type(),
        schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "image"))),
    };
    ImageKind::ALL.map(media_type).into()
}

impl<'a> ApiExtractor<'a> for ImageBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: media_types(),
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let is_said = |kind: &ImageKind| {
            content_type.is_some_and(|said| said.trim().eq_ignore_ascii_case(kind.content_type()))
        };
        let Some(said) = ImageKind::ALL.into_iter().find(is_said) else {
            return Err(Problem::new(Reason::UnsupportedMediaType)
                .detail("This path expects image/png, image/jpeg or image/webp.")
                .into());
        };
        let file = read(request, body).await?;
        if file.len() > MAX_BYTES {
            return Err(too_large(MAX_BYTES).into());
        }
        let wrong = |what: String| Problem::invalid_field("", what);
        let clean = image::clean(&file).map_err(|error| wrong(error.to_string()))?;
        if clean.kind != said {
            let (is, said) = (clean.kind.content_type(), said.content_type());
            return Err(wrong(format!("is {is}, and not {said}")).into());
        }
        Ok(Self(clean))
    }
}
