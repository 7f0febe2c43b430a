//! Order endpoints: place, read and move orders, as an account or as a guest.

mod csv;
mod edits;
mod events;
mod link;
mod list;
mod options;
mod patch;
mod place;
mod problems;
mod request;
pub(super) mod rights;
mod sync;
mod times;
mod view;

use domain::{
    account::Role,
    session::{Session, is_code},
    status::{By, OrderStatus},
};
use ledger::intake::{Placed, Placer, guest_scope};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use uuid::Uuid;

pub(crate) use self::{
    edits::OrderEdits,
    events::{ActorView, EventView},
    link::OrderLinks,
    list::OrderLists,
    times::OrderTimes,
    view::{GuestOrderView, OrderView},
};
use self::{
    request::{GuestsOrder, NewOrder, StatusChange},
    rights::{capacity, has_guest_key, hash_guest_key, order_for_integrator, visible_order},
    view::check_if_match,
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        etag::{IfMatch, IfNoneMatch},
        idempotency::{IdempotencyKey, once},
        problem::{Problem, Reason},
        response::{Answer, Fresh, PlacedGuestOrder, PlacedOrder, Tagged},
    },
    resources::handoffs::HandoffView,
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Orders(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Orders")]
impl Orders {
    /// Place an order or create a draft
    ///
    /// `201` means that the order is stored durably. A repeated request with the same `Idempotency-Key` places nothing
    /// twice.
    #[oai(path = "/orders", method = "post", operation_id = "place_order")]
    async fn place(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewOrder>,
    ) -> Result<Answer<OrderView, PlacedOrder>, Problem> {
        let idempotency = key.of(&self.0, caller.id().uuid(), &new)?;
        let session = match &new.session {
            Some(code) => Some(self.session(code).await?),
            None => None,
        };
        let guests_session = session
            .as_ref()
            .filter(|session| !caller.serves(session.store_id));
        if let Some(session) = guests_session {
            self.0.limits.count_session_order(session.id)?;
        }
        let is_draft = new.is_draft();
        let wanted =
            new.into_command(Placer::Account(caller.id()), session.as_ref(), idempotency)?;
        caller.must_reach(wanted.store_id)?;
        let Placed { order, replayed } = if is_draft {
            self.draft_order(&caller, wanted).await?
        } else {
            self.place_order(wanted).await?
        };
        let by = capacity(&caller, &order).unwrap_or(By::Owner);
        Ok(placed(OrderView::of(&order, Some(by)), replayed))
    }

    /// Get an order
    ///
    /// Callers see their own orders and those of the stores that they serve. An integrator account sees the orders that
    /// have a handoff to one of its integrators, with an empty `next`. Any other order returns 404. `next`, and so the
    /// `ETag`, depend on the caller.
    #[oai(path = "/orders/:id", method = "get", operation_id = "get_order")]
    async fn get(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<OrderView>, Problem> {
        let view = if caller.is(Role::Integrator) {
            OrderView::of(
                &order_for_integrator(&self.0, &caller, id.0.into()).await?,
                None,
            )
        } else {
            let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
            OrderView::of(&order, Some(by))
        };
        Ok(if_none_match.answer(view))
    }

    /// Move an order to another status
    ///
    /// The new status must be one of the order's `next`. Moving an order to the status that it already has is a no-op.
    /// A draft that moves to `pending` is placed, at current prices and if stock suffices.
    #[oai(
        path = "/orders/:id/status",
        method = "put",
        operation_id = "move_order"
    )]
    async fn move_to(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        if_match: IfMatch,
        Checked(wanted): Checked<StatusChange>,
    ) -> Result<Tagged<OrderView>, Problem> {
        let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
        let seen = check_if_match(&if_match, &order, by)?;
        let (to, reason) = (wanted.status.into(), wanted.reason.as_deref());
        let ready_at = wanted.ready_at(by)?;
        let ledger = &self.0.ledger;
        let moved = if to == OrderStatus::Pending {
            let expected_total = wanted.expected_total.map(Into::into);
            self.place_draft(&order, seen, by, expected_total).await?
        } else {
            let moved = ledger.move_order_if_unchanged(order.id, seen, to, by, reason, ready_at);
            moved.await?
        };
        Ok(Answer::of(OrderView::of(&moved, Some(by))).etag())
    }

    /// List an order's events
    ///
    /// Oldest first, at most 1000, and fewer if they are long: continue with the last `seq` as `after` until the answer
    /// is empty. `actor` says who made each change: the order's owner is told the kind only, and is not shown
    /// `handoff.failed`. `seq` has gaps if the
    /// stream is a session's, because that stream also carries events of other orders.
    #[oai(
        path = "/orders/:id/events",
        method = "get",
        operation_id = "list_order_events"
    )]
    async fn events(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// `seq` of the last event of the previous answer. Default: from the beginning.
        Query(after): Query<Option<i64>>,
    ) -> Result<Json<Vec<EventView>>, Problem> {
        let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
        let after = after.unwrap_or(0).max(0);
        let events = self.0.ledger.order_events(order.id, after).await?;
        Ok(Json(EventView::visible_to(by, &caller, events)))
    }

    /// List an order's handoffs with their attempts
    ///
    /// For staff, managers and operators.
    #[oai(
        path = "/orders/:id/handoffs",
        method = "get",
        operation_id = "list_order_handoffs"
    )]
    async fn handoffs(
        &self,
        caller: Caller,
        id: Path<Uuid>,
    ) -> Result<Json<Vec<HandoffView>>, Problem> {
        let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
        if by == By::Owner {
            return Err(Problem::forbidden());
        }
        let handoffs = self.0.ledger.handoff_histories(order.id).await?;
        Ok(Json(handoffs.into_iter().map(HandoffView::of).collect()))
    }

    /// Place an order as a guest
    ///
    /// The session's code is the key. `{"product_id"}` alone orders one piece of that product. A guest who sends a
    /// random `Expediter-Guest` key can cancel the order with it, and sees the order marked as `mine`. Idempotency keys and
    /// references of such a guest are their own.
    #[oai(
        path = "/sessions/:code/orders",
        method = "post",
        operation_id = "place_guest_order"
    )]
    async fn place_as_guest(
        &self,
        code: Path<String>,
        #[oai(name = "Expediter-Guest")] guest: Header<Option<String>>,
        /// A client-chosen key of up to 200 bytes, unique per guest. Guests who send no `Expediter-Guest` key share theirs.
        key: IdempotencyKey,
        Checked(new): Checked<GuestsOrder>,
    ) -> Result<Answer<GuestOrderView, PlacedGuestOrder>, Problem> {
        let session = self.session(&code.0).await?;
        self.0.limits.count_session_order(session.id)?;
        let key_hash = hash_guest_key(guest.0)?;
        let idempotency = key.of(&self.0, guest_scope(session.id, key_hash), &new)?;
        let wanted = new.into_command(Placer::Guest { key_hash }, &session, idempotency)?;
        let Placed { order, replayed } = self.place_order(wanted).await?;
        Ok(Answer::of(GuestOrderView::of(&order, key_hash)).replayed(replayed))
    }

    /// Cancel your own order as a guest
    ///
    /// Requires the `Expediter-Guest` key that placed the order, and is possible until the order is accepted.
    #[oai(
        path = "/sessions/:code/orders/:id/cancel",
        method = "post",
        operation_id = "cancel_guest_order"
    )]
    async fn cancel_as_guest(
        &self,
        code: Path<String>,
        id: Path<Uuid>,
        #[oai(name = "Expediter-Guest")] guest: Header<Option<String>>,
        /// A client-chosen key of up to 200 bytes, unique per guest. Guests who send no `Expediter-Guest` key share theirs.
        key: IdempotencyKey,
    ) -> Result<Tagged<GuestOrderView>, Problem> {
        let session = self.session(&code.0).await?;
        let key_hash = hash_guest_key(guest.0)?;
        let owner = guest_scope(session.id, key_hash);
        let key = key.of(&self.0, owner, &serde_json::Value::Null)?;
        let order = self.0.ledger.order(id.0.into()).await?;
        let order = order
            .filter(|order| {
                order
                    .session
                    .as_ref()
                    .is_some_and(|its| its.id == session.id)
            })
            .ok_or_else(Problem::not_found)?;
        if !has_guest_key(&order, key_hash) {
            return Err(Problem::forbidden()
                .detail("Only the guest key that placed the order can cancel it."));
        }
        let to = OrderStatus::Cancelled;
        let (moved, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.move_order(order.id, to, By::Guest, None).await,
            async |id| {
                let again = self.0.ledger.order(id.into()).await?;
                again.ok_or_else(Problem::not_found)
            },
        )
        .await?;
        Ok(Answer::of(GuestOrderView::of(&moved, key_hash))
            .etag()
            .replayed(replayed))
    }
}

impl Orders {
    /// Returns the session with this code, unless it was closed too long ago to be read.
    async fn session(&self, code: &str) -> Result<Session, Problem> {
        let unknown = || Problem::new(Reason::SessionNotFound);
        if !is_code(code) {
            return Err(unknown());
        }
        let session = self
            .0
            .ledger
            .session_by_code(code)
            .await?
            .ok_or_else(unknown)?;
        if session.is_readable_at(self.0.ledger.clock().now()) {
            Ok(session)
        } else {
            Err(Problem::new(Reason::SessionEnded))
        }
    }
}

fn placed(view: OrderView, replayed: bool) -> Answer<OrderView, PlacedOrder> {
    let location = view.location();
    Answer::of(view).at(location).etag().replayed(replayed)
}
