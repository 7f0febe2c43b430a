//! Order lines: the products that a store sells today, at today's prices.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::intake::{Line, PlaceRefused, ProductRef};
use domain::{
    ids::{ProductId, StoreId},
    order::Item,
    store::Product,
};
use platform::chance::Chance;
use store::Tx;

/// The products of some lines, one per line.
pub(super) struct LineProducts {
    products: Vec<Product>,
}

/// Finds the product of each line; the refusal names every line without one.
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
    let lines = indices(found.iter().map(Option::is_none));
    Ok(if lines.is_empty() {
        {
            let products = found.into_iter().flatten().cloned().collect();
            Ok(LineProducts { products })
        }
    } else {
        Err(PlaceRefused::UnknownProducts { lines })
    })
}

impl LineProducts {
    /// Checks that every product can be ordered now; the refusal names the lines of those that can't.
    pub(super) fn check_available(&self, now: DateTime<Utc>) -> Result<(), PlaceRefused> {
        let wrong = |product: &Product| !product.is_available(now);
        let lines = indices(self.products.iter().map(wrong));
        if lines.is_empty() {
            Ok(())
        } else {
            Err(PlaceRefused::Unavailable { lines })
        }
    }

    /// Returns new items; it is not known yet which of them are counted.
    pub(super) fn items(self, lines: &[Line], chance: &Chance, now: DateTime<Utc>) -> Vec<Item> {
        let items = self.products.into_iter().zip(lines);
        items
            .map(|(product, line)| Item {
                id: chance.id(now),
                product_id: product.id,
                sku: product.sku,
                name: product.name,
                quantity: line.quantity,
                unit_price: product.price,
                note: line.note.clone(),
                counted: false,
            })
            .collect()
    }
}

/// Sums the quantities of each counted product over all lines.
pub(super) fn counted(items: &[Item]) -> BTreeMap<ProductId, i64> {
    let mut counted = BTreeMap::new();
    for item in items.iter().filter(|item| item.counted) {
        *counted.entry(item.product_id).or_default() += i64::from(item.quantity);
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
