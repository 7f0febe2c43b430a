//! `/categories`: the headings of stores' menus.

use domain::{ids::CategoryId, menu::Category};
use ledger::categories::{CategoryEdit, CategoryRefused, NewCategory};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        etag::{IfMatch, IfNoneMatch, version_conflict},
        idempotency::{IdempotencyKey, once, once_tagged},
        merge_patch::{RequiredFields, said},
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Created, Done, Fresh, Tagged},
        scalars::Time,
    },
    resources::{
        menu::texts::{self, TranslationsBody},
        stores::rights::get_visible,
    },
    state::ApiState,
};

pub(crate) struct Categories(pub(crate) ApiState);

/// A heading of a store's menu.
#[derive(Debug, Object)]
#[oai(rename = "Category")]
struct CategoryView {
    id: Uuid,
    store_id: Uuid,
    name: String,
    description: Option<String>,
    /// Categories are read by position, and those at the same one in the order of their creation.
    position: u32,
    /// Units of kitchen capacity that one piece of a product takes; of several categories, the largest counts.
    weight: u32,
    /// Names and descriptions in other languages than the store's.
    translations: TranslationsBody,
    version: i64,
    created_at: Time,
}

#[derive(Debug, Object)]
#[oai(rename = "NewCategory")]
struct NewCategoryBody {
    store_id: Uuid,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    #[oai(validator(max_length = 2000))]
    description: Option<String>,
    /// Default 0.
    #[oai(validator(maximum(value = "1000000")))]
    position: Option<u32>,
    /// Default 1.
    #[oai(validator(maximum(value = "1000")))]
    weight: Option<u32>,
    /// Names and descriptions in other languages than the store's, by language tag; at most 20.
    translations: Option<TranslationsBody>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` clears a nullable field and is refused for any other.
#[derive(Debug, Object)]
struct CategoryPatch {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: MaybeUndefined<String>,
    #[oai(validator(max_length = 2000))]
    description: MaybeUndefined<String>,
    #[oai(validator(maximum(value = "1000000")))]
    position: MaybeUndefined<u32>,
    #[oai(validator(maximum(value = "1000")))]
    weight: MaybeUndefined<u32>,
    /// All translations, in place of those that there are, by language tag; at most 20.
    translations: MaybeUndefined<TranslationsBody>,
}

#[OpenApi(tag = "Topic::Products")]
impl Categories {
    /// List a store's categories
    ///
    /// Oldest first; `GET /stores/{id}/menu` has them in the order in which people read them. Operators and customers
    /// see any store's categories, managers and staff those of their own stores.
    #[oai(path = "/categories", method = "get", operation_id = "list_categories")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        cursor: Cursor<CategoryId>,
        limit: Limit,
    ) -> Result<Json<Page<CategoryView>>, Problem> {
        let store = get_visible(&self.0, &caller, store_id.into()).await?.id;
        let ledger = &self.0.ledger;
        let categories = ledger.categories(store, cursor.0, limit.0 + 1).await?;
        Ok(Json(Page::of(
            categories,
            limit,
            |category| category.id.uuid(),
            CategoryView::from,
        )))
    }

    /// Create a category
    ///
    /// A store has at most 500. `PATCH /products/{id}` puts products into it.
    #[oai(
        path = "/categories",
        method = "post",
        operation_id = "create_category"
    )]
    async fn create(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewCategoryBody>,
    ) -> Result<Created<CategoryView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        caller.must_manage(new.store_id.into())?;
        let new = new.into_new()?;
        let (category, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.create_category(new).await,
            async |id| self.get_visible(&caller, id.into()).await,
        )
        .await?;
        let location = format!("/api/v1/categories/{}", category.id);
        Ok(Answer::of(category.into()).at(location).replayed(replayed))
    }

    /// Get a category
    #[oai(
        path = "/categories/:id",
        method = "get",
        operation_id = "get_category"
    )]
    async fn get(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<CategoryView>, Problem> {
        let category = self.get_visible(&caller, id.into()).await?;
        Ok(if_none_match.answer(category.into()))
    }

    /// Edit a category
    #[oai(
        path = "/categories/:id",
        method = "patch",
        operation_id = "edit_category"
    )]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        Checked(patch): Checked<CategoryPatch>,
    ) -> Result<Tagged<CategoryView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let category = self.get_visible(&caller, id.into()).await?;
        caller.must_manage(category.store_id)?;
        let edit = patch.into_edit()?;
        let (id, version) = (category.id, category.version);
        let version = if_match.expected_version(&CategoryView::from(category), version);
        once_tagged(
            &self.0,
            key,
            async |ledger| ledger.edit_category(id, version, edit).await,
            async |id| self.get_visible(&caller, id.into()).await,
        )
        .await
    }

    /// Delete a category
    ///
    /// Its products stay, in their other categories or without one.
    #[oai(
        path = "/categories/:id",
        method = "delete",
        operation_id = "delete_category"
    )]
    async fn delete(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Done, Problem> {
        let category = self.get_visible(&caller, id.into()).await?;
        caller.must_manage(category.store_id)?;
        let (id, version) = (category.id, category.version);
        let version = if_match.match_version(&CategoryView::from(category), version)?;
        self.0.ledger.delete_category(id, version).await?;
        Ok(Answer::empty())
    }
}

impl Categories {
    /// Returns the category if the caller may see its store. Otherwise returns 404.
    async fn get_visible(&self, caller: &Caller, id: CategoryId) -> Result<Category, Problem> {
        let category = self.0.ledger.category(id).await?;
        let category = category.ok_or_else(Problem::not_found)?;
        get_visible(&self.0, caller, category.store_id).await?;
        Ok(category)
    }
}

impl NewCategoryBody {
    fn into_new(self) -> Result<NewCategory, Problem> {
        let translations = texts::parse(self.translations.unwrap_or_default());
        Ok(NewCategory {
            store_id: self.store_id.into(),
            name: self.name,
            description: self.description,
            position: self.position.unwrap_or_default(),
            weight: self.weight.unwrap_or(1),
            translations: translations.map_err(Problem::invalid)?,
        })
    }
}

impl CategoryPatch {
    fn into_edit(self) -> Result<CategoryEdit, Problem> {
        let mut filled = RequiredFields::default();
        let translations = filled.said("translations", self.translations);
        let translations = translations.map(texts::parse).transpose();
        let edit = CategoryEdit {
            name: filled.said("name", self.name),
            description: said(self.description),
            position: filled.said("position", self.position),
            weight: filled.said("weight", self.weight),
            translations: translations.map_err(Problem::invalid)?,
        };
        filled.all(edit)
    }
}

impl From<Category> for CategoryView {
    fn from(category: Category) -> Self {
        Self {
            id: category.id.uuid(),
            store_id: category.store_id.uuid(),
            name: category.name,
            description: category.description,
            position: category.position,
            weight: category.weight,
            translations: texts::show(&category.translations),
            version: category.version,
            created_at: category.created_at.into(),
        }
    }
}

impl From<CategoryRefused> for Problem {
    fn from(refused: CategoryRefused) -> Self {
        match refused {
            CategoryRefused::NotFound => Self::not_found(),
            CategoryRefused::NoSuchStore => Self::unknown_store(),
            CategoryRefused::TooMany { limit } => Self::new(Reason::Conflict)
                .detail(format!("The store already has {limit} categories.")),
            CategoryRefused::VersionConflict { current } => version_conflict(current),
        }
    }
}
