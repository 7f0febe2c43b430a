//! Products as an outside service lists them, brought into our own (ADR 9).

use std::collections::HashMap;

use super::{ProductRefused, same_currency, tell_availability, write};
use crate::{
    domain::{
        ids::{ProductId, StoreId},
        money::Money,
        store::Product,
    },
    ledger::{
        Change, Ledger, LedgerError, Points, Result, in_one_transaction, stores::lock_stream,
    },
    store::{
        self, Tx,
        products::outside::{self, OutsideProduct},
    },
};

/// A product as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProduct {
    /// The service's own word for it, and so our sku.
    pub external_id: String,
    pub name: String,
    pub description: Option<String>,
    /// In the store's currency.
    pub price: Money,
}

impl Ledger {
    /// Makes the store's products what is `listed` (no two of one external id). A new one is made, or the store's own
    /// product with that sku becomes it; name, description and price follow the list; one that is listed no more is not
    /// available until it is again. What people took off sale stays off while it is listed, and an archived product
    /// stays archived. Stock is not touched. Where nothing differs nothing is written.
    pub async fn bring_in_products(
        &self,
        store: StoreId,
        listed: &[ListedProduct],
    ) -> Result<(), ProductRefused> {
        let mut listed: Vec<&ListedProduct> = listed.iter().collect();
        listed.sort_unstable_by(|a, b| a.external_id.cmp(&b.external_id));
        let mut tx = self.inner.db.read().await?;
        let known = Known::read(&mut tx, store).await?;
        drop(tx);
        if known.is_like(&listed) {
            return Ok(());
        }
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            // Two processes that were told the same bring it in one after the other.
            lock_stream(&mut change, store).await?;
            let sells_in = store::stores::get(&mut change.tx, store)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(LedgerError::Refused(ProductRefused::NoSuchStore))?
                .currency;
            for product in &listed {
                same_currency(sells_in, product.price)?;
            }
            let known = Known::read(&mut change.tx, store).await?;
            bring_in(&mut change, store, &known, &listed).await?;
            take_off(&mut change, &known, &listed).await
        })
    }
}

/// What was listed before, and the products that it became.
struct Known {
    outside: Vec<OutsideProduct>,
    products: HashMap<ProductId, Product>,
}

impl Known {
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

    fn is_like(&self, listed: &[&ListedProduct]) -> bool {
        let is_known = |wanted: &&ListedProduct| {
            self.get(&wanted.external_id).is_some_and(|(one, product)| {
                one.listed && (product.archived_at.is_some() || follows(product, wanted))
            })
        };
        // All of the list are listed, and no others are.
        listed.iter().all(is_known)
            && listed.len() == self.outside.iter().filter(|one| one.listed).count()
    }
}

fn follows(product: &Product, listed: &ListedProduct) -> bool {
    product.name == listed.name
        && product.description == listed.description
        && product.price == listed.price
}

async fn bring_in(
    change: &mut Change<'_>,
    store: StoreId,
    known: &Known,
    listed: &[&ListedProduct],
) -> Result<(), ProductRefused> {
    let mut unknown = Vec::new();
    for wanted in listed {
        match known.get(&wanted.external_id) {
            None => unknown.push(*wanted),
            Some((one, product)) if !one.listed || !follows(product, wanted) => {
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
            // People gave this sku to what the service calls something else; it keeps it.
            Some(own) if known.has(own.id) => make(change, store, None, wanted).await?,
            Some(own) => {
                edit(change, own.id, wanted, false).await?;
                own.id
            }
            None => make(change, store, Some(&wanted.external_id), wanted).await?,
        };
        rows.push(OutsideProduct {
            external_id: wanted.external_id.clone(),
            product,
            listed: true,
        });
    }
    Ok(outside::insert(&mut change.tx, store, &rows).await?)
}

async fn make(
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
        available: true,
        stock: None,
        archived_at: None,
        version: 1,
        created_at: change.now,
    };
    store::products::insert(&mut change.tx, &product).await?;
    Ok(product.id)
}

/// Leaves an archived one alone.
async fn edit(
    change: &mut Change<'_>,
    id: ProductId,
    wanted: &ListedProduct,
    is_back: bool,
) -> Result<(), ProductRefused> {
    let product = store::products::lock(&mut change.tx, id).await?;
    let Some(mut product) = product.filter(|product| product.archived_at.is_none()) else {
        return Ok(());
    };
    let was_available = product.available;
    product.available |= is_back;
    if follows(&product, wanted) && product.available == was_available {
        return Ok(());
    }
    product.name.clone_from(&wanted.name);
    product.description.clone_from(&wanted.description);
    product.price = wanted.price;
    write(change, &mut product).await?;
    tell_availability(change, &product, was_available);
    Ok(())
}

async fn take_off(
    change: &mut Change<'_>,
    known: &Known,
    listed: &[&ListedProduct],
) -> Result<(), ProductRefused> {
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
        if let Some(mut product) = product.filter(|product| product.available) {
            product.available = false;
            write(change, &mut product).await?;
            tell_availability(change, &product, true);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, each_database};

    fn listed(external_id: &str, name: &str, cents: i64) -> ListedProduct {
        ListedProduct {
            external_id: external_id.to_owned(),
            name: name.to_owned(),
            description: None,
            price: Money::new(cents, "EUR".parse().unwrap()),
        }
    }

    /// Sku, name, price and whether it can be ordered, of all that the store has.
    async fn sold(house: &House, store: StoreId) -> Vec<(Option<String>, String, i64, bool)> {
        let products = house.ledger.products(store, None, 100).await.unwrap();
        let mut sold: Vec<_> = products
            .into_iter()
            .map(|product| {
                (
                    product.sku,
                    product.name,
                    product.price.amount,
                    product.available,
                )
            })
            .collect();
        sold.sort();
        sold
    }

    fn row(
        sku: &str,
        name: &str,
        cents: i64,
        available: bool,
    ) -> (Option<String>, String, i64, bool) {
        (Some(sku.to_owned()), name.to_owned(), cents, available)
    }

    each_database! {
        async fn what_is_listed_is_sold_as_listed_and_what_is_not_is_off_sale(house: House) {
            let store = house.a_store().await;
            let bring = async |list: &[ListedProduct]| house.ledger.bring_in_products(store, list).await.unwrap();
            bring(&[listed("2", "Tea", 200), listed("10", "Espresso", 180)]).await;
            assert_eq!(sold(&house, store).await, [row("10", "Espresso", 180, true), row("2", "Tea", 200, true)]);
            bring(&[listed("10", "Doppio", 250)]).await;
            assert_eq!(sold(&house, store).await, [row("10", "Doppio", 250, true), row("2", "Tea", 200, false)]);
            bring(&[listed("2", "Green tea", 210), listed("10", "Doppio", 250)]).await;
            assert_eq!(sold(&house, store).await, [row("10", "Doppio", 250, true), row("2", "Green tea", 210, true)]);
            let kinds: Vec<_> = house.woken.events().iter().map(|event| event.data["available"].clone()).collect();
            assert_eq!(kinds, [false, true]);
            bring(&[]).await;
            assert!(sold(&house, store).await.iter().all(|(.., available)| !available));
        }

        async fn an_unchanged_list_writes_nothing(house: House) {
            let store = house.a_store().await;
            let list = [listed("1", "Tea", 200), listed("2", "Espresso", 180)];
            house.ledger.bring_in_products(store, &list).await.unwrap();
            let before = house.ledger.products(store, None, 100).await.unwrap();
            house.ledger.bring_in_products(store, &list).await.unwrap();
            assert_eq!(house.ledger.products(store, None, 100).await.unwrap(), before);
            assert!(before.iter().all(|product| product.version == 1));
        }

        async fn what_people_took_off_sale_or_archived_stays_so_while_it_is_listed(house: House) {
            let store = house.a_store().await;
            let list = [listed("1", "Tea", 200), listed("2", "Espresso", 180)];
            house.ledger.bring_in_products(store, &list).await.unwrap();
            let products = house.ledger.products(store, None, 100).await.unwrap();
            let off = crate::ledger::products::ProductEdit { available: Some(false), ..Default::default() };
            house.ledger.edit_product(products[0].id, None, off).await.unwrap();
            house.ledger.archive_product(products[1].id, None).await.unwrap();
            let list = [listed("1", "Black tea", 200), listed("2", "Doppio", 180)];
            house.ledger.bring_in_products(store, &list).await.unwrap();
            house.ledger.bring_in_products(store, &list).await.unwrap();
            assert_eq!(sold(&house, store).await, [row("1", "Black tea", 200, false)]);
        }

        async fn the_stores_own_product_of_that_sku_becomes_the_listed_one(house: House) {
            let store = house.a_store().await;
            let other = house.a_product(store).await;
            let new = crate::ledger::products::NewProduct {
                store_id: store,
                sku: Some("7".to_owned()),
                name: "Cake".to_owned(),
                description: None,
                price: Money::new(300, "EUR".parse().unwrap()),
                available: true,
                stock: Some(4),
            };
            let own = house.ledger.create_product(new, None).await.unwrap();
            house.ledger.bring_in_products(store, &[listed("7", "Carrot cake", 320)]).await.unwrap();
            let became = house.ledger.product(own.id).await.unwrap().unwrap();
            assert_eq!((became.name.as_str(), became.stock), ("Carrot cake", Some(4)));
            // What was never listed stays on sale.
            assert!(house.ledger.product(other).await.unwrap().unwrap().available);
        }

        async fn a_sku_that_people_gave_to_another_listed_product_stays_with_it(house: House) {
            let store = house.a_store().await;
            house.ledger.bring_in_products(store, &[listed("1", "Tea", 200)]).await.unwrap();
            let tea = house.ledger.products(store, None, 100).await.unwrap().remove(0);
            let edit = crate::ledger::products::ProductEdit { sku: Some(Some("2".to_owned())), ..Default::default() };
            house.ledger.edit_product(tea.id, None, edit).await.unwrap();
            let list = [listed("1", "Tea", 200), listed("2", "Espresso", 180)];
            for _ in 0..2 {
                house.ledger.bring_in_products(store, &list).await.unwrap();
                let espresso = (None, "Espresso".to_owned(), 180, true);
                assert_eq!(sold(&house, store).await, [espresso, row("2", "Tea", 200, true)]);
            }
        }

        async fn ten_who_bring_in_the_same_make_it_once(house: House) {
            let store = house.a_store().await;
            let list: Vec<_> = (0..40).map(|n| listed(&n.to_string(), "Thing", 100 + n)).collect();
            let brought = (0..10).map(|_| {
                let (ledger, list) = (house.ledger.clone(), list.clone());
                tokio::spawn(async move { ledger.bring_in_products(store, &list).await.unwrap() })
            });
            for done in futures_util::future::join_all(brought).await {
                done.unwrap();
            }
            assert_eq!(sold(&house, store).await.len(), 40);
            assert_eq!(house.ledger.audit().await.unwrap(), []);
        }

        async fn prices_in_another_currency_are_refused(house: House) {
            let store = house.a_store().await;
            let list = [ListedProduct { price: Money::new(1, "USD".parse().unwrap()), ..listed("1", "Tea", 1) }];
            let refused = house.ledger.bring_in_products(store, &list).await;
            assert!(matches!(refused, Err(LedgerError::Refused(ProductRefused::OtherCurrency { .. }))), "{refused:?}");
        }
    }
}
