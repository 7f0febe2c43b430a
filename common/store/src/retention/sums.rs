//! Sums over what was deleted, so that the audit can still add everything up.

use std::collections::BTreeMap;

use crate::{bulk::insert_many, error::Result, tx::Tx};
use domain::{
    ids::{ProductId, StoreId},
    order::Order,
    status::OrderStatus,
};

/// Counts of orders of one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoneOrders {
    pub orders: i64,
    pub delivered: i64,
    pub rejected: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub ever_accepted: i64,
}

impl GoneOrders {
    /// Adds an order that has ended.
    pub fn add(&mut self, order: &Order) {
        self.orders += 1;
        match order.status {
            OrderStatus::Delivered => self.delivered += 1,
            OrderStatus::Rejected => self.rejected += 1,
            OrderStatus::Failed => self.failed += 1,
            _ => self.cancelled += 1,
        }
        self.ever_accepted += i64::from(order.accepted_at.is_some());
    }
}

/// Adds to the counts of deleted orders.
pub async fn add_gone_orders(tx: &mut Tx, gone: &BTreeMap<StoreId, GoneOrders>) -> Result<()> {
    let end = tx.pick(
        " ON DUPLICATE KEY UPDATE orders = orders + VALUES(orders), delivered = delivered + VALUES(delivered), \
         rejected = rejected + VALUES(rejected), failed = failed + VALUES(failed), \
         cancelled = cancelled + VALUES(cancelled), ever_accepted = ever_accepted + VALUES(ever_accepted)",
        // MySQL has no ON CONFLICT.
        " ON CONFLICT (store_id) DO UPDATE SET orders = orders + excluded.orders, \
         delivered = delivered + excluded.delivered, rejected = rejected + excluded.rejected, \
         failed = failed + excluded.failed, cancelled = cancelled + excluded.cancelled, \
         ever_accepted = ever_accepted + excluded.ever_accepted",
    );
    let gone: Vec<_> = gone.iter().collect();
    insert_many!(
        tx,
        "INSERT INTO gone_orders (store_id, orders, delivered, rejected, failed, cancelled, ever_accepted) ",
        &gone,
        |row, one| row
            .push_bind(*one.0)
            .push_bind(one.1.orders)
            .push_bind(one.1.delivered)
            .push_bind(one.1.rejected)
            .push_bind(one.1.failed)
            .push_bind(one.1.cancelled)
            .push_bind(one.1.ever_accepted),
        end
    );
    Ok(())
}

/// Adds to the pieces that deleted orders held.
pub async fn add_gone_stock(tx: &mut Tx, gone: &BTreeMap<ProductId, i64>) -> Result<()> {
    let end = tx.pick(
        " ON DUPLICATE KEY UPDATE quantity = quantity + VALUES(quantity)",
        // MySQL has no ON CONFLICT.
        " ON CONFLICT (product_id) DO UPDATE SET quantity = quantity + excluded.quantity",
    );
    let gone: Vec<_> = gone.iter().collect();
    insert_many!(
        tx,
        "INSERT INTO gone_stock (product_id, quantity) ",
        &gone,
        |row, one| row.push_bind(*one.0).push_bind(*one.1),
        end
    );
    Ok(())
}
