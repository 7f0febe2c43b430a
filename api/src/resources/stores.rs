//! `/stores`: opening, editing, pausing and archiving stores, and their menus.

pub(super) mod rights;

use domain::{
    account::Role,
    ids::StoreId,
    store::{Contact, Store},
};
use ledger::stores::{NewStore, StoreEdit, StoreRefused};
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

use self::rights::seen;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::{
            Checked,
            format::{CurrencyCode, Email, Timezone},
        },
        etag::{expected_version, unless_known, version_conflict},
        idempotency::{IdempotencyKey, once, once_tagged},
        merge_patch::{Filled, said},
        paging::{self, Page},
        problem::Problem,
        response::{Created, Done, Fresh, Tagged},
        scalars::Time,
    },
    outside::ExternalId,
    resources::products::menu::Menu,
    state::ApiState,
};

pub(crate) struct Stores(pub(crate) ApiState);

/// A place that sells.
#[derive(Debug, Object)]
#[oai(rename = "Store")]
pub(crate) struct StoreView {
    id: Uuid,
    name: String,
    timezone: Timezone,
    /// What its prices and orders are in; for ever.
    currency: CurrencyCode,
    phone: Option<String>,
    email: Option<String>,
    address: Option<String>,
    lat: Option<f64>,
    lng: Option<f64>,
    /// What the outside locations and products services call it, where it is one of theirs.
    external_location_id: Option<String>,
    /// Accepts orders by itself, where it has no required integrator.
    auto_accept: bool,
    /// An order that nobody accepted in so many seconds is ended.
    accept_within_s: u32,
    /// Takes no new orders for now.
    paused: bool,
    archived_at: Option<Time>,
    version: i64,
    created_at: Time,
}

#[derive(Debug, Object)]
#[oai(rename = "NewStore")]
struct NewStoreBody {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    timezone: Timezone,
    currency: CurrencyCode,
    #[oai(validator(min_length = 1, max_length = 50))]
    phone: Option<String>,
    email: Option<Email>,
    #[oai(validator(min_length = 1, max_length = 500))]
    address: Option<String>,
    #[oai(validator(minimum(value = "-90"), maximum(value = "90")))]
    lat: Option<f64>,
    #[oai(validator(minimum(value = "-180"), maximum(value = "180")))]
    lng: Option<f64>,
    /// True unless said otherwise.
    auto_accept: Option<bool>,
    /// 600 unless said otherwise.
    #[oai(validator(minimum(value = "10"), maximum(value = "86400")))]
    accept_within_s: Option<u32>,
}

/// A merge patch (RFC 7396): what is absent stays, null empties what may be empty, and is refused of anything else. Staff
/// may only say `paused`.
#[derive(Debug, Object)]
struct StorePatch {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: MaybeUndefined<String>,
    timezone: MaybeUndefined<Timezone>,
    #[oai(validator(min_length = 1, max_length = 50))]
    phone: MaybeUndefined<String>,
    email: MaybeUndefined<Email>,
    #[oai(validator(min_length = 1, max_length = 500))]
    address: MaybeUndefined<String>,
    #[oai(validator(minimum(value = "-90"), maximum(value = "90")))]
    lat: MaybeUndefined<f64>,
    #[oai(validator(minimum(value = "-180"), maximum(value = "180")))]
    lng: MaybeUndefined<f64>,
    /// Operators only: what the outside locations and products services call it.
    external_location_id: MaybeUndefined<ExternalId>,
    auto_accept: MaybeUndefined<bool>,
    #[oai(validator(minimum(value = "10"), maximum(value = "86400")))]
    accept_within_s: MaybeUndefined<u32>,
    paused: MaybeUndefined<bool>,
}

#[OpenApi(tag = "Topic::Stores")]
impl Stores {
    /// Stores: all for operators and customers, for others their own
    ///
    /// In order of their making, without archived ones.
    #[oai(path = "/stores", method = "get", operation_id = "list_stores")]
    async fn list(
        &self,
        caller: Caller,
        /// `next_cursor` of the page before.
        Query(cursor): Query<Option<String>>,
        /// 50 unless said otherwise, 100 at most.
        Query(limit): Query<Option<u32>>,
    ) -> Result<Json<Page<StoreView>>, Problem> {
        let own = match caller.account.role {
            Role::Manager | Role::Staff => Some(caller.account.stores.as_slice()),
            Role::Operator | Role::Customer | Role::Integrator => None,
        };
        let limit = paging::limit(limit)?;
        let after = paging::after(cursor.as_deref())?.map(StoreId::from);
        let stores = self.0.ledger.stores(own, after, limit + 1).await?;
        Ok(Json(Page::of(
            stores,
            limit,
            |store| store.id.uuid(),
            StoreView::from,
        )))
    }

    /// Open a store
    ///
    /// Its currency is for ever. Who works there is told by `POST /users` and `PATCH /users/{id}`.
    #[oai(path = "/stores", method = "post", operation_id = "create_store")]
    async fn create(
        &self,
        caller: Caller,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        Checked(new): Checked<NewStoreBody>,
    ) -> Result<Created<StoreView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        let (store, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.create_store(new.into()).await,
            async |id| seen(&self.0, &caller, id.into()).await,
        )
        .await?;
        let location = format!("/api/v1/stores/{}", store.id);
        Ok(Created::at(location, store.into()).replayed(replayed))
    }

    /// A store
    ///
    /// Operators and customers see any, managers and staff those that they serve; an archived one only those who serve
    /// it.
    #[oai(path = "/stores/:id", method = "get", operation_id = "get_store")]
    async fn get(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        /// What the client has, by its `ETag`: if nothing has changed since, the answer is 304.
        #[oai(name = "If-None-Match")]
        Header(if_none_match): Header<Option<String>>,
    ) -> Result<Fresh<StoreView>, Problem> {
        let store = seen(&self.0, &caller, id.into()).await?;
        Ok(unless_known(if_none_match.as_deref(), store.into()))
    }

    /// Edit a store, or pause it
    ///
    /// Staff may say `paused` and nothing else. While it is paused new orders are refused, and those that were placed
    /// go on; `store.paused` is shown on the store's live channel. Another `accept_within_s` counts for orders that are
    /// placed from then on.
    #[oai(path = "/stores/:id", method = "patch", operation_id = "edit_store")]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        /// Only if it is still as this `ETag` says; or a version in quotes.
        #[oai(name = "If-Match")]
        Header(if_match): Header<Option<String>>,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        Checked(patch): Checked<StorePatch>,
    ) -> Result<Tagged<StoreView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let id = StoreId::from(id);
        if patch.only_pauses() {
            caller.must_serve(id)?;
        } else {
            caller.must_manage(id)?;
        }
        if !patch.external_location_id.is_undefined() && !caller.is(Role::Operator) {
            return Err(Problem::forbidden());
        }
        let edit = patch.into_edit()?;
        let version = self.version(&caller, id, if_match.as_deref()).await?;
        once_tagged(
            &self.0,
            key,
            async |ledger| ledger.edit_store(id, version, edit).await,
            async |id| seen(&self.0, &caller, id.into()).await,
        )
        .await
    }

    /// Archive a store: it takes no more orders, and what it sold stays readable
    ///
    /// It is listed no more, to those who serve it either; orders that were placed go on. To archive it again changes
    /// nothing.
    #[oai(
        path = "/stores/:id",
        method = "delete",
        operation_id = "archive_store"
    )]
    async fn archive(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        /// Only if it is still as this `ETag` says; or a version in quotes.
        #[oai(name = "If-Match")]
        Header(if_match): Header<Option<String>>,
    ) -> Result<Done, Problem> {
        let id = StoreId::from(id);
        caller.must_manage(id)?;
        let version = self.version(&caller, id, if_match.as_deref()).await?;
        self.0.ledger.archive_store(id, version).await?;
        Ok(Done)
    }

    /// What can be ordered there now
    ///
    /// In order of their making, 1000 at most: what is available and not archived. What is sold out is still on it,
    /// with a `stock` of 0. Where a products service is set and the store is one of its locations, its list is brought
    /// in first.
    #[oai(path = "/stores/:id/menu", method = "get", operation_id = "get_menu")]
    async fn menu(&self, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<Menu>, Problem> {
        let id = StoreId::from(id);
        seen(&self.0, &caller, id).await?;
        self.0.outside.products.bring_in(id).await?;
        let menu = self.0.ledger.menu(id).await?;
        let (store, products) = menu.ok_or_else(Problem::not_found)?;
        Ok(Json(Menu {
            store_id: id.uuid(),
            store_name: store.name,
            paused: store.paused,
            items: products.into_iter().map(Into::into).collect(),
        }))
    }
}

impl Stores {
    /// What an edit must still find.
    async fn version(
        &self,
        caller: &Caller,
        id: StoreId,
        if_match: Option<&str>,
    ) -> Result<Option<i64>, Problem> {
        if if_match.is_none() {
            return Ok(None);
        }
        let store = seen(&self.0, caller, id).await?;
        let version = store.version;
        Ok(expected_version(if_match, &StoreView::from(store), version))
    }
}

impl StorePatch {
    fn only_pauses(&self) -> bool {
        self.name.is_undefined()
            && self.timezone.is_undefined()
            && self.phone.is_undefined()
            && self.email.is_undefined()
            && self.address.is_undefined()
            && self.lat.is_undefined()
            && self.lng.is_undefined()
            && self.external_location_id.is_undefined()
            && self.auto_accept.is_undefined()
            && self.accept_within_s.is_undefined()
    }

    fn into_edit(self) -> Result<StoreEdit, Problem> {
        let mut filled = Filled::default();
        let edit = StoreEdit {
            name: filled.said("name", self.name),
            timezone: filled.said("timezone", self.timezone).map(|zone| zone.0),
            phone: said(self.phone),
            email: said(self.email).map(|email| email.map(|email| email.0)),
            address: said(self.address),
            lat: said(self.lat),
            lng: said(self.lng),
            external_location_id: said(self.external_location_id)
                .map(|id| id.map(ExternalId::into_text)),
            auto_accept: filled.said("auto_accept", self.auto_accept),
            accept_within_s: filled.said("accept_within_s", self.accept_within_s),
            paused: filled.said("paused", self.paused),
        };
        filled.all(edit)
    }
}

impl From<NewStoreBody> for NewStore {
    fn from(new: NewStoreBody) -> Self {
        let currency = new.currency.0.parse();
        Self {
            name: new.name,
            timezone: new.timezone.0,
            currency: currency.expect("CurrencyCode checks its form"),
            contact: Contact {
                phone: new.phone,
                email: new.email.map(|email| email.0),
                address: new.address,
                lat: new.lat,
                lng: new.lng,
            },
            auto_accept: new.auto_accept.unwrap_or(true),
            accept_within_s: new.accept_within_s.unwrap_or(600),
        }
    }
}

impl From<Store> for StoreView {
    fn from(store: Store) -> Self {
        Self {
            id: store.id.uuid(),
            name: store.name,
            timezone: Timezone(store.timezone),
            currency: CurrencyCode(store.currency.to_string()),
            phone: store.contact.phone,
            email: store.contact.email,
            address: store.contact.address,
            lat: store.contact.lat,
            lng: store.contact.lng,
            external_location_id: store.external_location_id,
            auto_accept: store.auto_accept,
            accept_within_s: store.accept_within_s,
            paused: store.paused,
            archived_at: store.archived_at.map(Into::into),
            version: store.version,
            created_at: store.created_at.into(),
        }
    }
}

impl From<StoreRefused> for Problem {
    fn from(refused: StoreRefused) -> Self {
        match refused {
            StoreRefused::NotFound => Self::not_found(),
            StoreRefused::VersionConflict { current } => version_conflict(current),
        }
    }
}
