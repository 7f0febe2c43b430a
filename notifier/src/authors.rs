//! Which guest placed an order: asked of the ledger once for all screens that show it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::ids::OrderId;
use ledger::{Ledger, Result};
use tokio::sync::OnceCell;

/// Orders that are remembered; beyond, all are forgotten and asked again.
const MOST_REMEMBERED: usize = 10_000;

/// The hash of the guest's key; `None` for an order that no guest placed.
pub(crate) type Author = Option<Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct Authors(Mutex<HashMap<OrderId, Arc<OnceCell<Author>>>>);

impl Authors {
    pub(crate) async fn of(&self, order: OrderId, ledger: &Ledger) -> Result<Author> {
        let cell = self.cell(order);
        let author = cell
            .get_or_try_init(|| async {
                let order = ledger.order(order).await?;
                Ok::<_, ledger::LedgerError>(order.and_then(|order| order.guest_key_hash))
            })
            .await?;
        Ok(author.clone())
    }

    fn cell(&self, order: OrderId) -> Arc<OnceCell<Author>> {
        // No code that holds the lock can leave it half-changed.
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= MOST_REMEMBERED {
            cells.clear();
        }
        Arc::clone(cells.entry(order).or_default())
    }
}
