//! Pace of an integrator that says "slow down", shared by all workers: what such an answer and the next other one change.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use super::Claimed;
use crate::{Change, Ledger, Result};
use domain::{
    breaker::Sign, handoff::SendResult, ids::IntegratorId, integrator::Integrator,
    pressure::Pressure, sharing::Limits,
};

impl Ledger {
    /// Returns what an integrator may be sent by all workers together; `None` if there is no such integrator.
    #[crate::boxed]
    pub async fn limits_of(&self, integrator: IntegratorId) -> Result<Option<Limits>> {
        let mut tx = self.inner.db.read().await?;
        let stored = store::integrators::get(&mut tx, integrator).await?;
        Ok(stored.map(|stored| limits(&stored.integrator, &stored.pressure)))
    }
}

pub(super) fn limits(integrator: &Integrator, pressure: &Pressure) -> Limits {
    pressure.limits(Limits {
        concurrency: integrator.concurrency,
        rate_per_s: integrator.rate_per_s,
    })
}

/// An answer that means "slow down".
#[derive(Clone, Copy)]
pub(super) struct SlowDown<'a> {
    pub(super) started_at: DateTime<Utc>,
    pub(super) heard: &'a SendResult,
}

/// Pauses the integrator after answers that mean "slow down", in this order, and returns the end of the pause after each.
///
/// The integrator's row is the last one that an outcome locks. Nothing else is locked after it here: a postponed handoff
/// fails nothing and gives no stock back.
pub(super) async fn slow_down(
    change: &mut Change<'_>,
    integrator: IntegratorId,
    asked: &[SlowDown<'_>],
) -> Result<Vec<DateTime<Utc>>> {
    let (now, max_pause) = (change.now, change.inner.settings.max_pause);
    let known = store::integrators::lock_pressure(&mut change.tx, integrator).await?;
    let known = known.unwrap_or_default();
    let (mut slower, mut paused_until) = (known, Vec::new());
    for SlowDown { started_at, heard } in asked {
        slower = slower.slowed_down(*started_at, heard.retry_after(), now, max_pause);
        paused_until.push(slower.paused_until.unwrap_or(now));
    }
    if slower != known {
        store::integrators::write_pressure(&mut change.tx, integrator, &slower).await?;
    }
    if slower.pauses_in_a_row != known.pauses_in_a_row {
        tracing::info!(%integrator, "integrator says \"slow down\"; it is sent nothing until {:?}", slower.paused_until);
    }
    Ok(paused_until)
}

/// Returns true if an outcome may let the integrator be sent more: an answer changes nothing if the claim knew of no
/// pause, or the rate grew within the last second.
pub(super) fn eases(claimed: &Claimed, sign: Sign, now: DateTime<Utc>) -> bool {
    sign == Sign::Alive && claimed.pressure.is_eased_by(claimed.started_at, now)
}

/// Lets the integrator be sent more after answers that show that it takes requests.
pub(super) async fn ease(
    change: &mut Change<'_>,
    id: IntegratorId,
    signs: &[(&Claimed, Sign)],
) -> Result<()> {
    let now = change.now;
    let mut easing = signs
        .iter()
        .filter(|(claimed, sign)| eases(claimed, *sign, now))
        .map(|(claimed, _)| claimed.started_at);
    let Some(first) = easing.next() else {
        return Ok(());
    };
    let Some(known) = store::integrators::lock_pressure(&mut change.tx, id).await? else {
        return Ok(());
    };
    let eased = easing.fold(known.eased(first, now), |eased, started_at| {
        eased.eased(started_at, now)
    });
    if eased != known {
        store::integrators::write_pressure(&mut change.tx, id, &eased).await?;
    }
    Ok(())
}
