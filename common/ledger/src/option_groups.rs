//! Groups of options, which several products of a store may offer.

use super::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction, records::About,
    stores::set,
};
use domain::{
    ids::{OptionGroupId, OptionId, ProductId, StoreId},
    money::{Currency, Money},
    options::{OptionGroup, ProductOption},
    record::{Action, Subject},
    translations::Translations,
};

/// Maximum number of groups of one store, so that its menu stays bounded.
pub const MAX_GROUPS_OF_STORE: u32 = 500;

#[derive(Clone, Debug)]
pub struct NewOptionGroup {
    pub store_id: StoreId,
    pub name: String,
    pub min: u32,
    pub max: u32,
    pub position: i32,
    pub options: Vec<NewOption>,
    pub translations: Translations,
}

/// An option as people write it.
#[derive(Clone, Debug)]
pub struct NewOption {
    /// Id of the option of the group that this is; `None` for a new one.
    pub id: Option<OptionId>,
    pub name: String,
    /// Difference in price, in the store's currency.
    pub price: Money,
    pub available: bool,
    pub is_default: bool,
    pub sku: Option<String>,
    pub product_id: Option<ProductId>,
    /// `None` keeps those of an option that the group has.
    pub translations: Option<Translations>,
}

/// Changes to a group; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct OptionGroupEdit {
    pub name: Option<String>,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub position: Option<i32>,
    /// All options; those that are missing are removed.
    pub options: Option<Vec<NewOption>>,
    pub translations: Option<Translations>,
    /// Refuses an edit that changes more than which options are available.
    pub is_availability_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionGroupRefused {
    #[error("the group of options does not exist")]
    NotFound,
    #[error("the store does not exist or is archived")]
    NoSuchStore,
    #[error("the store has {MAX_GROUPS_OF_STORE} groups of options, which is the limit")]
    TooManyGroups,
    #[error("only the availability of options may be changed")]
    ChangesMore,
    #[error("some fields are wrong")]
    Wrong(Vec<WrongField>),
    #[error("it was edited meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
}

/// A field that does not fit the others, the store or its products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// JSON pointer to the field.
    pub pointer: String,
    pub detail: String,
}

impl Refusal for OptionGroupRefused {}

impl Ledger {
    #[crate::boxed]
    pub async fn create_option_group(
        &self,
        new: NewOptionGroup,
    ) -> ChangeResult<OptionGroup, OptionGroupRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let store = store::stores::get(&mut change.tx, new.store_id)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(OptionGroupRefused::NoSuchStore)?;
            let count = store::option_groups::count(&mut change.tx, store.id).await?;
            if count >= i64::from(MAX_GROUPS_OF_STORE) {
                return Err(OptionGroupRefused::TooManyGroups.into());
            }
            let mut group = OptionGroup {
                id: change.inner.chance.id(change.now),
                store_id: store.id,
                name: new.name.clone(),
                min: new.min,
                max: new.max,
                position: new.position,
                options: Vec::new(),
                translations: new.translations.clone(),
                version: 1,
                created_at: change.now,
            };
            group.options = options(change, store.currency, &group, &new.options).await?;
            check_bounds(&group)?;
            store::option_groups::insert(&mut change.tx, &group).await?;
            change.record(about(&group), Action::Created, None, &group);
            change.set_resource(group.id.uuid());
            Ok(group)
        })
    }

    #[crate::boxed]
    pub async fn option_group(&self, id: OptionGroupId) -> Result<Option<OptionGroup>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::option_groups::many(&mut tx, &[id]).await?.pop())
    }

    /// Lists the store's groups by id, after `after`.
    #[crate::boxed]
    pub async fn option_groups(
        &self,
        store: StoreId,
        after: Option<OptionGroupId>,
        limit: u32,
    ) -> Result<Vec<OptionGroup>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::option_groups::list(&mut tx, store, after, limit).await?)
    }

    /// Edits a group; `version`, if given, must be its current one. Placed orders keep their options and prices.
    #[crate::boxed]
    pub async fn edit_option_group(
        &self,
        id: OptionGroupId,
        version: Option<i64>,
        edit: OptionGroupEdit,
    ) -> ChangeResult<OptionGroup, OptionGroupRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let before = lock(change, id, version).await?;
            change.set_resource(id.uuid());
            change.menu_changed(before.store_id);
            let store = store::stores::get(&mut change.tx, before.store_id).await?;
            let currency = store.ok_or(OptionGroupRefused::NoSuchStore)?.currency;
            let (mut group, edit) = (before.clone(), edit.clone());
            set(&mut group.name, edit.name);
            set(&mut group.min, edit.min);
            set(&mut group.max, edit.max);
            set(&mut group.position, edit.position);
            set(&mut group.translations, edit.translations);
            if let Some(new) = &edit.options {
                group.options = options(change, currency, &before, new).await?;
            }
            if edit.is_availability_only && !differs_in_availability_only(&before, &group) {
                return Err(OptionGroupRefused::ChangesMore.into());
            }
            check_bounds(&group)?;
            if group == before {
                return Ok(group);
            }
            group.version += 1;
            store::option_groups::update(&mut change.tx, &group).await?;
            change.record(about(&group), Action::Edited, Some(&before), &group);
            Ok(group)
        })
    }

    /// Deletes a group, which its products then offer no more. Orders keep what was chosen from it.
    #[crate::boxed]
    pub async fn delete_option_group(
        &self,
        id: OptionGroupId,
        version: Option<i64>,
    ) -> ChangeResult<(), OptionGroupRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let group = lock(change, id, version).await?;
            let tx = &mut change.tx;
            let products = store::option_groups::products(tx, group.store_id, id).await?;
            for product in products {
                let product = store::products::lock(&mut change.tx, product).await?;
                let Some(mut product) = product else { continue };
                product.option_group_ids.retain(|one| *one != id);
                let version = product.version;
                store::products::update(&mut change.tx, &product, version).await?;
            }
            store::option_groups::delete(&mut change.tx, id).await?;
            change.record(about(&group), Action::Deleted, Some(&group), &group);
            change.menu_changed(group.store_id);
            Ok(())
        })
    }
}

fn about(group: &OptionGroup) -> About<'_> {
    About {
        subject: Subject::OptionGroup,
        id: group.id.uuid(),
        stores: std::slice::from_ref(&group.store_id),
    }
}

async fn lock(
    change: &mut Change<'_>,
    id: OptionGroupId,
    version: Option<i64>,
) -> ChangeResult<OptionGroup, OptionGroupRefused> {
    let mut locked = store::option_groups::lock(&mut change.tx, &[id]).await?;
    let group = locked.pop().ok_or(OptionGroupRefused::NotFound)?;
    let current = group.version;
    if version.is_some_and(|wanted| wanted != current) {
        return Err(OptionGroupRefused::VersionConflict { current }.into());
    }
    Ok(group)
}

/// Returns the new options of a group. Those with an id are options that it has; the others get one.
async fn options(
    change: &mut Change<'_>,
    currency: Currency,
    group: &OptionGroup,
    new: &[NewOption],
) -> ChangeResult<Vec<ProductOption>, OptionGroupRefused> {
    let products: Vec<ProductId> = new.iter().filter_map(|one| one.product_id).collect();
    let products = store::products::many(&mut change.tx, &products).await?;
    let is_sold = |id: ProductId| {
        products
            .iter()
            .any(|one| one.id == id && one.store_id == group.store_id && one.archived_at.is_none())
    };
    // An option keeps its product although that was archived since.
    let had = |id: Option<OptionId>, product: ProductId| {
        group
            .options
            .iter()
            .any(|one| Some(one.id) == id && one.product_id == Some(product))
    };
    let mut wrong = Vec::new();
    for (at, one) in new.iter().enumerate() {
        let mut is_wrong = |field: &str, detail: String| {
            let pointer = format!("/options/{at}/{field}");
            wrong.push(WrongField { pointer, detail });
        };
        if let Some(id) = one.id {
            if !group.options.iter().any(|known| known.id == id) {
                is_wrong("id", "the group has no such option".to_owned());
            } else if new[..at].iter().any(|before| before.id == one.id) {
                is_wrong("id", "is named twice".to_owned());
            }
        }
        if one.price.currency != currency {
            is_wrong(
                "price/currency",
                format!("must be the store's currency, {currency}"),
            );
        }
        if let Some(product) = one.product_id
            && !is_sold(product)
            && !had(one.id, product)
        {
            is_wrong("product_id", "the store has no such product".to_owned());
        }
    }
    if !wrong.is_empty() {
        return Err(OptionGroupRefused::Wrong(wrong).into());
    }
    let known = |one: &NewOption| {
        let known = group.options.iter().find(|known| Some(known.id) == one.id);
        known.map(|known| known.translations.clone())
    };
    let options = new.iter().map(|one| ProductOption {
        id: one.id.unwrap_or_else(|| change.inner.chance.id(change.now)),
        name: one.name.clone(),
        price: one.price.amount,
        available: one.available,
        is_default: one.is_default,
        sku: one.sku.clone(),
        product_id: one.product_id,
        translations: one
            .translations
            .clone()
            .or_else(|| known(one))
            .unwrap_or_default(),
    });
    Ok(options.collect())
}

/// Refuses bounds that nobody can keep.
fn check_bounds(group: &OptionGroup) -> std::result::Result<(), OptionGroupRefused> {
    let wrong = |pointer: &str, detail: String| {
        let pointer = pointer.to_owned();
        Err(OptionGroupRefused::Wrong(vec![WrongField {
            pointer,
            detail,
        }]))
    };
    if group.min > group.max {
        return wrong("/min", format!("must be at most max, {}", group.max));
    }
    if group.options.is_empty() && group.min > 0 {
        return wrong("/options", "must not be empty".to_owned());
    }
    let defaults = group.options.iter().filter(|one| one.is_default).count();
    if defaults > group.max as usize {
        let detail = format!("has {defaults} defaults, more than max, {}", group.max);
        return wrong("/options", detail);
    }
    Ok(())
}

fn differs_in_availability_only(before: &OptionGroup, after: &OptionGroup) -> bool {
    let mut same = after.clone();
    if same.options.len() != before.options.len() {
        return false;
    }
    for (one, was) in same.options.iter_mut().zip(&before.options) {
        one.available = was.available;
    }
    same == *before
}

#[cfg(test)]
mod tests;
