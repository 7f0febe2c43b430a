//! Circuit breaker of an integrator, shared by all workers: what a claim may take and how an outcome counts.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Claimed, pressure};
use crate::{Change, Result};
use domain::{
    breaker::{Breaker, Sign},
    handoff::{AttemptOutcome, Handoff},
    hint::Hint,
    ids::{HandoffId, IntegratorId},
    integrator::{BreakerState, DisableReason},
};

/// Takes the breaker's single probe for this claim's attempt; `false` if another claim was faster.
pub(super) async fn begin_probe(change: &mut Change<'_>, claimed: &Claimed) -> Result<bool> {
    let (id, handoff, until) = (
        claimed.integrator.id,
        claimed.handoff.id,
        claimed.leased_until,
    );
    let now = change.now;
    Ok(store::integrators::begin_probe(&mut change.tx, id, handoff, until, now).await?)
}

/// News of an integrator by the outcome of an attempt.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) handoff: &'a Handoff,
    pub(super) is_of_listener: bool,
    /// `None` if its worker died.
    pub(super) claimed: Option<&'a Claimed>,
    pub(super) outcome: AttemptOutcome,
    pub(super) sign: Sign,
}

impl Told<'_> {
    /// Returns true if the breaker must be read: an answer changes nothing if no failure was on record at the claim.
    fn is_for_breaker(&self) -> bool {
        let was_healthy = self.claimed.is_some_and(|claimed| claimed.was_healthy);
        !self.is_of_listener && (self.sign == Sign::Failure || !was_healthy)
    }
}

/// Updates the paces and breakers of integrators with outcomes, in this order; returns those that must now be disabled.
///
/// The integrators' rows are the last ones that outcomes lock, by id, so their holder never waits for another lock.
pub(super) async fn record_outcomes(
    change: &mut Change<'_>,
    told: &[Told<'_>],
) -> Result<BTreeSet<IntegratorId>> {
    let mut of: BTreeMap<IntegratorId, Vec<Told<'_>>> = BTreeMap::new();
    for one in told {
        of.entry(one.handoff.integrator_id).or_default().push(*one);
    }
    let changed = |told: &[Told<'_>], now| {
        told.iter().any(|one| {
            let eases = one
                .claimed
                .is_some_and(|claimed| pressure::eases(claimed, one.sign, now));
            eases || one.is_for_breaker()
        })
    };
    let locked: Vec<IntegratorId> = of
        .iter()
        .filter(|(_, told)| changed(told, change.now))
        .map(|(id, _)| *id)
        .collect();
    let mut breakers: BTreeMap<IntegratorId, Breaker> =
        store::integrators::lock_breakers(&mut change.tx, &locked)
            .await?
            .into_iter()
            .collect();
    let mut must_disable = BTreeSet::new();
    for (id, told) in of {
        let signs: Vec<(&Claimed, Sign)> = told
            .iter()
            .filter_map(|one| Some((one.claimed?, one.sign)))
            .collect();
        pressure::ease(change, id, &signs).await?;
        let mut gives_up = None;
        if let Some(known) = breakers.remove(&id)
            && told.iter().any(Told::is_for_breaker)
        {
            let after = apply_signs(change, id, known, &told).await?;
            if after.should_give_up(change.now) {
                gives_up = Some(DisableReason::Failing);
            }
        }
        let mut gone = told.iter().filter(|one| !one.is_of_listener);
        if gone.any(|one| one.outcome == AttemptOutcome::Gone) {
            gives_up = gives_up.or(Some(DisableReason::Gone));
        }
        if let Some(because) = gives_up
            && store::integrators::give_up(&mut change.tx, id, because).await?
        {
            must_disable.insert(id);
        }
    }
    Ok(must_disable)
}

/// Applies the breaker's rule to outcomes of one integrator, and writes what changed.
async fn apply_signs(
    change: &mut Change<'_>,
    id: IntegratorId,
    known: Breaker,
    told: &[Told<'_>],
) -> Result<Breaker> {
    let mut after = known.clone();
    for one in told.iter().filter(|one| one.is_for_breaker()) {
        let before = after.clone();
        after = apply_sign(change, &before, one.sign, one.handoff).await?;
        if before.state != BreakerState::Closed && after.state == BreakerState::Closed {
            change.hint(Hint::Handoffs { integrator: id });
        }
    }
    if after != known {
        store::integrators::write_breaker(&mut change.tx, id, &after).await?;
    }
    Ok(after)
}

/// Applies the breaker's rule. If the breaker would open, checks that the failures really are consecutive: an answer to
/// an attempt that was claimed before the first failure wrote nothing to the breaker.
async fn apply_sign(
    change: &mut Change<'_>,
    known: &Breaker,
    sign: Sign,
    handoff: &Handoff,
) -> Result<Breaker> {
    let jitter = change.inner.chance.fraction();
    let (id, now) = (handoff.id, change.now);
    let after = known.clone().after(sign, id, now, jitter);
    let opens = known.state == BreakerState::Closed && after.state == BreakerState::Open;
    if !opens {
        return Ok(after);
    }
    let of = handoff.integrator_id;
    change.write_ended().await?;
    let answered_at = store::integrators::last_response_at(&mut change.tx, of).await?;
    let in_a_row = answered_at
        .zip(known.failing_since)
        .is_none_or(|(answered, since)| answered <= since);
    Ok(if in_a_row {
        after
    } else {
        Breaker::default().after(sign, id, now, jitter)
    })
}

/// Releases the probe because its request was never sent; the next one may go when the handoff is due again.
pub(super) async fn undo_probe(
    change: &mut Change<'_>,
    claimed: &Claimed,
    until: chrono::DateTime<chrono::Utc>,
) -> Result<()> {
    if claimed.was_healthy {
        return Ok(());
    }
    let id = claimed.integrator.id;
    let handoff: HandoffId = claimed.handoff.id;
    store::integrators::undo_probe(&mut change.tx, id, handoff, until).await?;
    Ok(())
}
