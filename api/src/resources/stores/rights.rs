//! Rights to see a store, and the stores whose things a caller is shown.

use domain::{account::Role, ids::StoreId, store::Store};

use crate::{auth::Caller, http::problem::Problem, state::ApiState};

/// Returns the store if the caller may see it: those who serve it always, customers and integrator accounts until it is
/// archived. Otherwise returns 404.
pub(crate) async fn get_visible(
    state: &ApiState,
    caller: &Caller,
    id: StoreId,
) -> Result<Store, Problem> {
    let may_see = match caller.account.role {
        Role::Customer => true,
        Role::Integrator => caller.account.represents_integrator_at(id),
        Role::Staff | Role::Manager | Role::Operator => caller.serves(id),
    };
    if !may_see {
        return Err(Problem::not_found());
    }
    let store = state.ledger.store(id).await?;
    store
        .filter(|store| store.archived_at.is_none() || caller.serves(id))
        .ok_or_else(Problem::not_found)
}

/// Returns the stores whose data the caller may see: `wanted` if given, otherwise the account's own; `None` means all,
/// for an operator. Returns 404 if the caller does not serve `wanted`.
pub(crate) fn visible_stores(
    caller: &Caller,
    wanted: Option<StoreId>,
) -> Result<Option<Vec<StoreId>>, Problem> {
    match wanted {
        Some(store) => {
            caller.must_serve(store)?;
            Ok(Some(vec![store]))
        }
        None if caller.is(Role::Operator) => Ok(None),
        None => Ok(Some(caller.account.stores.clone())),
    }
}
