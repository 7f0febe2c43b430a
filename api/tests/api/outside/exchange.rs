//! `/token/exchange` with keys that operators give out.

use domain::account::Role;
use serde_json::{Value, json};

use crate::app::{Answer, App, with_app, with_app_configured};

async fn exchange(app: &App, user_id: Value, session_key: &str) -> Answer {
    let body = json!({"user_id": user_id, "session_key": session_key});
    app.post("/api/v1/token/exchange", body).send().await
}

#[tokio::test]
async fn a_session_key_is_shown_once_and_trades_for_tokens_until_the_next_one() {
    with_app(async |app: App| {
        let operator = app.signed_in("oz", Role::Operator, &[]).await;
        let anna = app.account("anna", Role::Customer, &[]).await;
        let path = format!("/api/v1/users/{}/external-identity", anna.id);
        let give = async |user_id: Value| {
            let asked = app.ask("PUT", &path).json(json!({"user_id": user_id}));
            asked.by(&operator).send().await
        };
        let given = give(json!(17)).await.ok();
        assert_eq!(given["user_id"], "17");
        let key = given["session_key"].as_str().unwrap();
        assert!(key.len() >= 40, "{key}");

        let tokens = exchange(&app, json!(17), key).await.ok();
        assert_eq!(tokens["token_type"], "Bearer");
        let bearer = format!("Bearer {}", tokens["access"].as_str().unwrap());
        let me = app.get("/api/v1/me").by(&bearer).send().await.ok();
        assert_eq!(me["username"], "anna");
        let refresh = json!({"refresh": tokens["refresh"]});
        app.post("/api/v1/token/refresh", refresh).send().await.ok();

        let refused = async |user_id: Value, key: &str| {
            exchange(&app, user_id, key)
                .await
                .problem(401, "incorrect_credentials");
        };
        refused(json!(18), key).await;
        refused(json!(17), "guess").await;
        let fresh = give(json!("17")).await.ok();
        refused(json!(17), key).await;
        let fresh = fresh["session_key"].as_str().unwrap();
        exchange(&app, json!("17"), fresh).await.ok();
        let taken = app.ask("DELETE", &path).by(&operator).send().await;
        assert_eq!(taken.status.as_u16(), 204);
        refused(json!(17), fresh).await;
    })
    .await;
}

#[tokio::test]
async fn only_operators_give_identities_and_each_user_is_one_account() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let operator = app.signed_in("oz", Role::Operator, &[]).await;
        let manager = app.signed_in("max", Role::Manager, &[store]).await;
        let (anna, ben) = (
            app.account("anna", Role::Customer, &[]).await,
            app.account("ben", Role::Customer, &[]).await,
        );
        let give = async |account: String, by: &str| {
            let path = format!("/api/v1/users/{account}/external-identity");
            app.ask("PUT", &path)
                .json(json!({"user_id": 1}))
                .by(by)
                .send()
                .await
        };
        give(anna.id.to_string(), &manager)
            .await
            .problem(403, "forbidden");
        give(anna.id.to_string(), &operator).await.ok();
        give(ben.id.to_string(), &operator)
            .await
            .problem(409, "conflict");
        give(store.to_string(), &operator)
            .await
            .problem(404, "not_found");
        let unsaid = app.post(
            "/api/v1/token/exchange",
            json!({"user_id": true, "key": "x"}),
        );
        let mut pointers = unsaid.send().await.pointers();
        pointers.sort();
        assert_eq!(pointers, ["/key", "/session_key", "/user_id"]);
    })
    .await;
}

#[tokio::test]
async fn wrong_session_keys_are_limited_as_wrong_passwords_are() {
    let settings = [("accounts.sign_in_failures_per_username", "3")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app: App| {
            let anna = app.account("anna", Role::Customer, &[]).await;
            let key = app
                .house
                .ledger
                .link_external_identity(anna.id, "1")
                .await
                .unwrap();
            for _ in 0..3 {
                exchange(&app, json!(1), "guess")
                    .await
                    .problem(401, "incorrect_credentials");
            }
            // The right key is refused too; otherwise the limit would reveal it.
            exchange(&app, json!("1"), &key)
                .await
                .problem(429, "rate_limited");
            exchange(&app, json!(2), "guess")
                .await
                .problem(401, "incorrect_credentials");
            app.house.clock.advance(ledger::accounts::FAILURE_TTL);
            exchange(&app, json!(1), &key).await.ok();
        },
    )
    .await;
}

#[tokio::test]
async fn many_session_keys_at_once_are_no_more_than_one_after_the_other() {
    let settings = [("accounts.sign_in_failures_per_username", "3")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app: App| {
            let guesses = (0..20).map(|_| exchange(&app, json!(1), "guess"));
            let answers = futures_util::future::join_all(guesses).await;
            let looked_at = answers.iter().filter(|one| one.status == 401).count();
            assert_eq!(looked_at, 3);
            assert!(
                answers
                    .iter()
                    .all(|one| matches!(one.status.as_u16(), 401 | 429))
            );
        },
    )
    .await;
}

#[tokio::test]
async fn an_address_has_no_more_guesses_at_many_users_at_once() {
    let settings = [("accounts.sign_in_failures_per_address", "4")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app: App| {
            let guesses = (0..40).map(|user| exchange(&app, json!(user), "guess"));
            let answers = futures_util::future::join_all(guesses).await;
            let looked_at = answers.iter().filter(|one| one.status == 401).count();
            assert!((4..8).contains(&looked_at), "{looked_at}");
        },
    )
    .await;
}
