//! `/products/{id}/image` and `/images`: uploaded images, and what is served of them.

use domain::ids::ImageId;
use http::header;
use ledger::{menus::StoredImage, products::ProductEdit};
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::Path,
    registry::{MetaResponses, Registry},
};
use serde_json::Value;
use uuid::Uuid;

use super::{Products, view::ProductView};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::image::{ImageBody, media_types},
        etag::{IfMatch, IfNoneMatch},
        problem::Problem,
        response::{Fresh, Tagged},
    },
    state::ApiState,
};

pub(crate) struct Images(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Products")]
impl Images {
    /// Upload the image of a product
    ///
    /// A still PNG, JPEG or WebP image of up to 1 MiB and 25 million pixels. Only the picture is kept: no comments, and
    /// of Exif only the orientation. It replaces the product's image, and `image_url` becomes its path.
    #[oai(
        path = "/products/:id/image",
        method = "put",
        operation_id = "put_product_image"
    )]
    async fn put(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
        ImageBody(image): ImageBody,
    ) -> Result<Tagged<ProductView>, Problem> {
        let products = Products(self.0.clone());
        let product = products.get_visible(&caller, id.into()).await?;
        let (id, store, version) = product.key();
        caller.must_manage(store)?;
        let version = if_match.match_version(&ProductView::from(product), version)?;
        self.0.ledger.set_image(id, version, &image).await?;
        products.answer(&caller, id, false).await
    }

    /// Delete the image of a product
    ///
    /// Its `image_url` becomes null; an uploaded image is deleted. Idempotent.
    #[oai(
        path = "/products/:id/image",
        method = "delete",
        operation_id = "delete_product_image"
    )]
    async fn delete(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Tagged<ProductView>, Problem> {
        let products = Products(self.0.clone());
        let product = products.get_visible(&caller, id.into()).await?;
        let (id, store, version) = product.key();
        caller.must_manage(store)?;
        let version = if_match.match_version(&ProductView::from(product), version)?;
        let edit = ProductEdit {
            image: Some(None),
            ..ProductEdit::default()
        };
        self.0.ledger.edit_product(id, version, edit).await?;
        products.answer(&caller, id, false).await
    }

    /// Get an uploaded image
    ///
    /// Anyone may read it. It never changes, so it may be cached for ever: another image of the product gets another
    /// id.
    #[oai(path = "/images/:id", method = "get", operation_id = "get_image")]
    async fn get(
        &self,
        Path(id): Path<Uuid>,
        if_none_match: IfNoneMatch,
    ) -> Result<ImageAnswer, Problem> {
        let id = ImageId::from(id);
        let image = self.0.ledger.image(id).await?;
        let image = image.ok_or_else(Problem::not_found)?;
        let etag = format!("\"{id}\"");
        Ok(ImageAnswer {
            is_known: if_none_match.matches(&etag),
            image,
            etag,
        })
    }
}

/// 200 with an image, or 304 if the client's copy is current.
struct ImageAnswer {
    image: StoredImage,
    etag: String,
    is_known: bool,
}

impl IntoResponse for ImageAnswer {
    fn into_response(self) -> Response {
        let response = if self.is_known {
            Fresh::<Value>::empty().into_response()
        } else {
            let StoredImage {
                content_type,
                bytes,
            } = self.image;
            bytes.with_content_type(content_type).into_response()
        };
        // `Front` adds `nosniff`, and a policy that runs nothing.
        response
            .with_header(header::ETAG, self.etag)
            .with_header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
            .into_response()
    }
}

impl ApiResponse for ImageAnswer {
    fn meta() -> MetaResponses {
        let mut meta = Fresh::<Value>::meta();
        for shown in meta
            .responses
            .iter_mut()
            .filter(|one| !one.content.is_empty())
        {
            shown.content = media_types();
        }
        meta
    }

    fn register(_: &mut Registry) {}
}
