//! Web pages and their files, embedded in the binary.

mod compressed;
mod guest;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use platform::secrets::sha256;
use poem::{Endpoint, IntoResponse, Request, Response, Route, endpoint::make_sync, get};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::{
    http::{policy, problem::wants_html},
    state::ApiState,
};

#[derive(RustEmbed)]
#[folder = "../web"]
struct Files;

/// Pages that are a file as it is, by their path. `/` leads to what fits; the scripts do the rest.
const PAGES: &[(&str, &str)] = &[
    ("/", "index.html"),
    ("/demo", "demo/index.html"),
    ("/panel", "panel/index.html"),
    ("/panel/kitchen", "panel/index.html"),
    ("/board", "board/index.html"),
    ("/o/:token", "order/index.html"),
];
const SERVICE_WORKER: &str = "sw.js";
/// Page of an address that leads nowhere.
const MISSING: &str = "missing/index.html";
/// Debug page that shows a session's live channel frame by frame.
const DEBUG_SESSION: &str = "debug/session.html";

pub(crate) fn routes(mut route: Route, state: &ApiState) -> Route {
    let debug_pages = state.settings.http.debug_pages;
    if debug_pages {
        route = route.at("/debug/sessions/:code", get(file(DEBUG_SESSION.into())));
    }
    for (path, name) in PAGES {
        route = route.at(path, get(file((*name).into())));
    }
    route = route.at("/s/:code", get(guest::page(state)));
    let is_served = |name: &Cow<'_, str>| debug_pages || !name.starts_with("debug/");
    let files = served().filter(is_served);
    files.fold(route, |route, name| {
        route.at(format!("/{name}"), get(file(name)))
    })
}

/// Client that reads an address at which there may be a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A browser, before a person.
    Person,
    Program,
}

impl Reader {
    /// Returns the reader of the answer; `None` for a client of the API, whatever it accepts: clients of Java say that
    /// they like HTML best.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_api = request.uri().path().starts_with("/api/");
        (is_read && !is_api).then(|| {
            if wants_html(request.headers()) {
                Self::Person
            } else {
                Self::Program
            }
        })
    }
}

/// Makes a page of the 404 that a browser would show as JSON; an answer that is a page stays as it is.
pub(crate) fn missing(response: &mut Response, reader: Reader) {
    let is_page = response
        .content_type()
        .is_some_and(|kind| kind.starts_with("text/html"));
    if response.status() != StatusCode::NOT_FOUND || is_page {
        return;
    }
    // In both forms: a cache must not give the one to who asks for the other.
    let accept = HeaderValue::from_static("Accept");
    response.headers_mut().append(header::VARY, accept);
    if reader == Reader::Program {
        return;
    }
    let page = Files::get(MISSING)
        .map(|file| file.data)
        .unwrap_or_default();
    response.set_body(page.into_owned());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type(MISSING)),
        (header::CONTENT_SECURITY_POLICY, policy::PAGE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Returns true if a file is served at this path.
pub(crate) fn is_file(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|path| served().any(|name| name == path))
}

/// Lists the files that have a path of their own: neither tests, nor pages, which stand at other paths.
fn served() -> impl Iterator<Item = Cow<'static, str>> {
    Files::iter().filter(|name| {
        let is_page = name.ends_with("index.html");
        !is_page && !name.starts_with("tests/") && !name.starts_with('.')
    })
}

fn file(name: Cow<'static, str>) -> impl Endpoint + 'static {
    make_sync(move |request| match Files::get(&name) {
        Some(file) => answer(&request, &name, file),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

fn answer(request: &Request, name: &str, file: EmbeddedFile) -> Response {
    let EmbeddedFile { data, metadata } = file;
    let hash = metadata.sha256_hash();
    if is_text(name) && takes_gzip(request.headers()) {
        // Safe for files, which have neither secrets nor anybody's words in them: see `docs` in routes.rs.
        let packed = compressed::file(&hash, &data);
        return revalidated(request, name, &hash, Some("gzip"), packed);
    }
    revalidated(request, name, &hash, None, Bytes::from(data.into_owned()))
}

/// Serves the text of a page that was made for this request.
fn made(request: &Request, html: String) -> Response {
    let hash = sha256(html.as_bytes());
    revalidated(request, "page.html", &hash, None, Bytes::from(html))
}

/// Serves a file with `no-cache` and an `ETag`: browsers revalidate each time, so a new release shows at once.
fn revalidated(
    request: &Request,
    name: &str,
    hash: &[u8; 32],
    encoding: Option<&str>,
    data: Bytes,
) -> Response {
    let hash: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = format!("\"{hash}{}\"", encoding.unwrap_or_default());
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    let mut response = Response::builder()
        .header(header::ETAG, &etag)
        .header(header::CACHE_CONTROL, "no-cache");
    if is_text(name) {
        response = response.header(header::VARY, "Accept-Encoding");
    }
    // In a 304 as well: its headers replace those that the browser has kept with the page. A service worker obeys the
    // policy of its own script.
    if name.ends_with(".html") || name == SERVICE_WORKER {
        response = response.header(header::CONTENT_SECURITY_POLICY, policy::PAGE);
    }
    if known.is_some_and(|tags| {
        tags.split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
    }) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    if let Some(encoding) = encoding {
        response = response.header(header::CONTENT_ENCODING, encoding);
    }
    response.content_type(content_type(name)).body(data)
}

fn is_text(name: &str) -> bool {
    ["html", "js", "css", "svg"]
        .iter()
        .any(|kind| name.rsplit('.').next() == Some(*kind))
}

/// Returns true if the client takes gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|encodings| encodings.to_str().ok())
        .is_some_and(|encodings| encodings.contains("gzip"))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
