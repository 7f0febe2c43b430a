//! Changes of existing orders: edit, delete, cancel and replace.

use domain::{
    ids::{ItemId, OrderId},
    order::{Order, size::TextTooLong},
    status::OrderStatus,
};
use ledger::{
    intake::PlaceRefused,
    orders::{EditRefused, ItemsEdit, OrderEdit},
};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};
use uuid::Uuid;

use super::{
    Orders,
    options::about_the_item,
    patch::{ItemPatch, OrderPatch, Replacement, add_item_edit, items_edit, pointer_to},
    place::refresh,
    placed,
    request::NewItem,
    rights::visible_order,
    view::{OrderView, check_if_match},
};
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::{Checked, MergePatch},
        etag::IfMatch,
        idempotency::{IdempotencyKey, once},
        problem::{Problem, Reason},
        response::{Answer, PlacedOrder, RemovedOrder, Tagged},
    },
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct OrderEdits(pub(crate) ApiState);

/// The `If-Match` header and the idempotency key of an edit.
struct Preconditions {
    if_match: IfMatch,
    key: Option<ledger::idempotency::Idempotency>,
}

#[OpenApi(tag = "Topic::Orders")]
impl OrderEdits {
    /// Edit an order
    ///
    /// A draft can be edited at any time, a placed order only until it is first sent to an integrator; its stock
    /// changes by the difference. `items` are replaced as a whole, at current prices.
    #[oai(path = "/orders/:id", method = "patch", operation_id = "edit_order")]
    async fn edit(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        MergePatch(patch): MergePatch<OrderPatch>,
    ) -> Result<Tagged<OrderView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let on = Preconditions { if_match, key };
        let (view, replayed) = self.edited(&caller, id.0, on, patch.into_edit()?).await?;
        Ok(Answer::of(view).etag().replayed(replayed))
    }

    /// Add an item to an order
    ///
    /// Uses the current price. Possible while the order can be edited.
    #[oai(
        path = "/orders/:id/items",
        method = "post",
        operation_id = "add_order_item"
    )]
    async fn add_item(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        Checked(item): Checked<NewItem>,
    ) -> Result<Answer<OrderView, PlacedOrder>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &item)?;
        let on = Preconditions { if_match, key };
        let (view, replayed) = self.edited(&caller, id.0, on, add_item_edit(item)?).await?;
        Ok(placed(view, replayed))
    }

    /// Edit an item of an order
    ///
    /// A merge patch (RFC 7396), possible while the order can be edited. A new `quantity` changes the stock of a placed
    /// order by the difference.
    #[oai(
        path = "/orders/:id/items/:item",
        method = "patch",
        operation_id = "edit_order_item"
    )]
    async fn edit_item(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        item: Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        MergePatch(patch): MergePatch<ItemPatch>,
    ) -> Result<Tagged<OrderView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let on = Preconditions { if_match, key };
        let edit = patch.into_edit(ItemId::from(item.0))?;
        let (view, replayed) = self.edited(&caller, id.0, on, edit).await?;
        Ok(Answer::of(view).etag().replayed(replayed))
    }

    /// Remove an item from an order
    ///
    /// The last item of a placed order cannot be removed: cancel the order instead.
    #[oai(
        path = "/orders/:id/items/:item",
        method = "delete",
        operation_id = "remove_order_item"
    )]
    async fn remove_item(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        item: Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Tagged<OrderView>, Problem> {
        let on = Preconditions {
            if_match,
            key: None,
        };
        let edit = items_edit(ItemsEdit::Remove(ItemId::from(item.0)));
        let (view, _) = self.edited(&caller, id.0, on, edit).await?;
        Ok(Answer::of(view).etag())
    }

    /// Delete a draft or cancel a placed order
    ///
    /// A cancelled order stays readable.
    #[oai(path = "/orders/:id", method = "delete", operation_id = "remove_order")]
    async fn remove(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Reason for a cancellation; staff must give one once the order is accepted.
        #[oai(validator(max_length = 200))]
        reason: Query<Option<String>>,
        if_match: IfMatch,
    ) -> Result<Answer<OrderView, RemovedOrder>, Problem> {
        let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
        let seen = check_if_match(&if_match, &order, by)?;
        let ledger = &self.0.ledger;
        let removed = ledger.remove_order_if_unchanged(order.id, seen, by, reason.as_deref());
        let removed = removed.await?;
        Ok(match removed {
            None => Answer::empty(),
            Some(order) => Answer::of(OrderView::of(&order, Some(by))).etag(),
        })
    }

    /// Replace an order that was rejected, failed or cancelled
    ///
    /// Places a new order, whose `replaces` is the id of the old one. An order can be replaced only once.
    #[oai(
        path = "/orders/:id/replace",
        method = "post",
        operation_id = "replace_order"
    )]
    async fn replace(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        key: IdempotencyKey,
        Checked(asked): Checked<Replacement>,
    ) -> Result<Answer<OrderView, PlacedOrder>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &asked)?;
        let (order, by) = visible_order(&self.0, &caller, id.0.into()).await?;
        if !order.status.is_unsuccessful() {
            let detail = "Only a rejected, failed or cancelled order can be replaced.";
            return Err(Problem::new(Reason::Conflict)
                .detail(detail)
                .with("order_status", order.status.as_str()));
        }
        let wanted = asked.into_command(&order, self.0.ledger.clock().now(), key)?;
        let done = Orders(self.0.clone()).place_order(wanted).await?;
        Ok(placed(OrderView::of(&done.order, Some(by)), done.replayed))
    }
}

impl OrderEdits {
    /// Applies the edit; returns the order afterwards, and true if the request is a replay.
    async fn edited(
        &self,
        caller: &Caller,
        id: Uuid,
        on: Preconditions,
        edit: OrderEdit,
    ) -> Result<(OrderView, bool), Problem> {
        let (order, by) = visible_order(&self.0, caller, id.into()).await?;
        let shown = OrderView::of(&order, Some(by));
        let version = on.if_match.expected_version(&shown, order.version);
        let status = version.map(|_| order.status);
        if depends_on_products(&edit, &order) {
            refresh(&self.0, order.store_id, on.key.as_ref()).await?;
        }
        let done = once(
            &self.0,
            on.key,
            async |ledger| {
                let edited = ledger.edit_order_in_status(order.id, version, status, &edit);
                edited
                    .await
                    .map_err(|error| error.map_refused(|refused| edit_problem(refused, &edit)))
            },
            async |id| Ok(visible_order(&self.0, caller, OrderId::from(id)).await?.0),
        );
        let (order, replayed) = done.await?;
        Ok((OrderView::of(&order, Some(by)), replayed))
    }
}

/// Returns true if the result of the edit depends on the current products and prices.
fn depends_on_products(edit: &OrderEdit, order: &Order) -> bool {
    matches!(order.status, OrderStatus::Draft | OrderStatus::Pending)
        && !matches!(edit.items, ItemsEdit::Keep | ItemsEdit::Remove(_))
}

/// Converts a refusal into a problem. If the edit adds one item, the pointers refer to that item.
fn edit_problem(refused: EditRefused, edit: &OrderEdit) -> Problem {
    match (refused, &edit.items) {
        (EditRefused::Place(PlaceRefused::UnknownProducts { .. }), ItemsEdit::Add(line)) => {
            let pointer = pointer_to(&line.product);
            Problem::invalid_field(pointer, "the store has no such product")
        }
        (
            EditRefused::Place(PlaceRefused::TextTooLong(too_long)),
            ItemsEdit::Add(_) | ItemsEdit::Change { .. },
        ) => {
            let field = "/note".to_owned();
            PlaceRefused::TextTooLong(TextTooLong { field, ..too_long }).into()
        }
        (EditRefused::Place(refused), ItemsEdit::Add(_) | ItemsEdit::Change { .. }) => {
            about_the_item(refused)
        }
        (refused, _) => refused.into(),
    }
}
