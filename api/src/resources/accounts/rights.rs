//! Rules for who may create and change which accounts.

use domain::{
    account::{Account, IntegratorRef, Role},
    ids::StoreId,
};
use ledger::accounts::{AccountChange, AccountRefused};

use crate::{auth::Caller, http::problem::Problem};

/// Checks that the caller may create the account. Managers may create staff of their own stores and accounts for these
/// stores' integrators. An unknown integrator is not checked here: the ledger refuses it.
pub(super) fn check_may_create(
    caller: &Caller,
    role: Role,
    stores: &[StoreId],
    spoken_for: &[IntegratorRef],
) -> Result<(), Problem> {
    let is_own = caller.is(Role::Manager)
        && matches!(role, Role::Staff | Role::Integrator)
        && manages_all(caller, stores, spoken_for);
    if caller.is(Role::Operator) || is_own {
        Ok(())
    } else {
        Err(Problem::forbidden())
    }
}

pub(super) fn check_may_change(
    caller: &Caller,
    account: &Account,
    wanted: &AccountChange,
    new_integrators: &[IntegratorRef],
) -> Result<(), AccountRefused> {
    if caller.is(Role::Operator) {
        return Ok(());
    }
    let spoken_for = stores_of(&account.integrators);
    if !account
        .stores
        .iter()
        .copied()
        .chain(spoken_for)
        .any(|store| caller.manages(store))
    {
        return Err(AccountRefused::NoSuchAccount);
    }
    let is_own = matches!(account.role, Role::Staff | Role::Integrator)
        && wanted.role.is_none_or(|role| role == account.role)
        && manages_all(caller, &account.stores, &account.integrators)
        && manages_all(
            caller,
            wanted.stores.as_deref().unwrap_or_default(),
            new_integrators,
        );
    if is_own {
        Ok(())
    } else {
        Err(AccountRefused::NotAllowed)
    }
}

fn stores_of(integrators: &[IntegratorRef]) -> impl Iterator<Item = StoreId> + '_ {
    integrators
        .iter()
        .flat_map(|one| one.stores.iter().copied())
}

fn manages_all(caller: &Caller, stores: &[StoreId], spoken_for: &[IntegratorRef]) -> bool {
    let stores = stores.iter().copied();
    stores
        .chain(stores_of(spoken_for))
        .all(|store| caller.manages(store))
}
