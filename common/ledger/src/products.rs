//! Products and their stock as people change them; `orders` and `intake` take and return stock for orders.

mod details;
mod outside;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, json};

use super::{
    Change, ChangeError, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction,
    records::About,
    stores::{lock_stream, set},
};
use domain::{
    event::EventKind,
    ids::{AccountId, OptionGroupId, ProductId, StoreId},
    menu::{Allergen, Details, Diet, Image, Placement},
    money::{Currency, Money},
    order::rfc3339,
    record::{Action, Subject, difference},
    store::Product,
    translations::Translations,
};
use store::{StoreError, stock_movements::Movement};

pub use self::outside::ListedProduct;

#[derive(Clone, Debug)]
pub struct NewProduct {
    pub store_id: StoreId,
    pub sku: Option<String>,
    pub name: String,
    pub description: Option<String>,
    /// Price in the store's currency.
    pub price: Money,
    pub available: bool,
    /// Initial stock; `None` if it is not counted.
    pub stock: Option<u32>,
    /// Groups of the store, each once.
    pub option_group_ids: Vec<OptionGroupId>,
    pub details: Details,
}

/// Changes to a product; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ProductEdit {
    pub sku: Option<Option<String>>,
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub price: Option<Money>,
    /// Groups of the store, each once.
    pub option_group_ids: Option<Vec<OptionGroupId>>,
    /// Announced as `product.availability` on the store's own stream.
    pub available: Option<bool>,
    /// Time at which the product comes back by itself; only if `available` is false.
    pub until: Option<DateTime<Utc>>,
    pub categories: Option<Vec<Placement>>,
    pub image: Option<Option<Image>>,
    pub allergens: Option<BTreeSet<Allergen>>,
    pub diets: Option<BTreeSet<Diet>>,
    pub translations: Option<Translations>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductRefused {
    #[error("the product does not exist or is archived")]
    NotFound,
    #[error("the store does not exist or is archived")]
    NoSuchStore,
    #[error("another product of the store has this sku")]
    SkuTaken,
    /// Index of the group.
    #[error("the store has no such group of options, or it is named twice")]
    WrongOptionGroup { at: usize },
    #[error("the price must be in the store's currency, {store}")]
    OtherCurrency { store: Currency },
    #[error("the store does not have these categories: {indexes:?}")]
    UnknownCategories { indexes: Vec<usize> },
    #[error("the image is not the product's own")]
    UnknownImage,
    #[error("the product would be back already")]
    UntilPassed,
    #[error("it was edited meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
}

impl Refusal for ProductRefused {}

/// A change of stock by hand.
#[derive(Clone, Debug)]
pub struct StockChange {
    /// Difference in stock; the first one makes the product counted.
    pub delta: i64,
    pub reason: String,
    pub by: Option<AccountId>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockRefused {
    #[error("the product does not exist or is archived")]
    NotFound,
    #[error("insufficient stock: {quantity} left")]
    WouldBeNegative { quantity: i64 },
}

impl Refusal for StockRefused {}

/// Reason recorded for a first count.
const FIRST_COUNT: &str = "initial";

impl Ledger {
    #[crate::boxed]
    pub async fn create_product(
        &self,
        new: NewProduct,
        by: Option<AccountId>,
    ) -> ChangeResult<Product, ProductRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let new = new.clone();
            let store = store::stores::get(&mut change.tx, new.store_id)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(ProductRefused::NoSuchStore)?;
            same_currency(store.currency, new.price)?;
            lock_option_groups(change, new.store_id, &new.option_group_ids).await?;
            let product = Product {
                id: change.inner.chance.id(change.now),
                store_id: new.store_id,
                sku: new.sku,
                name: new.name,
                description: new.description,
                price: new.price,
                option_group_ids: new.option_group_ids,
                available: new.available,
                available_from: None,
                stock: new.stock.map(i64::from),
                archived_at: None,
                version: 1,
                created_at: change.now,
            };
            store::products::insert(&mut change.tx, &product)
                .await
                .map_err(sku_taken)?;
            details::create(change, &product, new.details).await?;
            if let Some(quantity) = product.stock {
                store::stock_movements::begin_count(&mut change.tx, product.id, quantity).await?;
                record_movement(change, product.id, quantity, FIRST_COUNT, by).await?;
            }
            change.menu_changed(product.store_id);
            change.record(about(&product), Action::Created, None, &product);
            change.set_resource(product.id.uuid());
            Ok(product)
        })
    }

    /// Returns a product, also an archived one.
    #[crate::boxed]
    pub async fn product(&self, id: ProductId) -> Result<Option<Product>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::products::get(&mut tx, id).await?)
    }

    /// Lists the store's products that are not archived, by id, after `after`.
    #[crate::boxed]
    pub async fn products(
        &self,
        store: StoreId,
        after: Option<ProductId>,
        limit: u32,
    ) -> Result<Vec<Product>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::products::list(&mut tx, store, after, limit).await?)
    }

    #[crate::boxed]
    pub async fn product_by_sku(&self, store: StoreId, sku: &str) -> Result<Option<Product>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::products::by_skus(&mut tx, store, &[sku])
            .await?
            .pop())
    }

    /// Edits a product; `version`, if given, must be its current one.
    #[crate::boxed]
    pub async fn edit_product(
        &self,
        id: ProductId,
        version: Option<i64>,
        edit: ProductEdit,
    ) -> ChangeResult<Product, ProductRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let mut edit = edit.clone();
            if let Some(groups) = &edit.option_group_ids {
                let product = store::products::get(&mut change.tx, id).await?;
                let store = product.ok_or(ProductRefused::NotFound)?.store_id;
                lock_option_groups(change, store, groups).await?;
            }
            let (mut product, was) = lock(change, id, version, edit.available.is_some()).await?;
            let before = product.clone();
            if let Some(price) = edit.price {
                same_currency(product.price.currency, price)?;
            }
            set(&mut product.sku, edit.sku.take());
            set(&mut product.name, edit.name.take());
            set(&mut product.description, edit.description.take());
            set(&mut product.price, edit.price.take());
            set(&mut product.option_group_ids, edit.option_group_ids.take());
            if let Some(available) = edit.available {
                if edit.until.is_some_and(|until| until <= change.now) {
                    return Err(ProductRefused::UntilPassed.into());
                }
                product.available = available;
                product.available_from = edit.until.filter(|_| !available);
            }
            let details = details::edit(change, &product, edit).await?;
            write(change, &mut product).await?;
            add_availability_event(change, &product, was);
            let mut fields = difference(Some(&before), &product);
            fields.extend(details);
            if !fields.is_empty() {
                change.record_fields(about(&product), Action::Edited, fields);
            }
            change.set_resource(id.uuid());
            Ok(product)
        })
    }

    /// Archives a product: it is no longer sold or listed, and its sku can be used again. Idempotent.
    #[crate::boxed]
    pub async fn archive_product(
        &self,
        id: ProductId,
        version: Option<i64>,
    ) -> ChangeResult<Product, ProductRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            if let Some(archived) = store::products::get(&mut change.tx, id)
                .await?
                .filter(|product| product.archived_at.is_some())
            {
                return Ok(archived);
            }
            let (mut product, was) = lock(change, id, version, true).await?;
            product.sku = None;
            product.available = false;
            product.available_from = None;
            product.archived_at = Some(change.now);
            write(change, &mut product).await?;
            add_availability_event(change, &product, was);
            change.record_fields(about(&product), Action::Archived, Map::new());
            Ok(product)
        })
    }

    #[crate::boxed]
    pub async fn change_stock(
        &self,
        id: ProductId,
        stock: StockChange,
    ) -> ChangeResult<Product, StockRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let StockChange { delta, reason, by } = &stock;
            // The lock serializes two first counts.
            let mut product = store::products::lock(&mut change.tx, id)
                .await?
                .filter(|product| product.archived_at.is_none())
                .ok_or(StockRefused::NotFound)?;
            if !store::stock_movements::apply(&mut change.tx, id, *delta).await? {
                let counted = store::stock_movements::quantity(&mut change.tx, id).await?;
                if counted.is_some() || *delta < 0 {
                    let quantity = counted.unwrap_or(0);
                    return Err(StockRefused::WouldBeNegative { quantity }.into());
                }
                store::stock_movements::begin_count(&mut change.tx, id, *delta).await?;
            }
            record_movement(change, id, *delta, reason, *by).await?;
            product.stock = store::stock_movements::quantity(&mut change.tx, id).await?;
            change.menu_changed(product.store_id);
            let moved = json!({"delta": delta, "reason": reason, "to": product.stock});
            let fields = Map::from_iter([("stock".to_owned(), moved)]);
            change.record_fields(about(&product), Action::StockChanged, fields);
            change.set_resource(id.uuid());
            Ok(product)
        })
    }
}

fn about(product: &Product) -> About<'_> {
    About {
        subject: Subject::Product,
        id: product.id.uuid(),
        stores: std::slice::from_ref(&product.store_id),
    }
}

/// Locks a product, and before it the store's stream if an event may follow; returns it and its availability.
async fn lock(
    change: &mut Change<'_>,
    id: ProductId,
    version: Option<i64>,
    with_stream: bool,
) -> ChangeResult<(Product, Availability), ProductRefused> {
    if with_stream {
        let product = store::products::get(&mut change.tx, id)
            .await?
            .ok_or(ProductRefused::NotFound)?;
        lock_stream(change, product.store_id).await?;
    }
    let product = store::products::lock(&mut change.tx, id)
        .await?
        .filter(|product| product.archived_at.is_none())
        .ok_or(ProductRefused::NotFound)?;
    let (current, was) = (product.version, availability(&product, change.now));
    if version.is_some_and(|wanted| wanted != current) {
        return Err(ProductRefused::VersionConflict { current }.into());
    }
    Ok((product, was))
}

/// Locks the groups that the product will offer, so that none of them is deleted meanwhile.
async fn lock_option_groups(
    change: &mut Change<'_>,
    store: StoreId,
    groups: &[OptionGroupId],
) -> ChangeResult<(), ProductRefused> {
    if groups.is_empty() {
        return Ok(());
    }
    let known = store::option_groups::lock(&mut change.tx, groups).await?;
    let is_wrong = |(at, group): (usize, &OptionGroupId)| {
        let is_known = known
            .iter()
            .any(|one| one.id == *group && one.store_id == store);
        !is_known || groups[..at].contains(group)
    };
    match groups.iter().enumerate().position(is_wrong) {
        Some(at) => Err(ProductRefused::WrongOptionGroup { at }.into()),
        None => Ok(()),
    }
}

pub(super) async fn write(
    change: &mut Change<'_>,
    product: &mut Product,
) -> ChangeResult<(), ProductRefused> {
    let current = product.version;
    let written = store::products::update(&mut change.tx, product, current).await;
    if !written.map_err(sku_taken)? {
        return Err(ProductRefused::VersionConflict { current }.into());
    }
    product.version += 1;
    change.menu_changed(product.store_id);
    Ok(())
}

/// An availability as screens are told of it: for sale or not, and the time at which the product comes back.
type Availability = (bool, Option<DateTime<Utc>>);

fn availability(product: &Product, now: DateTime<Utc>) -> Availability {
    (product.is_available(now), product.comes_back_at(now))
}

fn add_availability_event(change: &mut Change<'_>, product: &Product, was: Availability) {
    let is = availability(product, change.now);
    if is != was {
        let (available, back_at) = is;
        let data = json!({
            "product_id": product.id,
            "name": product.name,
            "available": available,
            "available_from": back_at.map(rfc3339),
        });
        let stream = product.store_id.into();
        change.event(stream, None, EventKind::ProductAvailability, data);
    }
}

async fn record_movement(
    change: &mut Change<'_>,
    product_id: ProductId,
    delta: i64,
    reason: &str,
    by: Option<AccountId>,
) -> store::Result<()> {
    let movement = Movement {
        id: change.inner.chance.id(change.now),
        product_id,
        delta,
        reason: reason.to_owned(),
        by,
        at: change.now,
    };
    store::stock_movements::insert(&mut change.tx, &movement).await
}

fn same_currency(store: Currency, price: Money) -> ChangeResult<(), ProductRefused> {
    if price.currency == store {
        Ok(())
    } else {
        Err(ProductRefused::OtherCurrency { store }.into())
    }
}

fn sku_taken(error: StoreError) -> ChangeError<ProductRefused> {
    match error {
        StoreError::UniqueKeyTaken => ProductRefused::SkuTaken.into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
