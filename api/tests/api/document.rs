//! Agreement of the OpenAPI document, the table of routes and the served operations.

mod shown;

use std::collections::BTreeMap;

use crate::app::{App, with_app};
use api::access::{Access, OPERATIONS, STREAMS};
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&api::openapi_document()).unwrap()
}

/// Returns the operations by method and path.
fn documented() -> BTreeMap<(String, String), Value> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods
            .map(|(method, operation)| ((method.to_uppercase(), path.clone()), operation.clone()))
    });
    operations.collect()
}

/// Returns the JSON contents of an operation's success responses, by status.
fn successes(operation: &Value) -> Vec<(String, Value)> {
    let answers = operation["responses"].as_object().unwrap().iter();
    let successes = answers.filter(|(status, _)| status.starts_with('2'));
    successes
        .flat_map(|(status, answer)| {
            let contents = answer["content"].as_object().into_iter().flatten();
            contents
                .filter(|(kind, _)| kind.starts_with("application/json"))
                .map(|(_, content)| (status.clone(), content.clone()))
        })
        .collect()
}

#[test]
fn the_table_lists_every_operation_of_the_document_once_and_no_other() {
    let documented: Vec<_> = documented().into_keys().collect();
    let mut listed: Vec<_> = OPERATIONS
        .iter()
        .chain(STREAMS)
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    listed.sort();
    assert_eq!(listed, documented);
}

#[test]
fn every_operation_asks_for_the_caller_that_its_rule_promises() {
    let documented = documented();
    for (method, path, access) in OPERATIONS.iter().chain(STREAMS) {
        let operation = &documented[&((*method).to_owned(), (*path).to_owned())];
        let security = operation["security"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_optional = security
            .iter()
            .any(|one| one.as_object().unwrap().is_empty());
        let expected = match access {
            Access::Anyone | Access::Keyholder => (true, false),
            Access::Perhaps => (false, true),
            Access::Account | Access::Staff | Access::Manager | Access::Operator => (false, false),
        };
        assert_eq!(
            (security.is_empty(), is_optional),
            expected,
            "{method} {path} {access:?}"
        );
    }
}

/// POST and PATCH operations without an `Idempotency-Key`, and the reason.
const NO_KEY_NEEDED: &[(&str, &str)] = &[
    (
        "/token",
        "the response holds secrets: a client that lost it signs in again",
    ),
    (
        "/token/refresh",
        "a refresh token used twice within ten seconds works both times",
    ),
    ("/token/revoke", "revoking is idempotent"),
    (
        "/token/exchange",
        "the response holds secrets: a client that lost it signs in again",
    ),
    (
        "/me/password",
        "it sends the old password, which is wrong the second time",
    ),
    (
        "/live-tickets",
        "a ticket is a secret for thirty seconds: a client that lost it requests another",
    ),
    (
        "/customers/export",
        "it only reads, and reading again shows the same",
    ),
    ("/integrators/{id}/callbacks", "webhook-id is the key"),
    (
        "/listeners",
        "the name is the key: the second call resumes the listener of the first",
    ),
    (
        "/listeners/{id}/claims",
        "the leases of a lost answer end, as those of a lost worker",
    ),
    (
        "/listeners/{id}/outcomes",
        "the fence is the key: an attempt has one outcome",
    ),
];

#[test]
fn every_post_and_patch_takes_an_idempotency_key_but_for_those_that_say_why() {
    let takes_one = |operation: &Value| {
        let parameters = operation["parameters"].as_array().cloned();
        let parameters = parameters.unwrap_or_default();
        parameters
            .iter()
            .any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header")
    };
    let (mut without, mut others): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for ((method, path), operation) in documented() {
        match (method.as_str(), takes_one(&operation)) {
            ("POST" | "PATCH", false) => without.push(path),
            ("POST" | "PATCH", true) | (_, false) => {}
            (_, true) => others.push(path),
        }
    }
    let mut allowed: Vec<_> = NO_KEY_NEEDED.iter().map(|(path, _)| *path).collect();
    allowed.sort_unstable();
    assert_eq!(without, allowed);
    assert!(
        others.is_empty(),
        "other methods are idempotent without a key: {others:?}"
    );
}

#[test]
fn a_variant_is_closed_as_a_whole() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let closed = |schema: &&Value| schema.get("unevaluatedProperties").is_some();
    let variants: Vec<_> = schemas.values().filter(closed).collect();
    assert!(!variants.is_empty(), "integrators have variants of auth");
    for part in variants
        .iter()
        .flat_map(|variant| variant["allOf"].as_array().unwrap())
    {
        let name = part["$ref"].as_str().and_then(|at| at.rsplit('/').next());
        if let Some(name) = name {
            assert_eq!(schemas[name].get("additionalProperties"), None, "{name}");
        }
    }
}

#[test]
fn every_operation_has_a_name_a_summary_a_topic_and_a_success() {
    let document = document();
    let topics = document["tags"].as_array().unwrap();
    assert!(
        topics.iter().all(|topic| topic["description"].is_string()),
        "{topics:?}"
    );
    let told: Vec<&Value> = topics.iter().map(|topic| &topic["name"]).collect();
    for ((method, path), operation) in documented() {
        assert!(operation["operationId"].is_string(), "{method} {path}");
        assert!(operation["summary"].is_string(), "{method} {path}");
        // Exactly one tag, so that a generated client has the operation in one place.
        let tags = operation["tags"].as_array().unwrap();
        assert_eq!(tags.len(), 1, "{method} {path}");
        assert!(told.contains(&&tags[0]), "{method} {path}: {tags:?}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{method} {path}"
        );
    }
}

#[test]
fn every_operation_tells_its_problems_by_status_and_each_is_described_once() {
    let document = document();
    for ((method, path), operation) in documented() {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let number: u16 = status.parse().expect("a status, not a range of them");
            if number >= 400 {
                let at = answer["$ref"].as_str().unwrap().trim_start_matches('#');
                let told = document.pointer(at).expect(at);
                let content = &told["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(content, "#/components/schemas/Problem", "{method} {path}");
            }
        }
    }
    let conflicts = &document["components"]["responses"]["Problem409"]["description"];
    assert!(conflicts.as_str().unwrap().contains("`insufficient_stock`"));
}

#[test]
fn each_parameter_is_described_and_each_body_and_answer_in_json_has_an_example() {
    for ((method, path), operation) in documented() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] != "query") {
            assert!(
                parameter["description"].is_string(),
                "{method} {path}: {parameter}"
            );
        }
        let bodies = operation["requestBody"]["content"].as_object();
        let is_json = |kind: &str| kind.ends_with("json");
        for (_, body) in bodies
            .into_iter()
            .flatten()
            .filter(|(kind, _)| is_json(kind))
        {
            assert!(body["example"].is_object(), "{method} {path}: {body}");
        }
        for (status, answer) in successes(&operation) {
            let example = answer.get("example");
            assert!(example.is_some(), "{method} {path}: {status}, {answer}");
        }
    }
}

#[test]
fn the_document_is_of_version_3_1_and_closes_what_it_takes() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let new_user = &document["components"]["schemas"]["NewUser"];
    assert_eq!(new_user["additionalProperties"], false);
    assert_eq!(new_user["properties"]["username"]["format"], "username");
    assert_eq!(new_user["properties"]["integrator_ids"]["type"][1], "null");
    let reasons = &document["components"]["schemas"]["Problem"]["properties"]["reason"]["enum"];
    assert!(
        reasons
            .as_array()
            .unwrap()
            .iter()
            .any(|reason| reason == "incorrect_credentials")
    );
    assert!(!document.to_string().contains("\"nullable\""));
    assert_eq!(bytes_outside_pictures(&document, ""), Vec::<String>::new());
}

/// Returns the places with the format `binary` that are not the body of a picture: text such as CSV has none.
fn bytes_outside_pictures(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let format = members.get("format").and_then(Value::as_str);
            let own = (format == Some("binary") && !place.contains("/content/image/"))
                .then(|| place.to_owned());
            let inner = members.iter().flat_map(|(name, member)| {
                bytes_outside_pictures(member, &format!("{place}/{name}"))
            });
            own.into_iter().chain(inner).collect()
        }
        Value::Array(items) => items
            .iter()
            .flat_map(|item| bytes_outside_pictures(item, place))
            .collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn nobody_gets_past_a_rule_without_an_account() {
    with_app(async |app: App| {
        let id = "01980000-0000-7000-8000-000000000000";
        for (method, path, access) in OPERATIONS {
            let segment = |segment: &str| {
                if segment.starts_with('{') {
                    id.to_owned()
                } else {
                    segment.to_owned()
                }
            };
            let path = path.split('/').map(segment).collect::<Vec<_>>().join("/");
            let answer = app.ask(method, &format!("/api/v1{path}")).send().await;
            match access {
                Access::Anyone | Access::Keyholder | Access::Perhaps => {
                    assert_ne!(answer.status, 405, "{method} {path} is served");
                }
                _ => {
                    answer.problem(401, "incorrect_credentials");
                    assert_eq!(
                        answer.header("www-authenticate"),
                        "Bearer",
                        "{method} {path}"
                    );
                }
            }
        }
    })
    .await;
}

#[test]
fn every_answer_and_every_parameter_says_what_it_is() {
    let document = document();
    let says = |value: &Value| {
        value["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    let mut silent = Vec::new();
    for ((method, path), operation) in documented() {
        let parameters = operation["parameters"].as_array();
        for parameter in parameters.into_iter().flatten().filter(|it| !says(it)) {
            silent.push(format!("{method} {path}: {}", parameter["name"]));
        }
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = match answer["$ref"].as_str() {
                Some(reference) => document.pointer(&reference[1..]).unwrap(),
                None => answer,
            };
            if !says(answer) {
                silent.push(format!("{method} {path}: {status}"));
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[tokio::test]
async fn the_document_and_its_page_are_served_and_need_nothing_from_outside() {
    with_app(async |app: App| {
        let answer = app.get("/api/v1/openapi.json").send().await;
        assert_eq!(answer.ok(), document());
        assert_eq!(answer.header("content-type"), "application/json");
        for path in ["/api/v1/docs", "/docs"] {
            let page = app.get(path).send().await;
            assert_eq!(page.status, 200);
            assert!(
                page.text.contains("\"openapi\": \"3.1.0\""),
                "the page contains the document"
            );
            assert!(
                page.text.contains("{\"withDefaultFonts\":false}"),
                "the page loads no external fonts"
            );
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with("default-src 'self';"), "{policy}");
            assert!(
                !policy.contains("script-src"),
                "no script is inline: {policy}"
            );
            // None of these falls back to default-src.
            for directive in [
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(directive), "{directive}: {policy}");
            }
            let zipped = app.get(path).header("Accept-Encoding", "gzip, br");
            let zipped = zipped.send().await;
            assert_eq!(zipped.header("content-encoding"), "gzip");
            assert_eq!(zipped.header("vary"), "Accept-Encoding");
        }
    })
    .await;
}
