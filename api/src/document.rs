//! The generated OpenAPI document and its documentation page.

mod bounds; // bounds that Rust's types do not tell
mod openapi_3_1; // from 3.0 to 3.1
mod problem_responses; // the problems that each operation may answer
mod request_examples; // one of each body
mod response_examples;
mod streams; // event streams, which the notifier serves
mod unknown_fields; // unknown fields are refused // one of each answer

use std::{io::Write, marker::PhantomData, sync::OnceLock};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use poem_openapi::{
    ExtraHeader, OpenApi, OpenApiService,
    registry::{MetaApi, MetaPath, Registry},
};
use serde_json::{Map, Value, json};

use crate::{access, http::parameters, state::ApiState};

pub(crate) const TITLE: &str = "Expediter";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
const LICENSE: &str = "MIT OR Apache-2.0";

/// Returns the OpenAPI 3.1 document as pretty-printed JSON with a final newline, as stored in `openapi/`.
#[must_use]
pub fn openapi_document() -> String {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(generate).clone()
}

/// The documents that are kept by hand, with their file names: what integrators are sent and send, and the live channel.
/// Tests of `e2e` hold them against the code.
pub(crate) const BY_HAND: [(&str, &str); 2] = [
    (
        "integrators.yaml",
        include_str!("../../openapi/integrators.yaml"),
    ),
    ("live.yaml", include_str!("../../openapi/live.yaml")),
];

/// Returns every published document with its file name in `openapi/`.
#[must_use]
pub fn documents() -> Vec<(&'static str, String)> {
    let by_hand = BY_HAND.map(|(name, text)| (name, text.to_owned()));
    let mut all = vec![("expediter.json", openapi_document())];
    all.extend(by_hand);
    all
}

/// Returns the documentation page, which loads nothing from other hosts.
pub(crate) fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        // `<` is escaped: it could end the script element.
        let document = openapi_document().replace('<', "\\u003c");
        include_str!("../../web/docs/index.html").replacen("{{document}}", &document, 1)
    })
}

/// Returns the page compressed with gzip. It is compressed once, because anyone may request it without an account.
pub(crate) fn page_in_gzip() -> Bytes {
    static PAGE: OnceLock<Bytes> = OnceLock::new();
    PAGE.get_or_init(|| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let written = gzip.write_all(page().as_bytes());
        written
            .and_then(|()| gzip.finish())
            .expect("writing to memory does not fail")
            .into()
    })
    .clone()
}

/// Description of a resource, without the resource itself.
struct WithoutHandlers<T>(PhantomData<fn() -> T>);

fn without_handlers<T: OpenApi>(_: fn(&ApiState) -> T) -> WithoutHandlers<T> {
    WithoutHandlers(PhantomData)
}

impl<T: OpenApi> OpenApi for WithoutHandlers<T> {
    /// Merges the operations of a path that two resources share: poem-openapi would write the path twice, and JSON
    /// parsers keep only one.
    fn meta() -> Vec<MetaApi> {
        let mut paths: Vec<MetaPath> = Vec::new();
        for mut path in T::meta().into_iter().flat_map(|api| api.paths) {
            let parameters = path.operations.iter_mut().flat_map(|one| &mut one.params);
            parameters.for_each(parameters::name_and_describe);
            match paths.iter_mut().find(|known| known.path == path.path) {
                Some(known) => known.operations.extend(path.operations),
                None => paths.push(path),
            }
        }
        vec![MetaApi { paths }]
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(
        self,
        _: &mut std::collections::HashMap<
            String,
            std::collections::HashMap<http::Method, poem::endpoint::BoxEndpoint<'static>>,
        >,
    ) {
    }
}

fn generate() -> String {
    let request_id =
        ExtraHeader::new("X-Request-Id").description("Id of this request in the server log.");
    let service = OpenApiService::new(without_handlers(crate::resources::resources), TITLE, VERSION)
        .description(
            "Takes orders, never loses one, hands each to the systems that fulfil it, and shows every step. Every error \
             is a `Problem`; its `reason` is machine-readable. Ids are UUIDs, timestamps are RFC 3339 in UTC, and \
             amounts of money are in minor units. Messages to integrators and their callbacks are in \
             [integrators.yaml](integrators.yaml), the live channel is in [live.yaml](live.yaml).",
        )
        .license(LICENSE)
        .server("/api/v1")
        .extra_response_header::<String, _>(request_id);
    let mut document: Value =
        serde_json::from_str(&service.spec()).expect("poem-openapi writes JSON");
    openapi_3_1::upgrade_to_3_1(&mut document);
    streams::add_streams(&mut document);
    document["info"]["license"]["identifier"] = json!(LICENSE);
    bounds::add_bounds(&mut document);
    unknown_fields::close_request_schemas(&mut document);
    problem_responses::add_problem_responses(&mut document);
    request_examples::add_examples(&mut document);
    response_examples::add_examples(&mut document);
    add_access_rules(&mut document);
    let mut text = serde_json::to_string_pretty(&document).expect("a Value is JSON");
    text.push('\n');
    text
}

fn add_access_rules(document: &mut Value) {
    for (_, access, operation) in operations(document) {
        let word = format!("{access:?}").to_lowercase();
        operation.insert("x-access".into(), json!(word));
        // An operation without it would say nothing about credentials, not that it needs none.
        operation.entry("security").or_insert_with(|| json!([]));
    }
}

/// Iterates over the operations that are in the table of routes, each with its access rule.
fn operations(
    document: &mut Value,
) -> impl Iterator<Item = (Operation<'_>, access::Access, &mut Map<String, Value>)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(pattern, methods)| {
        let methods = methods.as_object_mut().into_iter().flatten();
        methods.filter_map(move |(method, operation)| {
            let (_, _, access) = access::OPERATIONS
                .iter()
                .chain(access::STREAMS)
                .find(|(listed, path, _)| listed.eq_ignore_ascii_case(method) && path == pattern)?;
            let named = Operation { method, pattern };
            Some((named, *access, operation.as_object_mut()?))
        })
    })
}

/// Method and path pattern as written in the document: `get`, `/orders/{id}`.
#[derive(Clone, Copy, Debug)]
struct Operation<'a> {
    method: &'a str,
    pattern: &'a str,
}
