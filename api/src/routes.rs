//! Every path and who may call it, in one table. What is not in it is refused.

mod guard;
mod topic;

use http::Method;
use poem::{Endpoint, IntoResponse, Request, Response, Route, endpoint::make_sync, get};
use poem_openapi::{OpenApi, OpenApiService};

use self::guard::Guarded;
pub(crate) use self::topic::Topic;
use crate::{
    accounts::Accounts,
    callbacks::{Callbacks, KeptCallbacks},
    document,
    handoffs::{Handoffs, Retries, StuckList, Trials},
    integrators::Integrators,
    orders::{OrderEdits, OrderLists, Orders},
    pages,
    ping::Ping,
    problem,
    products::Products,
    sessions::Sessions,
    state::ApiState,
    stats::Stats,
    stores::Stores,
    tokens::{TokenExchange, Tokens},
};

/// Who may call an operation. Finer questions (whose store? whose order?) are the handler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever asks; nothing is looked at.
    Anyone,
    /// Whoever asks; an account is looked at if credentials come along, and wrong ones are refused.
    Perhaps,
    /// Whoever holds the session's code in the path, or an integrator's signature over the body.
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

/// Below `/api/v1`. Each line of the document is here and each line here is in the document: a test compares them.
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
    ("POST", "/live-tickets", Account),
    ("POST", "/orders", Account),
    ("GET", "/orders", Account),
    ("GET", "/orders.csv", Account),
    ("GET", "/orders/{id}", Account),
    ("PATCH", "/orders/{id}", Account),
    ("DELETE", "/orders/{id}", Account),
    ("PUT", "/orders/{id}/status", Account),
    ("POST", "/orders/{id}/items", Account),
    ("PATCH", "/orders/{id}/items/{item}", Account),
    ("DELETE", "/orders/{id}/items/{item}", Account),
    ("POST", "/orders/{id}/replace", Account),
    ("GET", "/orders/{id}/events", Account),
    ("GET", "/orders/{id}/handoffs", Account),
    ("GET", "/sessions", Staff),
    ("POST", "/sessions", Staff),
    ("GET", "/sessions/{code}", Keyholder),
    ("POST", "/sessions/{code}/close", Staff),
    ("POST", "/sessions/{code}/code", Staff),
    ("GET", "/sessions/{code}/qr.svg", Keyholder),
    ("GET", "/sessions/{code}/menu", Keyholder),
    ("GET", "/sessions/{code}/events", Keyholder),
    ("POST", "/sessions/{code}/orders", Keyholder),
    ("POST", "/sessions/{code}/orders/{id}/cancel", Keyholder),
    ("GET", "/handoffs", Staff),
    ("POST", "/handoffs/retry", Manager),
    ("GET", "/handoffs/retries", Manager),
    ("GET", "/handoffs/{id}", Staff),
    ("POST", "/handoffs/{id}/retry", Manager),
    ("GET", "/stats", Staff),
    ("GET", "/stuck", Staff),
    ("POST", "/integrators/{id}/test", Manager),
    ("POST", "/integrators/{id}/callbacks", Keyholder),
    ("GET", "/callbacks", Staff),
    ("GET", "/stores", Account),
    ("POST", "/stores", Operator),
    ("GET", "/stores/{id}", Account),
    ("PATCH", "/stores/{id}", Staff),
    ("DELETE", "/stores/{id}", Manager),
    ("GET", "/stores/{id}/menu", Account),
    ("GET", "/products", Account),
    ("POST", "/products", Manager),
    ("GET", "/products/{id}", Account),
    ("PATCH", "/products/{id}", Account),
    ("DELETE", "/products/{id}", Manager),
    ("POST", "/products/{id}/stock", Account),
    ("GET", "/integrators", Manager),
    ("POST", "/integrators", Manager),
    ("GET", "/integrators/{id}", Manager),
    ("PATCH", "/integrators/{id}", Manager),
    ("DELETE", "/integrators/{id}", Manager),
    ("POST", "/integrators/{id}/rotate-secret", Manager),
];

/// What integrators' accounts may call, of all that takes an account: nothing else. Their own is the handler's question.
pub const FOR_INTEGRATORS: &[(&str, &str)] = &[
    ("GET", "/me"),
    ("POST", "/me/password"),
    ("GET", "/handoffs"),
    ("GET", "/handoffs/{id}"),
    ("GET", "/orders/{id}"),
    ("GET", "/products"),
    ("GET", "/products/{id}"),
    ("PATCH", "/products/{id}"),
    ("POST", "/products/{id}/stock"),
];

/// What is not part of the document. All of it anybody may read.
pub const PAGES: &[(&str, &str)] = &[
    ("GET", "/ping"),
    ("GET", "/docs"),
    ("GET", "/api/v1/docs"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/"),
    ("GET", "/s/{code}"),
    ("GET", "/debug/sessions/{code}"),
    ("GET", "/problems"),
    ("GET", "/problems/{reason}"),
];

/// The resources: one line each. Tuples take 16; nest another when they are full.
pub(crate) fn resources(state: &ApiState) -> impl OpenApi + use<> {
    (
        Ping,
        (Tokens(state.clone()), TokenExchange(state.clone())),
        Accounts(state.clone()),
        (
            Orders(state.clone()),
            OrderLists(state.clone()),
            OrderEdits(state.clone()),
        ),
        Stats(state.clone()),
        (Callbacks(state.clone()), KeptCallbacks(state.clone())),
        (
            Handoffs(state.clone()),
            Retries(state.clone()),
            StuckList(state.clone()),
            Trials(state.clone()),
        ),
        Stores(state.clone()),
        Products(state.clone()),
        Integrators(state.clone()),
        Sessions(state.clone()),
    )
}

/// Everything that the api serves, to be mounted beside what else the process has, all inside one [`crate::Front`].
#[must_use]
pub fn routes(state: &ApiState) -> Route {
    let guarded = Guarded {
        resources: resources(state),
        state: state.clone(),
    };
    let service = OpenApiService::new(guarded, document::TITLE, document::VERSION);
    let pages = problem::routes(pages::routes(Route::new(), state.settings.http.debug_pages));
    pages
        .at(
            "/ping",
            get(make_sync(|_| {
                poem::web::Json(serde_json::json!({"message": "success"}))
            })),
        )
        .at("/docs", get(docs()))
        .nest(
            "/api/v1",
            Route::new()
                .at("/docs", get(docs()))
                .at(
                    "/openapi.json",
                    get(make_sync(|_| {
                        document::openapi_document().with_content_type("application/json")
                    })),
                )
                .nest("/", service),
        )
}

/// Three megabytes, compressed to one, once. Nothing else is: answers that hold both secrets and what somebody sent
/// tell the secrets by their size.
fn docs() -> impl Endpoint + 'static {
    make_sync(|request: Request| {
        let takes_gzip = request
            .header("Accept-Encoding")
            .is_some_and(|encodings| encodings.contains("gzip"));
        let page = Response::builder()
            .content_type("text/html; charset=utf-8")
            .header("Vary", "Accept-Encoding")
            .header("Content-Security-Policy", pages::DOCS_POLICY);
        if takes_gzip {
            page.header("Content-Encoding", "gzip")
                .body(document::page_in_gzip())
        } else {
            page.body(document::page())
        }
    })
}

/// The rule of an operation by its pattern as poem-openapi routes it: `/users/:param0`.
fn access(method: &Method, routed: &str) -> Option<(Access, &'static str)> {
    OPERATIONS
        .iter()
        .find(|(listed, pattern, _)| *listed == method.as_str() && same_pattern(pattern, routed))
        .map(|(_, pattern, access)| (*access, *pattern))
}

fn is_for_integrators(method: &Method, pattern: &str) -> bool {
    FOR_INTEGRATORS.contains(&(method.as_str(), pattern))
}

/// The methods that a path takes, for `Allow`.
pub(crate) fn allowed(path: &str) -> String {
    let inside = path.strip_prefix("/api/v1");
    let operations = OPERATIONS
        .iter()
        .filter(|(_, pattern, _)| inside.is_some_and(|path| matches(pattern, path)))
        .map(|(method, _, _)| *method);
    let pages = PAGES
        .iter()
        .filter(|(_, pattern)| matches(pattern, path))
        .map(|(method, _)| *method);
    let file = pages::is_file(path).then_some("GET");
    let mut methods: Vec<&str> = operations.chain(pages).chain(file).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

fn same_pattern(pattern: &str, routed: &str) -> bool {
    pairs(pattern, routed, |a, b| {
        a == b || (is_parameter(a) && b.starts_with(':'))
    })
}

fn matches(pattern: &str, path: &str) -> bool {
    pairs(pattern, path, |a, b| {
        a == b || (is_parameter(a) && !b.is_empty())
    })
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

fn pairs(a: &str, b: &str, fit: impl Fn(&str, &str) -> bool) -> bool {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if fit(a, b) => {}
            _ => return false,
        }
    }
}
