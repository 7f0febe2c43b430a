//! Menus: a store's categories and products in one answer, in one language, with an `ETag`.

pub(crate) mod cache;
pub(crate) mod languages;
pub(super) mod texts;

use bytes::Bytes;
use domain::{language::Language, menu};
use http::header;
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaResponses, Registry},
    types::{ToJSON, Type},
};
use uuid::Uuid;

use super::{option_groups::view::OptionGroupView, products::view::ProductView};
use crate::http::{
    body::format::{CurrencyCode, LanguageTag},
    etag::{IfNoneMatch, tag_of},
    response::Fresh,
};

/// The products that can be ordered at a store, with their categories.
#[derive(Debug, Object)]
pub(crate) struct Menu {
    store_id: Uuid,
    store_name: String,
    /// Currency of all prices.
    currency: CurrencyCode,
    /// Decimals of the currency (ISO 4217): an `amount` of 250 is 2.50 with 2, and 250 with 0.
    exponent: u32,
    /// Language of the answer. A text that is not translated to it is in the store's language.
    language: LanguageTag,
    /// The store's language, and then all others that some text is translated to.
    languages: Vec<LanguageTag>,
    /// True while the store takes no new orders.
    paused: bool,
    /// In the order in which they are read.
    categories: Vec<MenuCategory>,
    /// Each product once: by its first category, then those without a category.
    items: Vec<ProductView>,
    /// The groups of options that products of `items` offer.
    option_groups: Vec<OptionGroupView>,
}

/// A heading of a menu, with its products.
#[derive(Debug, Object)]
struct MenuCategory {
    id: Uuid,
    name: String,
    description: Option<String>,
    position: u32,
    /// Products of the category that are in `items`, in the order in which they are read.
    product_ids: Vec<Uuid>,
}

impl Menu {
    fn of(menu: &menu::Menu, language: &Language, languages: &[Language]) -> Self {
        let tag = |language: &Language| LanguageTag(language.to_string());
        let sections = menu.sections.iter().map(|section| {
            let category = &section.category;
            let (translated, main) = (&category.translations, category.description.as_deref());
            MenuCategory {
                id: category.id.uuid(),
                name: translated.name(language, &category.name).to_owned(),
                description: translated.description(language, main).map(str::to_owned),
                position: category.position,
                product_ids: section.products.iter().map(|id| id.uuid()).collect(),
            }
        });
        let items = menu.products.iter();
        Self {
            store_id: menu.store.id.uuid(),
            store_name: menu.store.name.clone(),
            currency: CurrencyCode(menu.store.currency.to_string()),
            exponent: menu.store.currency.decimals(),
            language: tag(language),
            languages: languages.iter().map(tag).collect(),
            paused: menu.store.paused,
            categories: sections.collect(),
            items: items
                .map(|one| ProductView::in_language(one, menu.at, language))
                .collect(),
            option_groups: menu
                .option_groups
                .iter()
                .map(|group| {
                    OptionGroupView::in_language(group.clone(), menu.store.currency, language)
                })
                .collect(),
        }
    }
}

/// A menu in one language that is ready to be sent; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    body: Bytes,
    etag: String,
    language: String,
}

impl Rendered {
    fn of(menu: &menu::Menu, language: &Language, languages: &[Language]) -> Self {
        let body = Menu::of(menu, language, languages).to_json_string();
        Self {
            etag: tag_of(body.as_bytes()),
            body: body.into(),
            language: language.to_string(),
        }
    }

    /// Returns the menu, or 304 if the client has it.
    pub(crate) fn answer(self, if_none_match: &IfNoneMatch) -> MenuAnswer {
        MenuAnswer {
            is_known: if_none_match.matches(&self.etag),
            menu: self,
        }
    }
}

/// 200 with a menu, or 304 if the client's copy is current.
pub(crate) struct MenuAnswer {
    menu: Rendered,
    is_known: bool,
}

impl IntoResponse for MenuAnswer {
    fn into_response(self) -> Response {
        let Rendered {
            body,
            etag,
            language,
        } = self.menu;
        let response = if self.is_known {
            Fresh::<Menu>::empty().into_response()
        } else {
            let json = "application/json; charset=utf-8";
            body.with_content_type(json).into_response()
        };
        response
            .with_header(header::ETAG, etag)
            .with_header(header::CONTENT_LANGUAGE, language)
            .with_header(header::VARY, "Accept-Language")
            // Kept, and asked about each time: a price must not be an old one.
            .with_header(header::CACHE_CONTROL, "private, no-cache")
            .into_response()
    }
}

impl ApiResponse for MenuAnswer {
    fn meta() -> MetaResponses {
        Fresh::<Menu>::meta()
    }

    fn register(registry: &mut Registry) {
        Menu::register(registry);
    }
}
