//! Stock of an order that is edited: the difference is taken or returned.

use super::{super::lines, EditRefused};
use crate::{
    Change, ChangeResult,
    intake::{PlaceRefused, Shortage},
};
use domain::{ids::ProductId, order::Item};

/// Takes or returns the difference in stock, all or nothing.
pub(super) async fn move_stock(
    change: &mut Change<'_>,
    before: &[Item],
    after: &mut [Item],
) -> ChangeResult<(), EditRefused> {
    let both = before.iter().chain(&*after);
    let products: Vec<ProductId> = both.flat_map(products_of).collect();
    let left = store::stock::lock(&mut change.tx, &products).await?;
    for item in &mut *after {
        let was = before.iter().find(|was| was.id == item.id);
        item.counted = match was {
            // An item that was sold uncounted stays uncounted, and so does an option.
            Some(was) if item.quantity <= was.quantity => was.counted,
            _ => left.contains_key(&item.product_id),
        };
        let quantity = item.quantity;
        for option in &mut item.options {
            let sold = was.and_then(|was| {
                let same = was
                    .options
                    .iter()
                    .find(|one| one.id == option.id && one.product_id == option.product_id)?;
                Some((same.quantity_in(was.quantity), same.counted))
            });
            option.counted = match sold {
                Some((held, counted)) if option.quantity_in(quantity) <= held => counted,
                _ => option.product_id.is_some_and(|id| left.contains_key(&id)),
            };
        }
    }
    let mut differences = lines::counted(after);
    for (product, held) in lines::counted(before) {
        *differences.entry(product).or_default() -= held;
    }
    let short: Vec<Shortage> = differences
        .iter()
        .filter_map(|(product, more)| {
            let left = left.get(product).copied().unwrap_or_default();
            let name = after.iter().find_map(|item| name_in(item, *product))?;
            (*more > left).then(|| Shortage {
                product_id: *product,
                name: name.to_owned(),
                wanted: *more,
                left,
            })
        })
        .collect();
    if !short.is_empty() {
        return Err(PlaceRefused::InsufficientStock { short }.into());
    }
    let (taken, returned) = differences
        .into_iter()
        .filter(|(_, more)| *more != 0)
        .partition(|(_, more)| *more > 0);
    store::stock::take(&mut change.tx, &taken).await?;
    let returned = std::collections::BTreeMap::into_iter(returned)
        .map(|(product, more): (ProductId, i64)| (product, -more))
        .collect();
    store::stock::give_back(&mut change.tx, &returned).await?;
    Ok(())
}

/// Returns the products whose stock an item may take.
fn products_of(item: &Item) -> impl Iterator<Item = ProductId> {
    let of_options = item.options.iter().filter_map(|option| option.product_id);
    std::iter::once(item.product_id).chain(of_options)
}

/// Returns the name under which the item sells the product: its own, or that of an option.
fn name_in(item: &Item, product: ProductId) -> Option<&str> {
    if item.product_id == product {
        return Some(&item.name);
    }
    let mut options = item.options.iter();
    let option = options.find(|option| option.product_id == Some(product));
    option.map(|option| option.name.as_str())
}
