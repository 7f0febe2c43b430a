//! A product as the API shows it.

use chrono::{DateTime, Utc};
use domain::{
    ids::{ProductId, StoreId},
    language::Language,
    menu::{Image, MenuProduct},
};
use poem_openapi::Object;
use uuid::Uuid;

use crate::{
    http::{
        body::format::IMAGES,
        enums::{Allergen, Diet},
        scalars::{self, Time},
    },
    resources::menu::texts::{self, TranslationsBody},
};

/// A product of a store.
#[derive(Debug, Object)]
#[oai(rename = "Product")]
pub(crate) struct ProductView {
    id: Uuid,
    store_id: Uuid,
    /// The store's own code for the product, unique per store and case-sensitive.
    sku: Option<String>,
    name: String,
    description: Option<String>,
    price: scalars::Money,
    /// Ids of the groups of options that it offers, in this order.
    option_group_ids: Vec<Uuid>,
    /// True if it may be ordered now, regardless of stock.
    available: bool,
    /// While it is not available: the time at which it comes back by itself, if that is known.
    available_from: Option<Time>,
    /// Quantity in stock; null if it is not counted and never runs out.
    stock: Option<i64>,
    /// True if it can't be ordered now, because it is not available or its stock is used up.
    sold_out: bool,
    /// The categories that it is listed in.
    categories: Vec<ProductPlace>,
    /// An https URL, or `/api/v1/images/{id}` for an uploaded image.
    image_url: Option<String>,
    allergens: Vec<Allergen>,
    diets: Vec<Diet>,
    /// Names and descriptions in other languages than the store's.
    translations: TranslationsBody,
    archived_at: Option<Time>,
    version: i64,
    created_at: Time,
}

/// A product's place in a category.
#[derive(Debug, Object)]
struct ProductPlace {
    category_id: Uuid,
    position: u32,
}

/// A product as it was read at a time, on which its availability depends.
#[derive(Debug)]
pub(crate) struct ReadProduct {
    pub(crate) read: MenuProduct,
    pub(crate) at: DateTime<Utc>,
}

impl ReadProduct {
    pub(super) fn key(&self) -> (ProductId, StoreId, i64) {
        let product = &self.read.product;
        (product.id, product.store_id, product.version)
    }
}

impl From<ReadProduct> for ProductView {
    fn from(product: ReadProduct) -> Self {
        Self::new(&product.read, product.at)
    }
}

impl ProductView {
    fn new(MenuProduct { product, details }: &MenuProduct, now: DateTime<Utc>) -> Self {
        let places = details.categories.iter().map(|place| ProductPlace {
            category_id: place.category_id.uuid(),
            position: place.position,
        });
        let image_url = details.image.as_ref().map(|image| match image {
            Image::At(url) => url.clone(),
            Image::Uploaded(id) => format!("{IMAGES}{id}"),
        });
        Self {
            id: product.id.uuid(),
            store_id: product.store_id.uuid(),
            sku: product.sku.clone(),
            name: product.name.clone(),
            description: product.description.clone(),
            price: product.price.into(),
            option_group_ids: product
                .option_group_ids
                .iter()
                .map(|id| id.uuid())
                .collect(),
            available: product.is_available(now),
            available_from: product.comes_back_at(now).map(Into::into),
            stock: product.stock,
            sold_out: product.is_sold_out(now),
            categories: places.collect(),
            image_url,
            allergens: details.allergens.iter().copied().map(Into::into).collect(),
            diets: details.diets.iter().copied().map(Into::into).collect(),
            translations: texts::show(&details.translations),
            archived_at: product.archived_at.map(Into::into),
            version: product.version,
            created_at: product.created_at.into(),
        }
    }

    /// Shows the product with its name and description in a language.
    pub(crate) fn in_language(one: &MenuProduct, now: DateTime<Utc>, language: &Language) -> Self {
        let translations = &one.details.translations;
        let mut view = Self::new(one, now);
        view.name = translations.name(language, &view.name).to_owned();
        let main = view.description.take();
        view.description = translations
            .description(language, main.as_deref())
            .map(str::to_owned);
        view
    }
}
