//! The model's sweep.

use super::{
    Acknowledged, Cancelled, Due, Model, Sending, SentCallback, Waiting, Withdrawn, is_closed,
};
use crate::histories::step::Hears;
use domain::status::OrderStatus;

impl Model {
    pub(in crate::histories) fn frees_leases(&mut self, it_failed: impl Fn(usize) -> bool) {
        for at in 0..self.duties.len() {
            if self.duties[at]
                .wire
                .is_some_and(|(_, until)| until <= self.now)
            {
                self.concludes(at, Hears::Lost, it_failed(at));
            }
        }
    }

    /// Fails overdue duties; `it_failed` decides which comes first if one takes the others with it.
    pub(in crate::histories) fn fails_overdue_handoffs(
        &mut self,
        it_failed: impl Fn(usize) -> bool,
    ) {
        let mut overdue: Vec<usize> = (0..self.duties.len())
            .filter(|at| self.is_overdue(*at))
            .collect();
        let ends_the_order = |at: &usize| {
            let duty = &self.duties[*at];
            self.parties[duty.party].required && !duty.confirmed
        };
        overdue.sort_by_key(|at| (!it_failed(*at), ends_the_order(at)));
        for at in overdue {
            if self.is_overdue(at) {
                self.fails(at);
            }
        }
    }

    fn is_overdue(&self, at: usize) -> bool {
        let duty = &self.duties[at];
        matches!(duty.state, Due | Waiting)
            && !self.archived[duty.party]
            && duty.deadline <= self.now
            && duty.due.is_some_and(|(from, _)| from <= self.now)
    }

    pub(in crate::histories) fn ends_overdue_orders(&mut self) {
        let one_came_in_time =
            |said: &SentCallback| said.result.is_none() && said.at <= self.accept_by;
        if !self.waits_for_acceptance()
            || self.accept_by > self.now
            || self.said.iter().any(one_came_in_time)
        {
            return;
        }
        let somebody_never_heard = self
            .required()
            .any(|duty| !matches!(duty.state, Acknowledged | Withdrawn));
        let end = if somebody_never_heard {
            OrderStatus::Failed
        } else {
            Cancelled
        };
        self.stands(end, None);
    }

    /// Archives an integrator for good: nobody enables it again.
    pub(in crate::histories) fn archives(&mut self, party: usize) {
        self.archived[party] = true;
        self.enabled[party] = false;
    }

    pub(in crate::histories) fn withdraws_from_archived(&mut self) {
        for at in 0..self.duties.len() {
            let duty = &mut self.duties[at];
            if self.archived[duty.party] && !is_closed(duty.state) && duty.state != Sending {
                duty.state = Withdrawn;
                self.courier_lacks_it(at);
                self.settles();
            }
        }
    }

    pub(in crate::histories) fn settles(&mut self) {
        if !self.said.iter().any(|said| said.result.is_none()) {
            self.settle();
        }
    }
}
