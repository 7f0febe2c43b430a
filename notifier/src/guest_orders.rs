//! Caches which guest placed each order, so that the ledger is read once for all screens that show it.

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

use domain::ids::OrderId;
use ledger::{Ledger, Result};
use tokio::sync::OnceCell;

/// Number of cached orders at which the cache is cleared.
const MAX_CACHED: usize = 10_000;

/// Hash of the guest's key; `None` for an order that no guest placed.
pub(crate) type GuestKeyHash = Option<Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct GuestOrders(Mutex<HashMap<OrderId, Arc<OnceCell<GuestKeyHash>>>>);

impl GuestOrders {
    pub(crate) async fn of(&self, order: OrderId, ledger: &Ledger) -> Result<GuestKeyHash> {
        let cell = self.cell(order);
        let author = cell
            .get_or_try_init(|| async {
                let order = ledger.order(order).await?;
                Ok::<_, ledger::Failure>(order.and_then(|order| order.guest_key_hash))
            })
            .await?;
        Ok(author.clone())
    }

    fn cell(&self, order: OrderId) -> Arc<OnceCell<GuestKeyHash>> {
        // Poisoning is ignored: no panic under the lock can leave the map half-changed.
        let mut cells = self.0.lock();
        if cells.len() >= MAX_CACHED {
            cells.clear();
        }
        Arc::clone(cells.entry(order).or_default())
    }
}
