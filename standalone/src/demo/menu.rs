//! The menu, hours and capacity of the demonstration's store: a small pizzeria.

use std::collections::BTreeMap;

use domain::{
    capacity::{BusyRule, Capacity, CapacityRule},
    ids::{CategoryId, OptionGroupId, StoreId},
    menu::{Allergen, Details, Diet, Placement},
    money::Money,
    opening::{Day, Hours, Span, Weekly},
    order::Fulfilment,
    translations::{Texts, Translations},
};
use ledger::{
    ChangeError, Ledger,
    categories::NewCategory,
    option_groups::{NewOption, NewOptionGroup},
    products::{NewProduct, ProductRefused},
    stores::RulesEdit,
};

pub(super) const CURRENCY: &str = "EUR";
/// Page size for lists; the store has fewer categories and groups of options.
const PAGE: u32 = 100;

struct Dish {
    sku: &'static str,
    name: &'static str,
    german: &'static str,
    /// Price in cents.
    price: i64,
    /// `None` if it is not counted.
    stock: Option<u32>,
    category: &'static str,
    allergens: &'static [Allergen],
    diets: &'static [Diet],
    choices: &'static [&'static str],
}

/// Name, name in German, and units of kitchen capacity that one piece takes.
const CATEGORIES: &[(&str, &str, u32)] = &[
    ("Pizza", "Pizza", 2),
    ("Kitchen", "Küche", 1),
    ("Drinks", "Getränke", 0),
    ("Sweets", "Süßes", 0),
];

/// Name in English and German, fewest and most options; then each option's names, price in cents, and true if it is the
/// default.
type Choices = (Names, u32, u32, &'static [(Names, i64, bool)]);
type Names = (&'static str, &'static str);

const CHOICES: &[Choices] = &[
    (
        ("Size", "Größe"),
        1,
        1,
        &[
            (("Small", "Klein"), -200, false),
            (("Medium", "Mittel"), 0, true),
            (("Large", "Groß"), 300, false),
        ],
    ),
    (
        ("Toppings", "Belag"),
        0,
        4,
        &[
            (("Mushrooms", "Champignons"), 120, false),
            (("Olives", "Oliven"), 100, false),
            (("Ham", "Schinken"), 180, false),
            (("Extra cheese", "Extra Käse"), 150, false),
        ],
    ),
    (
        ("Milk", "Milch"),
        1,
        1,
        &[
            (("Whole milk", "Vollmilch"), 0, true),
            (("Oat milk", "Hafermilch"), 50, false),
        ],
    ),
];

const PIZZA: &[&str] = &["Size", "Toppings"];
const DOUGH: &[Allergen] = &[Allergen::Gluten, Allergen::Milk];

const fn dish(
    sku: &'static str,
    (name, german): (&'static str, &'static str),
    price: i64,
    category: &'static str,
) -> Dish {
    Dish {
        sku,
        name,
        german,
        price,
        stock: None,
        category,
        allergens: &[],
        diets: &[],
        choices: &[],
    }
}

const MENU: &[Dish] = &[
    Dish {
        allergens: DOUGH,
        diets: &[Diet::Vegetarian],
        choices: PIZZA,
        ..dish("MAR", ("Margherita", "Margherita"), 890, "Pizza")
    },
    Dish {
        allergens: DOUGH,
        choices: PIZZA,
        ..dish("DIA", ("Diavola", "Diavola"), 1090, "Pizza")
    },
    Dish {
        allergens: &[Allergen::Gluten],
        diets: &[Diet::Vegan],
        choices: PIZZA,
        ..dish("MRN", ("Marinara", "Marinara"), 790, "Pizza")
    },
    Dish {
        allergens: &[Allergen::Fish, Allergen::Gluten],
        ..dish("FIS", ("Fish sandwich", "Fischbrötchen"), 890, "Kitchen")
    },
    Dish {
        diets: &[Diet::Vegan],
        ..dish("SOU", ("Soup of the day", "Tagessuppe"), 650, "Kitchen")
    },
    dish("ESP", ("Espresso", "Espresso"), 250, "Drinks"),
    Dish {
        allergens: &[Allergen::Milk],
        choices: &["Milk"],
        ..dish("FLW", ("Flat white", "Flat White"), 380, "Drinks")
    },
    dish("LEM", ("Lemonade", "Limonade"), 420, "Drinks"),
    Dish {
        stock: Some(24),
        allergens: &[Allergen::Gluten, Allergen::Eggs],
        ..dish("CIN", ("Cinnamon bun", "Zimtschnecke"), 340, "Sweets")
    },
];

/// Makes the categories, groups of options and products that are missing, and sets hours and capacity.
pub(super) async fn make(ledger: &Ledger, store: StoreId) -> anyhow::Result<()> {
    let categories = categories(ledger, store).await?;
    let groups = groups(ledger, store).await?;
    for (position, dish) in (0..).zip(MENU) {
        let place = Placement {
            category_id: categories[dish.category],
            position,
        };
        let new = NewProduct {
            store_id: store,
            sku: Some(dish.sku.to_owned()),
            name: dish.name.to_owned(),
            description: None,
            price: euros(dish.price)?,
            available: true,
            stock: dish.stock,
            option_group_ids: dish.choices.iter().map(|name| groups[name]).collect(),
            details: Details {
                categories: vec![place],
                image: None,
                allergens: dish.allergens.iter().copied().collect(),
                diets: dish.diets.iter().copied().collect(),
                translations: german(dish.german)?,
            },
        };
        match ledger.create_product(new, None).await {
            Ok(_) | Err(ChangeError::Refused(ProductRefused::SkuTaken)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for edit in [RulesEdit::Hours(hours()?), RulesEdit::Capacity(capacity())] {
        ledger.edit_store_rules(store, edit).await?;
    }
    Ok(())
}

async fn categories(
    ledger: &Ledger,
    store: StoreId,
) -> anyhow::Result<BTreeMap<&'static str, CategoryId>> {
    let known = ledger.categories(store, None, PAGE).await?;
    let mut ids = BTreeMap::new();
    for (position, (name, german_name, weight)) in (0..).zip(CATEGORIES) {
        let id = match known.iter().find(|category| category.name == *name) {
            Some(category) => category.id,
            None => {
                let new = NewCategory {
                    store_id: store,
                    name: (*name).to_owned(),
                    description: None,
                    position,
                    weight: *weight,
                    translations: german(german_name)?,
                };
                ledger.create_category(new).await?.id
            }
        };
        ids.insert(*name, id);
    }
    Ok(ids)
}

async fn groups(
    ledger: &Ledger,
    store: StoreId,
) -> anyhow::Result<BTreeMap<&'static str, OptionGroupId>> {
    let known = ledger.option_groups(store, None, PAGE).await?;
    let mut ids = BTreeMap::new();
    for (position, ((name, german_name), min, max, options)) in (0..).zip(CHOICES) {
        let id = match known.iter().find(|group| group.name == *name) {
            Some(group) => group.id,
            None => {
                let options = options
                    .iter()
                    .map(|((name, german_name), price, is_default)| {
                        Ok(NewOption {
                            id: None,
                            name: (*name).to_owned(),
                            price: euros(*price)?,
                            available: true,
                            is_default: *is_default,
                            sku: None,
                            product_id: None,
                            translations: Some(german(german_name)?),
                        })
                    });
                let new = NewOptionGroup {
                    store_id: store,
                    name: (*name).to_owned(),
                    min: *min,
                    max: *max,
                    position,
                    options: options.collect::<anyhow::Result<_>>()?,
                    translations: german(german_name)?,
                };
                ledger.create_option_group(new).await?.id
            }
        };
        ids.insert(*name, id);
    }
    Ok(ids)
}

/// Returns hours in which a table and pickup are always served, so that whoever tries it at night is too; delivery is
/// by day.
fn hours() -> anyhow::Result<Hours> {
    let span = |from: &str, to: &str, fulfilments: &[Fulfilment]| {
        anyhow::Ok(Weekly {
            days: Day::ALL.to_vec(),
            span: Span {
                from: from.parse()?,
                to: to.parse()?,
            },
            fulfilments: Some(fulfilments.to_vec()),
        })
    };
    Ok(Hours {
        weekly: vec![
            span("00:00", "00:00", &[Fulfilment::Table, Fulfilment::Pickup])?,
            span("11:00", "23:00", &[Fulfilment::Delivery])?,
        ],
        exceptions: Vec::new(),
    })
}

/// Returns the oven's limit: seven orders to take away in a quarter of an hour.
fn capacity() -> Capacity {
    Capacity {
        rules: vec![CapacityRule {
            fulfilments: Some(vec![Fulfilment::Pickup, Fulfilment::Delivery]),
            minutes: 15,
            orders: Some(7),
            items: None,
            weight: None,
        }],
        busy: BusyRule {
            open_orders: Some(30),
            adds_minutes: 15,
        },
    }
}

fn german(name: &str) -> anyhow::Result<Translations> {
    let texts = Texts {
        name: Some(name.to_owned()),
        description: None,
    };
    Ok(Translations(BTreeMap::from([("de".parse()?, texts)])))
}

fn euros(cents: i64) -> anyhow::Result<Money> {
    Ok(Money::new(cents, CURRENCY.parse()?))
}
