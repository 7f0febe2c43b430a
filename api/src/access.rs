//! The access table: every operation and page, and who may call it. Operations that are not in the table are refused.

pub(crate) mod topic;

use domain::api_key::KeyAction;
use http::Method;

/// Access rule of an operation. The handler checks the rest, such as who owns the store or the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone; credentials are ignored.
    Anyone,
    /// Anyone; credentials are optional, but wrong ones are refused.
    Perhaps,
    /// Anyone with the session's code or an order's token in the path, or with an integrator's signature over the body.
    Keyholder,
    /// Any account.
    Account,
    /// Staff, manager or operator.
    Staff,
    /// Manager or operator.
    Manager,
    /// Operator.
    Operator,
}

use Access::*;
use KeyAction::*;

/// Operations under `/api/v1`. A test checks that this table and the OpenAPI document list the same operations.
pub const OPERATIONS: &[(&str, &str, Access)] = &[
    ("GET", "/ping", Anyone),
    ("POST", "/token", Anyone),
    ("POST", "/token/refresh", Anyone),
    ("POST", "/token/revoke", Anyone),
    ("POST", "/token/exchange", Anyone),
    ("GET", "/me", Account),
    ("POST", "/me/password", Account),
    ("GET", "/users", Manager),
    ("POST", "/users", Perhaps),
    ("PATCH", "/users/{id}", Manager),
    ("PUT", "/users/{id}/external-identity", Operator),
    ("DELETE", "/users/{id}/external-identity", Operator),
    ("GET", "/api-keys", Manager),
    ("POST", "/api-keys", Manager),
    ("DELETE", "/api-keys/{id}", Manager),
    ("POST", "/live-tickets", Account),
    ("POST", "/orders", Account),
    ("GET", "/orders", Account),
    ("GET", "/orders.csv", Account),
    ("GET", "/orders/{id}", Account),
    ("PATCH", "/orders/{id}", Account),
    ("DELETE", "/orders/{id}", Account),
    ("PUT", "/orders/{id}/status", Account),
    ("PUT", "/orders/{id}/ready-time", Account),
    ("POST", "/orders/{id}/items", Account),
    ("PATCH", "/orders/{id}/items/{item}", Account),
    ("DELETE", "/orders/{id}/items/{item}", Account),
    ("POST", "/orders/{id}/replace", Account),
    ("GET", "/orders/{id}/events", Account),
    ("GET", "/orders/{id}/link", Account),
    ("GET", "/order-links/{token}", Keyholder),
    ("GET", "/orders/{id}/handoffs", Account),
    ("GET", "/sessions", Staff),
    ("POST", "/sessions", Staff),
    ("GET", "/sessions/{code}", Keyholder),
    ("POST", "/sessions/{code}/close", Staff),
    ("POST", "/sessions/{code}/code", Staff),
    ("GET", "/sessions/{code}/qr.svg", Keyholder),
    ("GET", "/sessions/{code}/menu", Keyholder),
    ("GET", "/sessions/{code}/opening", Keyholder),
    ("GET", "/sessions/{code}/slots", Keyholder),
    ("GET", "/sessions/{code}/events", Keyholder),
    ("GET", "/sessions/{code}/orders", Keyholder),
    ("POST", "/sessions/{code}/orders", Keyholder),
    ("POST", "/sessions/{code}/orders/{id}/cancel", Keyholder),
    ("GET", "/handoffs", Staff),
    ("POST", "/handoffs/retry", Manager),
    ("GET", "/handoffs/retries", Manager),
    ("GET", "/handoffs/{id}", Staff),
    ("GET", "/handoffs/{id}/message", Manager),
    ("POST", "/handoffs/{id}/retry", Manager),
    ("GET", "/stats", Staff),
    ("GET", "/stuck", Staff),
    ("POST", "/integrators/{id}/test", Manager),
    ("POST", "/integrators/{id}/callbacks", Keyholder),
    ("GET", "/callbacks", Staff),
    ("GET", "/changes", Manager),
    ("GET", "/audit", Operator),
    ("POST", "/customers/export", Operator),
    ("POST", "/customers/erase", Operator),
    ("GET", "/customers/erasures", Operator),
    ("GET", "/customers/erasures/{id}", Operator),
    ("GET", "/stores", Account),
    ("POST", "/stores", Operator),
    ("GET", "/stores/{id}", Account),
    ("PATCH", "/stores/{id}", Staff),
    ("DELETE", "/stores/{id}", Manager),
    ("GET", "/stores/{id}/menu", Account),
    ("GET", "/stores/{id}/hours", Account),
    ("PUT", "/stores/{id}/hours", Manager),
    ("GET", "/stores/{id}/opening", Account),
    ("PUT", "/stores/{id}/opening", Staff),
    ("GET", "/stores/{id}/capacity", Manager),
    ("PUT", "/stores/{id}/capacity", Manager),
    ("PUT", "/stores/{id}/busy", Staff),
    ("GET", "/stores/{id}/slots", Account),
    ("GET", "/stores/{id}/calendar", Staff),
    ("GET", "/categories", Account),
    ("POST", "/categories", Manager),
    ("GET", "/categories/{id}", Account),
    ("PATCH", "/categories/{id}", Manager),
    ("DELETE", "/categories/{id}", Manager),
    ("GET", "/products", Account),
    ("POST", "/products", Manager),
    ("GET", "/products/{id}", Account),
    ("PATCH", "/products/{id}", Account),
    ("DELETE", "/products/{id}", Manager),
    ("POST", "/products/{id}/stock", Account),
    ("PUT", "/products/{id}/image", Manager),
    ("DELETE", "/products/{id}/image", Manager),
    ("GET", "/images/{id}", Anyone),
    ("GET", "/option-groups", Account),
    ("POST", "/option-groups", Manager),
    ("GET", "/option-groups/{id}", Account),
    ("PATCH", "/option-groups/{id}", Staff),
    ("DELETE", "/option-groups/{id}", Manager),
    ("GET", "/integrators", Manager),
    ("POST", "/integrators", Manager),
    ("GET", "/integrators/{id}", Manager),
    ("PATCH", "/integrators/{id}", Manager),
    ("DELETE", "/integrators/{id}", Manager),
    ("POST", "/integrators/{id}/rotate-secret", Manager),
    ("POST", "/listeners", Manager),
    ("POST", "/listeners/{id}/claims", Manager),
    ("POST", "/listeners/{id}/outcomes", Manager),
];

/// Event streams under `/api/v1`, which the notifier serves and checks. They are in the OpenAPI document.
pub const STREAMS: &[(&str, &str, Access)] = &[
    ("GET", "/sessions/{code}/events/stream", Keyholder),
    ("GET", "/orders/{id}/events/stream", Account),
    ("GET", "/stores/{id}/events/stream", Account),
];

/// The only operations that integrators' accounts may call. The handler checks that the resource is theirs.
pub const FOR_INTEGRATORS: &[(&str, &str)] = &[
    ("GET", "/me"),
    ("POST", "/me/password"),
    ("GET", "/handoffs"),
    ("GET", "/handoffs/{id}"),
    ("GET", "/callbacks"),
    ("GET", "/integrators/{id}"),
    ("GET", "/orders/{id}"),
    ("GET", "/products"),
    ("GET", "/products/{id}"),
    ("PATCH", "/products/{id}"),
    ("POST", "/products/{id}/stock"),
];

/// The only operations that API keys may call, each with the action that the key must be allowed; `None`: any key. The
/// account that a key acts as must be allowed to call it too.
pub const FOR_KEYS: &[(&str, &str, Option<KeyAction>)] = &[
    ("GET", "/me", None),
    ("POST", "/live-tickets", Some(LiveRead)),
    ("GET", "/orders/{id}/events/stream", Some(LiveRead)),
    ("GET", "/stores/{id}/events/stream", Some(LiveRead)),
    ("POST", "/orders", Some(OrdersWrite)),
    ("GET", "/orders", Some(OrdersRead)),
    ("GET", "/orders.csv", Some(OrdersRead)),
    ("GET", "/orders/{id}", Some(OrdersRead)),
    ("PATCH", "/orders/{id}", Some(OrdersWrite)),
    ("DELETE", "/orders/{id}", Some(OrdersWrite)),
    ("PUT", "/orders/{id}/status", Some(OrdersWrite)),
    ("PUT", "/orders/{id}/ready-time", Some(OrdersWrite)),
    ("GET", "/stores/{id}/calendar", Some(OrdersRead)),
    ("POST", "/orders/{id}/items", Some(OrdersWrite)),
    ("PATCH", "/orders/{id}/items/{item}", Some(OrdersWrite)),
    ("DELETE", "/orders/{id}/items/{item}", Some(OrdersWrite)),
    ("POST", "/orders/{id}/replace", Some(OrdersWrite)),
    ("GET", "/orders/{id}/events", Some(OrdersRead)),
    ("GET", "/orders/{id}/link", Some(OrdersRead)),
    ("GET", "/orders/{id}/handoffs", Some(HandoffsRead)),
    ("GET", "/stats", Some(OrdersRead)),
    ("GET", "/sessions", Some(SessionsRead)),
    ("POST", "/sessions", Some(SessionsWrite)),
    ("POST", "/sessions/{code}/close", Some(SessionsWrite)),
    ("POST", "/sessions/{code}/code", Some(SessionsWrite)),
    ("GET", "/handoffs", Some(HandoffsRead)),
    ("POST", "/handoffs/retry", Some(HandoffsWrite)),
    ("GET", "/handoffs/retries", Some(HandoffsRead)),
    ("GET", "/handoffs/{id}", Some(HandoffsRead)),
    // The message is signed anew: with it, a program can speak to the integrator in our name.
    ("GET", "/handoffs/{id}/message", Some(IntegratorsWrite)),
    ("POST", "/handoffs/{id}/retry", Some(HandoffsWrite)),
    ("GET", "/stuck", Some(HandoffsRead)),
    ("GET", "/callbacks", Some(HandoffsRead)),
    ("GET", "/stores", Some(StoresRead)),
    ("GET", "/stores/{id}", Some(StoresRead)),
    ("PATCH", "/stores/{id}", Some(StoresWrite)),
    ("GET", "/stores/{id}/menu", Some(MenuRead)),
    ("GET", "/stores/{id}/hours", Some(StoresRead)),
    ("PUT", "/stores/{id}/hours", Some(StoresWrite)),
    ("GET", "/stores/{id}/opening", Some(StoresRead)),
    ("PUT", "/stores/{id}/opening", Some(StoresWrite)),
    ("GET", "/stores/{id}/capacity", Some(StoresRead)),
    ("PUT", "/stores/{id}/capacity", Some(StoresWrite)),
    ("PUT", "/stores/{id}/busy", Some(StoresWrite)),
    ("GET", "/stores/{id}/slots", Some(StoresRead)),
    ("GET", "/products", Some(MenuRead)),
    ("POST", "/products", Some(MenuWrite)),
    ("GET", "/products/{id}", Some(MenuRead)),
    ("PATCH", "/products/{id}", Some(MenuWrite)),
    ("DELETE", "/products/{id}", Some(MenuWrite)),
    ("POST", "/products/{id}/stock", Some(MenuWrite)),
    ("PUT", "/products/{id}/image", Some(MenuWrite)),
    ("DELETE", "/products/{id}/image", Some(MenuWrite)),
    ("GET", "/categories", Some(MenuRead)),
    ("POST", "/categories", Some(MenuWrite)),
    ("GET", "/categories/{id}", Some(MenuRead)),
    ("PATCH", "/categories/{id}", Some(MenuWrite)),
    ("DELETE", "/categories/{id}", Some(MenuWrite)),
    ("GET", "/option-groups", Some(MenuRead)),
    ("POST", "/option-groups", Some(MenuWrite)),
    ("GET", "/option-groups/{id}", Some(MenuRead)),
    ("PATCH", "/option-groups/{id}", Some(MenuWrite)),
    ("DELETE", "/option-groups/{id}", Some(MenuWrite)),
    ("GET", "/integrators", Some(IntegratorsRead)),
    ("POST", "/integrators", Some(IntegratorsWrite)),
    ("GET", "/integrators/{id}", Some(IntegratorsRead)),
    ("PATCH", "/integrators/{id}", Some(IntegratorsWrite)),
    ("DELETE", "/integrators/{id}", Some(IntegratorsWrite)),
    (
        "POST",
        "/integrators/{id}/rotate-secret",
        Some(IntegratorsWrite),
    ),
    ("POST", "/integrators/{id}/test", Some(IntegratorsWrite)),
    ("POST", "/listeners", Some(IntegratorsWrite)),
    ("POST", "/listeners/{id}/claims", Some(IntegratorsWrite)),
    ("POST", "/listeners/{id}/outcomes", Some(IntegratorsWrite)),
];

/// The operations that take an account and that no key may call: those that decide about accounts and keys, and those
/// that cannot be undone. A test checks that each operation is here or in [`FOR_KEYS`], so that nobody forgets to decide.
pub const NEVER_FOR_KEYS: &[(&str, &str)] = &[
    ("POST", "/me/password"),
    ("GET", "/users"),
    ("POST", "/users"),
    ("PATCH", "/users/{id}"),
    ("PUT", "/users/{id}/external-identity"),
    ("DELETE", "/users/{id}/external-identity"),
    ("GET", "/api-keys"),
    ("POST", "/api-keys"),
    ("DELETE", "/api-keys/{id}"),
    ("GET", "/changes"),
    ("GET", "/audit"),
    ("POST", "/customers/export"),
    ("POST", "/customers/erase"),
    ("GET", "/customers/erasures"),
    ("GET", "/customers/erasures/{id}"),
    ("POST", "/stores"),
    ("DELETE", "/stores/{id}"),
];

/// Public routes that are not in the OpenAPI document.
pub const PAGES: &[(&str, &str)] = &[
    ("GET", "/ping"),
    ("GET", "/docs"),
    ("GET", "/api/v1/docs"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/integrators.yaml"),
    ("GET", "/api/v1/live.yaml"),
    ("GET", "/"),
    ("GET", "/demo"),
    ("GET", "/panel"),
    ("GET", "/panel/kitchen"),
    ("GET", "/board"),
    ("GET", "/s/{code}"),
    ("GET", "/o/{token}"),
    ("GET", "/debug/sessions/{code}"),
    ("GET", "/problems"),
    ("GET", "/problems/{reason}"),
];

/// Finds the access rule of an operation by its pattern in poem-openapi's routing: `/users/:param0`.
pub(crate) fn access(method: &Method, routed: &str) -> Option<(Access, &'static str)> {
    OPERATIONS
        .iter()
        .find(|(listed, pattern, _)| *listed == method.as_str() && same_pattern(pattern, routed))
        .map(|(_, pattern, access)| (*access, *pattern))
}

pub(crate) fn is_for_integrators(method: &Method, pattern: &str) -> bool {
    FOR_INTEGRATORS.contains(&(method.as_str(), pattern))
}

/// Returns the action that an API key needs for an operation; `None` if no key may call it, `Some(None)` if any may.
#[must_use]
pub fn for_keys(method: &str, pattern: &str) -> Option<Option<KeyAction>> {
    let mut listed = FOR_KEYS.iter();
    let found = listed.find(|(listed, path, _)| *listed == method && *path == pattern);
    found.map(|(_, _, action)| *action)
}

/// Lists the methods of a path for the `Allow` header; `is_file` is true if one of the pages' files is there.
pub(crate) fn allowed(path: &str, is_file: bool) -> String {
    let inside = path.strip_prefix("/api/v1");
    let operations = OPERATIONS
        .iter()
        .chain(STREAMS)
        .filter(|(_, pattern, _)| inside.is_some_and(|path| matches(pattern, path)))
        .map(|(method, _, _)| *method);
    let pages = PAGES
        .iter()
        .filter(|(_, pattern)| matches(pattern, path))
        .map(|(method, _)| *method);
    let file = is_file.then_some("GET");
    let mut methods: Vec<&str> = operations.chain(pages).chain(file).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

fn same_pattern(pattern: &str, routed: &str) -> bool {
    segments_match(pattern, routed, |a, b| {
        a == b || (is_parameter(a) && b.starts_with(':'))
    })
}

fn matches(pattern: &str, path: &str) -> bool {
    segments_match(pattern, path, |a, b| {
        a == b || (is_parameter(a) && !b.is_empty())
    })
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

fn segments_match(a: &str, b: &str, fit: impl Fn(&str, &str) -> bool) -> bool {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if fit(a, b) => {}
            _ => return false,
        }
    }
}
