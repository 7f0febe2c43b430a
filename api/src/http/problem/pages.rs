//! `/problems` and `/problems/{reason}`: explanations of the reasons, as HTML or JSON, from the table of reasons.

use http::{HeaderMap, HeaderValue, header};
use poem::{
    Endpoint, IntoResponse, Request, Response, Result, Route,
    endpoint::make_sync,
    get,
    web::{Html, Json},
};
use serde_json::{Value, json};

use super::{FieldError, Problem, Reason};
use crate::http::policy;

pub(crate) fn routes(route: Route) -> Route {
    route
        .at("/problems", get(list()))
        .at("/problems/:reason", get(one()))
}

fn list() -> impl Endpoint + 'static {
    make_sync(|request: Request| {
        if wants_html(request.headers()) {
            return page("Problems", &list_as_html());
        }
        let items: Vec<Value> = Reason::ALL.iter().map(|reason| summary(*reason)).collect();
        as_json(json!({ "items": items }))
    })
}

fn one() -> impl Endpoint + 'static {
    make_sync(|request: Request| -> Result<Response> {
        let word = request.raw_path_param("reason").unwrap_or_default();
        let reason = Reason::of(word).ok_or_else(Problem::not_found)?;
        if wants_html(request.headers()) {
            return Ok(page(reason.title(), &one_as_html(reason)));
        }
        let mut summary = summary(reason);
        summary["example"] = example(reason);
        Ok(as_json(summary))
    })
}

fn summary(reason: Reason) -> Value {
    json!({
        "type": reason.path(),
        "title": reason.title(),
        "status": reason.status().as_u16(),
        "reason": reason.as_str(),
        "help": reason.help(),
    })
}

/// Returns an example of a problem document with this reason.
fn example(reason: Reason) -> Value {
    let id = "01980c4e-7a00-7000-8000-000000000001";
    let problem = match reason {
        Reason::ValidationFailed => Problem::invalid(vec![FieldError::new(
            "/items/0/quantity",
            "must be at least 1",
        )]),
        Reason::DuplicateOrder => Problem::new(reason).with("order_id", id),
        Reason::InvalidTransition => {
            Problem::new(reason).with("next", json!(["preparing", "cancelled"]))
        }
        Reason::StorePaused | Reason::StoreClosed => {
            Problem::new(reason).with("opens_at", "2026-11-20T17:00:00.000000Z")
        }
        Reason::SlotFull => {
            Problem::new(reason).with("next_free_at", "2026-11-20T19:30:00.000000Z")
        }
        Reason::PayloadTooLarge => Problem::new(reason).with("limit_bytes", 1_048_576),
        Reason::InsufficientStock => {
            let short = json!([{"product_id": id, "name": "Cinnamon bun", "wanted": 3, "left": 1}]);
            Problem::new(reason).with("short", short)
        }
        Reason::ProductUnavailable => Problem::new(reason).with("items", json!([0])),
        Reason::OptionUnavailable => Problem::new(reason)
            .with("items", json!([0]))
            .with("options", json!([id])),
        Reason::TotalMismatch => Problem::new(reason)
            .with("expected", json!({"amount": 250, "currency": "EUR"}))
            .with("actual", json!({"amount": 270, "currency": "EUR"})),
        Reason::TooManyOrders => Problem::new(reason)
            .with("field", "session")
            .with("limit", 200),
        Reason::OrderNotEditable => Problem::new(reason).with("order_status", "accepted"),
        Reason::VersionConflict => Problem::new(reason).with("current_version", 4),
        _ => Problem::new(reason),
    };
    problem.members(Some(id)).into()
}

/// Returns true if `Accept` names `text/html`, as browsers do, and JSON less or not at all. Clients that accept anything
/// get JSON.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let wanted = |of: &dyn Fn(&str) -> bool| {
        let accepted = headers.get_all(header::ACCEPT).into_iter();
        let ranges = accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let weights = ranges.filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            of(&parts.next()?.to_ascii_lowercase()).then(|| weight(parts))
        });
        weights.fold(0.0, f32::max)
    };
    let html = wanted(&|range| range == "text/html");
    html > wanted(&|range| range == "application/json" || range.ends_with("+json"))
}

/// Returns the weight of a range of `Accept` (RFC 9110 section 12.4.2): 1 without one that can be read.
fn weight<'p>(mut parameters: impl Iterator<Item = &'p str>) -> f32 {
    let said = parameters.find_map(|one| one.strip_prefix("q=").or(one.strip_prefix("Q=")));
    said.and_then(|said| said.parse().ok())
        .map_or(1.0, |weight: f32| weight.clamp(0.0, 1.0))
}

fn as_json(body: Value) -> Response {
    with_headers(Json(body).into_response())
}

fn page(title: &str, body: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – Expediter</title>\n<link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<main class=\"plain\">\n<h1>{title}</h1>\n\
         {body}</main>\n</body>\n</html>\n"
    );
    let mut response = with_headers(Html(html).into_response());
    let policy = HeaderValue::from_static(policy::PAGE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn list_as_html() -> String {
    let line = |reason: &Reason| {
        let (path, word) = (reason.path(), reason.as_str());
        let (status, title) = (reason.status().as_u16(), escaped(reason.title()));
        format!("<li>{status} <a href=\"{path}\">{word}</a>: {title}</li>\n")
    };
    let lines: String = Reason::ALL.iter().map(line).collect();
    format!(
        "<p>Every error response of this API is a problem document (RFC 9457) with one of these reasons.</p>\n\
         <ul>\n{lines}</ul>\n"
    )
}

fn one_as_html(reason: Reason) -> String {
    let example = serde_json::to_string_pretty(&example(reason)).expect("a Value is JSON");
    format!(
        "<p>{}</p>\n<dl>\n<dt>Reason</dt><dd><code>{}</code></dd>\n<dt>HTTP status</dt><dd>{}</dd>\n</dl>\n\
         <h2>Example</h2>\n<pre>{}</pre>\n<p><a href=\"/problems\">All problems</a></p>\n",
        with_code(&escaped(reason.help())),
        reason.as_str(),
        reason.status(),
        escaped(&example),
    )
}

/// Turns text between backticks into `<code>` elements.
fn with_code(html: &str) -> String {
    let parts = html.split('`').enumerate();
    parts
        .map(|(number, part)| match number % 2 {
            0 => part.to_owned(),
            _ => format!("<code>{part}</code>"),
        })
        .collect()
}

/// Returns the text as HTML, so that none of it is markup.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
