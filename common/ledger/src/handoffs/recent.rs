//! Recent handoffs of a store, for screens, not for workers.

use std::{cmp::Reverse, collections::BTreeMap};

use super::waiting::waiting_of;
use crate::{Ledger, Result};
use domain::{
    handoff::{Attempt, Handoff},
    ids::{IntegratorId, OrderId, StoreId},
    waiting::Waiting,
};
use store::orders::OrderFilter;

/// A handoff with its order's number and its integrator's name.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentHandoff {
    pub handoff: Handoff,
    /// The order's number in its store.
    pub order_number: Option<i64>,
    pub integrator_name: String,
    /// Attempts of all rounds, in order.
    pub attempts: Vec<Attempt>,
    /// Its reason to wait; `None` if it will be sent at any moment, or not at all.
    pub waiting: Option<Waiting>,
}

impl Ledger {
    /// Returns the handoffs of the store's newest `orders` orders, newest order first.
    #[crate::boxed]
    pub async fn recent_handoffs(&self, store: StoreId, orders: u32) -> Result<Vec<RecentHandoff>> {
        let filter = OrderFilter {
            stores: Some(vec![store]),
            ..OrderFilter::default()
        };
        let mut tx = self.inner.db.read().await?;
        let integrators = store::integrators::of_store(&mut tx, store).await?;
        let mut names: BTreeMap<IntegratorId, String> = integrators
            .into_iter()
            .map(|integrator| (integrator.id, integrator.name))
            .collect();
        let mut recent = Vec::new();
        let newest = store::orders::list::list(&mut tx, &filter, None, orders).await?;
        let mut newest = store::orders::many(&mut tx, &newest.orders).await?;
        newest.sort_unstable_by_key(|order| Reverse(order.id));
        for order in newest {
            for handoff in store::handoffs::of_order(&mut tx, order.id).await? {
                recent.push(RecentHandoff {
                    attempts: store::attempts::of_handoff(&mut tx, handoff.id).await?,
                    order_number: order.number,
                    // An archived integrator is not listed, so the name stays empty; rare here.
                    integrator_name: names.entry(handoff.integrator_id).or_default().clone(),
                    handoff,
                    waiting: None,
                });
            }
        }
        let handoffs: Vec<&Handoff> = recent
            .iter()
            .map(|one: &RecentHandoff| &one.handoff)
            .collect();
        let waiting = waiting_of(&mut tx, &handoffs, self.inner.clock.now()).await?;
        for one in &mut recent {
            one.waiting = waiting.get(&one.handoff.id).copied();
        }
        Ok(recent)
    }

    /// Returns an order's handoffs, each with the attempts of all its rounds, in order.
    #[crate::boxed]
    pub async fn handoffs_of_order(&self, order: OrderId) -> Result<Vec<(Handoff, Vec<Attempt>)>> {
        let mut tx = self.inner.db.read().await?;
        let mut handoffs = Vec::new();
        for handoff in store::handoffs::of_order(&mut tx, order).await? {
            let attempts = store::attempts::of_handoff(&mut tx, handoff.id).await?;
            handoffs.push((handoff, attempts));
        }
        Ok(handoffs)
    }
}
