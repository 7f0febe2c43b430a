//! Topics of operations: the tags of the OpenAPI document, and the modules of clients generated from it.

use poem_openapi::Tags;

#[derive(Clone, Copy, Debug, Tags)]
pub(crate) enum Topic {
    /// Access tokens, rotating refresh tokens, tickets for live channels, and the liveness check.
    #[oai(rename = "Signing in")]
    SigningIn,
    /// Users and programs that sign in, with their roles and stores.
    Accounts,
    /// Places that sell: time zone, currency and address; open, paused or archived.
    Stores,
    /// Products of a store: prices, availability, and stock changes with a reason.
    Products,
    /// Open tabs of a table or counter, identified by a code: menu, guest orders and events.
    Sessions,
    /// Drafts and orders with their items and events.
    Orders,
    /// External systems that fulfil orders, and their recent health.
    Integrators,
    /// Messages to integrators with every attempt, manual retries, and the list of stuck work.
    Handoffs,
    /// Status updates from integrators and their results.
    Callbacks,
    /// Trail of what people changed; the data of customers, exported and erased.
    #[oai(rename = "Data protection")]
    DataProtection,
    /// Order statistics for one store or all stores.
    Statistics,
}
