//! Caches the facts of orders that only staff see, so that the ledger is read once for all screens of a store.

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use domain::{ids::OrderId, status::OrderStatus};
use ledger::{Ledger, Result};
use tokio::sync::OnceCell;

use crate::protocol::staff_fields;

/// Number of cached events at which the cache is cleared: one event is sent to all screens at about the same time.
const MAX_CACHED: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct StaffFacts(Mutex<HashMap<(OrderId, i64), Cell>>);

/// The facts of one event, read by whoever asks first.
type Cell = Arc<OnceCell<Bytes>>;

impl StaffFacts {
    /// Returns the fields that staff see with the event `seq` of an order, at which its status was `status`. They are
    /// read after the event was committed, so they are at least as new. Empty if the order was pruned.
    pub(crate) async fn of(
        &self,
        id: OrderId,
        seq: i64,
        status: OrderStatus,
        ledger: &Ledger,
    ) -> Result<Bytes> {
        let cell = self.cell(id, seq);
        let read = cell.get_or_try_init(|| async {
            let order = ledger.order(id).await?;
            let fields = order.map(|order| staff_fields(&order, status));
            Ok::<_, ledger::Failure>(fields.unwrap_or_default().into())
        });
        Ok(read.await?.clone())
    }

    fn cell(&self, id: OrderId, seq: i64) -> Cell {
        // Poisoning is ignored: no panic under the lock can leave the map half-changed.
        let mut cells = self.0.lock();
        if cells.len() >= MAX_CACHED {
            cells.clear();
        }
        Arc::clone(cells.entry((id, seq)).or_default())
    }
}
