//! Bodies of requests about products.

use std::collections::BTreeSet;

use domain::menu::{Details, Image, Placement};
use ledger::products::{NewProduct, ProductEdit};
use poem_openapi::{Object, types::MaybeUndefined};
use url::Url;
use uuid::Uuid;

use crate::{
    http::{
        body::format::{IMAGES, ImageAddress, Sku},
        enums::{Allergen, Diet},
        merge_patch::{RequiredFields, said},
        problem::{FieldError, Problem},
        scalars::{self, Time},
    },
    resources::menu::texts::{self, TranslationsBody},
};

#[derive(Debug, Object)]
#[oai(rename = "NewProduct")]
pub(super) struct NewProductBody {
    pub(super) store_id: Uuid,
    sku: Option<Sku>,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    #[oai(validator(max_length = 2000))]
    description: Option<String>,
    /// In the store's currency.
    price: scalars::Money,
    /// Default `true`.
    available: Option<bool>,
    /// Null if it is not counted and never runs out.
    #[oai(validator(maximum(value = "1000000000")))]
    stock: Option<u32>,
    /// The groups of options that it offers, in this order, each once.
    #[oai(validator(max_items = 20))]
    option_group_ids: Option<Vec<Uuid>>,
    #[oai(validator(max_items = "20"))]
    categories: Option<Vec<NewProductPlace>>,
    /// An https URL. `PUT /products/{id}/image` uploads an image.
    image_url: Option<ImageAddress>,
    #[oai(validator(max_items = "50"))]
    allergens: Option<Vec<Allergen>>,
    #[oai(validator(max_items = "50"))]
    diets: Option<Vec<Diet>>,
    /// Names and descriptions in other languages than the store's, by language tag; at most 20.
    translations: Option<TranslationsBody>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` clears a nullable field and is refused for any other.
/// Staff and the store's integrators may change only `available`, with `until`.
#[derive(Debug, Object)]
pub(super) struct ProductPatch {
    sku: MaybeUndefined<Sku>,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: MaybeUndefined<String>,
    #[oai(validator(max_length = 2000))]
    description: MaybeUndefined<String>,
    price: MaybeUndefined<scalars::Money>,
    /// The groups of options that it offers, in this order, each once.
    #[oai(validator(max_items = 20))]
    option_group_ids: MaybeUndefined<Vec<Uuid>>,
    available: MaybeUndefined<bool>,
    /// With `available` false: the time at which the product comes back by itself, shown as `available_from`.
    until: MaybeUndefined<Time>,
    /// All categories of the product, in place of those that it has.
    #[oai(validator(max_items = "20"))]
    categories: MaybeUndefined<Vec<NewProductPlace>>,
    /// An https URL, or null for none, which also deletes an uploaded image.
    image_url: MaybeUndefined<ImageAddress>,
    #[oai(validator(max_items = "50"))]
    allergens: MaybeUndefined<Vec<Allergen>>,
    #[oai(validator(max_items = "50"))]
    diets: MaybeUndefined<Vec<Diet>>,
    /// All translations of the product, in place of those that it has, by language tag; at most 20.
    translations: MaybeUndefined<TranslationsBody>,
}

/// A product's place in a category.
#[derive(Debug, Object)]
struct NewProductPlace {
    category_id: Uuid,
    /// Default 0. Products at the same position are read in the order of their creation.
    #[oai(validator(maximum(value = "1000000")))]
    position: Option<u32>,
}

impl NewProductBody {
    pub(super) fn into_new(self) -> Result<NewProduct, Problem> {
        let mut errors = Vec::new();
        let details = Details {
            categories: places(self.categories.unwrap_or_default(), &mut errors),
            image: self.image_url.map(|url| image(&url)),
            allergens: words(self.allergens.unwrap_or_default()),
            diets: words(self.diets.unwrap_or_default()),
            translations: texts::parse(self.translations.unwrap_or_default())
                .unwrap_or_else(|wrong| note(&mut errors, wrong)),
        };
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(NewProduct {
            store_id: self.store_id.into(),
            sku: self.sku.map(|sku| sku.0),
            name: self.name,
            description: self.description,
            price: self.price.into(),
            available: self.available.unwrap_or(true),
            stock: self.stock,
            option_group_ids: self
                .option_group_ids
                .unwrap_or_default()
                .into_iter()
                .map(Into::into)
                .collect(),
            details,
        })
    }
}

impl ProductPatch {
    pub(super) fn changes_only_available(&self) -> bool {
        self.sku.is_undefined()
            && self.name.is_undefined()
            && self.description.is_undefined()
            && self.price.is_undefined()
            && self.option_group_ids.is_undefined()
            && self.categories.is_undefined()
            && self.image_url.is_undefined()
            && self.allergens.is_undefined()
            && self.diets.is_undefined()
            && self.translations.is_undefined()
    }

    pub(super) fn into_edit(self) -> Result<ProductEdit, Problem> {
        let mut filled = RequiredFields::default();
        let mut errors = Vec::new();
        let name = filled.said("name", self.name);
        let price = filled.said("price", self.price).map(Into::into);
        let option_groups = filled.said("option_group_ids", self.option_group_ids);
        let available = filled.said("available", self.available);
        let until = said(self.until).flatten().map(|until| until.0);
        if until.is_some() && available != Some(false) {
            errors.push(FieldError::new("/until", "needs `available` to be false"));
        }
        let categories = filled.said("categories", self.categories);
        let translations = filled.said("translations", self.translations);
        let edit = ProductEdit {
            sku: said(self.sku).map(|sku| sku.map(|sku| sku.0)),
            name,
            description: said(self.description),
            price,
            option_group_ids: option_groups.map(|ids| ids.into_iter().map(Into::into).collect()),
            available,
            until,
            categories: categories.map(|all| places(all, &mut errors)),
            image: said(self.image_url).map(|url| url.as_ref().map(image)),
            allergens: filled.said("allergens", self.allergens).map(words),
            diets: filled.said("diets", self.diets).map(words),
            translations: translations
                .map(|all| texts::parse(all).unwrap_or_else(|wrong| note(&mut errors, wrong))),
        };
        errors.extend(filled.wrong());
        if errors.is_empty() {
            Ok(edit)
        } else {
            Err(Problem::invalid(errors))
        }
    }
}

/// Notes errors, and returns a value that is never used.
fn note<T: Default>(errors: &mut Vec<FieldError>, wrong: Vec<FieldError>) -> T {
    errors.extend(wrong);
    T::default()
}

fn places(wanted: Vec<NewProductPlace>, errors: &mut Vec<FieldError>) -> Vec<Placement> {
    let mut seen = BTreeSet::new();
    for (index, place) in wanted.iter().enumerate() {
        if !seen.insert(place.category_id) {
            let pointer = format!("/categories/{index}/category_id");
            errors.push(FieldError::new(pointer, "names a category twice"));
        }
    }
    let places = wanted.into_iter().map(|place| Placement {
        category_id: place.category_id.into(),
        position: place.position.unwrap_or_default(),
    });
    places.collect()
}

fn image(ImageAddress(address): &ImageAddress) -> Image {
    let uploaded = address
        .strip_prefix(IMAGES)
        .and_then(|id| id.parse::<Uuid>().ok());
    match uploaded {
        Some(id) => Image::Uploaded(id.into()),
        // Percent-encoded, as its length was checked.
        None => Image::At(Url::parse(address).map_or_else(|_| address.clone(), Into::into)),
    }
}

fn words<T, W: Into<T>>(listed: Vec<W>) -> BTreeSet<T>
where
    T: Ord,
{
    listed.into_iter().map(Into::into).collect()
}
