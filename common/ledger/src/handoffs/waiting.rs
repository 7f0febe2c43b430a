//! Reasons why handoffs are not sent yet, for people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::Result;
use domain::{
    handoff::Handoff,
    ids::{HandoffId, IntegratorId},
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
    let known = store::integrators::traffic(tx, integrators).await?;
    Ok(known
        .into_iter()
        .map(|(id, traffic)| {
            let in_flight = in_flight.get(&id).copied().unwrap_or_default();
            let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
            (
                id,
                Traffic {
                    in_flight,
                    ..traffic
                },
            )
        })
        .collect())
}
