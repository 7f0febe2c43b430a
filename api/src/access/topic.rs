//! What an operation is about: the tags of the document, and the modules of clients that are generated from it.

use poem_openapi::Tags;

#[derive(Clone, Copy, Debug, Tags)]
pub(crate) enum Topic {
    /// Access tokens, refresh tokens that rotate, tickets for live channels, and whether anybody is there.
    #[oai(rename = "Signing in")]
    SigningIn,
    /// People and programs that sign in, their roles and their stores.
    Accounts,
    /// Where orders are placed: time zone, currency, address; open, paused or archived.
    Stores,
    /// What stores sell: prices, availability, and stock by deltas with their reasons.
    Products,
    /// A table or a counter, known by a code: its menu, and what happened at it.
    Sessions,
    /// Drafts, orders, their items and their timelines.
    Orders,
    /// The outside systems that fulfil orders, and how each has answered lately.
    Integrators,
    /// What integrators were sent, attempt by attempt; retries by hand; and what stands still.
    Handoffs,
    /// What integrators told us, and what became of it.
    Callbacks,
    /// Sums over orders, for one store or all.
    Statistics,
}
