//! Settles orders that wait although the result is certain, because a hint was lost or nobody was told.

use super::{Part, Steps, Walk};
use crate::{Ledger, Result};
use domain::ids::OrderId;

impl Ledger {
    /// Accepts or fails orders that wait although every integrator has confirmed or failed, among the next
    /// `max_examined` of each status after `after`; returns their number, and the order after which the next call goes
    /// on.
    #[crate::boxed]
    pub async fn settle_unsettled_orders(
        &self,
        after: Option<OrderId>,
        max_examined: u32,
        part: Part,
    ) -> Result<(u32, Option<OrderId>)> {
        let found = {
            let mut tx = self.inner.db.read().await?;
            store::sweep::unsettled_orders(&mut tx, self.inner.clock.now(), after, max_examined)
                .await?
        };
        let settled = self.settle_found(found.orders, max_examined, part).await;
        Ok((settled, found.continue_after))
    }

    /// Does the same among the newest `max_examined` orders of each status; returns their number.
    #[crate::boxed]
    pub async fn settle_newest_orders(&self, max_examined: u32, part: Part) -> Result<u32> {
        let found = {
            let mut tx = self.inner.db.read().await?;
            store::sweep::newest_unsettled(&mut tx, self.inner.clock.now(), max_examined).await?
        };
        Ok(self.settle_found(found, max_examined, part).await)
    }

    async fn settle_found(&self, found: Vec<OrderId>, limit: u32, part: Part) -> u32 {
        let mut steps = Steps::new(Walk { part, limit });
        for order in found {
            if steps.takes(order.uuid()) {
                let settled = self.settle_order(order).await;
                steps.note("unsettled order", order.uuid(), &settled);
            }
        }
        steps.done()
    }
}
