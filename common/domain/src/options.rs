//! Options of products: which of them an item may have together, and what they add to its price.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{OptionGroupId, OptionId, ProductId, StoreId},
    money::{MAX_AMOUNT, Money},
    translations::Translations,
};

/// Maximum number of option groups of one product.
pub const MAX_GROUPS_OF_PRODUCT: usize = 20;
/// Maximum number of options in one group.
pub const MAX_OPTIONS_OF_GROUP: usize = 50;
/// Maximum number of different options of one item.
pub const MAX_OPTIONS_OF_ITEM: usize = 50;
/// Maximum number of different options of all items of one order together.
pub const MAX_OPTIONS_OF_ORDER: usize = 300;
/// Maximum quantity of one option in one piece of an item, and maximum of a group's `min` and `max`.
pub const MAX_OPTION_QUANTITY: u32 = 100;

/// Options of which an item has at least `min` and at most `max`, counted with their quantities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptionGroup {
    pub id: OptionGroupId,
    pub store_id: StoreId,
    pub name: String,
    pub min: u32,
    pub max: u32,
    /// Place among the store's groups.
    pub position: i32,
    pub options: Vec<ProductOption>,
    /// Its name in other languages.
    pub translations: Translations,
    /// Counts edits by people.
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// An option of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductOption {
    pub id: OptionId,
    pub name: String,
    /// Difference that it makes to the price of a piece, in minor units of the store's currency.
    pub price: i64,
    pub available: bool,
    /// True if it is taken when a client names no option of its group.
    pub is_default: bool,
    pub sku: Option<String>,
    /// The counted product whose stock it takes.
    pub product_id: Option<ProductId>,
    /// Its name in other languages.
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    pub translations: Translations,
}

/// An option that a client asks for. A quantity of 0 names its group without choosing anything, so that no default of
/// the group is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedOption {
    pub id: OptionId,
    pub quantity: u32,
}

/// The options that an item is asked with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedOptions {
    pub named: Vec<AskedOption>,
    /// True if they are those of an existing item: its client may have declined the defaults of optional groups.
    pub are_repeated: bool,
}

/// An option of an item, with names, sku and price as they were when it was sold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenOption {
    pub id: OptionId,
    /// Name of its group.
    pub group: String,
    pub name: String,
    pub sku: Option<String>,
    /// Price of one; may be negative.
    pub price: Money,
    /// Quantity in one piece of the item, at least 1.
    pub quantity: u32,
    pub product_id: Option<ProductId>,
    /// True if the product's stock was counted when this was taken, so that it is given back.
    pub counted: bool,
}

/// Options that fit together, and those of them that are sold out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub options: Vec<ChosenOption>,
    pub unavailable: Vec<OptionId>,
}

/// Why options do not fit together. `at` is the index of the asked option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongOption {
    #[error("the product has no such option")]
    Foreign { at: usize },
    #[error("is named twice")]
    Repeated { at: usize },
    #[error("{group}: choose at least {min}")]
    TooFew { group: String, min: u32 },
    #[error("{group}: choose at most {max}")]
    TooMany { group: String, max: u32 },
    #[error("their prices would make the item cost less than nothing")]
    BelowZero,
    #[error("the price is too large")]
    PriceTooLarge,
}

impl OptionGroup {
    /// Returns the translations of its name and of its options' names.
    pub fn translations(&self) -> impl Iterator<Item = &Translations> {
        let of_options = self.options.iter().map(|one| &one.translations);
        std::iter::once(&self.translations).chain(of_options)
    }
}

impl ChosenOption {
    /// Returns the quantity in so many pieces of the item.
    #[must_use]
    pub fn quantity_in(&self, pieces: u32) -> i64 {
        i64::from(self.quantity) * i64::from(pieces)
    }
}

/// Chooses among the groups of a product: the named options, and the defaults of each group of which none is named.
/// Whether an option is available is only reported.
///
/// # Errors
///
/// Lists everything that is wrong.
pub fn choose(
    groups: &[&OptionGroup],
    asked: &AskedOptions,
    zero: Money,
) -> Result<Choice, Vec<WrongOption>> {
    let mut wrong = Vec::new();
    let has = |group: &OptionGroup, id: OptionId| group.options.iter().any(|one| one.id == id);
    for (at, one) in asked.named.iter().enumerate() {
        if !groups.iter().any(|group| has(group, one.id)) {
            wrong.push(WrongOption::Foreign { at });
        } else if asked.named[..at].iter().any(|before| before.id == one.id) {
            wrong.push(WrongOption::Repeated { at });
        }
    }
    let mut choice = Choice::default();
    for group in groups {
        let is_named = asked.named.iter().any(|one| has(group, one.id));
        // Nobody can have declined the default of a group that must be chosen from.
        let by_default = !is_named && (group.min > 0 || !asked.are_repeated);
        let mut count: u32 = 0;
        for option in &group.options {
            let named = asked.named.iter().find(|one| one.id == option.id);
            let quantity = match named {
                Some(one) => one.quantity,
                None => u32::from(by_default && option.is_default),
            };
            if quantity == 0 {
                continue;
            }
            count = count.saturating_add(quantity);
            if !option.available {
                choice.unavailable.push(option.id);
            }
            choice.options.push(ChosenOption {
                id: option.id,
                group: group.name.clone(),
                name: option.name.clone(),
                sku: option.sku.clone(),
                price: Money::new(option.price, zero.currency),
                quantity,
                product_id: option.product_id,
                counted: false,
            });
        }
        let group_name = || group.name.clone();
        if count < group.min {
            let (group, min) = (group_name(), group.min);
            wrong.push(WrongOption::TooFew { group, min });
        } else if count > group.max {
            let (group, max) = (group_name(), group.max);
            wrong.push(WrongOption::TooMany { group, max });
        }
    }
    if wrong.is_empty() {
        Ok(choice)
    } else {
        Err(wrong)
    }
}

/// Returns the price of one piece with its options.
///
/// # Errors
///
/// The price must be neither below zero nor above [`MAX_AMOUNT`].
pub fn unit_price(base: Money, options: &[ChosenOption]) -> Result<Money, WrongOption> {
    let amount = options.iter().try_fold(base.amount, |sum, one| {
        let more = one.price.amount.checked_mul(i64::from(one.quantity))?;
        sum.checked_add(more)
    });
    match amount {
        Some(amount @ 0..=MAX_AMOUNT) => Ok(Money { amount, ..base }),
        Some(..0) => Err(WrongOption::BelowZero),
        _ => Err(WrongOption::PriceTooLarge),
    }
}

/// Returns the price of one piece without its options.
#[must_use]
pub fn base_price(unit_price: Money, options: &[ChosenOption]) -> Money {
    let more = options
        .iter()
        .map(|one| one.price.amount * i64::from(one.quantity));
    Money {
        amount: unit_price.amount - more.sum::<i64>(),
        ..unit_price
    }
}

#[cfg(test)]
mod tests;
