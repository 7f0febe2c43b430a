//! `/stores`: create, edit, pause and archive stores, and read their menus.

pub(super) mod opening;
pub(super) mod rights;

use domain::{
    account::Role,
    ids::StoreId,
    store::{Contact, Store},
    timing::StoreTiming,
};
use ledger::stores::{NewStore, StoreEdit, StoreRefused};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::MaybeUndefined};
use uuid::Uuid;

use self::rights::get_visible;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::{
            Checked,
            format::{CurrencyCode, Email, LanguageTag, Timezone},
        },
        enums::CancelUntil,
        etag::{IfMatch, IfNoneMatch, version_conflict},
        idempotency::{IdempotencyKey, once, once_tagged},
        merge_patch::{RequiredFields, said},
        paging::{Cursor, Limit, Page},
        problem::Problem,
        response::{Answer, Created, Done, Fresh, Tagged},
        scalars::Time,
    },
    outside::ExternalId,
    resources::menu::{
        MenuAnswer,
        languages::{AcceptLanguage, WantedLanguage},
    },
    state::ApiState,
};

pub(crate) struct Stores(pub(crate) ApiState);

/// A place that sells products.
#[derive(Debug, Object)]
#[oai(rename = "Store")]
pub(crate) struct StoreView {
    id: Uuid,
    name: String,
    timezone: Timezone,
    /// Currency of its prices and orders; cannot be changed.
    currency: CurrencyCode,
    /// Decimals of the currency (ISO 4217): an `amount` of 250 is 2.50 with 2, and 250 with 0.
    exponent: u32,
    phone: Option<String>,
    email: Option<String>,
    address: Option<String>,
    lat: Option<f64>,
    lng: Option<f64>,
    /// Id of the store in the outside locations and products services, if it has one.
    external_location_id: Option<String>,
    /// Accepts orders automatically if the store has no required integrator.
    auto_accept: bool,
    /// Seconds after which an order that nobody has accepted is ended.
    accept_within_s: u32,
    /// Hours after its acceptance after which an order that is still accepted, preparing or ready becomes delivered,
    /// with the reason `presumed_delivered`. Null: never.
    deliver_accepted_after_h: Option<u32>,
    /// Minutes before `wanted_at` at which an order for later is handed over.
    lead_time_min: u32,
    /// Minutes that an order usually takes until it is ready.
    prepare_min: u32,
    /// Days that an order may lie ahead; with 0 the store takes no orders for later.
    order_ahead_days: u32,
    /// Last status in which customers and guests may cancel an order: `pending`, until it is accepted; `accepted`, until
    /// its preparation begins; `preparing`, until it is ready.
    cancel_until: CancelUntil,
    /// True while the store takes no new orders.
    paused: bool,
    /// Language of its names and descriptions, which is what menus fall back to.
    language: LanguageTag,
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
    /// Default `true`.
    auto_accept: Option<bool>,
    /// Default 600.
    #[oai(validator(minimum(value = "10"), maximum(value = "86400")))]
    accept_within_s: Option<u32>,
    /// For a store whose integrators do not report deliveries. Default null: orders stay open.
    #[oai(validator(minimum(value = "1"), maximum(value = "720")))]
    deliver_accepted_after_h: Option<u32>,
    /// Default 30.
    #[oai(validator(maximum(value = "1440")))]
    lead_time_min: Option<u32>,
    /// Default 15.
    #[oai(validator(maximum(value = "1440")))]
    prepare_min: Option<u32>,
    /// Default 0: no orders for later.
    #[oai(validator(maximum(value = "365")))]
    order_ahead_days: Option<u32>,
    /// Default `accepted`.
    cancel_until: Option<CancelUntil>,
    /// Default `en`.
    language: Option<LanguageTag>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` clears a nullable field and is refused for any other.
/// Staff may change only `paused`.
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
    /// Id of the store in the outside locations and products services. Operators only.
    external_location_id: MaybeUndefined<ExternalId>,
    auto_accept: MaybeUndefined<bool>,
    #[oai(validator(minimum(value = "10"), maximum(value = "86400")))]
    accept_within_s: MaybeUndefined<u32>,
    #[oai(validator(minimum(value = "1"), maximum(value = "720")))]
    deliver_accepted_after_h: MaybeUndefined<u32>,
    #[oai(validator(maximum(value = "1440")))]
    lead_time_min: MaybeUndefined<u32>,
    #[oai(validator(maximum(value = "1440")))]
    prepare_min: MaybeUndefined<u32>,
    #[oai(validator(maximum(value = "365")))]
    order_ahead_days: MaybeUndefined<u32>,
    cancel_until: MaybeUndefined<CancelUntil>,
    language: MaybeUndefined<LanguageTag>,
    paused: MaybeUndefined<bool>,
}

#[OpenApi(tag = "Topic::Stores")]
impl Stores {
    /// List stores
    ///
    /// Oldest first, without archived ones. Operators and customers see all stores, others their own.
    #[oai(path = "/stores", method = "get", operation_id = "list_stores")]
    async fn list(
        &self,
        caller: Caller,
        cursor: Cursor<StoreId>,
        limit: Limit,
    ) -> Result<Json<Page<StoreView>>, Problem> {
        let own = match caller.account.role {
            Role::Manager | Role::Staff => Some(caller.account.stores.as_slice()),
            Role::Operator | Role::Customer | Role::Integrator => None,
        };
        let stores = self.0.ledger.stores(own, cursor.0, limit.0 + 1).await?;
        Ok(Json(Page::of(
            stores,
            limit,
            |store| store.id.uuid(),
            StoreView::from,
        )))
    }

    /// Create a store
    ///
    /// Its currency cannot be changed later. Assign its staff with `POST /users` and `PATCH /users/{id}`.
    #[oai(path = "/stores", method = "post", operation_id = "create_store")]
    async fn create(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewStoreBody>,
    ) -> Result<Created<StoreView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        let (store, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.create_store(new.into()).await,
            async |id| get_visible(&self.0, &caller, id.into()).await,
        )
        .await?;
        let location = format!("/api/v1/stores/{}", store.id);
        Ok(Answer::of(store.into()).at(location).replayed(replayed))
    }

    /// Get a store
    ///
    /// Operators and customers see any store, managers and staff those that they serve. An archived store is visible
    /// only to those who serve it.
    #[oai(path = "/stores/:id", method = "get", operation_id = "get_store")]
    async fn get(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<StoreView>, Problem> {
        let store = get_visible(&self.0, &caller, id.into()).await?;
        Ok(if_none_match.answer(store.into()))
    }

    /// Edit or pause a store
    ///
    /// Staff may change only `paused`. While the store is paused, new orders are refused and placed ones continue;
    /// `store.paused` is sent on the store's live channel. A new `accept_within_s` or `cancel_until`, and new times of
    /// orders for later, apply to orders placed from then on, a new `deliver_accepted_after_h` to all open orders.
    #[oai(path = "/stores/:id", method = "patch", operation_id = "edit_store")]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        Checked(patch): Checked<StorePatch>,
    ) -> Result<Tagged<StoreView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let id = StoreId::from(id);
        if patch.changes_only_paused() {
            caller.must_serve(id)?;
        } else {
            caller.must_manage(id)?;
        }
        if !patch.external_location_id.is_undefined() && !caller.is(Role::Operator) {
            return Err(Problem::forbidden());
        }
        let edit = patch.into_edit()?;
        let version = self.version(&caller, id, &if_match).await?;
        once_tagged(
            &self.0,
            key,
            async |ledger| ledger.edit_store(id, version, edit).await,
            async |id| get_visible(&self.0, &caller, id.into()).await,
        )
        .await
    }

    /// Archive a store
    ///
    /// It takes no more orders and is no longer listed, not even to those who serve it. Its products stay readable,
    /// and placed orders continue. Archiving is idempotent.
    #[oai(
        path = "/stores/:id",
        method = "delete",
        operation_id = "archive_store"
    )]
    async fn archive(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Done, Problem> {
        let id = StoreId::from(id);
        caller.must_manage(id)?;
        let version = self.version(&caller, id, &if_match).await?;
        self.0.ledger.archive_store(id, version).await?;
        Ok(Answer::empty())
    }

    /// Get a store's menu
    ///
    /// Lists the categories and the products, at most 2000, as people read them: by category and position, and those
    /// without a category last, oldest first. A product is listed while it is available, and while it is known when it
    /// comes back; `sold_out` tells that it can't be ordered now. Names and descriptions are in the language that fits
    /// `language` best, else `Accept-Language`, else in the store's. If a products service is configured and the store
    /// is one of its locations, its list is imported first.
    #[oai(path = "/stores/:id/menu", method = "get", operation_id = "get_menu")]
    async fn menu(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        language: WantedLanguage,
        accepted: AcceptLanguage,
        if_none_match: IfNoneMatch,
    ) -> Result<MenuAnswer, Problem> {
        let id = StoreId::from(id);
        get_visible(&self.0, &caller, id).await?;
        self.0.outside.products.refresh(id).await?;
        let wanted = language.or(accepted);
        let menu = self.0.menus.get(id, &wanted).await?;
        Ok(menu.ok_or_else(Problem::not_found)?.answer(&if_none_match))
    }
}

impl Stores {
    /// Returns the version that the edit must still find; `None` without `If-Match`.
    async fn version(
        &self,
        caller: &Caller,
        id: StoreId,
        if_match: &IfMatch,
    ) -> Result<Option<i64>, Problem> {
        if if_match.is_absent() {
            return Ok(None);
        }
        let store = get_visible(&self.0, caller, id).await?;
        let version = store.version;
        Ok(if_match.expected_version(&StoreView::from(store), version))
    }
}

impl StorePatch {
    fn changes_only_paused(&self) -> bool {
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
            && self.deliver_accepted_after_h.is_undefined()
            && self.lead_time_min.is_undefined()
            && self.prepare_min.is_undefined()
            && self.order_ahead_days.is_undefined()
            && self.cancel_until.is_undefined()
            && self.language.is_undefined()
    }

    fn into_edit(self) -> Result<StoreEdit, Problem> {
        let mut filled = RequiredFields::default();
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
            deliver_accepted_after_h: said(self.deliver_accepted_after_h),
            lead_time_min: filled.said("lead_time_min", self.lead_time_min),
            prepare_min: filled.said("prepare_min", self.prepare_min),
            order_ahead_days: filled.said("order_ahead_days", self.order_ahead_days),
            cancel_until: filled
                .said("cancel_until", self.cancel_until)
                .map(Into::into),
            language: filled.said("language", self.language).map(Into::into),
            paused: filled.said("paused", self.paused),
        };
        filled.all(edit)
    }
}

impl From<NewStoreBody> for NewStore {
    fn from(new: NewStoreBody) -> Self {
        let currency = new.currency.0.parse();
        let usual = StoreTiming::default();
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
            deliver_accepted_after_h: new.deliver_accepted_after_h,
            timing: StoreTiming {
                lead_time_min: new.lead_time_min.unwrap_or(usual.lead_time_min),
                prepare_min: new.prepare_min.unwrap_or(usual.prepare_min),
                order_ahead_days: new.order_ahead_days.unwrap_or(usual.order_ahead_days),
                cancel_until: new.cancel_until.map_or(usual.cancel_until, Into::into),
            },
            language: new.language.map(Into::into).unwrap_or_default(),
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
            exponent: store.currency.decimals(),
            phone: store.contact.phone,
            email: store.contact.email,
            address: store.contact.address,
            lat: store.contact.lat,
            lng: store.contact.lng,
            external_location_id: store.external_location_id,
            auto_accept: store.auto_accept,
            accept_within_s: store.accept_within_s,
            deliver_accepted_after_h: store.deliver_accepted_after_h,
            lead_time_min: store.timing.lead_time_min,
            prepare_min: store.timing.prepare_min,
            order_ahead_days: store.timing.order_ahead_days,
            cancel_until: store.timing.cancel_until.into(),
            paused: store.paused,
            language: LanguageTag(store.language.to_string()),
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
