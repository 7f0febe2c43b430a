//! Idempotency of creating and changing sessions and accounts.

use domain::account::Role;
use serde_json::{Value, json};

use super::ConcurrentRequests;
use crate::app::{App, with_app, with_app_configured};

const PASSWORD: &str = "a good password";

#[tokio::test]
async fn a_session_is_opened_renewed_and_closed_once() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let new = |name: &str| json!({"store_id": store, "name": name});
        let opened =
            ConcurrentRequests::of(&app, "POST", "/api/v1/sessions", &staff).json(new("Table 1"));
        let session = opened.assert_done_once(new("Table 2")).await;
        let code = session["code"].as_str().unwrap();

        // The code in the path is invalid as soon as one of the requests is done.
        let path = format!("/api/v1/sessions/{code}/code");
        let renewal = ConcurrentRequests::of(&app, "POST", &path, &staff);
        let (renewed, replayed) = renewal.at_once().await;
        let renewed = renewed.json();
        assert_ne!(renewed["code"], code);
        assert!(replayed.iter().all(|answer| answer.json() == renewed));
        let without = app.ask("POST", &path).by(&staff).send().await;
        without.problem(404, "session_not_found");
        let stranger = app.house.create_store().await;
        let stranger = app.signed_in("stranger", Role::Staff, &[stranger]).await;
        let theirs = ConcurrentRequests::of(&app, "POST", &path, &stranger);
        theirs.ask(None).await.problem(404, "session_not_found");

        let code = renewed["code"].as_str().unwrap();
        let path = format!("/api/v1/sessions/{code}/close");
        let close = ConcurrentRequests::of(&app, "POST", &path, &staff).json(json!({}));
        let closed = close.assert_done_once(json!({"finish": true})).await;
        assert_eq!(closed["session"]["state"], "CLOSED");
        assert_eq!(closed["unfinished"], json!([]));
    })
    .await;
}

fn a_user(username: &str, password: &str, role: &str) -> Value {
    json!({"username": username, "password": password, "role": role})
}

#[tokio::test]
async fn an_account_is_made_and_changed_once() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let made = ConcurrentRequests::of(&app, "POST", "/api/v1/users", &operator)
            .json(a_user("anna", PASSWORD, "customer"));
        let anna = made
            .assert_done_once(a_user("anna", "another password", "customer"))
            .await;
        let path = format!("/api/v1/users/{}", anna["id"].as_str().unwrap());
        let changed =
            ConcurrentRequests::of(&app, "PATCH", &path, &operator).json(json!({"disabled": true}));
        let changed = changed.assert_done_once(json!({"disabled": false})).await;
        assert_eq!(changed["disabled"], true);
    })
    .await;
}

#[tokio::test]
async fn whoever_registers_is_made_once_and_meets_nobody_elses_keys() {
    let settings = [("accounts.open_registration", "true")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app: App| {
            let register = |username: &str, password: &str| {
                let ask = app.post("/api/v1/users", a_user(username, password, "customer"));
                ask.header("idempotency-key", "1").send()
            };
            let (first, again) = (
                register("anna", PASSWORD).await,
                register("anna", PASSWORD).await,
            );
            assert_eq!(
                (again.header("idempotency-replayed"), again.ok()),
                ("true", first.ok())
            );
            let guess = register("anna", "another password").await;
            guess.problem(422, "idempotency_key_reused");
            let ben = register("ben", PASSWORD).await;
            assert_eq!(
                (ben.header("idempotency-replayed"), &ben.ok()["username"]),
                ("", &json!("ben"))
            );
        },
    )
    .await;
}
