//! Locks handoffs past those that others hold: one row that is locked for long must not stop an integrator.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Change, Result, orders};
use domain::{
    ids::{HandoffId, IntegratorId, OrderId, SessionId},
    order::Order,
};
use store::handoffs::{Candidate, Look, Place, Stored};

/// Maximum candidates that one look beyond the first reads.
const LOOK_FURTHER: u32 = 512;
/// Maximum number of looks of one claim.
const MAX_LOOKS: usize = 16;
/// Minimum candidates that are tried with one statement, once some were held.
const MIN_TRIED: usize = 16;
/// Maximum number of such tries of one claim. Candidates of a session that was found held are not tried.
const MAX_TRIES: usize = 32;
/// Number of handoffs among which the probe is chosen.
const PROBE_CHOICE: u32 = 16;

/// Due handoffs that were locked, in the order of their candidates.
#[derive(Default)]
pub(super) struct Due {
    pub(super) locked: Vec<Locked>,
    /// True if others hold some that come before.
    pub(super) any_held: bool,
}

/// Locks one candidate, unless others hold it.
pub(super) async fn lock_one(change: &mut Change<'_>, candidate: Candidate) -> Result<Due> {
    let locked = lock_available(change, &[candidate]).await?;
    let any_held = locked.is_empty();
    Ok(Due { locked, any_held })
}

/// Locks the test that a person sent first, if one is due, unless others hold it.
pub(super) async fn lock_test(change: &mut Change<'_>, of: IntegratorId) -> Result<Due> {
    let found = store::handoffs::due_tests(&mut change.tx, of, change.now).await?;
    let locked = lock_available(change, &found).await?;
    let any_held = locked.len() < found.len();
    Ok(Due { locked, any_held })
}

/// Locks the handoff to use as a probe, if there is one: with the fewest attempts among those that are due first and
/// that nobody else holds.
pub(super) async fn lock_probe(change: &mut Change<'_>, of: IntegratorId) -> Result<Due> {
    let mut due = lock_due(change, of, PROBE_CHOICE).await?;
    due.locked.sort_by_key(|one| one.stored.handoff.attempts);
    due.locked.truncate(1);
    Ok(due)
}

/// Locks up to `limit` due handoffs. Looks further for as long as others hold what was found.
pub(super) async fn lock_due(change: &mut Change<'_>, of: IntegratorId, limit: u32) -> Result<Due> {
    let (wanted, now) = (limit as usize, change.now);
    let (mut place, mut page, mut tries) = (Some(Place::START), limit, 0);
    let mut due = Due {
        locked: Vec::new(),
        any_held: false,
    };
    let mut held = BTreeSet::new();
    for _ in 0..MAX_LOOKS {
        let Some(after) = place else { break };
        let Look { candidates, next } =
            store::handoffs::candidates(&mut change.tx, of, now, after, page).await?;
        let mut rest = candidates.as_slice();
        while !rest.is_empty() && due.locked.len() < wanted && tries < MAX_TRIES {
            let most = if tries == 0 {
                wanted
            } else {
                (wanted - due.locked.len()).max(MIN_TRIED)
            };
            let tried: Vec<Candidate>;
            (tried, rest) = take_not_held(rest, &held, most);
            if tried.is_empty() {
                break;
            }
            let locked = lock_some(change, &tried, &mut held).await?;
            due.any_held |= locked.len() < tried.len();
            due.locked.extend(locked);
            tries += 1;
        }
        if due.locked.len() >= wanted || tries >= MAX_TRIES {
            break;
        }
        (place, page) = (next, LOOK_FURTHER);
    }
    due.locked.truncate(wanted);
    Ok(due)
}

/// Splits off the first `most` candidates whose session is not known to be held.
fn take_not_held<'c>(
    candidates: &'c [Candidate],
    held: &BTreeSet<SessionId>,
    most: usize,
) -> (Vec<Candidate>, &'c [Candidate]) {
    let is_free = |one: &Candidate| {
        one.session_id
            .is_none_or(|session| !held.contains(&session))
    };
    let mut taken = Vec::new();
    for (at, one) in candidates.iter().enumerate() {
        if taken.len() == most {
            return (taken, &candidates[at..]);
        }
        if is_free(one) {
            taken.push(*one);
        }
    }
    (taken, &[])
}

/// A handoff locked by this change, and its order, if it has one.
pub(super) struct Locked {
    pub(super) stored: Stored,
    pub(super) order: Option<Order>,
}

/// Locks the candidates that nobody else holds: their orders with the sessions, and then the handoffs. One statement
/// for each, since one per order would be most of a claim's cost.
pub(super) async fn lock_available(
    change: &mut Change<'_>,
    candidates: &[Candidate],
) -> Result<Vec<Locked>> {
    lock_some(change, candidates, &mut BTreeSet::new()).await
}

/// Does the same, and adds the sessions that others hold to `held`.
async fn lock_some(
    change: &mut Change<'_>,
    candidates: &[Candidate],
    held: &mut BTreeSet<SessionId>,
) -> Result<Vec<Locked>> {
    let mut orders: Vec<OrderId> = candidates.iter().filter_map(|one| one.order_id).collect();
    orders.sort_unstable();
    orders.dedup();
    let orders::Available {
        mut orders,
        held_sessions,
    } = orders::lock_available(change, &orders).await?;
    held.extend(held_sessions);

    let handoffs: Vec<HandoffId> = candidates
        .iter()
        .filter(|one| one.order_id.is_none_or(|order| orders.contains_key(&order)))
        .map(|one| one.id)
        .collect();
    let locked = store::handoffs::lock_available(&mut change.tx, &handoffs).await?;
    let mut by_id: BTreeMap<HandoffId, Stored> = BTreeMap::new();
    for stored in locked {
        let stored = stored?;
        by_id.insert(stored.handoff.id, stored);
    }
    // Keep the order of the candidates.
    Ok(handoffs
        .iter()
        .filter_map(|id| {
            let stored = by_id.remove(id)?;
            let order = match stored.handoff.order_id {
                // Two handoffs of one order can't share it: the second is skipped for now.
                Some(order) => Some(orders.remove(&order)?),
                None => None,
            };
            Some(Locked { stored, order })
        })
        .collect())
}
