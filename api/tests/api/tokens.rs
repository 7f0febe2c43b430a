//! Signing in and staying signed in.

use std::time::Duration;

use domain::account::Role;
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, basic, with_app};

const ME: &str = "/api/v1/me";

async fn sign_in(app: &App, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    app.post("/api/v1/token", body).send().await
}

async fn refresh(app: &App, token: &Value) -> Answer {
    app.post("/api/v1/token/refresh", json!({"refresh": token}))
        .send()
        .await
}

#[tokio::test]
async fn a_sign_in_gives_an_access_token_for_five_minutes() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let pair = sign_in(&app, "anna", PASSWORD).await.ok();
        assert_eq!(
            (&pair["token_type"], &pair["expires_in_s"]),
            (&json!("Bearer"), &json!(300))
        );
        let bearer = format!("Bearer {}", pair["access"].as_str().unwrap());
        let me = app.get(ME).by(&bearer).send().await.ok();
        assert_eq!(
            (&me["username"], &me["role"]),
            (&json!("anna"), &json!("customer"))
        );
        assert!(me.get("password_hash").is_none());
        app.house.clock.advance(Duration::from_secs(300));
        app.get(ME)
            .by(&bearer)
            .send()
            .await
            .problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn wrong_credentials_of_every_kind_are_one_problem() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        sign_in(&app, "anna", "wrong")
            .await
            .problem(401, "incorrect_credentials");
        sign_in(&app, "Anna", PASSWORD)
            .await
            .problem(401, "incorrect_credentials");
        sign_in(&app, "nobody", PASSWORD)
            .await
            .problem(401, "incorrect_credentials");
        for authorization in [
            "Bearer x.y.z",
            "Bearer",
            "Basic !!!",
            "Digest x",
            "x",
            &basic("anna", "no"),
        ] {
            let answer = app.get(ME).by(authorization).send().await;
            answer.problem(401, "incorrect_credentials");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer",
                "no Basic challenge to browsers"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn basic_works_on_the_same_routes_and_notices_a_new_password() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let old = basic("anna", PASSWORD);
        for _ in 0..2 {
            assert_eq!(app.get(ME).by(&old).send().await.ok()["username"], "anna");
        }
        let change = json!({"password": PASSWORD, "new_password": "something else"});
        let changed = app
            .post("/api/v1/me/password", change)
            .by(&old)
            .send()
            .await;
        assert_eq!(changed.status, 204);
        app.get(ME)
            .by(&old)
            .send()
            .await
            .problem(401, "incorrect_credentials");
        app.get(ME)
            .by(&basic("anna", "something else"))
            .send()
            .await
            .ok();
    })
    .await;
}

#[tokio::test]
async fn a_password_with_colons_and_letters_of_all_tongues_works_with_basic() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let change = json!({"password": PASSWORD, "new_password": "a:b:ß — 鍵"});
        app.post("/api/v1/me/password", change)
            .by(&basic("anna", PASSWORD))
            .send()
            .await;
        app.get(ME)
            .by(&basic("anna", "a:b:ß — 鍵"))
            .send()
            .await
            .ok();
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_also_with_a_token_in_hand() {
    with_app(async |app: App| {
        let anna = app.account("anna", Role::Customer, &[]).await;
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        let pair = sign_in(&app, "anna", PASSWORD).await.ok();
        let (bearer, with_basic) = (app.bearer(&anna), basic("anna", PASSWORD));
        app.get(ME).by(&bearer).send().await.ok();
        app.get(ME).by(&with_basic).send().await.ok();
        let path = format!("/api/v1/users/{}", anna.id);
        app.patch(&path, json!({"disabled": true}))
            .by(&operator)
            .send()
            .await
            .ok();
        app.get(ME)
            .by(&bearer)
            .send()
            .await
            .problem(401, "incorrect_credentials");
        app.get(ME)
            .by(&with_basic)
            .send()
            .await
            .problem(401, "incorrect_credentials");
        sign_in(&app, "anna", PASSWORD)
            .await
            .problem(401, "incorrect_credentials");
        refresh(&app, &pair["refresh"])
            .await
            .problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn another_process_s_change_of_an_account_counts_here_within_five_seconds() {
    with_app(async |app: App| {
        let anna = app.account("anna", Role::Customer, &[]).await;
        let bearer = app.bearer(&anna);
        app.get(ME).by(&bearer).send().await.ok();
        let disabled = ledger::accounts::AccountChange {
            disabled: Some(true),
            ..Default::default()
        };
        app.house
            .ledger
            .change_account(anna.id, &disabled, |_| Ok(()))
            .await
            .unwrap();
        app.house.clock.advance(Duration::from_secs(5));
        app.get(ME)
            .by(&bearer)
            .send()
            .await
            .problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_rotate_and_the_reuse_of_one_ends_the_sign_in() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let first = sign_in(&app, "anna", PASSWORD).await.ok();
        let other = sign_in(&app, "anna", PASSWORD).await.ok();
        let second = refresh(&app, &first["refresh"]).await.ok();
        assert_ne!(first["refresh"], second["refresh"]);
        let third = refresh(&app, &second["refresh"]).await.ok();
        app.house.clock.advance(Duration::from_secs(11));
        let answer = refresh(&app, &first["refresh"]).await;
        answer.problem(401, "incorrect_credentials");
        let answer = refresh(&app, &third["refresh"]).await;
        answer.problem(401, "incorrect_credentials");
        refresh(&app, &other["refresh"]).await.ok();
    })
    .await;
}

#[tokio::test]
async fn whatever_is_no_refresh_token_is_refused_alike() {
    with_app(async |app: App| {
        let account = app.account("anna", Role::Customer, &[]).await;
        let access = app.bearer(&account).replace("Bearer ", "");
        for wrong in [access.as_str(), "", "x", "ключ", &"x".repeat(100_000)] {
            let answer = refresh(&app, &json!(wrong)).await;
            answer.problem(401, "incorrect_credentials");
            let revoked = app.post("/api/v1/token/revoke", json!({"refresh": wrong}));
            assert_eq!(revoked.send().await.status, 204);
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_may_be_repeated_for_ten_seconds() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let first = sign_in(&app, "anna", PASSWORD).await.ok();
        let lost = refresh(&app, &first["refresh"]).await.ok();
        app.house.clock.advance(Duration::from_secs(10));
        let again = refresh(&app, &first["refresh"]).await.ok();
        refresh(&app, &lost["refresh"]).await.ok();
        refresh(&app, &again["refresh"]).await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_ends_after_a_day_or_when_it_is_revoked() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        let old = sign_in(&app, "anna", PASSWORD).await.ok();
        app.house.clock.advance(Duration::from_secs(86_400));
        refresh(&app, &old["refresh"])
            .await
            .problem(401, "incorrect_credentials");
        let pair = sign_in(&app, "anna", PASSWORD).await.ok();
        let revoke = async |token: &Value| {
            let body = json!({"refresh": token});
            app.post("/api/v1/token/revoke", body).send().await.status
        };
        assert_eq!(revoke(&pair["refresh"]).await, 204);
        assert_eq!(revoke(&json!("nobody's")).await, 204);
        refresh(&app, &pair["refresh"])
            .await
            .problem(401, "incorrect_credentials");
        refresh(&app, &json!("nobody's"))
            .await
            .problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn a_live_ticket_is_for_a_store_that_the_caller_serves() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let staff = app.signed_in("sam", Role::Staff, &[ours]).await;
        let ask = async |body: Value| {
            app.post("/api/v1/live-tickets", body)
                .by(&staff)
                .send()
                .await
        };
        let answer = ask(json!({"store_id": ours.to_string()})).await;
        assert_eq!(answer.status, 201);
        let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
        let redeemed = app.house.ledger.redeem_ticket(&ticket).await.unwrap();
        assert_eq!(redeemed.unwrap().0.username, "sam");
        ask(json!({"store_id": theirs.to_string()}))
            .await
            .problem(404, "not_found");
        ask(json!({"order_id": theirs.to_string()}))
            .await
            .problem(404, "not_found");
        assert_eq!(ask(json!({})).await.pointers(), [""]);
        let customer = app.signed_in("cora", Role::Customer, &[]).await;
        let body = json!({"store_id": ours.to_string()});
        let answer = app
            .post("/api/v1/live-tickets", body)
            .by(&customer)
            .send()
            .await;
        answer.problem(404, "not_found");
    })
    .await;
}
