//! Lists orders for people: one page, or all that match, for an export.

use crate::{Ledger, Result, events::bounded};
use domain::{ids::OrderId, order::Order};
pub use store::orders::{OrderFilter, OrderPage};

/// Number of ids found by one query if all are wanted.
const IDS_PER_QUERY: u32 = 2000;
/// Maximum number of queries; the rest is left to another request, however little was found.
const MAX_QUERIES: u32 = 250;

impl Ledger {
    /// Returns one page after `after`, in the filter's sequence and one snapshot. It ends early before an order that does not fit
    /// into the bytes of one page.
    #[crate::boxed]
    pub async fn orders(
        &self,
        filter: &OrderFilter,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<OrderPage<Order>> {
        let mut tx = self.inner.db.read().await?;
        let page = store::orders::list::list(&mut tx, filter, after, limit).await?;
        let max_bytes = self.inner.settings.bounds.page_bytes;
        let orders = bounded::orders(&mut tx, &page.orders, max_bytes).await?;
        let last = orders.last().map(|order| (order.id, order.updated_at));
        let is_cut = orders.len() < page.orders.len() && page.next != Some(OrderId::MAX);
        let (next, next_updated_at) = match last {
            Some((id, updated_at)) if is_cut => (Some(id), updated_at),
            _ => (page.next, page.next_updated_at),
        };
        Ok(OrderPage {
            orders,
            next,
            next_updated_at,
        })
    }

    /// Returns the ids of at most `most` matching orders, newest first, to be read with [`Self::orders_by_id`], some at
    /// a time.
    #[crate::boxed]
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
            next_updated_at: None,
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
    #[crate::boxed]
    pub async fn orders_by_id(&self, ids: &[OrderId]) -> Result<Vec<Order>> {
        let mut tx = self.inner.db.read().await?;
        Ok(bounded::orders(&mut tx, ids, usize::MAX).await?)
    }
}
