//! Records the outcome of an attempt in one transaction: closes the attempt and moves handoff and order on.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::time::Instant;

use super::{
    Claimed, Concluded,
    breaker::{self, Told},
    fail, hint_next,
    order_effects::{
        AnsweredIds, acknowledge, attach_callbacks, close, end_lease, keep_reference,
        record_courier_received,
    },
    pressure::{self, SlowDown},
};
use crate::{
    Change, CrashPoints, Ledger, Result, idempotency::Handle, in_one_transaction, in_one_try,
    orders, permits::HeldRowPermit,
};
use domain::{
    breaker::sign,
    handoff::{AttemptContext, AttemptOutcome, Handoff, HandoffState, SendResult, Verdict, judge},
    ids::{HandoffId, OrderId},
    integrator::{HandoffEvent, Integrator, UnknownPolicy},
    order::Order,
};
use store::{
    attempts::{Claim, Ended, MAX_RESPONSE_BYTES},
    handoffs::Stored,
};

/// Delay before the next try to record an outcome whose order others hold, doubled up to [`MAX_HELD_DELAY`].
const HELD_DELAY: Duration = Duration::from_millis(5);
const MAX_HELD_DELAY: Duration = Duration::from_millis(320);
/// Time after which such an outcome is given up, and the attempt is unknown. Every lease is longer.
const MAX_HELD: Duration = Duration::from_secs(15);

/// An attempt's result as the worker observed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptResult<'a> {
    pub(crate) heard: &'a SendResult,
    /// Response body, as far as it was read.
    pub(crate) answer: Option<&'a [u8]>,
    /// True if the request was authenticated with a cached token.
    pub(crate) used_cached_token: bool,
}

impl Ledger {
    /// Records an unknown outcome: the request was on the wire when the process had to stop.
    #[crate::boxed]
    pub async fn interrupt_attempt(&self, claimed: &Claimed, error: &str) -> Result<Concluded> {
        let heard = SendResult::Lost {
            error: error.to_owned(),
        };
        self.conclude_attempt(claimed, &heard, None, false).await
    }

    /// Takes back an attempt whose request was never sent for a reason on our side: no attempt is counted, and the
    /// handoff is due again at `until`, or at its deadline if that is sooner.
    #[crate::boxed]
    pub async fn defer_attempt(
        &self,
        claimed: &Claimed,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<()> {
        let handoff = &claimed.handoff;
        in_one_transaction!(&self.inner, CrashPoints::OUTCOME, |change| {
            let Some((order, stored)) = lock(change, handoff.order_id, handoff.id).await? else {
                return Ok(());
            };
            if stored.fence != claimed.fence || !has_an_open_attempt(&stored) {
                return Ok(());
            }
            take_back(change, order.as_ref(), &stored.handoff, until, why).await?;
            breaker::undo_probe(change, claimed, round_up_to_micros(until)).await
        })
    }
}

/// Records one outcome in a transaction of its own. While others hold the order, few outcomes wait for it; the others try
/// again and occupy no connection between the tries: many outcomes of one held session must not use up the pool.
pub(super) async fn conclude_alone(
    inner: &Handle,
    claimed: &Claimed,
    result: AttemptResult<'_>,
) -> Result<Conclusion> {
    let (begun_at, mut delay) = (Instant::now(), HELD_DELAY);
    loop {
        let mut done = conclude_once(inner, claimed, result, None).await;
        if matches!(&done, Err(error) if error.is_held())
            && let Some(permit) = inner.held_rows.take()
        {
            done = conclude_once(inner, claimed, result, Some(&permit)).await;
        }
        match done {
            Err(error) if error.is_held() && begun_at.elapsed() < MAX_HELD => {
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(MAX_HELD_DELAY);
            }
            done => return done,
        }
    }
}

async fn conclude_once(
    inner: &Handle,
    claimed: &Claimed,
    result: AttemptResult<'_>,
    permit: Option<&HeldRowPermit<'_>>,
) -> Result<Conclusion> {
    let (handoff, integrator) = (&claimed.handoff, &claimed.integrator);
    in_one_try!(inner, CrashPoints::OUTCOME, permit, |change| {
        let Some((mut order, stored)) = lock(change, handoff.order_id, handoff.id).await? else {
            return Ok(Conclusion::of(Concluded::Fenced));
        };
        if stored.fence != claimed.fence || !has_an_open_attempt(&stored) {
            let recorded = recorded_outcomes(change, &[claimed]).await?.pop();
            return Ok(Conclusion::of(recorded.unwrap_or(Concluded::Forgotten)));
        }
        let (order, claimed) = (order.as_mut(), Some(claimed));
        conclude(change, order, &stored, integrator, claimed, result).await
    })
}

/// Locks the handoff's order, if it has one, and then the handoff.
pub(crate) async fn lock(
    change: &mut Change<'_>,
    order: Option<OrderId>,
    handoff: HandoffId,
) -> Result<Option<(Option<Order>, Stored)>> {
    let order = match order {
        Some(id) => orders::lock(change, id).await?,
        None => None,
    };
    let stored = store::handoffs::lock(&mut change.tx, handoff).await?;
    Ok(stored.map(|stored| (order, stored)))
}

/// Returns true if an attempt is in flight, also if a callback acknowledged the handoff meanwhile.
pub(crate) fn has_an_open_attempt(stored: &Stored) -> bool {
    let state = stored.handoff.state;
    let may_have = matches!(state, HandoffState::Sending | HandoffState::Acknowledged);
    may_have && stored.leased_until.is_some()
}

/// Effect of an outcome.
#[derive(Clone, Debug)]
pub(crate) struct Conclusion {
    pub(crate) concluded: Concluded,
    /// True if the integrator is marked to be disabled, which takes a transaction of its own.
    pub(super) must_disable: bool,
}

impl Conclusion {
    /// Wraps a result that disables nobody.
    pub(super) fn of(concluded: Concluded) -> Self {
        Self {
            concluded,
            must_disable: false,
        }
    }
}

/// Reads the recorded outcomes of attempts that are no longer open. Only its claimer writes an outcome other than
/// unknown: such an outcome is on record even if the response to its commit was lost.
pub(super) async fn recorded_outcomes(
    change: &mut Change<'_>,
    claimed: &[&Claimed],
) -> Result<Vec<Concluded>> {
    let ids: Vec<HandoffId> = claimed.iter().map(|one| one.handoff.id).collect();
    let on_record = store::attempts::outcomes_of(&mut change.tx, &ids).await?;
    let recorded = claimed.iter().map(|one| {
        let claim = Claim {
            handoff_id: one.handoff.id,
            round: one.handoff.round,
            n: one.n,
            fence: one.fence,
        };
        match on_record.get(&claim) {
            None => Concluded::Forgotten,
            Some(None | Some(AttemptOutcome::Unknown)) => Concluded::Fenced,
            Some(Some(outcome)) => Concluded::AlreadyRecorded { outcome: *outcome },
        }
    });
    Ok(recorded.collect())
}

/// Records the outcome of a locked handoff's open attempt. `claimed` is its claim, `None` if its worker died.
pub(crate) async fn conclude(
    change: &mut Change<'_>,
    order: Option<&mut Order>,
    stored: &Stored,
    integrator: &Integrator,
    claimed: Option<&Claimed>,
    result: AttemptResult<'_>,
) -> Result<Conclusion> {
    let open = OpenAttempt {
        stored,
        integrator,
        claimed,
        result,
    };
    let paused_until = match open.asks_to_slow_down() {
        Some(asked) => {
            let of = stored.handoff.integrator_id;
            pressure::slow_down(change, of, &[asked]).await?.pop()
        }
        None => None,
    };
    let judged = end_attempt(change, open, paused_until).await?;
    let concluded = apply(change, order, open, &judged).await?;
    let told = [open.tells(judged.outcome)];
    let must_disable = breaker::record_outcomes(change, &told).await?;
    Ok(Conclusion {
        concluded,
        must_disable: !must_disable.is_empty(),
    })
}

/// An open attempt of a locked handoff, and its result.
#[derive(Clone, Copy)]
pub(super) struct OpenAttempt<'a> {
    pub(super) stored: &'a Stored,
    pub(super) integrator: &'a Integrator,
    /// `None` if its worker died.
    pub(super) claimed: Option<&'a Claimed>,
    pub(super) result: AttemptResult<'a>,
}

impl<'a> OpenAttempt<'a> {
    /// Returns the answer if it means "slow down"; `None` if its worker died.
    pub(super) fn asks_to_slow_down(self) -> Option<SlowDown<'a>> {
        let started_at = self.claimed?.started_at;
        let heard = self.result.heard;
        heard
            .asks_to_slow_down()
            .then_some(SlowDown { started_at, heard })
    }

    /// Returns what the outcome tells about the integrator.
    pub(super) fn tells(self, outcome: AttemptOutcome) -> Told<'a> {
        Told {
            handoff: &self.stored.handoff,
            // Somebody develops there: it fails often, is mended at once, and nobody waits for it.
            is_of_listener: self.integrator.is_listener(),
            claimed: self.claimed,
            outcome,
            sign: sign(outcome, self.result.heard),
        }
    }
}

/// The verdict about an attempt.
pub(super) struct Judged {
    pub(super) outcome: AttemptOutcome,
    verdict: Verdict,
    is_counted: bool,
}

/// Judges an attempt and records its end. `paused_until` is the end of the pause that its answer asked for.
pub(super) async fn end_attempt(
    change: &mut Change<'_>,
    open: OpenAttempt<'_>,
    paused_until: Option<DateTime<Utc>>,
) -> Result<Judged> {
    let (handoff, result) = (&open.stored.handoff, open.result);
    let is_counted = paused_until.is_none();
    let counted_before = handoff.counted_attempts().saturating_sub(1);
    let standing = AttemptContext {
        attempts: counted_before + u32::from(is_counted),
        max_attempts: handoff.max_attempts,
        unknown_policy: match handoff.event {
            // A test has no order: a second send duplicates nothing, and there is nothing for a person to decide.
            HandoffEvent::Test => UnknownPolicy::Resend,
            _ => open.integrator.unknown_policy,
        },
        used_cached_token: result.used_cached_token,
        paused_until: paused_until.map(round_up_to_micros),
        deadline: handoff.deadline,
    };
    let jitter = change.inner.chance.fraction();
    let (outcome, verdict) = judge(result.heard, &standing, change.now, jitter);
    let verdict = match verdict {
        Verdict::TryAgain { at } => Verdict::TryAgain {
            at: round_up_to_micros(at),
        },
        verdict => verdict,
    };
    let (http_status, error) = match result.heard {
        SendResult::Answer { status, .. } => (Some(*status), None),
        SendResult::NotConnected { error } | SendResult::Lost { error } => {
            (None, Some(error.clone()))
        }
    };
    let answer = result.answer;
    let ended = Ended {
        handoff_id: handoff.id,
        round: handoff.round,
        n: handoff.attempts,
        outcome,
        counted: is_counted,
        http_status,
        error,
        answer: answer.map(|answer| answer[..answer.len().min(MAX_RESPONSE_BYTES)].to_vec()),
        at: change.now,
    };
    change.end_attempt(ended).await?;
    Ok(Judged {
        outcome,
        verdict,
        is_counted,
    })
}

/// Returns the integrator's own ids of the order in an answer that acknowledges it.
pub(super) fn answered_ids(open: OpenAttempt<'_>, outcome: AttemptOutcome) -> AnsweredIds {
    let acknowledges = outcome == AttemptOutcome::Acknowledged;
    let answer = open.result.answer.filter(|_| acknowledges);
    let read = |answer| AnsweredIds::read(&open.stored.handoff, open.integrator, answer);
    answer.map(read).unwrap_or_default()
}

/// Moves the handoff, and its order, as the verdict says.
pub(super) async fn apply(
    change: &mut Change<'_>,
    order: Option<&mut Order>,
    open: OpenAttempt<'_>,
    judged: &Judged,
) -> Result<Concluded> {
    let (integrator, outcome) = (open.integrator, judged.outcome);
    let mut ended = open.stored.handoff.clone();
    if !judged.is_counted {
        ended.uncounted += 1;
    }
    let handoff = &ended;
    let ids = answered_ids(open, outcome);
    let acknowledged_meanwhile = handoff.state == HandoffState::Acknowledged;
    let called_off = handoff.event.requires_open_order()
        && order.as_ref().is_some_and(|order| order.status.is_final());
    let concluded = match judged.verdict.clone() {
        _ if acknowledged_meanwhile => {
            let mut released = handoff.clone();
            keep_reference(&mut released, ids.reference());
            end_lease(change, released, None).await?;
            attach_callbacks(change, handoff, ids.reference()).await?;
            if let Some(order) = order {
                record_courier_received(change, order, handoff, &ids).await?;
            }
            Concluded::Recorded {
                outcome,
                verdict: Verdict::Acknowledged,
            }
        }
        Verdict::TryAgain { .. } | Verdict::Postpone { .. } | Verdict::Hold if called_off => {
            let withdrawn = HandoffState::Withdrawn;
            close(change, handoff, withdrawn, Some(orders::ORDER_ENDED)).await?;
            Concluded::CalledOff { outcome }
        }
        verdict => {
            match verdict {
                Verdict::Acknowledged => {
                    acknowledge(change, order, handoff, integrator, &ids).await?;
                }
                Verdict::TryAgain { at } => {
                    put_off(change, handoff, HandoffState::Waiting, at).await?;
                }
                Verdict::Postpone { at } => {
                    let counted_before = open.stored.handoff.counted_attempts().saturating_sub(1);
                    put_off(change, handoff, unsent_state(counted_before), at).await?;
                }
                Verdict::Hold => close(change, handoff, HandoffState::Held, None).await?,
                Verdict::Failed { reason } => {
                    fail(change, order, handoff, integrator, reason).await?;
                }
            }
            Concluded::Recorded { outcome, verdict }
        }
    };
    hint_next(change, handoff).await?;
    Ok(concluded)
}

/// Lets the handoff be sent again at `due_at`, and releases its lease.
async fn put_off(
    change: &mut Change<'_>,
    handoff: &Handoff,
    state: HandoffState,
    due_at: DateTime<Utc>,
) -> Result<()> {
    let mut put_off = handoff.clone();
    put_off.state = state;
    put_off.next_attempt_at = Some(due_at);
    end_lease(change, put_off, Some(due_at)).await
}

/// Rounds up to a whole microsecond, the resolution of stored times, so that nothing is ever early.
fn round_up_to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    let whole = at.trunc_subsecs(6);
    if whole < at {
        whole + TimeDelta::microseconds(1)
    } else {
        whole
    }
}

/// Returns the state of a handoff that is to be sent again after so many attempts that count.
fn unsent_state(counted_attempts: u32) -> HandoffState {
    if counted_attempts == 0 {
        HandoffState::Due
    } else {
        HandoffState::Waiting
    }
}

async fn take_back(
    change: &mut Change<'_>,
    order: Option<&Order>,
    handoff: &Handoff,
    until: DateTime<Utc>,
    why: &str,
) -> Result<()> {
    store::attempts::take_back(&mut change.tx, handoff.id, handoff.round, handoff.attempts).await?;
    let called_off =
        handoff.event.requires_open_order() && order.is_some_and(|order| order.status.is_final());
    let state = if handoff.state == HandoffState::Acknowledged {
        HandoffState::Acknowledged
    } else {
        unsent_state(handoff.counted_attempts().saturating_sub(1))
    };
    let due_at = round_up_to_micros(until).min(handoff.deadline);
    store::handoffs::put_back(&mut change.tx, handoff.id, state, due_at, why).await?;
    if called_off && !state.is_closed() {
        store::handoffs::withdraw(
            &mut change.tx,
            &[handoff.id],
            orders::ORDER_ENDED,
            change.now,
        )
        .await?;
    }
    hint_next(change, handoff).await
}
