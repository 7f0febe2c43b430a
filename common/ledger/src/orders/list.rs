//! Lists orders for people: one page, or all that match, for an export.

use std::collections::HashMap;

use crate::{Ledger, Result};
use domain::{ids::OrderId, order::Order};
use store::Tx;
pub use store::orders::{OrderFilter, OrderPage};

/// Number of ids found by one query if all are wanted.
const IDS_PER_QUERY: u32 = 2000;
/// Maximum number of queries; the rest is left to another request, however little was found.
const MAX_QUERIES: u32 = 250;

impl Ledger {
    /// Returns one page after `after`, newest first, in one snapshot.
    pub async fn orders(
        &self,
        filter: &OrderFilter,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<OrderPage<Order>> {
        let mut tx = self.inner.db.read().await?;
        let page = store::orders::list::list(&mut tx, filter, after, limit).await?;
        Ok(OrderPage {
            orders: read(&mut tx, &page.orders).await?,
            next: page.next,
        })
    }

    /// Returns the ids of at most `most` matching orders, newest first, to be read with [`Self::orders_by_id`], some at
    /// a time.
    pub async fn order_ids(
        &self,
        filter: &OrderFilter,
        after: Option<OrderId>,
        most: u32,
    ) -> Result<OrderPage<OrderId>> {
        let mut tx = self.inner.db.read().await?;
        let mut found = OrderPage {
            orders: Vec::new(),
            next: after,
        };
        for _ in 0..MAX_QUERIES {
            let left = most - u32::try_from(found.orders.len()).unwrap_or(most).min(most);
            let limit = left.min(IDS_PER_QUERY);
            let page = store::orders::list::list(&mut tx, filter, found.next, limit).await?;
            found.orders.extend(page.orders);
            found.next = page.next;
            if page.next.is_none() || found.orders.len() >= most as usize {
                break;
            }
        }
        Ok(found)
    }

    /// Returns these orders in the given sequence; missing ones are left out.
    pub async fn orders_by_id(&self, ids: &[OrderId]) -> Result<Vec<Order>> {
        let mut tx = self.inner.db.read().await?;
        Ok(read(&mut tx, ids).await?)
    }
}

async fn read(tx: &mut Tx, ids: &[OrderId]) -> store::Result<Vec<Order>> {
    let orders = store::orders::many(tx, ids).await?;
    let mut by_id: HashMap<OrderId, Order> =
        orders.into_iter().map(|order| (order.id, order)).collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}
