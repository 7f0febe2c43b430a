//! Categories: creating, editing and deleting the headings of a store's menu.

use super::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction,
    menus::MAX_CATEGORIES, records::About, stores::set,
};
use domain::{
    ids::{CategoryId, StoreId},
    menu::Category,
    record::{Action, Subject},
    translations::Translations,
};

#[derive(Clone, Debug)]
pub struct NewCategory {
    pub store_id: StoreId,
    pub name: String,
    pub description: Option<String>,
    pub position: u32,
    pub weight: u32,
    pub translations: Translations,
}

/// Changes to a category; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CategoryEdit {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub position: Option<u32>,
    pub weight: Option<u32>,
    pub translations: Option<Translations>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CategoryRefused {
    #[error("the category does not exist")]
    NotFound,
    #[error("the store does not exist or is archived")]
    NoSuchStore,
    #[error("the store already has {limit} categories")]
    TooMany { limit: u32 },
    #[error("it was edited meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
}

impl Refusal for CategoryRefused {}

impl Ledger {
    #[crate::boxed]
    pub async fn create_category(
        &self,
        new: NewCategory,
    ) -> ChangeResult<Category, CategoryRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let new = new.clone();
            store::stores::get(&mut change.tx, new.store_id)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(CategoryRefused::NoSuchStore)?;
            let limit = MAX_CATEGORIES;
            if store::categories::count(&mut change.tx, new.store_id).await? >= i64::from(limit) {
                return Err(CategoryRefused::TooMany { limit }.into());
            }
            let category = Category {
                id: change.inner.chance.id(change.now),
                store_id: new.store_id,
                name: new.name,
                description: new.description,
                position: new.position,
                weight: new.weight,
                translations: new.translations,
                version: 1,
                created_at: change.now,
            };
            store::categories::insert(&mut change.tx, &category).await?;
            change.record(about(&category), Action::Created, None, &category);
            change.menu_changed(category.store_id);
            change.set_resource(category.id.uuid());
            Ok(category)
        })
    }

    #[crate::boxed]
    pub async fn category(&self, id: CategoryId) -> Result<Option<Category>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::categories::get(&mut tx, id).await?)
    }

    /// Lists the store's categories by id, after `after`.
    #[crate::boxed]
    pub async fn categories(
        &self,
        store: StoreId,
        after: Option<CategoryId>,
        limit: u32,
    ) -> Result<Vec<Category>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::categories::list(&mut tx, store, after, limit).await?)
    }

    /// Edits a category; `version`, if given, must be its current one.
    #[crate::boxed]
    pub async fn edit_category(
        &self,
        id: CategoryId,
        version: Option<i64>,
        edit: CategoryEdit,
    ) -> ChangeResult<Category, CategoryRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let edit = edit.clone();
            let before = lock(change, id, version).await?;
            let mut category = before.clone();
            set(&mut category.name, edit.name);
            set(&mut category.description, edit.description);
            set(&mut category.position, edit.position);
            set(&mut category.weight, edit.weight);
            set(&mut category.translations, edit.translations);
            category.version += 1;
            store::categories::update(&mut change.tx, &category).await?;
            change.record(about(&category), Action::Edited, Some(&before), &category);
            change.menu_changed(category.store_id);
            change.set_resource(id.uuid());
            Ok(category)
        })
    }

    /// Deletes a category; its products stay, in their other categories or without one.
    #[crate::boxed]
    pub async fn delete_category(
        &self,
        id: CategoryId,
        version: Option<i64>,
    ) -> ChangeResult<(), CategoryRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let category = lock(change, id, version).await?;
            store::categories::delete(&mut change.tx, id).await?;
            change.record(
                about(&category),
                Action::Deleted,
                Some(&category),
                &category,
            );
            change.menu_changed(category.store_id);
            Ok(())
        })
    }
}

fn about(category: &Category) -> About<'_> {
    About {
        subject: Subject::Category,
        id: category.id.uuid(),
        stores: std::slice::from_ref(&category.store_id),
    }
}

async fn lock(
    change: &mut Change<'_>,
    id: CategoryId,
    version: Option<i64>,
) -> ChangeResult<Category, CategoryRefused> {
    let category = store::categories::lock(&mut change.tx, id)
        .await?
        .ok_or(CategoryRefused::NotFound)?;
    let current = category.version;
    if version.is_some_and(|wanted| wanted != current) {
        return Err(CategoryRefused::VersionConflict { current }.into());
    }
    Ok(category)
}
