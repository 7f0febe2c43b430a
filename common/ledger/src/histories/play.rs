//! Plays a plan on the real ledger and on the model, and compares the two after each step.

mod begin;
mod compare;

use chrono::{DateTime, TimeDelta, Utc};

use self::compare::in_model_order;
use super::{
    model::{Model, OutcomeEffect},
    step::{Hears, PartyPlan, Plan, Step},
};
use crate::{
    ChangeError,
    callbacks::Received,
    handoffs::{Claimed, Concluded},
    integrators::IntegratorEdit,
    orders::OrderRefused,
    scene::{LEASE, Scene, word},
    stores::RulesEdit,
    sweep::Part,
    testing::TestLedger,
};
use domain::{
    callback::{CallbackResult, DeliveryUpdate, Update},
    capacity::{BusyRule, Capacity, CapacityRule},
    delivery::DeliveryStatus,
    handoff::{Handoff, HandoffState, RetryAfter, SendResult},
    integrator::{Confirms, HandoffEvent, Integrator, UnknownPolicy, default_events},
    order::Order,
    status::OrderStatus,
    timing::StoreTiming,
};

/// Result of a step, limited to what both sides know.
type StepResult = Result<(), String>;

/// Everything that occurred, to check that the histories draw everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    pub(super) statuses: Vec<OrderStatus>,
    pub(super) states: Vec<HandoffState>,
    pub(super) results: Vec<CallbackResult>,
    pub(super) deliveries: Vec<DeliveryStatus>,
    pub(super) heeded: Vec<OutcomeEffect>,
    pub(super) most_rounds: u32,
    pub(super) somebody_was_archived: bool,
}

struct Play {
    scene: Scene,
    integrators: Vec<Integrator>,
    order: Order,
    began_at: DateTime<Utc>,
    model: Model,
    claims: Vec<Claimed>,
    sent: Vec<(usize, String, Update)>,
    stood_at: OrderStatus,
    seen: Coverage,
}

/// Steps after the drawn ones, which leave everything else to the sweep.
const TAIL: &[Step] = &[
    Step::AppliesCallbacks,
    Step::Waits { seconds: 90_000 },
    Step::FreesLeases,
    Step::WithdrawsFromArchived,
    Step::FailsOverdueHandoffs,
    Step::EndsOverdueOrders,
    Step::Waits { seconds: 90_000 },
    Step::FailsOverdueHandoffs,
    Step::Settles,
];

/// The number of steps that went well before the one that did not, and what was wrong with it.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) after_steps: usize,
    pub(super) what: String,
}

/// Plays a plan in a store of its own, so that many histories share one database.
pub(super) async fn play(house: &TestLedger, plan: &Plan) -> Result<Coverage, Broken> {
    let mut play = Play::begin(house, plan).await;
    for (after_steps, step) in plan.steps.iter().chain(TAIL).enumerate() {
        play.step(*step).await.map_err(|what| Broken {
            after_steps,
            what: format!("{step:?}: {what}"),
        })?;
    }
    if play.model.is_at_rest() {
        Ok(play.seen)
    } else {
        Err(Broken {
            after_steps: plan.steps.len() + TAIL.len(),
            what: format!("the order never comes to rest: {:#?}", play.model),
        })
    }
}

impl Play {
    async fn step(&mut self, step: Step) -> StepResult {
        let clock = self.scene.house.clock.clone();
        self.model.now = clock.now();
        let ledger = self.scene.house.ledger.clone();
        match step {
            Step::Move {
                to,
                by,
                with_reason,
            } => {
                let reason = with_reason.then_some("lost");
                let moved = ledger.move_order(self.order.id, to, by, reason).await;
                let moved = match moved {
                    Ok(_) => true,
                    Err(ChangeError::Refused(OrderRefused::Move(_))) => false,
                    Err(error) => return Err(format!("{error:?}")),
                };
                expect_equal("allowed", moved, self.model.moved(to, by, with_reason))?;
            }
            Step::Claim { party } => self.claim(party).await?,
            Step::Hears { claims_ago, heard } => self.hear(claims_ago, heard).await?,
            Step::Says {
                party,
                word,
                sequence,
                occurred_at,
            } => self.say(party, word, sequence, occurred_at).await?,
            Step::Replays { callback } => self.replay(callback).await?,
            Step::AppliesCallbacks => {
                let applied = ledger.apply_callbacks(self.order.id).await;
                applied.map_err(|error| format!("{error:?}"))?;
                self.model.applies_callbacks();
            }
            Step::RetriesByHand { handoff } => self.retry(handoff).await?,
            Step::Enables { party, enabled } => self.enable(party, enabled).await?,
            Step::Archives { party } => {
                if let Some(party) = self.pick(party) {
                    let id = self.integrators[party].id;
                    ledger.archive_integrator(id, None).await.unwrap();
                    self.model.archives(party);
                    self.seen.somebody_was_archived = true;
                }
            }
            Step::WithdrawsFromArchived => {
                ledger.withdraw_from_archived(100).await.unwrap();
                self.model.withdraws_from_archived();
            }
            Step::FreesLeases | Step::WorkersDie => {
                if matches!(step, Step::WorkersDie) {
                    clock.set(clock.now() + LEASE);
                    self.model.now = clock.now();
                }
                ledger.free_expired_leases(100).await.unwrap();
                let failed = self.failed().await;
                self.model.frees_leases(|at| failed[at]);
            }
            Step::FailsOverdueHandoffs => {
                ledger.fail_overdue_handoffs(100).await.unwrap();
                let failed = self.failed().await;
                self.model.fails_overdue_handoffs(|at| failed[at]);
            }
            Step::EndsOverdueOrders => {
                ledger.end_overdue_orders(100).await.unwrap();
                self.model.ends_overdue_orders();
            }
            Step::Settles => {
                ledger
                    .settle_unsettled_orders(None, 100, Part::WHOLE)
                    .await
                    .unwrap();
                self.model.settles();
            }
            Step::Waits { seconds } => clock.set(clock.now() + TimeDelta::seconds(seconds)),
            Step::WaitsForTheNext => {
                let next = self.handoffs().await.into_iter();
                let next = next.filter_map(|handoff| handoff.next_attempt_at).min();
                if let Some(next) = next.filter(|next| *next > clock.now()) {
                    clock.set(next);
                }
            }
        }
        self.compare().await
    }

    fn pick(&self, party: usize) -> Option<usize> {
        party.checked_rem(self.integrators.len())
    }

    async fn enable(&mut self, party: usize, enabled: bool) -> StepResult {
        let Some(party) = self.pick(party) else {
            return Ok(());
        };
        let edit = IntegratorEdit {
            enabled: Some(enabled),
            ..IntegratorEdit::default()
        };
        let id = self.integrators[party].id;
        let edited = match self
            .scene
            .house
            .ledger
            .edit_integrator(id, None, edit)
            .await
        {
            Ok(_) => true,
            Err(ChangeError::Refused(_)) => false,
            Err(error) => return Err(format!("{error:?}")),
        };
        if edited {
            self.model.enabled[party] = enabled;
            if enabled {
                self.model.pauses[party] = (0, None);
            }
        }
        expect_equal("edited", edited, !self.model.archived[party])
    }

    async fn claim(&mut self, party: usize) -> StepResult {
        let Some(party) = self.pick(party) else {
            return Ok(());
        };
        let lease = TimeDelta::from_std(LEASE).unwrap();
        let expected = self.model.claims(party, self.claims.len(), lease);
        let mut claimed = self.scene.claims(&self.integrators[party]).await.claimed;
        expect_equal("claims", claimed.len(), usize::from(expected.is_some()))?;
        let Some(claimed) = claimed.pop() else {
            return Ok(());
        };
        if let Some(before) = self
            .claims
            .iter()
            .find(|before| before.handoff.id == claimed.handoff.id && before.body != claimed.body)
        {
            return Err(format!("other bytes than in attempt {}", before.n));
        }
        self.claims.push(claimed);
        Ok(())
    }

    async fn hear(&mut self, claims_ago: usize, heard: Hears) -> StepResult {
        let Some(claim) = self.claims.len().checked_sub(1 + claims_ago) else {
            return Ok(());
        };
        let claimed = self.claims[claim].clone();
        let ledger = &self.scene.house.ledger;
        if let Hears::Deferred(seconds) = heard {
            let until = self.model.now + std::time::Duration::from_secs(seconds);
            let deferred = ledger.defer_attempt(&claimed, until, "no room").await;
            deferred.map_err(|error| format!("{error:?}"))?;
            self.model.hears(claim, heard, |_| false);
            return Ok(());
        }
        let answer = |status, retry_after| SendResult::Answer {
            status,
            retry_after,
        };
        let met = match heard {
            Hears::Status(status) => answer(status, None),
            Hears::RetryAfter(seconds) => {
                let wait = std::time::Duration::from_secs(seconds);
                answer(503, Some(RetryAfter::After(wait)))
            }
            Hears::TokenExpired => answer(401, None),
            Hears::NotConnected => SendResult::NotConnected {
                error: "refused".to_owned(),
            },
            Hears::Lost | Hears::Deferred(_) => SendResult::Lost {
                error: "time-out".to_owned(),
            },
        };
        let on_cached = matches!(heard, Hears::TokenExpired);
        let concluded = ledger
            .conclude_attempt(&claimed, &met, Some(b"{}"), on_cached)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let failed = self.failed().await;
        let expected = self.model.hears(claim, heard, |at| failed[at]);
        let heeded = match concluded {
            Concluded::Recorded { .. } => OutcomeEffect::Recorded,
            Concluded::CalledOff { .. } => OutcomeEffect::CalledOff,
            // Recorded before, or after the end of the lease: nothing is changed.
            Concluded::AlreadyRecorded { .. } | Concluded::Fenced | Concluded::Forgotten => {
                OutcomeEffect::Fenced
            }
        };
        self.seen.heeded.push(heeded);
        expect_equal("effect of the outcome", heeded, expected)
    }

    async fn say(
        &mut self,
        party: usize,
        status: &'static str,
        sequence: Option<i64>,
        occurred_at: Option<i64>,
    ) -> StepResult {
        // An archived integrator has no valid signature.
        let Some(party) = self
            .pick(party)
            .filter(|party| !self.model.archived[*party])
        else {
            return Ok(());
        };
        // Two callbacks of the same microsecond have no order of receipt.
        let clock = &self.scene.house.clock;
        clock.set(clock.now() + TimeDelta::milliseconds(1));
        self.model.now = clock.now();
        let is_step = status.starts_with(|first: char| first.is_uppercase());
        let step = DeliveryUpdate {
            tracking_number: None,
            status: Some(status.to_owned()),
        };
        let update = Update {
            sequence,
            occurred_at: occurred_at.map(|seconds| self.began_at + TimeDelta::seconds(seconds)),
            status: (!is_step).then(|| status.to_owned()),
            delivery: is_step.then_some(step),
            ..word(self.order.id, status)
        };
        let webhook_id = format!("msg_{}", self.sent.len());
        let ledger = &self.scene.house.ledger;
        let received = ledger
            .receive_callback(&self.integrators[party], &webhook_id, update.clone())
            .await;
        let let_in = match received {
            Ok(Received::Stored { .. }) => true,
            Err(ChangeError::Refused(_)) => false,
            other => return Err(format!("{other:?}")),
        };
        let expected = self.model.says(party, status, sequence, occurred_at);
        if let_in {
            self.sent.push((party, webhook_id, update));
        }
        expect_equal("received", let_in, expected)
    }

    async fn replay(&mut self, callback: usize) -> StepResult {
        let Some(at) = callback.checked_rem(self.sent.len()) else {
            return Ok(());
        };
        let (party, webhook_id, update) = self.sent[at].clone();
        let ledger = &self.scene.house.ledger;
        let again = ledger
            .receive_callback(&self.integrators[party], &webhook_id, update)
            .await;
        expect_equal("a replay", again.unwrap(), Received::Duplicate)
    }

    async fn retry(&mut self, handoff: usize) -> StepResult {
        let Some(at) = handoff.checked_rem(self.model.duties.len()) else {
            return Ok(());
        };
        let id = self.by_duty().await[at].id;
        let house = &self.scene.house;
        let by = house.chance.id(self.model.now);
        let retried = match house.ledger.retry_handoff(id, by).await {
            Ok(_) => true,
            Err(ChangeError::Refused(_)) => false,
            Err(error) => return Err(format!("{error:?}")),
        };
        expect_equal("retried", retried, self.model.retries_by_hand(at))
    }

    async fn handoffs(&self) -> Vec<Handoff> {
        self.scene.handoffs(self.order.id).await
    }

    /// Returns the handoffs in the order of the model's duties.
    async fn by_duty(&self) -> Vec<Handoff> {
        in_model_order(&self.model, &self.integrators, &self.handoffs().await)
    }

    /// Returns for each duty if the real handoff has failed.
    async fn failed(&self) -> Vec<bool> {
        let handoffs = self.by_duty().await.into_iter();
        handoffs
            .map(|handoff| handoff.state == HandoffState::Failed)
            .collect()
    }
}

fn expect_equal<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should_be: T) -> StepResult {
    if is == should_be {
        Ok(())
    } else {
        Err(format!("{what}: is {is:?}, should be {should_be:?}"))
    }
}
