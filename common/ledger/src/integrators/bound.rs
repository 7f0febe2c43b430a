//! The number of integrators that one store may have: each order of the store is work for all of them.

use super::{IntegratorRefused, NewIntegrator};
use crate::{Change, ChangeResult};
use domain::{
    ids::{IntegratorId, StoreId},
    integrator::Integrator,
};

/// Maximum enabled integrators of one store. Three hundred of them made the orders of other stores wait for seconds.
pub const MAX_ENABLED_PER_STORE: usize = 50;

/// Refuses a new integrator if one of its stores has no room for it.
pub(super) async fn check_new(
    change: &mut Change<'_>,
    new: &NewIntegrator,
) -> ChangeResult<(), IntegratorRefused> {
    check_room(change, new.store_id, None).await?;
    for store in &new.further_stores {
        check_room(change, *store, None).await?;
    }
    Ok(())
}

/// Refuses to enable an integrator, or to let it join stores, if there is no room for it; `further` are its stores after
/// the edit, but for the first.
pub(super) async fn check_edited(
    change: &mut Change<'_>,
    before: &Integrator,
    after: &Integrator,
    further: &[StoreId],
) -> ChangeResult<(), IntegratorRefused> {
    if !after.enabled {
        return Ok(());
    }
    if !before.enabled {
        check_room(change, after.store_id, Some(after.id)).await?;
    }
    // It may be in these already, and then does not count.
    for store in further {
        check_room(change, *store, Some(after.id)).await?;
    }
    Ok(())
}

async fn check_room(
    change: &mut Change<'_>,
    store: StoreId,
    but: Option<IntegratorId>,
) -> ChangeResult<(), IntegratorRefused> {
    let there = store::integrators::of_store(&mut change.tx, store).await?;
    let counts = |one: &&Integrator| {
        let is_there = one.enabled && one.left_at.is_none() && !one.is_listener();
        is_there && Some(one.id) != but
    };
    if there.iter().filter(counts).count() >= MAX_ENABLED_PER_STORE {
        return Err(IntegratorRefused::TooMany { store }.into());
    }
    Ok(())
}
