//! `/products`: what stores sell, and its stock.

mod images;
mod request;
pub(super) mod view;

use domain::{
    account::Role,
    ids::{ProductId, StoreId},
};
use ledger::products::{ProductRefused, StockChange, StockRefused};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

pub(super) use self::images::Images;
use self::{
    request::{NewProductBody, ProductPatch},
    view::{ProductView, ReadProduct},
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        etag::{IfMatch, IfNoneMatch, version_conflict},
        idempotency::{IdempotencyKey, once},
        paging::{Cursor, Limit, Page},
        problem::{FieldError, Problem, Reason},
        response::{Answer, Created, Done, Fresh, Tagged},
    },
    resources::stores::rights::get_visible,
    state::ApiState,
};

pub(crate) struct Products(pub(crate) ApiState);

#[derive(Debug, Object)]
struct StockDelta {
    /// Amount to add to the stock; may be negative. The first change makes the product counted.
    #[oai(validator(minimum(value = "-1000000000"), maximum(value = "1000000000")))]
    delta: i64,
    /// The reason, which is recorded.
    #[oai(validator(min_length = 1, max_length = 200))]
    reason: String,
}

#[OpenApi(tag = "Topic::Products")]
impl Products {
    /// List products
    ///
    /// Those of one store, or of all that the caller may see. Oldest first, including unavailable products, without archived ones. Operators and customers see any store's
    /// products, managers and staff those of their own stores, integrator accounts those of the stores whose
    /// integrators they act for.
    #[oai(path = "/products", method = "get", operation_id = "list_products")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        /// Only the product with this sku; requires `store_id`.
        Query(sku): Query<Option<String>>,
        cursor: Cursor<ProductId>,
        limit: Limit,
    ) -> Result<Json<Page<ProductView>>, Problem> {
        let ledger = &self.0.ledger;
        let (after, limit_one_more) = (cursor.0, limit.0 + 1);
        let products = match (store_id, &sku) {
            (Some(store), _) => {
                let store = get_visible(&self.0, &caller, store.into()).await?.id;
                let one_store = ledger.menu_products(store, sku.as_deref(), after, limit_one_more);
                one_store.await?
            }
            (None, Some(_)) => return Err(Problem::invalid_field("sku", "requires store_id")),
            (None, None) => {
                let stores = stores_with_visible_products(&caller);
                let several = ledger.products_of_stores(stores.as_deref(), after, limit_one_more);
                several.await?
            }
        };
        let at = ledger.clock().now();
        Ok(Json(Page::of(
            products,
            limit,
            |one| one.product.id.uuid(),
            |read| ProductView::from(ReadProduct { read, at }),
        )))
    }

    /// Create a product
    ///
    /// The price is in the store's currency. The initial `stock` is recorded like any other stock change. Returns 409
    /// if another product of the store has the same `sku`.
    #[oai(path = "/products", method = "post", operation_id = "create_product")]
    async fn create(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewProductBody>,
    ) -> Result<Created<ProductView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        caller.must_manage(new.store_id.into())?;
        let (new, by) = (new.into_new()?, Some(caller.id()));
        let (id, replayed) = once(
            &self.0,
            key,
            async |ledger| {
                ledger
                    .create_product(new, by)
                    .await
                    .map(|product| product.id)
            },
            async |id| Ok(id.into()),
        )
        .await?;
        let product = self.get_visible(&caller, id).await?;
        let location = format!("/api/v1/products/{id}");
        Ok(Answer::of(product.into()).at(location).replayed(replayed))
    }

    /// Get a product
    ///
    /// An archived product is visible only to those who serve its store. `stock` is part of the `ETag` and changes with
    /// every order.
    #[oai(path = "/products/:id", method = "get", operation_id = "get_product")]
    async fn get(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<ProductView>, Problem> {
        let product = self.get_visible(&caller, id.into()).await?;
        Ok(if_none_match.answer(product.into()))
    }

    /// Edit a product
    ///
    /// Staff of the store, and integrator accounts that act there, may change only `available`; managers may change
    /// everything. A change of `available` sends `product.availability` on the store's live channel. With `until`, a
    /// product that is not available comes back by itself at that time, without an event. Placed orders keep their
    /// prices. `stock` changes only through `POST /products/{id}/stock`.
    #[oai(
        path = "/products/:id",
        method = "patch",
        operation_id = "edit_product"
    )]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        Checked(patch): Checked<ProductPatch>,
    ) -> Result<Tagged<ProductView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let product = self.get_visible(&caller, id.into()).await?;
        let (id, store, version) = product.key();
        let may = caller.manages(store)
            || (patch.changes_only_available()
                && (caller.serves(store) || caller.account.represents_integrator_at(store)));
        if !may {
            return Err(Problem::forbidden());
        }
        let edit = patch.into_edit()?;
        let version = if_match.expected_version(&ProductView::from(product), version);
        let (id, replayed) = once(
            &self.0,
            key,
            async |ledger| {
                ledger
                    .edit_product(id, version, edit)
                    .await
                    .map(|product| product.id)
            },
            async |id| Ok(id.into()),
        )
        .await?;
        self.answer(&caller, id, replayed).await
    }

    /// Archive a product
    ///
    /// It is no longer sold, and its sku is free for another product. Orders that contain it continue, and keep the
    /// name, sku and price that it was sold at. Archiving is idempotent. Only those who serve the store can still read
    /// the product.
    #[oai(
        path = "/products/:id",
        method = "delete",
        operation_id = "archive_product"
    )]
    async fn archive(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Done, Problem> {
        let product = self.get_visible(&caller, id.into()).await?;
        let (id, store, version) = product.key();
        caller.must_manage(store)?;
        let version = if_match.match_version(&ProductView::from(product), version)?;
        self.0.ledger.archive_product(id, version).await?;
        Ok(Answer::empty())
    }

    /// Change the stock of a product
    ///
    /// Open to managers, and to integrator accounts that act at the store. Returns 409 with the current `quantity` if
    /// stock is insufficient. The first change starts counting a product that was not counted. A stock change is not an
    /// edit: `version` stays the same. The reason is recorded.
    #[oai(
        path = "/products/:id/stock",
        method = "post",
        operation_id = "change_stock"
    )]
    async fn change_stock(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        key: IdempotencyKey,
        Checked(delta): Checked<StockDelta>,
    ) -> Result<Tagged<ProductView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &delta)?;
        let product = self.get_visible(&caller, id.into()).await?;
        let (id, store, _) = product.key();
        if !caller.manages(store) && !caller.account.represents_integrator_at(store) {
            return Err(Problem::forbidden());
        }
        let change = StockChange {
            delta: delta.delta,
            reason: delta.reason,
            by: Some(caller.id()),
        };
        let (id, replayed) = once(
            &self.0,
            key,
            async |ledger| {
                ledger
                    .change_stock(id, change)
                    .await
                    .map(|product| product.id)
            },
            async |id| Ok(id.into()),
        )
        .await?;
        self.answer(&caller, id, replayed).await
    }
}

impl Products {
    /// Returns the product if the caller may see it: those who serve its store always, others until it is archived.
    /// Otherwise returns 404.
    async fn get_visible(&self, caller: &Caller, id: ProductId) -> Result<ReadProduct, Problem> {
        let read = self.0.ledger.menu_product(id).await?;
        let read = read.ok_or_else(Problem::not_found)?;
        let store = read.product.store_id;
        get_visible(&self.0, caller, store).await?;
        if read.product.archived_at.is_some() && !caller.serves(store) {
            return Err(Problem::not_found());
        }
        let at = self.0.ledger.clock().now();
        Ok(ReadProduct { read, at })
    }

    /// Answers with the product as it is after a change.
    async fn answer(
        &self,
        caller: &Caller,
        id: ProductId,
        replayed: bool,
    ) -> Result<Tagged<ProductView>, Problem> {
        let product = self.get_visible(caller, id).await?;
        Ok(Answer::of(product.into()).etag().replayed(replayed))
    }
}

/// Returns the stores whose products the caller may see; `None` means all.
fn stores_with_visible_products(caller: &Caller) -> Option<Vec<StoreId>> {
    let account = &caller.account;
    match account.role {
        Role::Operator | Role::Customer => None,
        Role::Manager | Role::Staff => Some(account.stores.clone()),
        Role::Integrator => {
            let integrators = account.integrators.iter();
            let mut stores: Vec<StoreId> = integrators
                .flat_map(|one| one.stores.iter().copied())
                .collect();
            stores.sort_unstable();
            stores.dedup();
            Some(stores)
        }
    }
}

impl From<ProductRefused> for Problem {
    fn from(refused: ProductRefused) -> Self {
        match refused {
            ProductRefused::NotFound => Self::not_found(),
            ProductRefused::NoSuchStore => Self::unknown_store(),
            ProductRefused::SkuTaken => Self::new(Reason::DuplicateProduct),
            ProductRefused::WrongOptionGroup { at } => Self::invalid_field(
                format!("/option_group_ids/{at}"),
                "must be a group of options of the store, named once",
            ),
            ProductRefused::OtherCurrency { store } => Self::invalid_field(
                "/price/currency",
                format!("must be the store's currency, {store}"),
            ),
            ProductRefused::UnknownCategories { indexes } => {
                let unknown = indexes.into_iter().map(|index| {
                    let pointer = format!("/categories/{index}/category_id");
                    FieldError::new(pointer, "must be a category of the store")
                });
                Self::invalid(unknown.collect())
            }
            ProductRefused::UnknownImage => Self::invalid_field(
                "/image_url",
                "must be an https:// URL, or the product's own uploaded image",
            ),
            ProductRefused::UntilPassed => Self::invalid_field("/until", "must be in the future"),
            ProductRefused::VersionConflict { current } => version_conflict(current),
        }
    }
}

impl From<StockRefused> for Problem {
    fn from(refused: StockRefused) -> Self {
        match refused {
            StockRefused::NotFound => Self::not_found(),
            StockRefused::WouldBeNegative { quantity } => {
                Self::new(Reason::InsufficientStock).with("quantity", quantity)
            }
        }
    }
}
