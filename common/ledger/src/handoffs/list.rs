//! Lists handoffs for people: by filter, each with its outcome so far and whether it may be retried.

use std::collections::BTreeMap;

use super::{claim::render_body, waiting::waiting_of};
use crate::{Ledger, Result};
use domain::{
    handoff::{Attempt, Handoff},
    ids::{HandoffId, OrderId},
    integrator::HandoffEvent,
    retry::{Candidate, RetryRefused, Round, reopen_deadline},
    status::OrderStatus,
    waiting::Waiting,
};
use store::handoffs::{HandoffFilter, Listed, Page};

/// Upper bound for the handoffs of one order; no order comes near it.
const MAX_PER_ORDER: u32 = 1000;

/// A handoff with its order's number and its integrator's name.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedHandoff {
    pub handoff: Handoff,
    /// The order's number in its store.
    pub order_number: Option<i64>,
    pub integrator_name: String,
    /// Why it could not be claimed or was put back.
    pub error: Option<String>,
    /// Number of attempts in all rounds.
    pub attempts_in_all: u32,
    /// The most recent attempt, without its response body.
    pub last_attempt: Option<Attempt>,
    /// Its reason to wait; `None` if it will be sent at any moment, or not at all.
    pub waiting: Option<Waiting>,
    /// Why it can't be retried now; `None` if it can.
    pub retry_refused: Option<RetryRefused>,
}

/// A handoff with all its attempts and rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct HandoffHistory {
    pub listed: ListedHandoff,
    /// Attempts of all rounds, in order.
    pub attempts: Vec<Attempt>,
    /// Rounds opened by people, in order.
    pub rounds: Vec<Round>,
}

impl Ledger {
    /// Returns the body that a handoff's integrator was sent or, before the first attempt, would be sent now; `None` if
    /// it will be sent nothing.
    #[crate::boxed]
    pub async fn handoff_body(&self, id: HandoffId) -> Result<Option<Vec<u8>>> {
        let mut tx = self.inner.db.read().await?;
        let Some(stored) = store::handoffs::stored(&mut tx, id).await? else {
            return Ok(None);
        };
        if stored.body.is_some() || stored.handoff.closed_at.is_some() {
            return Ok(stored.body);
        }
        let handoff = &stored.handoff;
        let to = store::integrators::get(&mut tx, handoff.integrator_id).await?;
        let of = store::stores::get(&mut tx, handoff.store_id).await?;
        let (Some(to), Some(of)) = (to, of) else {
            return Ok(None);
        };
        let (mut order, mut version) = (None, None);
        if let Some(id) = handoff.order_id {
            order = store::orders::get(&mut tx, id).await?;
            version = store::events::newest_of_orders(&mut tx, &[id])
                .await?
                .remove(&id);
        }
        // The claim moves the order first. The number of that event is not known before.
        if let Some(order) = &mut order
            && handoff.event == HandoffEvent::OrderPlaced
            && order.status == OrderStatus::Pending
            && !to.integrator.is_listener()
        {
            order.status = OrderStatus::Processing;
            order.updated_at = Some(self.inner.clock.now());
        }
        let body = render_body(&self.inner, &to, &of, &stored, order.as_ref(), version);
        Ok(Some(body))
    }

    /// Lists handoffs, newest first; `before` is the last one of the previous page.
    #[crate::boxed]
    pub async fn handoffs(
        &self,
        filter: &HandoffFilter,
        before: Option<HandoffId>,
        limit: u32,
    ) -> Result<Vec<ListedHandoff>> {
        let mut tx = self.inner.db.read().await?;
        let page = Page::NewestFirst { before };
        let found = store::handoffs::list(&mut tx, filter, page, limit).await?;
        let ids: Vec<HandoffId> = found.iter().map(|one| one.handoff.id).collect();
        let mut attempts: BTreeMap<HandoffId, Vec<Attempt>> = BTreeMap::new();
        for (handoff, attempt) in store::attempts::of_handoffs(&mut tx, &ids).await? {
            attempts.entry(handoff).or_default().push(attempt);
        }
        let now = self.inner.clock.now();
        let handoffs: Vec<&Handoff> = found.iter().map(|one| &one.handoff).collect();
        let waiting = waiting_of(&mut tx, &handoffs, now).await?;
        Ok(found
            .into_iter()
            .map(|one| {
                let id = one.handoff.id;
                let made = attempts.remove(&id).unwrap_or_default();
                self.to_listed(one, &made, waiting.get(&id).copied())
            })
            .collect())
    }

    /// Returns a handoff with all its attempts and who opened its rounds.
    #[crate::boxed]
    pub async fn handoff_history(&self, id: HandoffId) -> Result<Option<HandoffHistory>> {
        let mut tx = self.inner.db.read().await?;
        let Some(found) = store::handoffs::listed(&mut tx, id).await? else {
            return Ok(None);
        };
        Ok(Some(self.history(&mut tx, found).await?))
    }

    /// Returns the histories of all handoffs of an order, by integrator and position.
    #[crate::boxed]
    pub async fn handoff_histories(&self, order: OrderId) -> Result<Vec<HandoffHistory>> {
        let mut tx = self.inner.db.read().await?;
        let filter = HandoffFilter {
            order: Some(order),
            ..HandoffFilter::default()
        };
        let page = Page::OldestFirst { after: None };
        let mut found = store::handoffs::list(&mut tx, &filter, page, MAX_PER_ORDER).await?;
        found.sort_by_key(|one| (one.handoff.integrator_id, one.handoff.position));
        let mut histories = Vec::with_capacity(found.len());
        for one in found {
            histories.push(self.history(&mut tx, one).await?);
        }
        Ok(histories)
    }

    async fn history(&self, tx: &mut store::Tx, found: Listed) -> Result<HandoffHistory> {
        let id = found.handoff.id;
        let attempts = store::attempts::of_handoff(tx, id).await?;
        let rounds = store::retries::rounds_of(tx, &[id]).await?;
        let now = self.inner.clock.now();
        let waiting = waiting_of(tx, &[&found.handoff], now).await?;
        let mut listed = self.to_listed(found, &attempts, waiting.get(&id).copied());
        if let Some(last) = &mut listed.last_attempt {
            last.response = None;
        }
        Ok(HandoffHistory {
            listed,
            attempts,
            rounds: rounds.into_iter().map(|(_, round)| round).collect(),
        })
    }

    fn to_listed(
        &self,
        one: Listed,
        attempts: &[Attempt],
        waiting: Option<Waiting>,
    ) -> ListedHandoff {
        let now = self.inner.clock.now();
        ListedHandoff {
            retry_refused: reopen_deadline(&candidate(&one), now).err(),
            order_number: one.order.and_then(|order| order.number),
            handoff: one.handoff,
            integrator_name: one.integrator_name,
            error: one.error,
            attempts_in_all: u32::try_from(attempts.len()).unwrap_or(u32::MAX),
            last_attempt: attempts.last().cloned(),
            waiting,
        }
    }
}

/// Collects the facts that the retry rule judges by.
pub(super) fn candidate(one: &Listed) -> Candidate {
    Candidate {
        state: one.handoff.state,
        order: one.order.map(|order| (order.status, order.accept_by)),
        integrator_archived: one.integrator_archived,
        overtaken: one.overtaken,
    }
}
