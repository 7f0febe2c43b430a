//! Orders: placed by accounts and by guests, read, and moved by whoever may.

mod asked;
mod followed;
mod refused;
mod view;

use common::{
    domain::{
        account::Role,
        ids::{OrderId, StoreId},
        order::Order,
        session::{Session, is_code},
        status::{By, OrderStatus},
    },
    ledger::{
        intake::{PlaceOrder, Placed, Placer},
        orders::OrderFilter,
    },
    secrets::{same, sha256},
};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use uuid::Uuid;

use self::{
    asked::{GuestsOrder, NewOrder, StatusChange},
    view::OrderView,
};
pub(crate) use self::{followed::EventView, view::GuestOrderView};
use crate::{
    answer::{self, Page},
    auth::Caller,
    body::Checked,
    handoffs::HandoffView,
    once::IdempotencyKey,
    problem::{Problem, Reason},
    state::ApiState,
    words,
};

#[derive(Clone, Debug)]
pub(crate) struct Orders(pub(crate) ApiState);

#[derive(ApiResponse)]
enum PlacedAnswer {
    /// Kept: order, items, stock and first event are committed.
    #[oai(status = 201)]
    Created(
        Json<OrderView>,
        #[oai(header = "Location")] String,
        /// `true` where the idempotency key was known: this is the order that it made, as it is now.
        #[oai(header = "Idempotency-Replayed")]
        Option<bool>,
    ),
}

#[derive(ApiResponse)]
enum GuestPlacedAnswer {
    /// Kept: order, items, stock and first event are committed.
    #[oai(status = 201)]
    Created(
        Json<GuestOrderView>,
        #[oai(header = "Idempotency-Replayed")] Option<bool>,
    ),
}

#[OpenApi]
impl Orders {
    /// Place an order
    ///
    /// `201` means that it is kept. A repeated request with the same `Idempotency-Key` places nothing twice.
    #[oai(path = "/orders", method = "post", operation_id = "place_order")]
    async fn place(
        &self,
        caller: Caller,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        Checked(new): Checked<NewOrder>,
    ) -> Result<PlacedAnswer, Problem> {
        let idempotency = key.of(&self.0, caller.id().uuid(), &new)?;
        let session = match &new.session {
            Some(code) => Some(self.session(code).await?),
            None => None,
        };
        let wanted =
            new.into_command(Placer::Account(caller.id()), session.as_ref(), idempotency)?;
        let Placed { order, replayed } = self.place_order(wanted).await?;
        let view = OrderView::of(&order, Some(capacity(&caller, &order).unwrap_or(By::Owner)));
        let location = format!("/api/v1/orders/{}", order.id);
        Ok(PlacedAnswer::Created(
            Json(view),
            location,
            replayed.then_some(true),
        ))
    }

    /// List orders, newest first
    ///
    /// A customer's own; of staff and managers their stores'; of an operator all.
    #[oai(path = "/orders", method = "get", operation_id = "list_orders")]
    async fn list(
        &self,
        caller: Caller,
        store_id: Query<Option<Uuid>>,
        status: Query<Option<words::OrderStatus>>,
        /// From 1 to 100; 50 unless said.
        limit: Query<Option<u32>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<OrderView>>, Problem> {
        let limit = answer::limit(limit.0)?;
        let mut filter = OrderFilter {
            status: status.0.map(Into::into),
            before: answer::after(cursor.0.as_deref())?.map(Into::into),
            limit: limit + 1,
            ..OrderFilter::default()
        };
        match caller.account.role {
            Role::Operator => {}
            Role::Manager | Role::Staff => filter.stores = Some(caller.account.stores.clone()),
            Role::Customer => filter.account = Some(caller.id()),
            Role::Integrator => return Err(Problem::forbidden()),
        }
        if let Some(wanted) = store_id.0.map(StoreId::from) {
            match &mut filter.stores {
                Some(stores) => stores.retain(|store| *store == wanted),
                None => filter.stores = Some(vec![wanted]),
            }
        }
        let orders = self.0.ledger.orders(&filter).await?;
        let show = |order: Order| OrderView::of(&order, capacity(&caller, &order));
        Ok(Json(Page::of(orders, limit, |order| order.id.uuid(), show)))
    }

    /// Read an order
    #[oai(path = "/orders/:id", method = "get", operation_id = "get_order")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<OrderView>, Problem> {
        let (order, by) = self.order_of(&caller, id.0.into()).await?;
        Ok(Json(OrderView::of(&order, Some(by))))
    }

    /// Move an order
    ///
    /// To one of its `next`. Asked for where it already stands, nothing changes and nothing is refused.
    #[oai(
        path = "/orders/:id/status",
        method = "put",
        operation_id = "move_order"
    )]
    async fn move_to(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        Checked(wanted): Checked<StatusChange>,
    ) -> Result<Json<OrderView>, Problem> {
        let (order, by) = self.order_of(&caller, id.0.into()).await?;
        let moved = self
            .0
            .ledger
            .move_order(order.id, wanted.status.into(), by, wanted.reason.as_deref())
            .await?;
        Ok(Json(OrderView::of(&moved, Some(by))))
    }

    /// What happened to an order
    #[oai(
        path = "/orders/:id/events",
        method = "get",
        operation_id = "list_order_events"
    )]
    async fn events(
        &self,
        caller: Caller,
        id: Path<Uuid>,
    ) -> Result<Json<Vec<EventView>>, Problem> {
        let (order, _) = self.order_of(&caller, id.0.into()).await?;
        let events = self.0.ledger.order_events(order.id).await?;
        Ok(Json(events.into_iter().map(EventView::of).collect()))
    }

    /// An order's handoffs, with their attempts
    ///
    /// Of staff, managers and operators.
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
        let (order, by) = self.order_of(&caller, id.0.into()).await?;
        if by == By::Owner {
            return Err(Problem::forbidden());
        }
        let handoffs = self.0.ledger.handoffs_of_order(order.id).await?;
        Ok(Json(
            handoffs
                .into_iter()
                .map(|(handoff, attempts)| HandoffView::of(handoff, attempts))
                .collect(),
        ))
    }

    /// Place an order as a guest
    ///
    /// The session's code is the key. `{"product_id"}` alone orders one piece of it. Who sends a random
    /// `Expediter-Guest` key of their own can cancel the order with it, and sees it marked as `mine`.
    #[oai(
        path = "/sessions/:code/orders",
        method = "post",
        operation_id = "place_guest_order"
    )]
    async fn place_as_guest(
        &self,
        code: Path<String>,
        #[oai(name = "Expediter-Guest")] guest: Header<Option<String>>,
        /// Any text of up to 200 bytes that names this request among the session's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        Checked(new): Checked<GuestsOrder>,
    ) -> Result<GuestPlacedAnswer, Problem> {
        let session = self.session(&code.0).await?;
        let idempotency = key.of(&self.0, session.id.uuid(), &new)?;
        let key_hash = guest_key(guest.0)?;
        let wanted = new.into_command(Placer::Guest { key_hash }, &session, idempotency)?;
        let Placed { order, replayed } = self.place_order(wanted).await?;
        Ok(GuestPlacedAnswer::Created(
            Json(GuestOrderView::of(&order, key_hash)),
            replayed.then_some(true),
        ))
    }

    /// Cancel an order of one's own as a guest
    ///
    /// With the `Expediter-Guest` key that placed it, as long as nobody has accepted it.
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
    ) -> Result<Json<GuestOrderView>, Problem> {
        let session = self.session(&code.0).await?;
        let key_hash = guest_key(guest.0)?;
        let order = self.0.ledger.order(id.0.into()).await?;
        let order = order
            .filter(|order| {
                order
                    .session
                    .as_ref()
                    .is_some_and(|its| its.id == session.id)
            })
            .ok_or_else(Problem::not_found)?;
        if !is_theirs(&order, key_hash) {
            return Err(
                Problem::forbidden().detail("Only the key that placed an order cancels it.")
            );
        }
        let moved = self
            .0
            .ledger
            .move_order(order.id, OrderStatus::Cancelled, By::Guest, None)
            .await?;
        Ok(Json(GuestOrderView::of(&moved, key_hash)))
    }
}

impl Orders {
    async fn place_order(&self, wanted: PlaceOrder) -> Result<Placed, Problem> {
        let placed = self
            .0
            .ledger
            .place_order(wanted)
            .await
            .map_err(Problem::from);
        if let Err(problem) = &placed {
            self.0
                .metrics
                .orders_refused
                .with_label_values(&[problem.reason().as_str()])
                .inc();
        }
        placed
    }

    /// The session that a code opens; an old one opens nothing any more.
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
        if session.reads_at(self.0.ledger.clock().now()) {
            Ok(session)
        } else {
            Err(Problem::new(Reason::SessionEnded))
        }
    }

    /// The order, and in which capacity the caller stands to it; others' are as if they did not exist.
    async fn order_of(&self, caller: &Caller, id: OrderId) -> Result<(Order, By), Problem> {
        let order = self
            .0
            .ledger
            .order(id)
            .await?
            .ok_or_else(Problem::not_found)?;
        let by = capacity(caller, &order).ok_or_else(Problem::not_found)?;
        Ok((order, by))
    }
}

/// In which capacity an account stands to an order; `None`: in none.
fn capacity(caller: &Caller, order: &Order) -> Option<By> {
    if caller.is(Role::Operator) {
        Some(By::Operator)
    } else if caller.serves(order.store_id) {
        Some(By::Staff)
    } else if order.account_id == Some(caller.id()) {
        Some(By::Owner)
    } else {
        None
    }
}

/// Whether that guest's key placed the order.
fn is_theirs(order: &Order, key_hash: Option<[u8; 32]>) -> bool {
    match (&order.guest_key_hash, key_hash) {
        (Some(placed_with), Some(shown)) => same(placed_with, &shown),
        _ => false,
    }
}

/// The hash of a guest's own random key; only that is stored.
pub(crate) fn guest_key(header: Option<String>) -> Result<Option<[u8; 32]>, Problem> {
    match header {
        None => Ok(None),
        Some(key) if (16..=200).contains(&key.len()) => Ok(Some(sha256(key.as_bytes()))),
        Some(_) => Err(Problem::invalid_field(
            "Expediter-Guest",
            "must have from 16 to 200 characters",
        )),
    }
}
