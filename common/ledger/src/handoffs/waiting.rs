//! What handoffs wait for, for people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::Result;
use domain::{
    handoff::Handoff,
    ids::{HandoffId, IntegratorId},
    sharing::Limits,
    waiting::{Traffic, Waiting, waiting},
};

/// Returns what each of these handoffs waits for; one that is not in the result waits for nothing.
pub(super) async fn waiting_of(
    tx: &mut store::Tx,
    handoffs: &[&Handoff],
    now: DateTime<Utc>,
) -> Result<BTreeMap<HandoffId, Waiting>> {
    let scheduled: Vec<&Handoff> = handoffs
        .iter()
        .copied()
        .filter(|handoff| handoff.next_attempt_at.is_some())
        .collect();
    if scheduled.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<HandoffId> = scheduled.iter().map(|handoff| handoff.id).collect();
    let blocked = store::handoffs::blocked(tx, &ids).await?;
    let mut integrators: Vec<IntegratorId> = scheduled
        .iter()
        .map(|handoff| handoff.integrator_id)
        .collect();
    integrators.sort_unstable();
    integrators.dedup();
    let traffic = traffic(tx, &integrators).await?;
    Ok(scheduled
        .into_iter()
        .filter_map(|handoff| {
            let traffic = traffic.get(&handoff.integrator_id)?;
            let found = waiting(handoff, blocked.contains(&handoff.id), traffic, now)?;
            Some((handoff.id, found))
        })
        .collect())
}

async fn traffic(
    tx: &mut store::Tx,
    integrators: &[IntegratorId],
) -> Result<BTreeMap<IntegratorId, Traffic>> {
    let in_flight: BTreeMap<IntegratorId, i64> =
        store::handoffs::count_sending(tx, integrators).await?;
    let stored = store::integrators::many(tx, integrators).await?;
    Ok(stored
        .into_iter()
        .map(|stored| {
            let integrator = &stored.integrator;
            let in_flight = in_flight.get(&integrator.id).copied().unwrap_or_default();
            let traffic = Traffic {
                is_sent_to: integrator.enabled
                    && stored.given_up.is_none()
                    && stored.archived_at.is_none(),
                limits: Limits {
                    concurrency: integrator.concurrency,
                    rate_per_s: integrator.rate_per_s,
                },
                in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
                breaker: stored.breaker,
                pressure: stored.pressure,
            };
            (integrator.id, traffic)
        })
        .collect())
}
