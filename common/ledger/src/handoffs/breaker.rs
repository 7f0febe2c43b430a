//! Circuit breaker of an integrator, shared by all workers: what a claim may take and how an outcome counts.

#[cfg(test)]
mod tests;

use super::Claimed;
use crate::{Change, Result};
use domain::{
    breaker::{Breaker, Sign},
    handoff::{AttemptOutcome, Handoff},
    hint::Hint,
    ids::HandoffId,
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

/// Updates the breaker with an attempt's outcome; returns `true` if the integrator must now be disabled. An answer
/// costs no statement if no failure was on record at the claim.
///
/// The integrator's row is the last one that an outcome locks, so its holder never waits for another lock.
pub(super) async fn record_outcome(
    change: &mut Change<'_>,
    handoff: &Handoff,
    outcome: AttemptOutcome,
    sign: Sign,
    was_healthy: bool,
) -> Result<bool> {
    let id = handoff.integrator_id;
    if sign == Sign::Failure || !was_healthy {
        let Some(known) = store::integrators::lock_breaker(&mut change.tx, id).await? else {
            return Ok(false);
        };
        let after = apply_sign(change, &known, sign, handoff).await?;
        if after != known {
            store::integrators::write_breaker(&mut change.tx, id, &after).await?;
        }
        if known.state != BreakerState::Closed && after.state == BreakerState::Closed {
            change.hint(Hint::Handoffs { integrator: id });
        }
        if after.should_give_up(change.now) {
            let because = DisableReason::Failing;
            return Ok(store::integrators::give_up(&mut change.tx, id, because).await?);
        }
    }
    if outcome == AttemptOutcome::Gone {
        let because = DisableReason::Gone;
        return Ok(store::integrators::give_up(&mut change.tx, id, because).await?);
    }
    Ok(false)
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
