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

/// Pauses the integrator after an answer that means "slow down", and returns the end of the pause.
///
/// The integrator's row is the last one that an outcome locks. Nothing else is locked after it here: a postponed handoff
/// fails nothing and gives no stock back.
pub(super) async fn slow_down(
    change: &mut Change<'_>,
    integrator: IntegratorId,
    started_at: DateTime<Utc>,
    heard: &SendResult,
) -> Result<DateTime<Utc>> {
    let (now, max_pause) = (change.now, change.inner.settings.max_pause);
    let known = store::integrators::lock_pressure(&mut change.tx, integrator).await?;
    let known = known.unwrap_or_default();
    let slower = known.slowed_down(started_at, heard.retry_after(), now, max_pause);
    if slower != known {
        store::integrators::write_pressure(&mut change.tx, integrator, &slower).await?;
    }
    if slower.pauses_in_a_row != known.pauses_in_a_row {
        tracing::info!(%integrator, "integrator says \"slow down\"; it is sent nothing until {:?}", slower.paused_until);
    }
    Ok(slower.paused_until.unwrap_or(now))
}

/// Lets the integrator be sent more after an answer that shows that it takes requests. An answer costs no statement if
/// the claim knew of no pause, and few if it did: the rate grows at most once a second.
pub(super) async fn ease(change: &mut Change<'_>, claimed: &Claimed, sign: Sign) -> Result<()> {
    let is_news = claimed.pressure.is_eased_by(claimed.started_at, change.now);
    if sign != Sign::Alive || !is_news {
        return Ok(());
    }
    let id = claimed.integrator.id;
    let Some(known) = store::integrators::lock_pressure(&mut change.tx, id).await? else {
        return Ok(());
    };
    let eased = known.eased(claimed.started_at, change.now);
    if eased != known {
        store::integrators::write_pressure(&mut change.tx, id, &eased).await?;
    }
    Ok(())
}
