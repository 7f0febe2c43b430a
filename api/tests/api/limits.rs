//! Rate limits and their response headers.

use std::time::Duration;

use domain::{account::Role, api_key::KeyAction};
use serde_json::json;

use crate::app::{Answer, App, TRUST_TEST_PROXY, basic, with_app, with_app_configured};

const ME: &str = "/api/v1/me";
const ONE_ADDRESS: &str = "192.0.2.1";

async fn with_limits<F: Future<Output = ()>>(limits: &[(&str, &str)], body: impl FnOnce(App) -> F) {
    let settings: Vec<_> = [TRUST_TEST_PROXY].iter().chain(limits).copied().collect();
    with_app_configured(&settings, |routes| routes, body).await;
}

/// Returns the `RateLimit-Policy` and `RateLimit` headers.
fn told(answer: &Answer) -> (&str, &str) {
    (
        answer.header("ratelimit-policy"),
        answer.header("ratelimit"),
    )
}

#[track_caller]
fn assert_limited(answer: &Answer, retry_after: &str) {
    answer.problem(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), retry_after);
}

#[tokio::test]
async fn an_account_is_told_what_is_left_and_refused_when_nothing_is() {
    with_limits(
        &[("rate_limits.account_per_minute", "3")],
        async |app: App| {
            let anna = app.signed_in("anna", Role::Customer, &[]).await;
            let otto = app.signed_in("otto", Role::Customer, &[]).await;
            let ask = async |by: &str| app.get(ME).by(by).send().await;
            for left in [
                "\"account\";r=2;t=20",
                "\"account\";r=1;t=40",
                "\"account\";r=0;t=60",
            ] {
                let answer = ask(&anna).await;
                answer.ok();
                assert_eq!(told(&answer), ("\"account\";q=3;w=60", left));
            }
            let refused = ask(&anna).await;
            assert_limited(&refused, "20");
            assert_eq!(
                told(&refused),
                ("\"account\";q=3;w=60", "\"account\";r=0;t=60")
            );
            ask(&otto).await.ok();
            app.house.clock.advance(Duration::from_secs(20));
            ask(&anna).await.ok();
            assert_limited(&ask(&anna).await, "20");
        },
    )
    .await;
}

#[tokio::test]
async fn what_an_account_is_refused_counts_too() {
    with_limits(
        &[("rate_limits.account_per_minute", "1")],
        async |app: App| {
            let anna = app.signed_in("anna", Role::Customer, &[]).await;
            let ask = async || app.get("/api/v1/users").by(&anna).send().await;
            ask().await.problem(403, "forbidden");
            assert_limited(&ask().await, "60");
        },
    )
    .await;
}

#[tokio::test]
async fn without_an_account_it_is_the_client_address_that_counts() {
    with_limits(
        &[("rate_limits.address_per_minute", "2")],
        async |app: App| {
            let body = || json!({"refresh": "nobody's"});
            let ask = async |from: &str| {
                app.post("/api/v1/token/refresh", body())
                    .from(from)
                    .send()
                    .await
            };
            ask(ONE_ADDRESS).await.problem(401, "incorrect_credentials");
            // Wrong credentials count for the address, not for an account.
            let wrong = app.get(ME).by("Bearer x").from(ONE_ADDRESS).send().await;
            wrong.problem(401, "incorrect_credentials");
            assert_limited(&ask(ONE_ADDRESS).await, "30");
            assert_limited(&app.get(ME).from(ONE_ADDRESS).send().await, "30");
            // An address claimed by the client stands left of the one that the proxy saw, and is ignored.
            assert_limited(&ask("198.51.100.7, 192.0.2.1").await, "30");
            ask("192.0.2.2").await.problem(401, "incorrect_credentials");
            let anna = app.signed_in("anna", Role::Customer, &[]).await;
            app.get(ME).by(&anna).from(ONE_ADDRESS).send().await.ok();
        },
    )
    .await;
}

#[tokio::test]
async fn whom_a_stranger_claims_to_forward_for_is_not_believed() {
    let limits = [("rate_limits.address_per_minute", "1")];
    with_app_configured(
        &limits,
        |routes| routes,
        async |app: App| {
            let ask = async |from: &str| app.get(ME).from(from).send().await;
            ask("192.0.2.1").await.problem(401, "incorrect_credentials");
            assert_limited(&ask("192.0.2.2").await, "60");
        },
    )
    .await;
}

#[tokio::test]
async fn a_guest_has_a_bucket_of_its_own_at_its_table() {
    let limits = [
        ("rate_limits.guest_per_minute", "1"),
        ("rate_limits.address_per_minute", "6"),
    ];
    with_limits(&limits, async |app: App| {
        let (table, other) = ("a".repeat(40), "b".repeat(40));
        let ask = async |code: &str, guest: &'static str| {
            let path = format!("/api/v1/sessions/{code}/menu");
            app.get(&path)
                .header("expediter-guest", guest)
                .from(ONE_ADDRESS)
                .send()
                .await
        };
        let answer = ask(&table, "one").await;
        answer.problem(404, "session_not_found");
        assert_eq!(
            told(&answer),
            (
                "\"address\";q=6;w=60, \"guest\";q=1;w=60",
                "\"address\";r=5;t=10, \"guest\";r=0;t=60"
            ),
        );
        assert_limited(&ask(&table, "one").await, "60");
        ask(&table, "two").await.problem(404, "session_not_found");
        ask(&other, "one").await.problem(404, "session_not_found");
        // Keys and codes are easy to invent, so the address is counted too.
        ask(&other, "three").await.problem(404, "session_not_found");
        ask(&other, "four").await.problem(404, "session_not_found");
        assert_limited(&ask(&other, "five").await, "10");
    })
    .await;
}

#[tokio::test]
async fn one_table_takes_so_many_orders_a_minute_however_its_code_is_written_and_staff_go_on() {
    let limits = [
        ("rate_limits.session_orders_per_minute", "3"),
        ("rate_limits.guest_per_minute", "4"),
    ];
    with_limits(&limits, async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let ledger = &app.house.ledger;
        let session = ledger.open_session(store, "1").await.unwrap();
        let encoded: String = session
            .code
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect();
        let one = json!({"product_id": product});
        let place = async |code: &str, guest: &str| {
            let path = format!("/api/v1/sessions/{code}/orders");
            let order = app.post(&path, one.clone());
            order.header("expediter-guest", guest).send().await
        };
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let sam = app.signed_in("sam", Role::Staff, &[store]).await;
        let order = json!({"session": session.code, "items": [one.clone()]});
        let by = async |who: &str| {
            let order = app.post("/api/v1/orders", order.clone());
            order.by(who).send().await
        };
        place(&session.code, "a guest's first key").await.ok();
        place(&encoded, "a guest's second key").await.ok();
        by(&anna).await.ok();
        for refused in [
            place(&session.code, "a guest's third key").await,
            place(&encoded, "a guest's fourth key").await,
            by(&anna).await,
        ] {
            assert_limited(&refused, "20");
            let problem = refused.json();
            assert_eq!(
                (&problem["field"], &problem["limit_per_minute"]),
                (&json!("session"), &json!(3))
            );
        }
        by(&sam).await.ok();
        app.house.clock.advance(Duration::from_secs(20));
        place(&encoded, "a guest's fifth key").await.ok();
        // The bucket of one guest is one as well, however the code is written.
        for (code, n) in [
            (&session.code, 4),
            (&encoded, 3),
            (&session.code, 2),
            (&encoded, 1),
        ] {
            let answer = place(code, "a guest's sixth key").await;
            assert_limited(&answer, "20");
            assert!(told(&answer).1.contains(&format!("\"guest\";r={}", n - 1)));
        }
    })
    .await;
}

#[tokio::test]
async fn callbacks_that_nobody_signed_are_counted_by_address_whatever_ids_are_made_up() {
    let limits = [
        ("rate_limits.integrator_per_minute", "1"),
        ("rate_limits.address_per_minute", "1"),
    ];
    with_limits(&limits, async |app: App| {
        let one = "01980000-0000-7000-8000-000000000001";
        let call = async |integrator: &str, from: &str| {
            let path = format!("/api/v1/integrators/{integrator}/callbacks");
            app.post(&path, json!({})).from(from).send().await
        };
        let first = call(one, ONE_ADDRESS).await;
        assert_eq!(told(&first).0, "\"integrator\";q=1;w=60");
        assert_ne!(first.status, 429);
        let others = [
            "01980000-0000-7000-8000-000000000002",
            "01980000-0000-7000-8000-000000000003",
            "none",
        ];
        for made_up in others.into_iter().chain([one]) {
            assert_limited(&call(made_up, ONE_ADDRESS).await, "60");
        }
        assert_ne!(call(one, "192.0.2.2").await.status, 429);
    })
    .await;
}

#[tokio::test]
async fn probes_pages_and_preflights_are_not_counted() {
    let limits = [
        ("rate_limits.address_per_minute", "1"),
        ("http.allowed_origins", "[\"https://till.example\"]"),
    ];
    with_limits(&limits, async |app: App| {
        for path in [
            "/ping",
            "/api/v1/ping",
            "/",
            "/live.js",
            "/problems",
            "/api/v1/openapi.json",
        ] {
            for _ in 0..3 {
                let answer = app.get(path).send().await;
                assert_eq!(
                    (answer.status.as_u16(), told(&answer)),
                    (200, ("", "")),
                    "{path}"
                );
            }
        }
        for _ in 0..3 {
            let preflight = app
                .ask("OPTIONS", "/api/v1/token")
                .header("origin", "https://till.example");
            let answer = preflight
                .header("access-control-request-method", "POST")
                .send()
                .await;
            assert_eq!(answer.status, 204);
        }
    })
    .await;
}

#[tokio::test]
async fn nought_is_no_limit_and_then_nothing_is_told() {
    with_limits(
        &[("rate_limits.account_per_minute", "0")],
        async |app: App| {
            let anna = app.signed_in("anna", Role::Customer, &[]).await;
            for _ in 0..50 {
                let answer = app.get(ME).by(&anna).send().await;
                answer.ok();
                assert_eq!(told(&answer), ("", ""));
            }
        },
    )
    .await;
}

#[tokio::test]
async fn nobody_meets_the_usual_limits_by_ordinary_use() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        for _ in 0..200 {
            let answer = app
                .get(ME)
                .by(&basic("anna", crate::app::PASSWORD))
                .send()
                .await;
            answer.ok();
        }
    })
    .await;
}

#[tokio::test]
async fn made_up_api_keys_cost_no_statement_once_their_address_is_over_its_limit() {
    with_limits(
        &[("rate_limits.address_per_minute", "2")],
        async |app: App| {
            let store = app.house.create_store().await;
            let root = app.signed_in("root", Role::Operator, &[]).await;
            let actions: Vec<&str> = KeyAction::ALL.iter().map(|it| it.as_str()).collect();
            let new = json!({"name": "Till", "store_ids": [store.to_string()], "actions": actions});
            let made = app
                .post("/api/v1/api-keys", new)
                .by(&root)
                .send()
                .await
                .ok();
            let key = format!("Bearer {}", made["key"].as_str().unwrap());
            let ask = async |key: &str, from: &str| app.get(ME).by(key).from(from).send().await;
            ask(&key, ONE_ADDRESS).await.ok();
            let made_up = |n: usize| format!("{}{n:03}", &key[..key.len() - 3]);
            for n in 0..2 {
                ask(&made_up(n), ONE_ADDRESS)
                    .await
                    .problem(401, "incorrect_credentials");
            }
            let database = app.house.db.clone();
            database.close().await;
            for n in 2..5 {
                assert_limited(&ask(&made_up(n), ONE_ADDRESS).await, "30");
            }
            // Those who were known before are asked for as ever, and elsewhere strangers are too.
            assert_eq!(ask(&key, ONE_ADDRESS).await.status, 200);
            assert_eq!(ask(&made_up(6), "192.0.2.77").await.status, 503);
        },
    )
    .await;
}
