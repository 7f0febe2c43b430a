//! Hours, opening by hand, capacity and busy mode of a store; and for guests of a session, if it is open and has room.

mod view;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{capacity::Slot, ids::StoreId, opening::ByHand};
use ledger::stores::{RulesEdit, StoreOpening};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use self::view::{BusyBody, ByHandBody, CapacityView, HoursView, OpeningView, SlotsView};
use super::rights::get_visible;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{body::Checked, enums, problem::Problem, scalars::Time},
    resources::sessions::Sessions,
    state::ApiState,
};

/// Days from now up to which times are taken: what is further away is a mistake.
const MAX_DAYS_AWAY: i64 = 366;
/// Longest stretch of time whose slots one answer has, and the usual one.
const MAX_SLOTS_DAYS: i64 = 3;
const USUAL_SLOTS_DAYS: i64 = 1;
/// Maximum slots of one answer: three days of five minutes each.
const MAX_SLOTS: usize = 3 * 24 * 12;

pub(crate) struct Openings(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Stores")]
impl Openings {
    /// Get a store's opening hours
    ///
    /// For everybody who may see the store. Times of day are those of the store's zone.
    #[oai(path = "/stores/:id/hours", method = "get", operation_id = "get_hours")]
    async fn hours(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
    ) -> Result<Json<HoursView>, Problem> {
        let store = get_visible(&self.0, &caller, id.into()).await?;
        let rules = self.0.ledger.store_rules(store.id).await?;
        Ok(Json(rules.hours.into()))
    }

    /// Set a store's opening hours
    ///
    /// Replaces all of them. Outside them, orders are refused with `store_closed`. A span belongs to the day on which it
    /// begins, and ends on the next day if `to` is not later than `from`. An exception replaces the weekly hours of its
    /// date for the fulfilments that it names. Without weekly hours the store is open at all times that no exception
    /// names. On days when clocks change, a time that happens twice opens at its first and closes at its second
    /// occurrence, and a time that does not exist is the moment of the change.
    #[oai(path = "/stores/:id/hours", method = "put", operation_id = "set_hours")]
    async fn set_hours(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(hours): Checked<HoursView>,
    ) -> Result<Json<HoursView>, Problem> {
        caller.must_manage(id.into())?;
        let edit = RulesEdit::Hours(hours.into_hours()?);
        let rules = self.0.ledger.edit_store_rules(id.into(), edit).await?;
        Ok(Json(rules.hours.into()))
    }

    /// Tell if a store is open
    ///
    /// For each fulfilment: if it can be ordered now, when it opens next, and when it closes. `opens_at` is null while it
    /// is open, and if nobody knows; `closes_at` is null while it is closed, and if it does not close.
    #[oai(
        path = "/stores/:id/opening",
        method = "get",
        operation_id = "get_opening"
    )]
    async fn opening(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
    ) -> Result<Json<OpeningView>, Problem> {
        let store = get_visible(&self.0, &caller, id.into()).await?;
        self.opening_of(store.id).await
    }

    /// Open or close a store by hand
    ///
    /// `open` true or false holds for all fulfilments until `until`, or until it is changed; null leaves it to the hours
    /// again. `store.opening_changed` is sent on the store's live channel.
    #[oai(
        path = "/stores/:id/opening",
        method = "put",
        operation_id = "set_opening"
    )]
    async fn open_by_hand(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(body): Checked<ByHandBody>,
    ) -> Result<Json<OpeningView>, Problem> {
        caller.must_serve(id.into())?;
        let until = self.check_ahead("/until", body.until)?;
        let by_hand = body.open.map(|open| ByHand { open, until });
        if by_hand.is_none() && until.is_some() {
            let detail = "must be null if `open` is";
            return Err(Problem::invalid_field("/until", detail));
        }
        self.change(id.into(), RulesEdit::ByHand(by_hand)).await
    }

    /// Get a store's capacity
    #[oai(
        path = "/stores/:id/capacity",
        method = "get",
        operation_id = "get_capacity"
    )]
    async fn capacity(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
    ) -> Result<Json<CapacityView>, Problem> {
        caller.must_manage(id.into())?;
        let store = get_visible(&self.0, &caller, id.into()).await?;
        let rules = self.0.ledger.store_rules(store.id).await?;
        Ok(Json(rules.capacity.into()))
    }

    /// Set a store's capacity
    ///
    /// Replaces all rules. Each limits the orders, items or units of weight in each slot of so many minutes; fulfilments
    /// that one rule names share its slots. An order counts in the slot of the time at which it is to be ready, also for
    /// rules that are set later. If there is no room, it is refused with `slot_full`. `busy`: with so many open orders,
    /// each new one takes so many minutes longer.
    #[oai(
        path = "/stores/:id/capacity",
        method = "put",
        operation_id = "set_capacity"
    )]
    async fn set_capacity(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(capacity): Checked<CapacityView>,
    ) -> Result<Json<CapacityView>, Problem> {
        caller.must_manage(id.into())?;
        let edit = RulesEdit::Capacity(capacity.into_capacity()?);
        let rules = self.0.ledger.edit_store_rules(id.into(), edit).await?;
        Ok(Json(rules.capacity.into()))
    }

    /// Say that a store is busy
    ///
    /// New orders take `adds_minutes` longer; until `paused_until`, orders for that time are refused with
    /// `store_paused`. `store.opening_changed` is sent on the store's live channel.
    #[oai(path = "/stores/:id/busy", method = "put", operation_id = "set_busy")]
    async fn set_busy(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Checked(body): Checked<BusyBody>,
    ) -> Result<Json<OpeningView>, Problem> {
        caller.must_serve(id.into())?;
        self.check_ahead("/paused_until", body.paused_until)?;
        self.change(id.into(), RulesEdit::Busy(body.into())).await
    }

    /// List a store's slots
    ///
    /// The slots in which the store is open, with the room that is left; null means no limit. At most three days,
    /// within a year of now.
    #[oai(
        path = "/stores/:id/slots",
        method = "get",
        operation_id = "list_slots"
    )]
    async fn slots(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        Query(fulfilment): Query<enums::Fulfilment>,
        /// Default: now.
        Query(from): Query<Option<Time>>,
        /// Default: a day after `from`.
        Query(to): Query<Option<Time>>,
    ) -> Result<Json<SlotsView>, Problem> {
        let store = get_visible(&self.0, &caller, id.into()).await?;
        self.slots_of(store.id, fulfilment, from, to).await
    }

    /// Tell if a session's store is open
    ///
    /// The answer is that of `GET /stores/{id}/opening`.
    #[oai(
        path = "/sessions/:code/opening",
        method = "get",
        operation_id = "get_session_opening"
    )]
    async fn session_opening(
        &self,
        Path(code): Path<String>,
    ) -> Result<Json<OpeningView>, Problem> {
        let session = Sessions(self.0.clone()).read(&code).await?;
        self.opening_of(session.store_id).await
    }

    /// List the slots of a session's store
    ///
    /// The answer is that of `GET /stores/{id}/slots`.
    #[oai(
        path = "/sessions/:code/slots",
        method = "get",
        operation_id = "list_session_slots"
    )]
    async fn session_slots(
        &self,
        Path(code): Path<String>,
        Query(fulfilment): Query<enums::Fulfilment>,
        /// Default: now.
        Query(from): Query<Option<Time>>,
        /// Default: a day after `from`.
        Query(to): Query<Option<Time>>,
    ) -> Result<Json<SlotsView>, Problem> {
        let session = Sessions(self.0.clone()).read(&code).await?;
        self.slots_of(session.store_id, fulfilment, from, to).await
    }
}

impl Openings {
    async fn opening_of(&self, store: StoreId) -> Result<Json<OpeningView>, Problem> {
        let found: Option<StoreOpening> = self.0.ledger.store_opening(store).await?;
        let found = found.ok_or_else(Problem::not_found)?;
        Ok(Json(OpeningView::of(&found, self.now())))
    }

    async fn change(&self, store: StoreId, edit: RulesEdit) -> Result<Json<OpeningView>, Problem> {
        self.0.ledger.edit_store_rules(store, edit).await?;
        self.opening_of(store).await
    }

    async fn slots_of(
        &self,
        store: StoreId,
        fulfilment: enums::Fulfilment,
        from: Option<Time>,
        to: Option<Time>,
    ) -> Result<Json<SlotsView>, Problem> {
        let away = TimeDelta::days(MAX_DAYS_AWAY);
        let from = from.map_or_else(|| self.now(), |from| from.0);
        if (from - self.now()).abs() > away {
            let detail = format!("must be at most {MAX_DAYS_AWAY} days from now");
            return Err(Problem::invalid_field("from", detail));
        }
        let to = to.map_or(from + TimeDelta::days(USUAL_SLOTS_DAYS), |to| to.0);
        if to < from || to - from > TimeDelta::days(MAX_SLOTS_DAYS) {
            let detail = format!("must be at most {MAX_SLOTS_DAYS} days after `from`");
            return Err(Problem::invalid_field("to", detail));
        }
        let range = Slot { from, to };
        let slots = self
            .0
            .ledger
            .slots(store, fulfilment.into(), range, MAX_SLOTS);
        let slots = slots.await?.ok_or_else(Problem::not_found)?;
        Ok(Json(SlotsView::of(&slots)))
    }

    /// Refuses a time that has passed, or that is too far ahead.
    fn check_ahead(
        &self,
        pointer: &str,
        at: Option<Time>,
    ) -> Result<Option<DateTime<Utc>>, Problem> {
        let now = self.now();
        match at {
            Some(Time(at)) if at <= now || at - now > TimeDelta::days(MAX_DAYS_AWAY) => {
                let detail = format!("must lie ahead, at most {MAX_DAYS_AWAY} days");
                Err(Problem::invalid_field(pointer, detail))
            }
            at => Ok(at.map(|at| at.0)),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.ledger.clock().now()
    }
}
