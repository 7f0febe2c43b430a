//! The model's callbacks.

use super::{
    Accepted, Acknowledged, Applied, Cancelled, Duty, Illegal, Model, OrderPlaced, Rejected,
    SentCallback, Stale, Unchanged, Unmapped, is_closed, needs_open_order, place,
};
use domain::{
    callback::{Age, CallbackResult},
    delivery::DeliveryStatus,
    status::{By, OrderStatus},
};

impl Model {
    /// Receives a callback; returns true if it is accepted.
    pub(in crate::histories) fn says(
        &mut self,
        party: usize,
        word: &'static str,
        sequence: Option<i64>,
        occurred_at: Option<i64>,
    ) -> bool {
        let was_handed = self.duties.iter().any(|duty| duty.party == party);
        if was_handed {
            self.said.push(SentCallback {
                party,
                word,
                sequence,
                occurred_at,
                at: self.now,
                result: None,
            });
        }
        was_handed
    }

    pub(in crate::histories) fn applies_callbacks(&mut self) {
        for at in 0..self.said.len() {
            if self.said[at].result.is_none() {
                let result = self.applies(self.said[at].clone());
                self.said[at].result = Some(result);
            }
        }
        self.settle();
    }

    fn applies(&mut self, said: SentCallback) -> CallbackResult {
        let party = said.party;
        let to: Option<OrderStatus> = said.word.parse().ok();
        let step: Option<DeliveryStatus> = said.word.parse().ok();
        let step = step.filter(|step| *step != DeliveryStatus::HandoffFailed);
        let arrived = |duty: &Duty| {
            duty.party == party
                && needs_open_order(duty.event)
                && !is_closed(duty.state)
                && !duty.record.is_empty()
        };
        let stood_at = self.status;
        let had_confirmed = self
            .duties
            .iter()
            .any(|duty| duty.party == party && duty.confirmed);
        if let Some(at) = self.duties.iter().position(arrived) {
            let says_no =
                to.is_some_and(|to| matches!(to, Rejected | OrderStatus::Failed | Cancelled));
            let duty = &mut self.duties[at];
            duty.state = Acknowledged;
            if duty.event == OrderPlaced && !self.parties[party].confirms_by_callback && !says_no {
                duty.confirmed = true;
                self.settle();
            }
            self.courier_has_it(at);
        }
        let age = self.age(&said);
        if age == Age::Older {
            return Stale;
        }
        if let Some(step) = step {
            return self.applies_step(party, step, age);
        }
        let Some(to) = to else { return Unmapped };
        let result = self.applies_status(party, to, age, had_confirmed);
        if self.status != stood_at && self.status == to {
            return Applied;
        }
        result
    }

    fn age(&self, said: &SentCallback) -> Age {
        let counted = self.said.iter().filter(|one| {
            one.party == said.party && matches!(one.result, Some(Applied | Unchanged))
        });
        let newest_sequence = counted.clone().filter_map(|one| one.sequence).max();
        let newest_time = counted.filter_map(|one| one.occurred_at).max();
        match (
            newest_sequence,
            said.sequence,
            newest_time,
            said.occurred_at,
        ) {
            (Some(newest), Some(this), ..) if this <= newest => Age::Older,
            (Some(_), Some(_), ..) => Age::Newer,
            (_, _, Some(newest), Some(this)) if this < newest => Age::Older,
            (_, _, Some(newest), Some(this)) if this == newest => Age::SameTime,
            (_, None, _, None) => Age::Unmarked,
            _ => Age::Newer,
        }
    }

    fn applies_status(
        &mut self,
        party: usize,
        to: OrderStatus,
        age: Age,
        had_confirmed: bool,
    ) -> CallbackResult {
        let is_courier = self.parties[party].is_courier;
        let by = if is_courier {
            By::Courier
        } else {
            By::Integrator
        };
        if self.status == to {
            return Unchanged;
        }
        if self.waits_for_acceptance() && place(to).is_some_and(|place| place >= 3) {
            let its_own = |duty: &Duty| duty.party == party && duty.event == OrderPlaced;
            let required = self.parties[party].required;
            if let Some(at) = self.duties.iter().position(its_own).filter(|_| required) {
                self.duties[at].confirmed = true;
                if !self.settle() {
                    return match (to, had_confirmed) {
                        (Accepted, false) => Applied,
                        (Accepted, true) => Unchanged,
                        _ => Illegal,
                    };
                }
            } else if (0..self.parties.len())
                .any(|party| self.parties[party].required && !self.archived[party])
            {
                return Illegal;
            } else {
                self.stands(Accepted, Some(party));
            }
            if self.status == to {
                return Applied;
            }
        }
        let goes_back = match (place(self.status), place(to)) {
            (Some(stands), Some(said)) => said < stands,
            _ => false,
        };
        let has_ended = matches!(self.status, Rejected | OrderStatus::Failed | Cancelled);
        if match age {
            Age::SameTime => goes_back || has_ended || self.status == OrderStatus::Delivered,
            Age::Unmarked => goes_back,
            Age::Newer | Age::Older => false,
        } {
            return Stale;
        }
        if self.may_move(to, by, true) {
            self.stands(to, Some(party));
            if is_courier && to == OrderStatus::Delivered {
                self.order_was_brought();
            }
            Applied
        } else {
            Illegal
        }
    }
}
