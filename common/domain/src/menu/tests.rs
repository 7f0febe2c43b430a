//! The order of menus, their languages, and how long they hold.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::{money::Money, noon, store::Contact, translations::Texts};

fn store() -> Store {
    Store {
        id: Uuid::from_u128(1).into(),
        name: "Pizzeria".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        currency: "EUR".parse().unwrap(),
        contact: Contact::default(),
        external_location_id: None,
        auto_accept: true,
        accept_within_s: 600,
        deliver_accepted_after_h: None,
        paused: false,
        language: Language::default(),
        timing: crate::timing::StoreTiming::default(),
        archived_at: None,
        version: 1,
        created_at: noon(),
    }
}

fn category(id: u128, position: u32) -> Category {
    Category {
        id: Uuid::from_u128(id).into(),
        store_id: store().id,
        name: format!("category {id}"),
        description: None,
        position,
        weight: 1,
        translations: Translations::default(),
        version: 1,
        created_at: noon(),
    }
}

/// Builds a product with its places: pairs of category and position.
fn product(id: u128, places: &[(u128, u32)]) -> MenuProduct {
    MenuProduct {
        product: Product {
            id: Uuid::from_u128(id).into(),
            store_id: store().id,
            sku: None,
            name: format!("product {id}"),
            description: None,
            price: Money::new(100, "EUR".parse().unwrap()),
            option_group_ids: vec![],
            available: true,
            available_from: None,
            stock: None,
            archived_at: None,
            version: 1,
            created_at: noon(),
        },
        details: Details {
            categories: places
                .iter()
                .map(|(category, position)| Placement {
                    category_id: Uuid::from_u128(*category).into(),
                    position: *position,
                })
                .collect(),
            ..Details::default()
        },
    }
}

fn ids(products: &[MenuProduct]) -> Vec<u128> {
    products
        .iter()
        .map(|one| one.product.id.uuid().as_u128())
        .collect()
}

#[test]
fn a_menu_is_ordered_by_category_position_and_creation() {
    let categories = vec![category(12, 1), category(11, 2), category(10, 1)];
    let products = vec![
        product(29, &[]),
        product(25, &[(11, 0), (12, 9)]),
        product(24, &[(10, 1)]),
        product(23, &[(10, 1), (11, 0)]),
        product(22, &[(10, 2)]),
        // Its category is gone.
        product(21, &[(99, 0)]),
    ];
    let menu = Menu::new(store(), categories, products, noon());
    assert_eq!(ids(&menu.products), [23, 24, 22, 25, 21, 29]);
    let sections: Vec<(u128, Vec<u128>)> = menu
        .sections
        .iter()
        .map(|section| {
            let products = section.products.iter().map(|id| id.uuid().as_u128());
            (section.category.id.uuid().as_u128(), products.collect())
        })
        .collect();
    assert_eq!(
        sections,
        [(10, vec![23, 24, 22]), (12, vec![25]), (11, vec![23, 25])]
    );
}

#[test]
fn each_text_falls_back_by_itself() {
    let texts = |name: Option<&str>, description: Option<&str>| Texts {
        name: name.map(str::to_owned),
        description: description.map(str::to_owned),
    };
    let tag = |tag: &str| tag.parse::<Language>().unwrap();
    let translations = Translations(BTreeMap::from([
        (tag("de"), texts(Some("Brot"), Some("aus Roggen"))),
        (tag("de-CH"), texts(Some("Brötli"), None)),
    ]));
    let read = |language: &str| {
        let language = tag(language);
        (
            translations.name(&language, "bread"),
            translations.description(&language, Some("of rye")),
        )
    };
    assert_eq!(read("de-CH"), ("Brötli", Some("aus Roggen")));
    assert_eq!(read("de-AT"), ("Brot", Some("aus Roggen")));
    assert_eq!(read("fr"), ("bread", Some("of rye")));
    assert_eq!(translations.description(&tag("fr"), None), None);

    let mut bread = product(20, &[]);
    bread.details.translations = translations;
    let mut drinks = category(10, 0);
    drinks.translations.0.insert(tag("fr"), Texts::default());
    let menu = Menu::new(store(), vec![drinks], vec![bread], noon());
    let languages = menu.languages();
    let languages: Vec<&str> = languages.iter().map(Language::as_str).collect();
    assert_eq!(languages, ["en", "de", "de-CH", "fr"]);
}

#[test]
fn a_menu_holds_until_a_product_comes_back_and_not_before_one_did() {
    let minutes = |n| noon() + TimeDelta::minutes(n);
    let back_at = |id, at| {
        let mut one = product(id, &[]);
        one.product.available = false;
        one.product.available_from = Some(at);
        one
    };
    let products = vec![back_at(20, minutes(10)), back_at(21, minutes(-10))];
    let menu = Menu::new(store(), vec![], products, noon());
    let available: Vec<bool> = menu
        .products
        .iter()
        .map(|one| one.product.is_available(noon()))
        .collect();
    assert_eq!(available, [false, true]);
    assert!(menu.holds_at(minutes(9)) && menu.holds_at(minutes(-10)));
    assert!(!menu.holds_at(minutes(10)) && !menu.holds_at(minutes(-11)));
}
