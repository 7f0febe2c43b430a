//! Imports the products that an outside service lists (ADR 9).

use std::collections::HashMap;

use super::{ProductRefused, add_availability_event, availability, same_currency, write};
use crate::{Change, ChangeResult, CrashPoints, Ledger, in_one_transaction, stores::lock_stream};
use domain::{
    ids::{ProductId, StoreId},
    money::Money,
    store::Product,
};
use store::{
    StoreError, Tx,
    products::outside::{self, OutsideProduct},
};

/// A product as listed by the outside service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProduct {
    /// The service's id of the product, which becomes our sku.
    pub external_id: String,
    pub name: String,
    pub description: Option<String>,
    /// Price in the store's currency.
    pub price: Money,
}

impl Ledger {
    /// Makes the store's products match `listed`, which has no external id twice. An unknown product is created, or the
    /// store's own product with that sku is taken over; name, description and price follow the list; a product that is
    /// no longer listed is unavailable until it is listed again. A product that people took off sale stays off while it
    /// is listed, and an archived one stays archived. Stock is not touched. Nothing is written if nothing differs.
    #[crate::boxed]
    pub async fn import_products(
        &self,
        store: StoreId,
        listed: &[ListedProduct],
    ) -> ChangeResult<(), ProductRefused> {
        let mut listed: Vec<&ListedProduct> = listed.iter().collect();
        listed.sort_unstable_by(|a, b| a.external_id.cmp(&b.external_id));
        let mut tx = self.inner.db.read().await?;
        let known = ImportedProducts::read(&mut tx, store).await?;
        drop(tx);
        if known.matches_list(&listed) {
            return Ok(());
        }
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            // Two processes with the same list import it one after the other.
            lock_stream(change, store).await?;
            let sells_in = store::stores::get(&mut change.tx, store)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(ProductRefused::NoSuchStore)?
                .currency;
            for product in &listed {
                same_currency(sells_in, product.price)?;
            }
            let known = ImportedProducts::read(&mut change.tx, store).await?;
            import_listed(change, store, &known, &listed).await?;
            unlist_missing(change, &known, &listed).await
        })
    }
}

/// The previous list, and the products that it became.
struct ImportedProducts {
    outside: Vec<OutsideProduct>,
    products: HashMap<ProductId, Product>,
}

impl ImportedProducts {
    async fn read(tx: &mut Tx, store: StoreId) -> store::Result<Self> {
        let outside = outside::of_store(tx, store).await?;
        let ids: Vec<ProductId> = outside.iter().map(|one| one.product).collect();
        let products = store::products::many(tx, &ids).await?.into_iter();
        Ok(Self {
            outside,
            products: products.map(|product| (product.id, product)).collect(),
        })
    }

    fn get(&self, external_id: &str) -> Option<(&OutsideProduct, &Product)> {
        let sorted = &self.outside;
        let at = sorted.binary_search_by(|one| one.external_id.as_str().cmp(external_id));
        let one = &sorted[at.ok()?];
        Some((one, self.products.get(&one.product)?))
    }

    fn has(&self, product: ProductId) -> bool {
        self.outside.iter().any(|one| one.product == product)
    }

    fn matches_list(&self, listed: &[&ListedProduct]) -> bool {
        let is_known = |wanted: &&ListedProduct| {
            self.get(&wanted.external_id).is_some_and(|(one, product)| {
                one.listed && (product.archived_at.is_some() || matches_listing(product, wanted))
            })
        };
        // The same products are listed now as before.
        listed.iter().all(is_known)
            && listed.len() == self.outside.iter().filter(|one| one.listed).count()
    }
}

fn matches_listing(product: &Product, listed: &ListedProduct) -> bool {
    product.name == listed.name
        && product.description == listed.description
        && product.price == listed.price
}

async fn import_listed(
    change: &mut Change<'_>,
    store: StoreId,
    known: &ImportedProducts,
    listed: &[&ListedProduct],
) -> ChangeResult<(), ProductRefused> {
    let mut unknown = Vec::new();
    for wanted in listed {
        match known.get(&wanted.external_id) {
            None => unknown.push(*wanted),
            Some((one, product)) if !one.listed || !matches_listing(product, wanted) => {
                edit(change, one.product, wanted, !one.listed).await?;
                if !one.listed {
                    outside::set_listed(&mut change.tx, one.product, true).await?;
                }
            }
            Some(_) => {}
        }
    }
    let skus: Vec<&str> = unknown.iter().map(|new| new.external_id.as_str()).collect();
    let own = store::products::by_skus(&mut change.tx, store, &skus).await?;
    let mut rows = Vec::with_capacity(unknown.len());
    for wanted in unknown {
        let own = own
            .iter()
            .find(|own| own.sku.as_ref() == Some(&wanted.external_id));
        let product = match own {
            // People gave this sku to a product that the service knows by another id; that product keeps it.
            Some(own) if known.has(own.id) => create_listed(change, store, None, wanted).await?,
            Some(own) => {
                edit(change, own.id, wanted, false).await?;
                own.id
            }
            None => create_listed(change, store, Some(&wanted.external_id), wanted).await?,
        };
        rows.push(OutsideProduct {
            external_id: wanted.external_id.clone(),
            product,
            listed: true,
        });
    }
    Ok(outside::insert(&mut change.tx, store, &rows).await?)
}

async fn create_listed(
    change: &mut Change<'_>,
    store_id: StoreId,
    sku: Option<&String>,
    wanted: &ListedProduct,
) -> store::Result<ProductId> {
    let product = Product {
        id: change.inner.chance.id(change.now),
        store_id,
        sku: sku.cloned(),
        name: wanted.name.clone(),
        description: wanted.description.clone(),
        price: wanted.price,
        option_group_ids: Vec::new(),
        available: true,
        available_from: None,
        stock: None,
        archived_at: None,
        version: 1,
        created_at: change.now,
    };
    match store::products::insert(&mut change.tx, &product).await {
        // Somebody has just created a product with this sku: the next try takes that one over.
        Err(StoreError::UniqueKeyTaken) => Err(StoreError::LockLost(
            "the sku was taken meanwhile".to_owned(),
        )),
        made => made.map(|()| {
            change.menu_changed(store_id);
            product.id
        }),
    }
}

/// Updates a product from the list, unless it is archived.
async fn edit(
    change: &mut Change<'_>,
    id: ProductId,
    wanted: &ListedProduct,
    is_back: bool,
) -> ChangeResult<(), ProductRefused> {
    let product = store::products::lock(&mut change.tx, id).await?;
    let Some(mut product) = product.filter(|product| product.archived_at.is_none()) else {
        return Ok(());
    };
    let was = availability(&product, change.now);
    if is_back {
        product.available = true;
        product.available_from = None;
    }
    if matches_listing(&product, wanted) && availability(&product, change.now) == was {
        return Ok(());
    }
    product.name.clone_from(&wanted.name);
    product.description.clone_from(&wanted.description);
    product.price = wanted.price;
    write(change, &mut product).await?;
    add_availability_event(change, &product, was);
    Ok(())
}

async fn unlist_missing(
    change: &mut Change<'_>,
    known: &ImportedProducts,
    listed: &[&ListedProduct],
) -> ChangeResult<(), ProductRefused> {
    let is_listed = |one: &OutsideProduct| {
        let at = listed.binary_search_by(|wanted| wanted.external_id.cmp(&one.external_id));
        at.is_ok()
    };
    for gone in known
        .outside
        .iter()
        .filter(|one| one.listed && !is_listed(one))
    {
        outside::set_listed(&mut change.tx, gone.product, false).await?;
        let product = store::products::lock(&mut change.tx, gone.product).await?;
        let is_offered = |one: &Product| one.available || one.available_from.is_some();
        if let Some(mut product) = product.filter(is_offered) {
            let was = availability(&product, change.now);
            product.available = false;
            product.available_from = None;
            write(change, &mut product).await?;
            add_availability_event(change, &product, was);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
