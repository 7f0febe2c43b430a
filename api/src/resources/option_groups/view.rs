//! Groups of options as the API shows them.

use domain::{
    language::Language,
    money::{Currency, Money},
    options::OptionGroup,
    translations::Translations,
};
use poem_openapi::Object;
use uuid::Uuid;

use crate::{
    http::scalars::{PriceDifference, Time},
    resources::menu::texts::{self, NamesBody},
};

/// A group of options that products of a store offer.
#[derive(Debug, Object)]
#[oai(rename = "OptionGroup")]
pub(crate) struct OptionGroupView {
    id: Uuid,
    store_id: Uuid,
    name: String,
    /// Fewest and most options of the group that an item has, counted with their quantities.
    min: u32,
    max: u32,
    /// Place among the store's groups.
    position: i32,
    options: Vec<OptionView>,
    /// Names in other languages than the store's, by language tag.
    translations: NamesBody,
    version: i64,
    created_at: Time,
}

/// An option that products offer.
#[derive(Debug, Object)]
#[oai(rename = "ProductOption")]
struct OptionView {
    id: Uuid,
    name: String,
    /// Difference that it makes to the price of a piece; may be negative.
    price: PriceDifference,
    /// True if it may be chosen now, regardless of stock.
    available: bool,
    /// True if an item whose client names no option of the group gets it.
    is_default: bool,
    sku: Option<String>,
    /// The product whose stock it takes, if that is counted.
    product_id: Option<Uuid>,
    /// Names in other languages than the store's, by language tag.
    translations: NamesBody,
}

impl OptionGroupView {
    /// Returns a group with its names in this language.
    pub(crate) fn in_language(
        mut group: OptionGroup,
        currency: Currency,
        language: &Language,
    ) -> Self {
        let translate = |translations: &Translations, name: &mut String| {
            *name = translations.name(language, name).to_owned();
        };
        translate(&group.translations, &mut group.name);
        for option in &mut group.options {
            translate(&option.translations, &mut option.name);
        }
        Self::of(group, currency)
    }

    pub(crate) fn of(group: OptionGroup, currency: Currency) -> Self {
        let options = group.options.into_iter().map(|one| OptionView {
            id: one.id.uuid(),
            name: one.name,
            price: Money::new(one.price, currency).into(),
            available: one.available,
            is_default: one.is_default,
            sku: one.sku,
            product_id: one.product_id.map(domain::ids::ProductId::uuid),
            translations: texts::show_names(&one.translations),
        });
        Self {
            id: group.id.uuid(),
            store_id: group.store_id.uuid(),
            name: group.name,
            min: group.min,
            max: group.max,
            position: group.position,
            options: options.collect(),
            translations: texts::show_names(&group.translations),
            version: group.version,
            created_at: group.created_at.into(),
        }
    }
}
