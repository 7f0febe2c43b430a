//! A small model, written by hand, of docs/design.md section 5 and the outcomes of section 6: the expected state of the
//! ledger.
//!
//! It uses no rule of `domain`: two independent versions of a rule that match are worth more than one.

mod callbacks;
mod deliveries;
mod handoffs;
mod sweep;

use chrono::{DateTime, TimeDelta, Utc};

use super::step::{PartyPlan, Plan};
use domain::{
    callback::CallbackResult,
    delivery::DeliveryStatus,
    handoff::{AttemptOutcome, HandoffState},
    integrator::HandoffEvent,
    status::{By, OrderStatus},
};

use CallbackResult::{Applied, Illegal, Stale, Unchanged, Unmapped};
use HandoffEvent::{OrderCancelled, OrderDispatched, OrderPlaced};
use HandoffState::{Acknowledged, Due, Failed, Held, Sending, Waiting, Withdrawn};
use OrderStatus::{
    Accepted, Cancelled, Delivered, Dispatched, Draft, Pending, Preparing, Processing, Ready,
    Rejected,
};

type Time = DateTime<Utc>;

/// The model's handoff.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Duty {
    pub(super) party: usize,
    pub(super) event: HandoffEvent,
    pub(super) state: HandoffState,
    pub(super) round: u32,
    pub(super) attempts: u32,
    /// Attempts of this round that were answered with "slow down".
    pub(super) uncounted: u32,
    pub(super) confirmed: bool,
    /// Earliest and latest due time; the jitter lies between them.
    pub(super) due: Option<(Time, Time)>,
    pub(super) deadline: Time,
    /// The claim that is on the wire, and the end of its lease.
    pub(super) wire: Option<(usize, Time)>,
    pub(super) record: Vec<RecordedAttempt>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct RecordedAttempt {
    pub(super) round: u32,
    pub(super) n: u32,
    pub(super) outcome: Option<AttemptOutcome>,
    pub(super) counted: bool,
    /// True if the request may have arrived; a *not now* response comes from an integrator that has seen the order.
    may_have_arrived: bool,
}

#[derive(Clone, Debug)]
pub(super) struct SentCallback {
    pub(super) party: usize,
    word: &'static str,
    sequence: Option<i64>,
    occurred_at: Option<i64>,
    at: Time,
    pub(super) result: Option<CallbackResult>,
}

/// Effect of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutcomeEffect {
    Recorded,
    CalledOff,
    Fenced,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) now: Time,
    pub(super) status: OrderStatus,
    pub(super) holds_stock: bool,
    pub(super) duties: Vec<Duty>,
    pub(super) said: Vec<SentCallback>,
    pub(super) enabled: Vec<bool>,
    pub(super) archived: Vec<bool>,
    /// For each party, the number of pauses without another answer in between, and the end of the last one.
    pub(super) pauses: Vec<(u32, Option<Time>)>,
    parties: Vec<PartyPlan>,
    auto_accept: bool,
    /// The placing, or for an order for later a time after it.
    hand_over_at: Time,
    accept_by: Time,
    pub(super) delivery: Option<DeliveryStatus>,
    /// Length of the delivery's history.
    pub(super) steps: usize,
}

impl Model {
    /// Creates the model of an order that was just placed.
    pub(super) fn new(now: Time, plan: &Plan) -> Self {
        let parties = &plan.parties;
        let hand_over_at = now + TimeDelta::seconds(plan.later_s.unwrap_or(0));
        let mut model = Self {
            now,
            status: Pending,
            holds_stock: true,
            duties: Vec::new(),
            said: Vec::new(),
            enabled: parties.iter().map(|one| !one.begins_disabled).collect(),
            archived: vec![false; parties.len()],
            pauses: vec![(0, None); parties.len()],
            parties: parties.clone(),
            auto_accept: plan.auto_accept,
            hand_over_at,
            accept_by: hand_over_at + TimeDelta::seconds(600),
            delivery: None,
            steps: 0,
        };
        for (party, one) in parties.iter().enumerate() {
            if !one.is_courier && !one.begins_disabled {
                model.duties.push(model.duty(party, OrderPlaced));
            }
        }
        model
    }

    fn duty(&self, party: usize, event: HandoffEvent) -> Duty {
        let due = if event == OrderPlaced {
            self.hand_over_at
        } else {
            self.now
        };
        Duty {
            party,
            event,
            state: Due,
            round: 1,
            attempts: 0,
            uncounted: 0,
            confirmed: false,
            due: Some((due, due)),
            deadline: if event == OrderPlaced {
                self.accept_by
            } else {
                self.now.max(self.hand_over_at) + TimeDelta::hours(24)
            },
            wire: None,
            record: Vec::new(),
        }
    }

    /// Moves the order; returns true if that is allowed.
    pub(super) fn moved(&mut self, to: OrderStatus, by: By, with_reason: bool) -> bool {
        if self.status == to {
            return true;
        }
        if !self.may_move(to, by, with_reason) {
            return false;
        }
        self.stands(to, None);
        true
    }

    /// Returns true if the table of docs/design.md section 5 allows the move; `lost` is the reason, if there is one.
    fn may_move(&self, to: OrderStatus, by: By, with_reason: bool) -> bool {
        let staff = matches!(by, By::Staff | By::Operator);
        let fulfils = staff || matches!(by, By::Integrator | By::Courier);
        let waits = matches!(self.status, Pending | Processing);
        let is_made = matches!(self.status, Accepted | Preparing | Ready);
        match to {
            Draft | Pending | Processing => false,
            Accepted => waits && (staff || by == By::Integrator),
            Rejected => waits && (staff || by == By::Integrator) && with_reason,
            Cancelled if waits => matches!(by, By::Owner | By::Guest) || staff,
            // The default of a store: until the preparation begins.
            Cancelled if matches!(by, By::Owner | By::Guest) => self.status == Accepted,
            Cancelled => is_made && (staff || by == By::Integrator) && with_reason,
            OrderStatus::Failed if self.status == Accepted => by == By::Operator && with_reason,
            OrderStatus::Failed => self.status == Dispatched && staff && with_reason,
            Preparing => self.status == Accepted && fulfils,
            Ready => matches!(self.status, Accepted | Preparing) && fulfils,
            Dispatched => is_made && fulfils,
            Delivered if self.delivery.is_some() => {
                (is_made || self.status == Dispatched) && matches!(by, By::Courier | By::Operator)
            }
            Delivered => (is_made || self.status == Dispatched) && fulfils,
        }
    }

    fn stands(&mut self, to: OrderStatus, said_by: Option<usize>) {
        let was_on_its_way = self.status == Dispatched;
        self.status = to;
        if matches!(to, Rejected | OrderStatus::Failed | Cancelled) {
            self.holds_stock &= was_on_its_way;
            let told: Vec<usize> = (0..self.parties.len())
                .filter(|party| self.may_have_received(*party) && !self.archived[*party])
                .filter(|party| to != Rejected || said_by != Some(*party))
                .collect();
            for duty in &mut self.duties {
                if !is_closed(duty.state) && duty.state != Sending {
                    duty.state = Withdrawn;
                }
            }
            for party in told {
                self.duties.push(self.duty(party, OrderCancelled));
            }
        }
        if to == Delivered {
            for duty in &mut self.duties {
                if needs_open_order(duty.event) && !is_closed(duty.state) && duty.state != Sending {
                    duty.state = Withdrawn;
                }
            }
        }
        if to == Dispatched {
            for party in 0..self.parties.len() {
                if self.parties[party].is_courier && self.enabled[party] {
                    (self.delivery, self.steps) = (Some(DeliveryStatus::ReadyForPickUp), 1);
                    self.duties.push(self.duty(party, OrderDispatched));
                }
            }
        }
    }

    fn may_have_received(&self, party: usize) -> bool {
        let its_own = self.duties.iter().filter(|duty| duty.party == party);
        its_own
            .filter(|duty| needs_open_order(duty.event))
            .flat_map(|duty| &duty.record)
            .any(|attempt| attempt.may_have_arrived)
    }

    fn waits_for_acceptance(&self) -> bool {
        matches!(self.status, Pending | Processing)
    }

    fn has_ended(&self) -> bool {
        matches!(
            self.status,
            Delivered | Rejected | OrderStatus::Failed | Cancelled
        )
    }

    /// Settles the order; returns true if it moved.
    fn settle(&mut self) -> bool {
        if !self.waits_for_acceptance() {
            return false;
        }
        let required: Vec<&Duty> = self.required().collect();
        let is_lost = required
            .iter()
            .any(|duty| duty.state == Failed && !duty.confirmed);
        let counted: Vec<&Duty> = required
            .iter()
            .copied()
            .filter(|duty| duty.confirmed || !self.is_excused(duty))
            .collect();
        let is_left_out = |party: usize| {
            self.parties[party].required
                && !self.archived[party]
                && !counted.iter().any(|duty| duty.party == party)
        };
        let is_accepted = if required.is_empty() {
            self.auto_accept && self.hand_over_at <= self.now
        } else {
            !counted.is_empty() && counted.iter().all(|duty| duty.confirmed)
        } && !(0..self.parties.len()).any(is_left_out);
        if is_lost {
            self.stands(OrderStatus::Failed, None);
        } else if is_accepted {
            self.stands(Accepted, None);
        }
        is_lost || is_accepted
    }

    /// Returns true if the duty's integrator is archived and so confirms nothing more.
    fn is_excused(&self, duty: &Duty) -> bool {
        self.archived[duty.party] && matches!(duty.state, Acknowledged | Withdrawn)
    }

    fn required(&self) -> impl Iterator<Item = &Duty> {
        self.duties
            .iter()
            .filter(|duty| duty.event == OrderPlaced && self.parties[duty.party].required)
    }

    /// Returns true if nothing more happens to the order by itself: it has ended, or people have to act.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.waits_for_acceptance()
            && self
                .duties
                .iter()
                .all(|duty| is_closed(duty.state) || duty.state == Held)
    }
}

/// Returns true for messages that ask for something, which is pointless once the order has ended.
fn needs_open_order(event: HandoffEvent) -> bool {
    matches!(event, OrderPlaced | OrderDispatched)
}

fn is_closed(state: HandoffState) -> bool {
    matches!(state, Acknowledged | Failed | Withdrawn)
}

/// Returns the position of a status on the way from the guest to the guest.
pub(super) fn place(status: OrderStatus) -> Option<u8> {
    let way = [
        Draft, Pending, Processing, Accepted, Preparing, Ready, Dispatched, Delivered,
    ];
    let at = way.iter().position(|one| *one == status)?;
    u8::try_from(at).ok()
}
