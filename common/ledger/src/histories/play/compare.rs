//! Compares the ledger with the model, and checks that the order never made a forbidden move.

use super::{Play, StepResult, expect_equal};
use crate::{
    histories::model::{Model, place},
    scene::{QUANTITY, STOCK},
};
use domain::{
    handoff::{Handoff, HandoffState},
    integrator::Integrator,
    status::OrderStatus,
};

impl Play {
    pub(super) async fn compare(&mut self) -> StepResult {
        let mut tx = self.scene.house.db.read().await.unwrap();
        let order = store::orders::get(&mut tx, self.order.id).await.unwrap();
        let order = order.ok_or("the order is gone")?;
        let handoffs = store::handoffs::of_order(&mut tx, order.id).await.unwrap();
        let ids: Vec<_> = handoffs.iter().map(|handoff| handoff.id).collect();
        let attempts = store::attempts::of_handoffs(&mut tx, &ids).await.unwrap();
        let results = store::callbacks::results_of(&mut tx, order.id)
            .await
            .unwrap();
        drop(tx);

        let (stood_at, stands) = (self.stood_at, order.status);
        if stood_at != stands {
            let is_forward = match (place(stood_at), place(stands)) {
                (Some(before), Some(after)) => before < after,
                (Some(_), None) => stood_at != OrderStatus::Delivered,
                (None, _) => false,
            };
            expect_equal(
                &format!("{stood_at} → {stands} goes forward"),
                is_forward,
                true,
            )?;
        }
        self.stood_at = stands;
        let model = &self.model;
        expect_equal("status", stands, model.status)?;
        expect_equal("stock is held", order.stock_held, model.holds_stock)?;
        let held = if model.holds_stock { QUANTITY } else { 0 };
        expect_equal("stock", self.scene.stock().await, STOCK - i64::from(held))?;

        let delivery = order.delivery.as_ref();
        let delivery = delivery.map(|delivery| (delivery.status, delivery.history.len()));
        let should_be = model.delivery.map(|status| (status, model.steps));
        expect_equal("delivery", delivery, should_be)?;
        self.seen.deliveries.extend(model.delivery);

        expect_equal("handoffs", handoffs.len(), model.duties.len())?;
        let by_duty = in_model_order(model, &self.integrators, &handoffs);
        let mut settled = Vec::new();
        for (at, (handoff, duty)) in by_duty.iter().zip(&model.duties).enumerate() {
            let is = (
                handoff.event,
                handoff.state,
                handoff.round,
                (handoff.attempts, handoff.uncounted),
            );
            let made = (duty.attempts, duty.uncounted);
            let should_be = (duty.event, duty.state, duty.round, made);
            expect_equal(&format!("handoff {at}"), is, should_be)?;
            let confirmed = handoff.confirmed_at.is_some();
            expect_equal(&format!("handoff {at} confirms"), confirmed, duty.confirmed)?;
            if let (Some(next), Some((from, until))) = (handoff.next_attempt_at, duty.due) {
                if !(from..=until).contains(&next) {
                    return Err(format!(
                        "handoff {at} is due at {next}, not in {from}..{until}"
                    ));
                }
                // The jitter decides the time in between.
                settled.push((at, next));
            }
            let record: Vec<_> = attempts
                .iter()
                .filter(|(of, _)| *of == handoff.id)
                .map(|(_, attempt)| (attempt.round, attempt.n, attempt.outcome, attempt.counted))
                .collect();
            let should_be: Vec<_> = duty
                .record
                .iter()
                .map(|attempt| (attempt.round, attempt.n, attempt.outcome, attempt.counted))
                .collect();
            expect_equal(&format!("attempts of handoff {at}"), record, should_be)?;
            self.seen.most_rounds = self.seen.most_rounds.max(handoff.round);
        }
        self.check_serial(&by_duty)?;
        let should_be: Vec<_> = model.said.iter().map(|said| said.result).collect();
        expect_equal("results of callbacks", &results, &should_be)?;
        for (at, next) in settled {
            self.model.duties[at].due = Some((next, next));
        }
        self.seen.statuses.push(stands);
        self.seen.states.extend(by_duty.iter().map(|one| one.state));
        self.seen.results.extend(results.into_iter().flatten());
        Ok(())
    }

    /// Checks that handoffs of one order to one integrator are strictly serial, with at most five attempts per round.
    fn check_serial(&self, handoffs: &[Handoff]) -> StepResult {
        for handoff in handoffs {
            if handoff.counted_attempts() > handoff.max_attempts {
                return Err(format!(
                    "{} attempts in a round",
                    handoff.counted_attempts()
                ));
            }
            let with_it = handoffs.iter().filter(|other| {
                other.integrator_id == handoff.integrator_id && other.state == HandoffState::Sending
            });
            if with_it.count() > 1 {
                return Err("two handoffs are sent to one integrator at once".to_owned());
            }
        }
        Ok(())
    }
}

/// Returns the ledger's handoffs in the order of the model's duties.
pub(super) fn in_model_order(
    model: &Model,
    integrators: &[Integrator],
    handoffs: &[Handoff],
) -> Vec<Handoff> {
    let mut found = Vec::new();
    for (at, duty) in model.duties.iter().enumerate() {
        let before = model.duties[..at].iter();
        let nth = before.filter(|other| other.party == duty.party).count();
        let its_own = handoffs
            .iter()
            .filter(|handoff| handoff.integrator_id == integrators[duty.party].id);
        found.extend(its_own.clone().nth(nth).cloned());
    }
    found
}
