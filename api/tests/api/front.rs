//! Behaviour common to all paths: problems, request ids, headers, CORS, limits, pages.

use std::collections::BTreeSet;

use domain::account::Role;
use http::StatusCode;
use poem::{Route, endpoint::make_sync};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, with_app, with_app_configured};

#[tokio::test]
async fn ping_answers_at_the_root_and_below_the_api() {
    with_app(async |app: App| {
        for path in ["/ping", "/api/v1/ping"] {
            let answer = app.get(path).send().await;
            assert_eq!(answer.ok(), json!({"message": "success"}));
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    with_app(async |app: App| {
        app.get("/api/v1/nothing")
            .send()
            .await
            .problem(404, "not_found");
        app.get("/nothing").send().await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    with_app(async |app: App| {
        for (path, allow) in [
            ("/api/v1/ping", "GET, HEAD"),
            ("/api/v1/token", "POST"),
            ("/api/v1/users", "GET, HEAD, POST"),
            (
                "/api/v1/users/01980000-0000-7000-8000-000000000000",
                "PATCH",
            ),
            ("/ping", "GET, HEAD"),
            ("/live.js", "GET, HEAD"),
        ] {
            let answer = app.ask("DELETE", path).send().await;
            answer.problem(405, "incorrect_access_method");
            assert_eq!(answer.header("allow"), allow, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_condition_that_is_not_ascii_is_refused_rather_than_overlooked() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let store = json!({"name": "Bar", "timezone": "Europe/Berlin", "currency": "EUR"});
        let ask = || app.post("/api/v1/stores", store.clone()).by(&operator);
        for name in [
            "idempotency-key",
            "if-match",
            "if-none-match",
            "expediter-guest",
        ] {
            let answer = ask().raw_header(name, "é".as_bytes()).send().await;
            let pointers = answer.pointers();
            assert!(pointers[0].eq_ignore_ascii_case(name), "{pointers:?}");
        }
        let stores = app.get("/api/v1/stores").by(&operator).send().await.ok();
        assert_eq!(stores["items"], json!([]));
        assert_eq!(ask().send().await.status, StatusCode::CREATED);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    with_app(async |app: App| {
        let ask = || {
            app.ask("POST", "/api/v1/token")
                .header("content-type", "application/json")
        };
        for body in ["", "{", "{\"username\": }", "\u{0}"] {
            ask().raw(body).send().await.problem(400, "malformed_json");
        }
        let deep = "[".repeat(100_000);
        ask().raw(deep).send().await.problem(400, "malformed_json");
    })
    .await;
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused_unread() {
    with_app(async |app: App| {
        let ask = || app.ask("POST", "/api/v1/token").raw("{}");
        ask().send().await.problem(415, "unsupported_media_type");
        let form = ask().header("content-type", "application/x-www-form-urlencoded");
        form.send().await.problem(415, "unsupported_media_type");
        let json = ask().header("content-type", "Application/JSON; charset=utf-8");
        json.send().await.problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn everything_wrong_with_a_body_is_told_at_once() {
    with_app(async |app: App| {
        let body = json!({"password": 5, "more": 1});
        let answer = app.post("/api/v1/token", body).send().await;
        assert_eq!(answer.pointers(), ["/username", "/password", "/more"]);
        let answer = app.post("/api/v1/token", json!([])).send().await;
        assert_eq!(answer.pointers(), [""]);
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_its_length_said() {
    let small = [("http.body_limit_bytes", "2000")];
    with_app_configured(
        &small,
        |routes| routes,
        async |app: App| {
            let body = json!({"username": "x".repeat(3000), "password": "y"}).to_string();
            let ask = || {
                app.ask("POST", "/api/v1/token")
                    .header("content-type", "application/json")
            };
            let said = ask().header("content-length", "3030").raw("");
            let problem = said.send().await.problem(413, "payload_too_large");
            assert_eq!(problem["limit_bytes"], 2000);
            ask()
                .raw(body)
                .send()
                .await
                .problem(413, "payload_too_large");
            let small = json!({"username": "x".repeat(101), "password": "y"});
            let answer = ask().json(small).send().await;
            assert_eq!(answer.pointers(), ["/username"]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing_of_the_inside() {
    let boom = |routes: Route| {
        routes.at(
            "/boom/:code",
            make_sync(|_| -> String { panic!("the password is swordfish") }),
        )
    };
    with_app_configured(&[], boom, async |app: App| {
        let answer = app.get("/boom/abc").send().await;
        answer.problem(500, "internal");
        assert!(
            !answer.text.contains("swordfish") && !answer.text.contains("abc"),
            "{}",
            answer.text
        );
    })
    .await;
}

#[tokio::test]
async fn a_closed_database_is_a_503_that_says_when_to_come_back() {
    with_app(async |app: App| {
        app.house.db.close().await;
        let body = json!({"username": "anna", "password": "x"});
        let answer = app.post("/api/v1/token", body).send().await;
        let problem = answer.problem(503, "database_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(problem.get("detail"), None);
    })
    .await;
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    with_app(async |app: App| {
        let ask = || app.get("/api/v1/nothing");
        let answer = ask().header("x-request-id", "till-7:42").send().await;
        assert_eq!(answer.problem(404, "not_found")["request_id"], "till-7:42");
        let long = "x".repeat(65);
        for bad in ["", "a b", "a\"b", "a,b", "a{b}", long.as_str()] {
            let answer = ask().header("x-request-id", bad).send().await;
            let id = answer.header("x-request-id");
            assert!(id.len() == 36 && id != bad, "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_listed_origins_may_call_from_their_pages() {
    let listed = [("http.allowed_origins", "[\"https://till.example\"]")];
    with_app_configured(
        &listed,
        |routes| routes,
        async |app: App| {
            let ask = |method: &str, origin: &str| {
                let ask = app.ask(method, "/api/v1/ping").header("origin", origin);
                ask.header("access-control-request-method", "GET")
            };
            let answer = ask("OPTIONS", "https://till.example").send().await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT);
            assert_eq!(
                answer.header("access-control-allow-origin"),
                "https://till.example"
            );
            assert!(
                answer
                    .header("access-control-allow-headers")
                    .contains("authorization")
            );
            let answer = ask("GET", "https://till.example").send().await;
            assert_eq!(
                answer.header("access-control-allow-origin"),
                "https://till.example"
            );
            assert_eq!(answer.header("vary"), "Origin");
            let exposed = answer.header("access-control-expose-headers");
            let exposed: Vec<&str> = exposed.split(", ").collect();
            for name in documented_headers() {
                assert!(exposed.contains(&name.as_str()), "{name} in {exposed:?}");
            }
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            let answer = ask("GET", "https://evil.example").send().await;
            assert_eq!(answer.header("access-control-allow-origin"), "");
            let answer = ask("OPTIONS", "https://evil.example").send().await;
            answer.problem(405, "incorrect_access_method");
        },
    )
    .await;
}

#[tokio::test]
async fn pages_carry_a_strict_policy_and_are_revalidated() {
    with_app(async |app: App| {
        let unknown_table = "/s/0123456789012345678901234567890123456789";
        for (path, status) in [
            ("/", 200),
            ("/demo", 200),
            ("/panel", 200),
            (unknown_table, 404),
        ] {
            let answer = app.get(path).send().await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert!(answer.text.contains("<title>"), "{path}");
            let policy = answer.header("content-security-policy");
            assert!(
                policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'")
            );
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
        }
        let script = app.get("/live.js").send().await;
        assert_eq!(
            script.header("content-type"),
            "text/javascript; charset=utf-8"
        );
        let page = app.get("/").send().await;
        let again = app.get("/").header("if-none-match", page.header("etag"));
        let again = again.send().await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
        for name in ["content-security-policy", "cache-control", "vary"] {
            // A 304's headers replace those that the browser has kept.
            assert_eq!(again.header(name), page.header(name), "{name}");
        }
        let packed = app.get("/live.js").header("accept-encoding", "br, gzip");
        let packed = packed.send().await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert_eq!(script.header("content-encoding"), "");
        assert_ne!(packed.header("etag"), script.header("etag"));
        assert!(script.text.contains("LiveChannel") && !packed.text.contains("LiveChannel"));
        let again = app
            .get("/live.js")
            .header("if-none-match", script.header("etag"));
        assert_eq!(again.send().await.status, StatusCode::NOT_MODIFIED);
        let tests = app.get("/tests/../live.js").send().await;
        assert_eq!(tests.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    with_app(async |app: App| {
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        for path in [
            "/ping",
            "/api/v1/ping",
            "/api/v1/me",
            "/live.js",
            "/problems/not_found",
        ] {
            let get = app.get(path).by(&anna).send().await;
            let head = app.ask("HEAD", path).by(&anna).send().await;
            assert_eq!(
                (head.status, head.text.as_str()),
                (StatusCode::OK, ""),
                "{path}"
            );
            for name in [
                "content-type",
                "etag",
                "cache-control",
                "content-security-policy",
            ] {
                assert_eq!(head.header(name), get.header(name), "{name} of {path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_answer_is_kept_by_nobody_and_framed_by_nobody() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let sign_in = json!({"username": "anna", "password": PASSWORD});
        let tokens = app.post("/api/v1/token", sign_in).send().await;
        assert!(tokens.ok()["refresh"].is_string());
        let refused = app.get("/api/v1/me").send().await;
        let unknown = app.get("/nothing").send().await;
        for answer in [tokens, refused, unknown] {
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            let policy = answer.header("content-security-policy");
            assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
        }
    })
    .await;
}

/// Returns the headers of all answers in the API document.
fn documented_headers() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&api::openapi_document()).unwrap();
    let mut found = BTreeSet::new();
    let mut waiting = vec![&document];
    while let Some(value) = waiting.pop() {
        if let Some(responses) = value.get("responses").and_then(Value::as_object) {
            let headers = responses
                .values()
                .filter_map(|one| one["headers"].as_object());
            found.extend(headers.flatten().map(|(name, _)| name.to_lowercase()));
        }
        match value {
            Value::Object(members) => waiting.extend(members.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(
        found.contains("etag") && found.contains("content-disposition"),
        "{found:?}"
    );
    found
}

#[tokio::test]
async fn requests_are_counted_by_method_and_route_and_invented_methods_together() {
    with_app(async |app: App| {
        for method in ["GET", "BREW", "TEA"] {
            app.ask(method, "/api/v1/ping").send().await;
        }
        let text = app.state.metrics.render();
        for line in [
            "expediter_http_requests_total{method=\"GET\",route=\"/ping\",status=\"200\"} 1",
            "expediter_http_requests_total{method=\"other\",route=\"\",status=\"405\"} 2",
            "expediter_http_request_seconds_count{method=\"GET\",route=\"/ping\"} 1",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        }
    })
    .await;
}
