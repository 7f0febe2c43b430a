//! Order lines: the products that a store sells today, at today's prices.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::intake::{
    Line, OptionGroups, PlaceRefused, ProductRef, Sold, check_available, groups_of, sell,
};
use domain::{
    ids::{OptionId, ProductId, StoreId},
    options::ChosenOption,
    order::Item,
    store::Product,
};
use platform::chance::Chance;
use store::Tx;

/// The products of some lines, and what they are sold with, one per line.
pub(super) struct LineProducts {
    products: Vec<Product>,
    sold: Vec<Sold>,
}

/// Finds the product of each line; the refusal names every line without one, or every wrong option.
pub(super) async fn find(
    tx: &mut Tx,
    store: StoreId,
    lines: &[Line],
) -> store::Result<Result<LineProducts, PlaceRefused>> {
    let mut ids: Vec<ProductId> = Vec::new();
    let mut skus: Vec<&str> = Vec::new();
    for line in lines {
        match &line.product {
            ProductRef::Id(id) => ids.push(*id),
            ProductRef::Sku(sku) => skus.push(sku),
        }
    }
    let mut known: HashMap<ProductRef, Product> = HashMap::new();
    for product in store::products::many(tx, &ids).await? {
        known.insert(ProductRef::Id(product.id), product);
    }
    for product in store::products::by_skus(tx, store, &skus).await? {
        if let Some(sku) = &product.sku {
            known.insert(ProductRef::Sku(sku.clone()), product);
        }
    }
    known.retain(|_, product| product.store_id == store && product.archived_at.is_none());
    let found: Vec<Option<&Product>> = lines.iter().map(|line| known.get(&line.product)).collect();
    let unknown = indices(found.iter().map(Option::is_none));
    if !unknown.is_empty() {
        return Ok(Err(PlaceRefused::UnknownProducts { lines: unknown }));
    }
    let products: Vec<Product> = found.into_iter().flatten().cloned().collect();
    let groups = groups_of(tx, products.iter()).await?;
    Ok(sell(&products, lines, &groups).map(|sold| LineProducts { products, sold }))
}

/// Returns a product with its groups of options, if the store still sells it.
pub(super) async fn find_sold(
    tx: &mut Tx,
    store: StoreId,
    product: ProductId,
) -> store::Result<Option<(Product, OptionGroups)>> {
    let product = store::products::get(tx, product).await?;
    let is_sold = |one: &Product| one.store_id == store && one.archived_at.is_none();
    let Some(product) = product.filter(is_sold) else {
        return Ok(None);
    };
    let groups = groups_of(tx, std::iter::once(&product)).await?;
    Ok(Some((product, groups)))
}

/// Returns true if more pieces of an item can be sold: the product is available, and so is each of its options.
pub(super) fn is_still_sold(
    product: &Product,
    groups: &OptionGroups,
    options: &[ChosenOption],
    now: DateTime<Utc>,
) -> bool {
    let offered = product.option_group_ids.iter();
    let available: Vec<OptionId> = offered
        .filter_map(|id| groups.get(id))
        .flat_map(|group| &group.options)
        .filter(|option| option.available)
        .map(|option| option.id)
        .collect();
    product.is_available(now) && options.iter().all(|one| available.contains(&one.id))
}

impl LineProducts {
    /// Checks that every product can be ordered now; the refusal names the lines of those that can't.
    pub(super) fn check_available(&self, now: DateTime<Utc>) -> Result<(), PlaceRefused> {
        let wrong = |product: &Product| !product.is_available(now);
        let lines = indices(self.products.iter().map(wrong));
        if !lines.is_empty() {
            return Err(PlaceRefused::Unavailable { lines });
        }
        check_available(&self.sold)
    }

    /// Returns new items; it is not known yet which of them are counted.
    pub(super) fn items(self, lines: &[Line], chance: &Chance, now: DateTime<Utc>) -> Vec<Item> {
        let items = self.products.into_iter().zip(self.sold).zip(lines);
        items
            .map(|((product, sold), line)| Item {
                id: chance.id(now),
                product_id: product.id,
                sku: product.sku,
                name: product.name,
                quantity: line.quantity,
                unit_price: sold.unit_price,
                options: sold.choice.options,
                note: line.note.clone(),
                counted: false,
            })
            .collect()
    }
}

/// Sums the quantities of each counted product over all lines.
pub(super) fn counted(items: &[Item]) -> BTreeMap<ProductId, i64> {
    let mut counted = BTreeMap::new();
    for (product, quantity) in items.iter().flat_map(Item::takes) {
        *counted.entry(product).or_default() += quantity;
    }
    counted
}

fn indices(wrong: impl Iterator<Item = bool>) -> Vec<usize> {
    wrong
        .enumerate()
        .filter(|(_, wrong)| *wrong)
        .map(|(line, _)| line)
        .collect()
}
