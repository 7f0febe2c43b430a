//! The model's delivery.

use super::{Applied, Cancelled, Illegal, Model, OrderDispatched, Rejected, Stale, Unchanged};
use domain::{
    callback::{Age, CallbackResult},
    delivery::DeliveryStatus,
    integrator::HandoffEvent,
    status::{By, OrderStatus},
};

use DeliveryStatus::{AtOrigin, Delivered, EnRoute, HandoffFailed, NotDelivered, ReadyForPickUp};

impl Model {
    /// Moves the delivery, and tells those that listen.
    fn moves_delivery(&mut self, to: DeliveryStatus) {
        self.delivery = Some(to);
        self.steps += 1;
        for party in 0..self.parties.len() {
            if self.parties[party].hears_of_steps && self.enabled[party] {
                let told = self.duty(party, HandoffEvent::DeliveryMoved);
                self.duties.push(told);
            }
        }
    }

    /// Records that the courier has what this duty brought.
    pub(super) fn courier_has_it(&mut self, at: usize) {
        let is_dispatch = self.duties[at].event == OrderDispatched;
        if is_dispatch && self.delivery == Some(HandoffFailed) {
            self.moves_delivery(ReadyForPickUp);
        }
    }

    /// Records that the courier never gets what this duty was to bring.
    pub(super) fn courier_lacks_it(&mut self, at: usize) {
        let is_dispatch = self.duties[at].event == OrderDispatched;
        if is_dispatch && self.delivery == Some(ReadyForPickUp) && !self.has_ended() {
            self.moves_delivery(HandoffFailed);
        }
    }

    /// Moves the delivery of an order that its courier called delivered.
    pub(super) fn order_was_brought(&mut self) {
        if self.delivery.is_some_and(|stands| stands != Delivered) {
            self.moves_delivery(Delivered);
        }
    }

    pub(super) fn applies_step(
        &mut self,
        party: usize,
        to: DeliveryStatus,
        age: Age,
    ) -> CallbackResult {
        if !self.parties[party].is_courier
            || matches!(self.status, Rejected | OrderStatus::Failed | Cancelled)
        {
            return Illegal;
        }
        let stands = self.delivery.expect("its courier was handed the order");
        if stands == to {
            return Unchanged;
        }
        let goes_back = stage(to) < stage(stands);
        let is_possible = match stands {
            Delivered => false,
            HandoffFailed => true,
            NotDelivered => matches!(to, EnRoute | Delivered),
            ReadyForPickUp | AtOrigin | EnRoute => stage(to) > stage(stands),
        };
        if !is_possible || (goes_back && age == Age::SameTime) {
            return if age == Age::Newer { Illegal } else { Stale };
        }
        self.moves_delivery(to);
        let brings_the_order =
            to == Delivered && self.may_move(OrderStatus::Delivered, By::Courier, false);
        if brings_the_order {
            self.stands(OrderStatus::Delivered, Some(party));
        }
        Applied
    }
}

fn stage(status: DeliveryStatus) -> u8 {
    match status {
        HandoffFailed => 0,
        ReadyForPickUp => 1,
        AtOrigin => 2,
        EnRoute => 3,
        NotDelivered | Delivered => 4,
    }
}
