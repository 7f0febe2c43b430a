//! Reads that stop at a number of bytes: some rows at a time, so that never much more than that is in memory.

use std::collections::HashMap;

use domain::{
    event::Event,
    ids::{OrderId, StreamId},
    json_size::value_bytes,
    order::Order,
};
use store::{Result, Tx};

/// Maximum number of rows per read: few, because each may be large.
const ROWS_PER_READ: usize = 16;

/// Counts the bytes of an answer. The first item always fits.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    is_empty: bool,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            is_empty: true,
        }
    }

    /// Returns false if the item does not fit any more; nothing fits after it.
    pub(crate) fn takes(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.left || self.is_empty;
        self.left = if fits {
            self.left.saturating_sub(bytes)
        } else {
            0
        };
        self.is_empty = false;
        fits
    }
}

/// Reads these orders in their sequence, until one does not fit into `max_bytes`. Missing ones are left out.
pub(crate) async fn orders(tx: &mut Tx, ids: &[OrderId], max_bytes: usize) -> Result<Vec<Order>> {
    let mut budget = Budget::new(max_bytes);
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ROWS_PER_READ) {
        let orders = store::orders::many(tx, ids).await?;
        let mut by_id: HashMap<OrderId, Order> =
            orders.into_iter().map(|order| (order.id, order)).collect();
        for order in ids.iter().filter_map(|id| by_id.remove(id)) {
            if !budget.takes(order.max_json_bytes()) {
                return Ok(found);
            }
            found.push(order);
        }
    }
    Ok(found)
}

/// The events that one read looks through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventsOf {
    Stream(StreamId),
    Order(OrderId),
}

/// Reads at most `limit` events after a number, in order, until one does not fit into `max_bytes`.
pub(crate) async fn events(
    tx: &mut Tx,
    of: EventsOf,
    mut after: i64,
    limit: u32,
    max_bytes: usize,
) -> Result<Vec<Event>> {
    let mut budget = Budget::new(max_bytes);
    let mut found: Vec<Event> = Vec::new();
    while found.len() < limit as usize {
        let step = (limit as usize - found.len()).min(ROWS_PER_READ);
        let rows = u32::try_from(step).unwrap_or(limit);
        let read = match of {
            EventsOf::Stream(stream) => store::events::after(tx, stream, after, rows).await?,
            EventsOf::Order(order) => store::events::of_order(tx, order, after, rows).await?,
        };
        let is_last = read.len() < step;
        for event in read {
            if !budget.takes(200 + value_bytes(&event.data)) {
                return Ok(found);
            }
            after = event.seq;
            found.push(event);
        }
        if is_last {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_takes_what_fits_and_the_first_item_always() {
        let mut budget = Budget::new(10);
        assert!(budget.takes(4) && budget.takes(6));
        assert!(!budget.takes(1));
        let mut budget = Budget::new(10);
        assert!(budget.takes(11));
        assert!(!budget.takes(1));
        let mut budget = Budget::new(10);
        assert!(budget.takes(9) && !budget.takes(2));
        assert!(!budget.takes(1), "the items have no gap");
    }
}
