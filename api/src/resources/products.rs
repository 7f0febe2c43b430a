//! `/products`: what stores sell, and its stock.

pub(super) mod menu;
mod view;

use domain::{ids::ProductId, store::Product};
use ledger::products::{NewProduct, ProductEdit, ProductRefused, StockChange, StockRefused};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

use self::view::ProductView;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::{Checked, format::Sku},
        etag::{IfMatch, IfNoneMatch, version_conflict},
        idempotency::{IdempotencyKey, once, once_tagged},
        merge_patch::{RequiredFields, said},
        paging::{Cursor, Limit, Page},
        problem::{Problem, Reason},
        response::{Answer, Created, Done, Fresh, Tagged},
        scalars,
    },
    resources::stores::rights::get_visible,
    state::ApiState,
};

pub(crate) struct Products(pub(crate) ApiState);

#[derive(Debug, Object)]
#[oai(rename = "NewProduct")]
struct NewProductBody {
    store_id: Uuid,
    sku: Option<Sku>,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    #[oai(validator(max_length = 2000))]
    description: Option<String>,
    /// In the store's currency.
    price: scalars::Money,
    /// Default `true`.
    available: Option<bool>,
    /// Null if it is not counted and never runs out.
    #[oai(validator(maximum(value = "1000000000")))]
    stock: Option<u32>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` clears a nullable field and is refused for any other.
/// Staff and the store's integrators may change only `available`.
#[derive(Debug, Object)]
struct ProductPatch {
    sku: MaybeUndefined<Sku>,
    #[oai(validator(min_length = 1, max_length = 200))]
    name: MaybeUndefined<String>,
    #[oai(validator(max_length = 2000))]
    description: MaybeUndefined<String>,
    price: MaybeUndefined<scalars::Money>,
    available: MaybeUndefined<bool>,
}

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
    /// List a store's products
    ///
    /// Oldest first, including unavailable products, without archived ones. Operators and customers see any store's
    /// products, managers and staff those of their own stores, integrator accounts those of the stores whose
    /// integrators they act for.
    #[oai(path = "/products", method = "get", operation_id = "list_products")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        /// Only the product with this sku.
        Query(sku): Query<Option<String>>,
        cursor: Cursor<ProductId>,
        limit: Limit,
    ) -> Result<Json<Page<ProductView>>, Problem> {
        let store = get_visible(&self.0, &caller, store_id.into()).await?.id;
        let ledger = &self.0.ledger;
        let products = match sku {
            Some(sku) => Vec::from_iter(ledger.product_by_sku(store, &sku).await?),
            None => ledger.products(store, cursor.0, limit.0 + 1).await?,
        };
        Ok(Json(Page::of(
            products,
            limit,
            |product| product.id.uuid(),
            ProductView::from,
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
        let by = Some(caller.id());
        let (product, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.create_product(new.into(), by).await,
            async |id| self.get_visible(&caller, id.into()).await,
        )
        .await?;
        let location = format!("/api/v1/products/{}", product.id);
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
    /// everything. A change of `available` sends `product.availability` on the store's live channel. Placed orders keep
    /// their prices. `stock` changes only through `POST /products/{id}/stock`.
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
        let (id, store, version) = (product.id, product.store_id, product.version);
        let may = caller.manages(store)
            || (patch.changes_only_available()
                && (caller.serves(store) || caller.account.represents_integrator_at(store)));
        if !may {
            return Err(Problem::forbidden());
        }
        let edit = patch.into_edit()?;
        let version = if_match.expected_version(&ProductView::from(product), version);
        once_tagged(
            &self.0,
            key,
            async |ledger| ledger.edit_product(id, version, edit).await,
            async |id| self.get_visible(&caller, id.into()).await,
        )
        .await
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
        caller.must_manage(product.store_id)?;
        let (id, version) = (product.id, product.version);
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
        let store = product.store_id;
        if !caller.manages(store) && !caller.account.represents_integrator_at(store) {
            return Err(Problem::forbidden());
        }
        let change = StockChange {
            delta: delta.delta,
            reason: delta.reason,
            by: Some(caller.id()),
        };
        once_tagged(
            &self.0,
            key,
            async |ledger| ledger.change_stock(product.id, change).await,
            async |id| self.get_visible(&caller, id.into()).await,
        )
        .await
    }
}

impl Products {
    /// Returns the product if the caller may see it: those who serve its store always, others until it is archived.
    /// Otherwise returns 404.
    async fn get_visible(&self, caller: &Caller, id: ProductId) -> Result<Product, Problem> {
        let product = self.0.ledger.product(id).await?;
        let product = product.ok_or_else(Problem::not_found)?;
        get_visible(&self.0, caller, product.store_id).await?;
        if product.archived_at.is_some() && !caller.serves(product.store_id) {
            return Err(Problem::not_found());
        }
        Ok(product)
    }
}

impl ProductPatch {
    fn changes_only_available(&self) -> bool {
        self.sku.is_undefined()
            && self.name.is_undefined()
            && self.description.is_undefined()
            && self.price.is_undefined()
    }

    fn into_edit(self) -> Result<ProductEdit, Problem> {
        let mut filled = RequiredFields::default();
        let edit = ProductEdit {
            sku: said(self.sku).map(|sku| sku.map(|sku| sku.0)),
            name: filled.said("name", self.name),
            description: said(self.description),
            price: filled.said("price", self.price).map(Into::into),
            available: filled.said("available", self.available),
        };
        filled.all(edit)
    }
}

impl From<NewProductBody> for NewProduct {
    fn from(new: NewProductBody) -> Self {
        Self {
            store_id: new.store_id.into(),
            sku: new.sku.map(|sku| sku.0),
            name: new.name,
            description: new.description,
            price: new.price.into(),
            available: new.available.unwrap_or(true),
            stock: new.stock,
        }
    }
}

impl From<ProductRefused> for Problem {
    fn from(refused: ProductRefused) -> Self {
        match refused {
            ProductRefused::NotFound => Self::not_found(),
            ProductRefused::NoSuchStore => Self::unknown_store(),
            ProductRefused::SkuTaken => Self::new(Reason::DuplicateProduct),
            ProductRefused::OtherCurrency { store } => Self::invalid_field(
                "/price/currency",
                format!("must be the store's currency, {store}"),
            ),
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
