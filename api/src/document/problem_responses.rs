//! Problem responses of each operation by status, derived from its parameters, its body and its access rule.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Operation, operations};
use crate::{
    access::Access,
    http::problem::{self, Reason},
};

/// Replaces poem-openapi's status ranges (4XX) with single statuses, each described once under `components`.
pub(super) fn add_problem_responses(document: &mut Value) {
    let mut told = BTreeSet::new();
    for (named, access, operation) in operations(document) {
        let statuses = statuses(named, access, operation);
        let Some(answers) = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        answers.retain(|status, _| !status.ends_with("XX"));
        for answer in answers.values_mut() {
            // poem-openapi leaves the description empty if a response has only a body.
            if answer["description"] == "" {
                answer["description"] = json!("Success.");
            }
        }
        for status in statuses {
            let reference = format!("#/components/responses/{}", name(status));
            answers.insert(status.to_string(), json!({"$ref": reference}));
            told.insert(status);
        }
    }
    document["components"]["responses"] = told
        .into_iter()
        .map(|status| (name(status), answer(status)))
        .collect::<Map<_, _>>()
        .into();
}

fn name(status: u16) -> String {
    format!("Problem{status}")
}

fn answer(status: u16) -> Value {
    let reasons = Reason::ALL
        .iter()
        .filter(|reason| reason.status().as_u16() == status);
    let lines: Vec<String> = reasons
        .map(|reason| format!("- `{}`: {}.", reason.as_str(), reason.title()))
        .collect();
    let mut headers =
        json!({"X-Request-Id": header("Id of this request in the server log.", "string", true)});
    let mut more = |name: &str, told: &str, kind: &str| headers[name] = header(told, kind, false);
    match status {
        401 => more(
            "WWW-Authenticate",
            "Always `Bearer`; no Basic challenge is sent.",
            "string",
        ),
        409 => more(
            "Location",
            "The existing order, for `duplicate_order`.",
            "string",
        ),
        429 => {
            more("Retry-After", "Seconds to wait before retrying.", "integer");
            more(
                "RateLimit",
                "Remaining quota, and the seconds until it is full again.",
                "string",
            );
            more("RateLimit-Policy", "Quotas and their windows.", "string");
        }
        503 => more("Retry-After", "Seconds to wait before retrying.", "integer"),
        _ => {}
    }
    json!({
        "description": lines.join("\n"),
        "headers": headers,
        "content": {problem::CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

fn header(told: &str, kind: &str, required: bool) -> Value {
    json!({"description": told, "required": required, "schema": {"type": kind}})
}

fn statuses(
    Operation { method, pattern }: Operation<'_>,
    access: Access,
    operation: &Map<String, Value>,
) -> Vec<u16> {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let parameters: Vec<(&str, &str)> = parameters
        .into_iter()
        .flatten()
        .filter_map(|one| Some((one["in"].as_str()?, one["name"].as_str()?)))
        .collect();
    let takes = |wanted: &str| parameters.iter().any(|(_, name)| *name == wanted);
    let is_in = |places: &[&str]| parameters.iter().any(|(place, _)| places.contains(place));
    let has_body = operation.contains_key("requestBody");
    let reads = method == "get";
    let is_stream = pattern.ends_with("/events/stream");
    let is_about_tokens = pattern.starts_with("/token");
    let by_account = !matches!(access, Access::Anyone | Access::Keyholder);
    let by_code = pattern.contains("{code}") || takes("session") || pattern == "/orders";

    let may_be = [
        // A path that is not UTF-8, or a body that is not JSON.
        (400, has_body || is_in(&["path"])),
        (
            401,
            by_account || is_about_tokens || pattern.ends_with("/callbacks"),
        ),
        (403, by_account || takes("Expediter-Guest")),
        (
            404,
            is_in(&["path"]) || takes("store_id") || (by_account && has_body),
        ),
        (
            409,
            !reads && by_account || takes("Idempotency-Key") || takes("epoch") && !is_stream,
        ),
        (410, by_code),
        (412, takes("If-Match")),
        (413, has_body),
        // The Content-Type of a callback is not checked, only the signature of its bytes.
        (415, has_body && !pattern.ends_with("/callbacks")),
        // Every operation refuses unknown query parameters.
        (422, true),
        (429, pattern != "/ping"),
        (500, pattern != "/ping"),
        (503, pattern != "/ping"),
    ];
    let may_be = may_be.into_iter().filter(|(_, may)| *may);
    may_be.map(|(status, _)| status).collect()
}
