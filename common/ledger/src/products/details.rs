//! Details of products: checked against the store's categories and the product's own image, and written.

use serde_json::{Map, Value, json};

use super::{ProductEdit, ProductRefused, about, lock, write};
use crate::{Change, ChangeResult, CrashPoints, Ledger, in_one_transaction, stores::set};
use domain::{
    ids::{CategoryId, ImageId, ProductId},
    image::CleanImage,
    menu::{Details, Image, Placement},
    record::{Action, difference},
    store::Product,
};
use store::images::StoredImage;

impl Ledger {
    /// Stores an image of a product in place of the one that it has; `version`, if given, must be its current one.
    #[crate::boxed]
    pub async fn set_image(
        &self,
        id: ProductId,
        version: Option<i64>,
        image: &CleanImage,
    ) -> ChangeResult<Product, ProductRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let (mut product, _) = lock(change, id, version, false).await?;
            let mut details = store::products::details::get(&mut change.tx, id).await?;
            forget_image(change, &details).await?;
            let image_id: ImageId = change.inner.chance.id(change.now);
            let stored = StoredImage {
                content_type: image.kind.content_type().to_owned(),
                bytes: image.bytes.clone(),
            };
            store::images::insert(&mut change.tx, image_id, id, &stored, change.now).await?;
            details.image = Some(Image::Uploaded(image_id));
            store::products::details::write(&mut change.tx, id, &details).await?;
            write(change, &mut product).await?;
            let image = Map::from_iter([("image".to_owned(), json!({"to": image_id}))]);
            change.record_fields(about(&product), Action::Edited, image);
            Ok(product)
        })
    }
}

/// Writes the details of a new product.
pub(super) async fn create(
    change: &mut Change<'_>,
    product: &Product,
    mut details: Details,
) -> ChangeResult<(), ProductRefused> {
    if details == Details::default() {
        return Ok(());
    }
    if let Some(Image::Uploaded(_)) = details.image {
        return Err(ProductRefused::UnknownImage.into());
    }
    check_categories(change, product, &details.categories).await?;
    sort(&mut details.categories);
    store::products::details::write(&mut change.tx, product.id, &details).await?;
    Ok(())
}

/// Writes the details of a locked product as edited; nothing is written if none of them differs. Returns those that do,
/// as records show them.
pub(super) async fn edit(
    change: &mut Change<'_>,
    product: &Product,
    edit: ProductEdit,
) -> ChangeResult<Map<String, Value>, ProductRefused> {
    let before = store::products::details::get(&mut change.tx, product.id).await?;
    let mut after = before.clone();
    if let Some(categories) = edit.categories {
        check_categories(change, product, &categories).await?;
        after.categories = categories;
        sort(&mut after.categories);
    }
    set(&mut after.image, edit.image);
    set(&mut after.allergens, edit.allergens);
    set(&mut after.diets, edit.diets);
    set(&mut after.translations, edit.translations);
    if after == before {
        return Ok(Map::new());
    }
    if after.image != before.image {
        if let Some(Image::Uploaded(_)) = after.image {
            return Err(ProductRefused::UnknownImage.into());
        }
        forget_image(change, &before).await?;
    }
    store::products::details::write(&mut change.tx, product.id, &after).await?;
    Ok(difference(Some(&facts(&before)), &facts(&after)))
}

/// Returns details as records show them.
fn facts(details: &Details) -> Value {
    let places = details.categories.iter();
    let places: Vec<_> = places
        .map(|place| json!({"category_id": place.category_id, "position": place.position}))
        .collect();
    json!({
        "categories": places,
        "image": details.image.as_ref().map(|image| match image {
            Image::At(url) => json!(url),
            Image::Uploaded(id) => json!(id),
        }),
        "allergens": details.allergens,
        "diets": details.diets,
        "translations": details.translations,
    })
}

/// Sorts places by category; a product is in a category once.
fn sort(places: &mut Vec<Placement>) {
    places.sort_by_key(|place| place.category_id);
    places.dedup_by_key(|place| place.category_id);
}

/// Deletes a product's uploaded image, which nothing shows any more.
async fn forget_image(change: &mut Change<'_>, before: &Details) -> store::Result<()> {
    if let Some(Image::Uploaded(id)) = before.image {
        store::images::delete(&mut change.tx, id).await?;
    }
    Ok(())
}

/// Locks the categories, so that none is deleted meanwhile; the refusal names those that the store does not have.
async fn check_categories(
    change: &mut Change<'_>,
    product: &Product,
    places: &[Placement],
) -> ChangeResult<(), ProductRefused> {
    let ids: Vec<CategoryId> = places.iter().map(|place| place.category_id).collect();
    let known = store::categories::lock_many(&mut change.tx, product.store_id, &ids).await?;
    let unknown = ids.iter().enumerate().filter(|(_, id)| !known.contains(id));
    let indexes: Vec<usize> = unknown.map(|(index, _)| index).collect();
    if indexes.is_empty() {
        Ok(())
    } else {
        Err(ProductRefused::UnknownCategories { indexes }.into())
    }
}
