//! A check that the document lists the status of every response in the tests.

use std::sync::LazyLock;

use http::{Method, StatusCode};
use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&api::openapi_document()).expect("the document is JSON"));

/// Asserts that the document lists this status for the operation. Ignores pages and unsupported methods.
#[track_caller]
pub(crate) fn assert_documented(method: &Method, path: &str, status: StatusCode) {
    let Some(path) = path.strip_prefix("/api/v1") else {
        return;
    };
    let paths = DOCUMENT["paths"].as_object().expect("it has paths");
    let named = |pattern: &str| {
        let (mut a, mut b) = (pattern.split('/'), path.split('/'));
        loop {
            match (a.next(), b.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == b || (a.starts_with('{') && !b.is_empty()) => {}
                _ => return false,
            }
        }
    };
    // Literal paths first: `/handoffs/retries` before `/handoffs/{id}`.
    let mut fitting: Vec<_> = paths.iter().filter(|(pattern, _)| named(pattern)).collect();
    fitting.sort_by_key(|(pattern, _)| pattern.matches('{').count());
    let operation = fitting
        .iter()
        .find_map(|(_, methods)| methods.get(method.as_str().to_lowercase()));
    if let Some(operation) = operation {
        let answers = operation["responses"].as_object().expect("it has answers");
        assert!(
            answers.contains_key(status.as_str()),
            "{method} {path} was answered with {status}, which is none of {:?}",
            answers.keys()
        );
    }
}

#[test]
#[should_panic(expected = "GET /handoffs/retries was answered with 418")]
fn what_the_document_does_not_tell_is_found() {
    assert_documented(
        &Method::GET,
        "/api/v1/handoffs/retries",
        StatusCode::IM_A_TEAPOT,
    );
}
