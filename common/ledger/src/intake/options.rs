//! Options of order lines: what each line is sold with, at today's prices.

use std::collections::HashMap;

use super::{Line, PlaceRefused, distinct};
use domain::{
    ids::{OptionGroupId, OptionId, ProductId},
    money::Money,
    options::{Choice, MAX_OPTIONS_OF_ORDER, OptionGroup, WrongOption, choose, unit_price},
    store::Product,
};

pub(crate) type OptionGroups = HashMap<OptionGroupId, OptionGroup>;

/// A line's options, and the price of one piece with them.
#[derive(Clone, Debug)]
pub(crate) struct Sold {
    pub(crate) choice: Choice,
    pub(crate) unit_price: Money,
}

/// Reads the groups of these products, by one statement, and by none if no product has any.
pub(crate) async fn groups_of(
    tx: &mut store::Tx,
    products: impl Iterator<Item = &Product>,
) -> store::Result<OptionGroups> {
    let ids = distinct(products.flat_map(|product| product.option_group_ids.iter().copied()));
    let groups = store::option_groups::many(tx, &ids).await?;
    Ok(groups.into_iter().map(|group| (group.id, group)).collect())
}

/// Returns the options of a line of this product.
pub(crate) fn choice(
    product: &Product,
    line: &Line,
    groups: &OptionGroups,
) -> Result<Choice, Vec<WrongOption>> {
    if product.option_group_ids.is_empty() && line.options.named.is_empty() {
        return Ok(Choice::default());
    }
    let ids = &product.option_group_ids;
    let offered: Vec<&OptionGroup> = ids.iter().filter_map(|id| groups.get(id)).collect();
    choose(
        &offered,
        &line.options,
        Money::new(0, product.price.currency),
    )
}

/// Returns the products whose stock the options of a line may take; none if its options are wrong.
pub(crate) fn products_of_options(
    product: &Product,
    line: &Line,
    groups: &OptionGroups,
) -> impl Iterator<Item = ProductId> + use<> {
    let options = choice(product, line, groups).unwrap_or_default().options;
    options.into_iter().filter_map(|option| option.product_id)
}

/// Returns what each line is sold with; the refusal names everything that is wrong with any line's options.
pub(crate) fn sell<'p>(
    products: impl IntoIterator<Item = &'p Product>,
    lines: &[Line],
    groups: &OptionGroups,
) -> Result<Vec<Sold>, PlaceRefused> {
    let mut sold = Vec::with_capacity(lines.len());
    let mut wrong = Vec::new();
    for ((at, line), product) in lines.iter().enumerate().zip(products) {
        match choice(product, line, groups).and_then(|choice| {
            let unit_price = unit_price(product.price, &choice.options).map_err(|one| vec![one])?;
            Ok(Sold { choice, unit_price })
        }) {
            Ok(one) => sold.push(one),
            Err(more) => wrong.extend(more.into_iter().map(|one| (at, one))),
        }
    }
    if !wrong.is_empty() {
        return Err(PlaceRefused::WrongOptions { wrong });
    }
    let count = sold.iter().map(|one| one.choice.options.len());
    check_count(count.sum())?;
    Ok(sold)
}

/// Checks the number of different options of all items together.
pub(crate) fn check_count(options: usize) -> Result<(), PlaceRefused> {
    if options > MAX_OPTIONS_OF_ORDER {
        Err(PlaceRefused::TooManyOptions)
    } else {
        Ok(())
    }
}

/// Refuses if an option of a line is sold out.
pub(crate) fn check_available(sold: &[Sold]) -> Result<(), PlaceRefused> {
    let sold_out = sold.iter().enumerate();
    let sold_out = sold_out.filter(|(_, one)| !one.choice.unavailable.is_empty());
    let (lines, options): (Vec<usize>, Vec<Vec<OptionId>>) = sold_out
        .map(|(line, one)| (line, one.choice.unavailable.clone()))
        .unzip();
    if lines.is_empty() {
        return Ok(());
    }
    Err(PlaceRefused::OptionsUnavailable {
        lines,
        options: distinct(options.into_iter().flatten()),
    })
}
