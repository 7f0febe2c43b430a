//! Which handoffs a caller may see: people by their stores, integrator accounts by their integrators.

use domain::{
    account::Role,
    handoff::Handoff,
    ids::{IntegratorId, StoreId},
};
use ledger::handoffs::HandoffFilter;

use crate::{auth::Caller, http::problem::Problem, resources::stores::rights::visible_stores};

/// Narrows the filter to what the caller may see.
pub(super) fn restrict_to_visible(
    filter: &mut HandoffFilter,
    caller: &Caller,
    store: Option<StoreId>,
    integrator: Option<IntegratorId>,
) -> Result<(), Problem> {
    (filter.stores, filter.integrator) = visible(caller, store, integrator)?;
    Ok(())
}

/// Returns the stores and the integrator whose handoffs and callbacks the caller may see, of those that are asked for;
/// `None` means all.
pub(crate) fn visible(
    caller: &Caller,
    store: Option<StoreId>,
    integrator: Option<IntegratorId>,
) -> Result<(Option<Vec<StoreId>>, Option<IntegratorId>), Problem> {
    if !caller.is(Role::Integrator) {
        return Ok((visible_stores(caller, store)?, integrator));
    }
    let own: Vec<IntegratorId> = caller.integrators().collect();
    let integrator = match (integrator, own.as_slice()) {
        (Some(asked), own) if own.contains(&asked) => asked,
        (None, [only]) => *only,
        (Some(_), _) | (None, []) => return Err(Problem::not_found()),
        (None, _) => {
            let detail = "is required, because this account acts for several integrators";
            return Err(Problem::invalid_field("integrator_id", detail));
        }
    };
    Ok((store.map(|store| vec![store]), Some(integrator)))
}

/// Returns 404 unless the caller may see the handoff.
pub(super) fn check_visible(caller: &Caller, handoff: &Handoff) -> Result<(), Problem> {
    if caller.represents(handoff.integrator_id) {
        return Ok(());
    }
    caller.must_serve(handoff.store_id)
}
