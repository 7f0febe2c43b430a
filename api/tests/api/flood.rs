//! Floods of requests that hash a password, beside people who sign in.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use domain::account::Role;
use futures_util::future::{join, join_all};
use serde_json::json;

use crate::app::{Answer, App, PASSWORD, TRUST_TEST_PROXY, basic, with_app_configured};

const FLOODED: &str = "198.51.100.1";
const ELSEWHERE: &str = "198.51.100.2";
const SETTINGS: [(&str, &str); 2] = [TRUST_TEST_PROXY, ("accounts.open_registration", "true")];

async fn with_settings<F: Future<Output = ()>>(more: &[(&str, &str)], body: impl FnOnce(App) -> F) {
    let settings = [&SETTINGS, more].concat();
    with_app_configured(&settings, |routes| routes, body).await;
}

async fn sign_in(app: &App, username: &str, password: &str, from: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    app.post("/api/v1/token", body).from(from).send().await
}

async fn register(app: &App, username: &str, from: &str) -> Answer {
    let body = json!({"username": username, "password": PASSWORD, "role": "customer"});
    app.post("/api/v1/users", body).from(from).send().await
}

/// Sends so many requests at once, and behind them the sign-ins of colleagues at the same address and at another one.
/// Asserts that the colleagues sign in before most of the flood had its turn.
async fn colleagues_sign_in_beside<F: Future<Output = Answer>>(
    app: &App,
    flood: impl Fn(usize) -> F,
) {
    app.account("ben", Role::Customer, &[]).await;
    app.account("carla", Role::Customer, &[]).await;
    let hashed = AtomicUsize::new(0);
    let flood = join_all((0..200).map(async |number| {
        let status = flood(number).await.status.as_u16();
        hashed.fetch_add(usize::from(status < 300), Ordering::Relaxed);
        status
    }));
    let colleagues = [("ben", FLOODED), ("carla", ELSEWHERE)];
    let colleagues = join_all(colleagues.map(async |(name, from)| {
        sign_in(app, name, PASSWORD, from).await.ok();
        hashed.load(Ordering::Relaxed)
    }));
    let (statuses, before) = join(flood, colleagues).await;
    let hashed = hashed.into_inner();
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 200 | 201 | 503))
    );
    assert!(
        before.iter().all(|before| *before < hashed / 2),
        "{before:?} of {hashed}"
    );
}

#[tokio::test]
async fn one_accounts_right_password_sent_at_once_shuts_nobody_out() {
    with_settings(&[], async |app: App| {
        app.account("mallory", Role::Customer, &[]).await;
        colleagues_sign_in_beside(&app, async |_| {
            sign_in(&app, "mallory", PASSWORD, FLOODED).await
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn registrations_at_once_shut_nobody_out() {
    with_settings(&[], async |app: App| {
        let name = |number: usize| format!("new{number}");
        colleagues_sign_in_beside(&app, async |number| {
            register(&app, &name(number), FLOODED).await
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn with_one_place_only_they_take_turns_too() {
    let one = [("accounts.argon2_concurrency", "1")];
    with_settings(&one, async |app: App| {
        app.account("mallory", Role::Customer, &[]).await;
        colleagues_sign_in_beside(&app, async |_| {
            sign_in(&app, "mallory", PASSWORD, FLOODED).await
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn right_passwords_are_counted_for_a_username_at_an_address() {
    let three = [("accounts.password_hashes_per_minute", "3")];
    with_settings(&three, async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        app.account("ben", Role::Customer, &[]).await;
        for _ in 0..3 {
            sign_in(&app, "anna", PASSWORD, FLOODED).await.ok();
        }
        let refused = sign_in(&app, "anna", PASSWORD, FLOODED).await;
        refused.problem(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), "20");
        sign_in(&app, "anna", PASSWORD, ELSEWHERE).await.ok();
        sign_in(&app, "ben", PASSWORD, FLOODED).await.ok();
        app.house.clock.advance(Duration::from_secs(20));
        sign_in(&app, "anna", PASSWORD, FLOODED).await.ok();
    })
    .await;
}

#[tokio::test]
async fn everything_that_hashes_is_counted() {
    let two = [("accounts.password_hashes_per_minute", "2")];
    with_settings(&two, async |app: App| {
        for number in 0..2 {
            let made = register(&app, &format!("new{number}"), FLOODED).await;
            assert_eq!(made.status, 201);
        }
        let refused = register(&app, "new2", FLOODED).await;
        refused.problem(429, "rate_limited");
        assert_eq!(register(&app, "new2", ELSEWHERE).await.status, 201);
        let operator = app.signed_in("olga", Role::Operator, &[]).await;
        let make = async |name: &str| {
            let body = json!({"username": name, "password": PASSWORD, "role": "customer"});
            let made = app.post("/api/v1/users", body).by(&operator);
            made.from(FLOODED).send().await
        };
        let first = make("first").await;
        assert_eq!(first.status, 201);
        let id = first.json()["id"].as_str().unwrap().to_owned();
        let change = json!({"password": "something else"});
        let path = format!("/api/v1/users/{id}");
        let changed = app.patch(&path, change.clone()).by(&operator).from(FLOODED);
        changed.send().await.ok();
        make("second").await.problem(429, "rate_limited");
        let changed = app.patch(&path, change).by(&operator).from(FLOODED);
        changed.send().await.problem(429, "rate_limited");
        // A change without a password hashes nothing.
        let disabled = app.patch(&path, json!({"disabled": true})).by(&operator);
        disabled.from(FLOODED).send().await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_password_change_is_counted_and_basic_is_not_while_it_is_verified() {
    let two = [("accounts.password_hashes_per_minute", "2")];
    with_settings(&two, async |app: App| {
        let anna = app.account("anna", Role::Customer, &[]).await;
        let bearer = app.bearer(&anna);
        let change = async |old: &str, new: &str| {
            let body = json!({"password": old, "new_password": new});
            let changed = app.post("/api/v1/me/password", body).by(&bearer);
            changed.from(FLOODED).send().await
        };
        assert_eq!(change(PASSWORD, "the second").await.status, 204);
        assert_eq!(change("the second", "the third").await.status, 204);
        change("the third", "the fourth")
            .await
            .problem(429, "rate_limited");
        for _ in 0..5 {
            let me = app.get("/api/v1/me").by(&basic("anna", "the third"));
            me.from(ELSEWHERE).send().await.ok();
        }
    })
    .await;
}
