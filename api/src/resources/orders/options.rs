//! Options of an order's items, as they are asked for and as they are shown.

use domain::options::{AskedOption, AskedOptions, ChosenOption, WrongOption};
use ledger::intake::PlaceRefused;
use poem_openapi::Object;
use serde_json::Value;
use uuid::Uuid;

use crate::http::{
    problem::{FieldError, Problem, Reason},
    scalars::PriceDifference,
};

/// An option to order an item with.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct NewItemOption {
    /// An option of one of the product's groups.
    option_id: Uuid,
    /// Quantity in one piece of the item. Default 1. With 0, nothing is chosen, and no default of its group is taken.
    #[oai(validator(maximum(value = "100")))]
    quantity: Option<u32>,
}

/// An option of an item, with the names, sku and price at the time of sale.
#[derive(Debug, Object)]
#[oai(rename = "OrderItemOption")]
pub(super) struct ItemOptionView {
    option_id: Uuid,
    /// Name of its group.
    group: String,
    name: String,
    sku: Option<String>,
    /// Price of one; may be negative. It is part of the item's `unit_price`.
    price: PriceDifference,
    /// Quantity in one piece of the item.
    quantity: u32,
}

/// An option of an item as the guests of its session see it.
#[derive(Debug, Object)]
#[oai(rename = "GuestOrderItemOption")]
pub(super) struct GuestItemOptionView {
    option_id: Uuid,
    group: String,
    name: String,
    price: PriceDifference,
    quantity: u32,
}

impl From<&ChosenOption> for ItemOptionView {
    fn from(option: &ChosenOption) -> Self {
        Self {
            option_id: option.id.uuid(),
            group: option.group.clone(),
            name: option.name.clone(),
            sku: option.sku.clone(),
            price: option.price.into(),
            quantity: option.quantity,
        }
    }
}

impl From<&ChosenOption> for GuestItemOptionView {
    fn from(option: &ChosenOption) -> Self {
        Self {
            option_id: option.id.uuid(),
            group: option.group.clone(),
            name: option.name.clone(),
            price: option.price.into(),
            quantity: option.quantity,
        }
    }
}

/// Returns the options that an item is asked with.
pub(super) fn asked(options: Vec<NewItemOption>) -> AskedOptions {
    let named = options.into_iter().map(|one| AskedOption {
        id: one.option_id.into(),
        quantity: one.quantity.unwrap_or(1),
    });
    AskedOptions {
        named: named.collect(),
        are_repeated: false,
    }
}

/// Returns the problem with the options of some items. `item` returns the pointer to an item by its index.
pub(super) fn wrong_options(
    wrong: &[(usize, WrongOption)],
    item: impl Fn(usize) -> String,
) -> Problem {
    let errors = wrong.iter().map(|(line, one)| {
        let options = format!("{}/options", item(*line));
        let pointer = match one {
            WrongOption::Foreign { at } | WrongOption::Repeated { at } => {
                format!("{options}/{at}/option_id")
            }
            _ => options,
        };
        FieldError::new(pointer, one.to_string())
    });
    Problem::invalid(errors.collect())
}

/// Returns the problem of a refusal in which the only item of the request is meant.
pub(super) fn about_the_item(refused: PlaceRefused) -> Problem {
    match refused {
        PlaceRefused::WrongOptions { wrong } => wrong_options(&wrong, |_| String::new()),
        other => other.into(),
    }
}

pub(super) fn unavailable(lines: Vec<usize>, options: &[domain::ids::OptionId]) -> Problem {
    let options: Value = options.iter().map(ToString::to_string).collect();
    Problem::new(Reason::OptionUnavailable)
        .with("items", lines.into_iter().collect::<Value>())
        .with("options", options)
}
