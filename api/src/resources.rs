//! The resources of the API, one file each.

mod accounts;
mod api_keys;
mod audit;
mod callbacks;
mod categories;
mod changes;
mod customers;
mod handoffs;
mod integrators;
mod listeners;
pub(crate) mod menu;
mod option_groups;
mod orders;
mod ping;
mod products;
mod sessions;
mod stats;
mod stores;
mod tokens;

use poem_openapi::OpenApi;

use self::{
    accounts::Accounts,
    api_keys::ApiKeys,
    audit::AuditTrail,
    callbacks::{CallbackList, Callbacks},
    categories::Categories,
    changes::Changes,
    customers::Customers,
    handoffs::{Handoffs, IntegratorTests, Messages, Retries, StuckList},
    integrators::Integrators,
    listeners::Listeners,
    option_groups::OptionGroups,
    orders::{OrderEdits, OrderLinks, OrderLists, OrderTimes, Orders},
    ping::Ping,
    products::{Images, Products},
    sessions::Sessions,
    stats::Stats,
    stores::{Stores, opening::Openings},
    tokens::{TokenExchange, Tokens},
};
use crate::state::ApiState;

/// Lists the resources. poem-openapi accepts tuples of up to 16: nest another one when it is full.
pub(crate) fn resources(state: &ApiState) -> impl OpenApi + use<> {
    (
        Ping,
        (Tokens(state.clone()), TokenExchange(state.clone())),
        (Accounts(state.clone()), ApiKeys(state.clone())),
        (
            Orders(state.clone()),
            OrderLists(state.clone()),
            OrderEdits(state.clone()),
            OrderTimes(state.clone()),
            OrderLinks(state.clone()),
        ),
        (
            Stats(state.clone()),
            Changes(state.clone()),
            AuditTrail(state.clone()),
            Customers(state.clone()),
        ),
        (Callbacks(state.clone()), CallbackList(state.clone())),
        (
            Handoffs(state.clone()),
            Retries(state.clone()),
            StuckList(state.clone()),
            IntegratorTests(state.clone()),
            Messages(state.clone()),
        ),
        (Stores(state.clone()), Openings(state.clone())),
        (
            Products(state.clone()),
            Images(state.clone()),
            Categories(state.clone()),
            OptionGroups(state.clone()),
        ),
        (Integrators(state.clone()), Listeners(state.clone())),
        Sessions(state.clone()),
    )
}
