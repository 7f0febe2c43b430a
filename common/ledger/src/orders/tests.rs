//! Drafts, edits and replacements on both databases, alone and concurrently with everything else.

mod drafts;
mod edits;
mod found;
mod later;
mod model;
mod races;
mod ready;
mod replacements;

use crate::{
    ChangeResult,
    intake::{Line, PlaceOrder, Placer},
    orders::{EditRefused, ItemsEdit, OrderEdit, OrderFilter},
    scene::Scene,
    testing::{fixtures::line, refusal},
};
use domain::{event::EventKind, ids::OrderId, order::Order, status::By};

fn items(items: ItemsEdit) -> OrderEdit {
    OrderEdit {
        items,
        ..OrderEdit::default()
    }
}

/// Returns an edit to this many pieces of the scene's product in one line.
fn pieces(scene: &Scene, quantity: u32) -> OrderEdit {
    items(ItemsEdit::Replace(vec![line(scene.product, quantity)]))
}

impl Scene {
    async fn draft(&self, lines: Vec<Line>) -> Order {
        self.draft_like(|draft| draft.lines = lines).await
    }

    async fn draft_like(&self, change: impl FnOnce(&mut PlaceOrder)) -> Order {
        let mut draft = self.wanted(Placer::Account(self.house.new_account_id()));
        change(&mut draft);
        self.house.ledger.draft_order(&draft).await.unwrap()
    }

    async fn place(&self, draft: OrderId) -> Order {
        let placed = self.house.ledger.place_draft(draft, By::Owner, None).await;
        placed.unwrap()
    }

    async fn edit(&self, order: OrderId, edit: &OrderEdit) -> ChangeResult<Order, EditRefused> {
        self.house.ledger.edit_order(order, None, edit).await
    }

    /// Lists all orders of the scene's store.
    async fn all_orders(&self) -> Vec<Order> {
        let of_store = OrderFilter {
            stores: Some(vec![self.store]),
            ..OrderFilter::default()
        };
        let ledger = &self.house.ledger;
        let ids = ledger.order_ids(&of_store, None, 10_000).await.unwrap();
        ledger.orders_by_id(&ids.orders).await.unwrap()
    }

    async fn told(&self, order: OrderId) -> Vec<EventKind> {
        let events = self.house.ledger.order_events(order, 0).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}
