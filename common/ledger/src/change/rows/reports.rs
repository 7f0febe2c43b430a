//! Reads and writes of the callbacks of many orders.

use std::collections::BTreeMap;

use super::{Rows, Writes};
use crate::Change;
use domain::{
    handoff::{Handoff, HandoffState},
    ids::{HandoffId, OrderId},
    integrator::HandoffEvent,
};
use store::{callbacks::Judged, handoffs::Reported};

impl Rows {
    fn gathered_handoff(&mut self, id: HandoffId) -> Option<&mut Handoff> {
        let all = self.handoffs.iter_mut().flat_map(BTreeMap::values_mut);
        all.flatten().find(|one| one.id == id)
    }
}

impl Writes {
    fn reported(&mut self, id: HandoffId) -> &mut Reported {
        self.reported.entry(id).or_insert(Reported {
            id,
            acknowledged: false,
            confirmed: false,
        })
    }
}

impl Change<'_> {
    /// Returns true if a handoff that was retried by hand was tried before that.
    pub(crate) async fn was_tried(&mut self, handoff: &Handoff) -> store::Result<bool> {
        let gathered = handoff
            .order_id
            .and_then(|order| self.known_handoffs(order));
        if gathered.is_none() {
            let tried = store::attempts::outcomes_of(&mut self.tx, &[handoff.id]).await?;
            return Ok(!tried.is_empty());
        }
        if self.rows.tried.is_none() {
            let all = self.rows.handoffs.iter().flat_map(BTreeMap::values);
            let retried: Vec<HandoffId> = all
                .flatten()
                .filter(|one| one.attempts == 0 && one.round > 1)
                .map(|one| one.id)
                .collect();
            let tried = store::attempts::outcomes_of(&mut self.tx, &retried).await?;
            self.rows.tried = Some(tried.into_keys().map(|claim| claim.handoff_id).collect());
        }
        let tried = self.rows.tried.as_ref();
        Ok(tried.is_some_and(|tried| tried.contains(&handoff.id)))
    }

    /// Acknowledges a locked handoff because a callback proves its arrival; its lease stays.
    pub(crate) async fn acknowledge_handoff(&mut self, id: HandoffId) -> store::Result<()> {
        let now = self.now;
        if let Some(known) = self.rows.gathered_handoff(id) {
            known.state = HandoffState::Acknowledged;
            known.reason = None;
            known.closed_at = Some(now);
        }
        self.rows.writes.reported(id).acknowledged = true;
        self.write_unless_gathering().await
    }

    /// Records that its integrator confirms the order of a locked handoff; an earlier confirmation is kept.
    pub(crate) async fn confirm_handoff(&mut self, id: HandoffId) -> store::Result<()> {
        let now = self.now;
        if let Some(known) = self.rows.gathered_handoff(id) {
            known.confirmed_at.get_or_insert(now);
        }
        self.rows.writes.reported(id).confirmed = true;
        self.write_unless_gathering().await
    }

    /// Records the result of a callback.
    pub(crate) async fn record_callback(&mut self, judged: Judged) -> store::Result<()> {
        self.rows.writes.callbacks.push(judged);
        self.write_unless_gathering().await
    }

    /// Withdraws the open `order.placed` and `order.dispatched` handoffs of an order that has been delivered; those being
    /// sent are left.
    pub(crate) async fn withdraw_from_delivered(
        &mut self,
        order: OrderId,
        reason: &'static str,
    ) -> store::Result<()> {
        let Some(known) = self.known_handoffs(order) else {
            let (tx, now) = (&mut self.tx, self.now);
            return store::handoffs::withdraw_from_delivered(tx, order, reason, now).await;
        };
        let (placed, dispatched) = (HandoffEvent::OrderPlaced, HandoffEvent::OrderDispatched);
        let open: Vec<HandoffId> = known
            .iter()
            .filter(|one| !one.state.is_closed() && one.state != HandoffState::Sending)
            .filter(|one| one.event == placed || one.event == dispatched)
            .map(|one| one.id)
            .collect();
        self.withdraw_handoffs(&open, reason).await
    }
}
