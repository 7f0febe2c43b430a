//! Integrators' callbacks: authentication, storage, and their effect once a worker has applied them.

mod judged;
mod listed;
mod strangers;

use domain::{
    account::Role,
    ids::{IntegratorId, OrderId, StoreId},
    integrator::{CallbackAuth, Confirms},
    signature::SigningSecret,
    status::OrderStatus,
};
use ledger::{
    integrators::NewIntegrator,
    products::NewProduct,
    testing::fixtures::{euros, new_integrator},
};
use serde_json::{Value, json};

use crate::app::{Answer, App, with_app, with_app_configured};

pub(crate) struct Kitchen {
    pub(crate) id: IntegratorId,
    callback: SigningSecret,
}

pub(crate) async fn a_kitchen(app: &App, store_id: StoreId) -> Kitchen {
    a_kitchen_like(app, store_id, CallbackAuth::Signature).await
}

async fn a_kitchen_like(app: &App, store_id: StoreId, callback_auth: CallbackAuth) -> Kitchen {
    let new = NewIntegrator {
        confirms: Confirms::Callback,
        callback_auth,
        status_map: [("in_the_pan".to_owned(), OrderStatus::Preparing)].into(),
        ..new_integrator(store_id)
    };
    let (integrator, secrets) = app.house.ledger.create_integrator(new).await.unwrap();
    Kitchen {
        id: integrator.id,
        callback: secrets.callback,
    }
}

pub(crate) async fn an_order(app: &App, store: StoreId) -> OrderId {
    let anna = app.signed_in("anna", Role::Customer, &[]).await;
    an_order_by(app, store, &anna).await
}

/// Places an order of one soup with these credentials.
pub(crate) async fn an_order_by(app: &App, store: StoreId, customer: &str) -> OrderId {
    let soup = |new: &mut NewProduct| {
        new.name = "Soup".into();
        new.price = euros(700);
    };
    let product = app.house.create_product_with(store, soup).await;
    let body = json!({"store_id": store, "items": [{"product_id": product}]});
    let order = app
        .post("/api/v1/orders", body)
        .by(customer)
        .send()
        .await
        .ok();
    order["id"].as_str().unwrap().parse().unwrap()
}

/// Sends a callback signed with the kitchen's secret, now.
async fn post_callback(app: &App, kitchen: &Kitchen, webhook_id: &str, body: &Value) -> Answer {
    let at = app.house.clock.now().timestamp();
    post_callback_at(app, kitchen, webhook_id, body, at).await
}

/// Sends a callback with this signed timestamp, in Unix seconds.
async fn post_callback_at(
    app: &App,
    kitchen: &Kitchen,
    webhook_id: &str,
    body: &Value,
    at: i64,
) -> Answer {
    post_raw_callback_at(app, kitchen, webhook_id, body.to_string(), at).await
}

async fn post_raw_callback_at(
    app: &App,
    kitchen: &Kitchen,
    webhook_id: &str,
    body: String,
    at: i64,
) -> Answer {
    let signature = kitchen.callback.sign(webhook_id, at, body.as_bytes());
    app.ask(
        "POST",
        &format!("/api/v1/integrators/{}/callbacks", kitchen.id),
    )
    .header("content-type", "application/json")
    .header("webhook-id", webhook_id)
    .header("webhook-timestamp", &at.to_string())
    .header("webhook-signature", &signature)
    .raw(body)
    .send()
    .await
}

async fn status(app: &App, order: OrderId) -> String {
    app.house
        .ledger
        .order(order)
        .await
        .unwrap()
        .unwrap()
        .status
        .to_string()
}

#[tokio::test]
async fn a_signed_callback_is_kept_once_and_moves_the_order_when_applied() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let order = an_order(&app, store).await;
        let update = json!({"order_id": order, "status": "accepted", "sequence": 1});

        let first = post_callback(&app, &kitchen, "m-1", &update).await;
        assert_eq!(
            (first.status.as_u16(), &first.json()["result"]),
            (202, &json!("stored"))
        );
        let twin = post_callback(&app, &kitchen, "m-1", &update).await;
        assert_eq!(
            (twin.status.as_u16(), &twin.json()["result"]),
            (202, &json!("duplicate"))
        );
        assert_eq!(
            status(&app, order).await,
            "pending",
            "kept, not applied by the api"
        );
        app.house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(status(&app, order).await, "accepted");

        // First a word of its `status_map`, then an update older than the one applied.
        post_callback(
            &app,
            &kitchen,
            "m-3",
            &json!({"order_id": order, "status": "ready", "sequence": 3}),
        )
        .await
        .ok();
        post_callback(
            &app,
            &kitchen,
            "m-2",
            &json!({"order_id": order, "status": "in_the_pan", "sequence": 2}),
        )
        .await
        .ok();
        app.house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(status(&app, order).await, "ready");
        assert_eq!(app.house.ledger.audit().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn another_body_with_the_same_webhook_id_is_refused_and_listed() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let order = an_order(&app, store).await;
        let now = app.house.clock.now().timestamp();
        let send =
            async |body: String, at| post_raw_callback_at(&app, &kitchen, "m-1", body, at).await;
        let update = json!({"order_id": order, "status": "accepted", "reason": null});
        assert_eq!(send(update.to_string(), now).await.ok()["result"], "stored");
        // The same update: signed at another time, and written in another way.
        let anew = format!("{{ \"status\":\"accepted\",\n\"order_id\":\"{order}\" }}");
        for (body, at) in [(update.to_string(), now - 100), (anew, now + 100)] {
            assert_eq!(send(body, at).await.ok()["result"], "duplicate");
        }
        for _ in 0..2 {
            let other = json!({"order_id": order, "status": "rejected", "reason": "burnt"});
            let refused = send(other.to_string(), now).await;
            refused.problem(422, "webhook_id_reused");
        }
        let stranger: OrderId = app.house.chance.id(app.house.clock.now());
        let other = json!({"order_id": stranger, "status": "accepted"});
        let refused = send(other.to_string(), now).await;
        refused.problem(422, "webhook_id_reused");

        app.house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(status(&app, order).await, "accepted");
        let path = "/api/v1/callbacks?result=conflict";
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let listed = app.get(path).by(&staff).send().await.ok();
        let listed = listed["items"].as_array().unwrap();
        assert_eq!(listed.len(), 2, "{listed:?}");
        let of = |at: usize| (&listed[at]["webhook_id"], &listed[at]["order_id"]);
        assert_eq!(of(0), (&json!("m-1"), &Value::Null));
        assert_eq!(of(1), (&json!("m-1"), &json!(order)));
        assert_eq!(listed[1]["payload"]["reason"], "burnt");
        assert_eq!(app.house.ledger.audit().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn forged_and_stale_signatures_are_one_problem_and_nothing_is_kept() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let (kitchen, other) = (a_kitchen(&app, store).await, a_kitchen(&app, store).await);
        let order = an_order(&app, store).await;
        let update = json!({"order_id": order, "status": "accepted"});

        let forged = Kitchen {
            id: kitchen.id,
            callback: other.callback.clone(),
        };
        post_callback(&app, &forged, "m-1", &update)
            .await
            .problem(401, "bad_signature");
        let nobody = Kitchen {
            id: app.house.chance.id(app.house.clock.now()),
            callback: other.callback.clone(),
        };
        post_callback(&app, &nobody, "m-1", &update)
            .await
            .problem(401, "bad_signature");
        let path = format!("/api/v1/integrators/{}/callbacks", kitchen.id);
        app.post(&path, update.clone())
            .send()
            .await
            .problem(401, "bad_signature");

        let body = update.to_string();
        let at = app.house.clock.now().timestamp() - 301;
        let old = app
            .ask("POST", &path)
            .header("content-type", "application/json")
            .header("webhook-id", "m-1")
            .header("webhook-timestamp", &at.to_string())
            .header(
                "webhook-signature",
                &kitchen.callback.sign("m-1", at, body.as_bytes()),
            )
            .raw(body)
            .send()
            .await;
        old.problem(401, "bad_signature");
        // The id was not used up: properly signed, it counts as new.
        assert_eq!(
            post_callback(&app, &kitchen, "m-1", &update).await.ok()["result"],
            "stored"
        );
    })
    .await;
}

#[tokio::test]
async fn a_signed_time_may_be_as_far_from_ours_as_the_settings_say() {
    for (setting, tolerance_s) in [("30", 30), ("900", 900)] {
        let with = async |app: App| {
            let store = app.house.create_store().await;
            let kitchen = a_kitchen(&app, store).await;
            let order = an_order(&app, store).await;
            let update = json!({"order_id": order, "status": "accepted"});
            let now = app.house.clock.now().timestamp();
            for at in [now - tolerance_s - 1, now + tolerance_s + 1] {
                let refused = post_callback_at(&app, &kitchen, "m-1", &update, at).await;
                refused.problem(401, "bad_signature");
            }
            for (webhook_id, at) in [("m-1", now - tolerance_s), ("m-2", now + tolerance_s)] {
                let kept = post_callback_at(&app, &kitchen, webhook_id, &update, at).await;
                assert_eq!(kept.ok()["result"], "stored");
            }
        };
        with_app_configured(&[("callbacks.tolerance_s", setting)], |routes| routes, with).await;
    }
}

#[tokio::test]
async fn a_bearer_token_is_enough_only_where_settings_and_integrator_both_say_so() {
    for (allowed, of_integrator, is_let_in) in [
        (true, CallbackAuth::Bearer, true),
        (true, CallbackAuth::Signature, false),
        (false, CallbackAuth::Bearer, false),
    ] {
        let settings = [(
            "callbacks.allow_bearer",
            if allowed { "true" } else { "false" },
        )];
        let with = async |app: App| {
            let store = app.house.create_store().await;
            let kitchen = a_kitchen_like(&app, store, of_integrator).await;
            let order = an_order(&app, store).await;
            let update = json!({"order_id": order, "status": "accepted"});
            let path = format!("/api/v1/integrators/{}/callbacks", kitchen.id);
            let say = |token: String, webhook_id: &str| {
                app.post(&path, update.clone())
                    .header("authorization", &token)
                    .header("webhook-id", webhook_id)
                    .send()
            };
            let secret = kitchen.callback.reveal();
            for wrong in [
                format!("Bearer {secret}A"),
                "Bearer ".to_owned(),
                format!("Basic {secret}"),
                secret.clone(),
            ] {
                say(wrong, "m-1").await.problem(401, "bad_signature");
            }
            let right = say(format!("bearer {secret}"), "m-1").await;
            if is_let_in {
                assert_eq!(right.ok()["result"], "stored");
                let again = say(format!("Bearer {secret}"), "m-1").await;
                assert_eq!(again.ok()["result"], "duplicate");
                let nameless = app
                    .post(&path, update.clone())
                    .header("authorization", &format!("Bearer {secret}"));
                nameless.send().await.problem(401, "bad_signature");
            } else {
                right.problem(401, "bad_signature");
            }
            // A signature is always accepted.
            let signed = post_callback(&app, &kitchen, "m-2", &update).await;
            assert_eq!(signed.ok()["result"], "stored");
        };
        with_app_configured(&settings, |routes| routes, with).await;
    }
}

#[tokio::test]
async fn a_callback_about_an_order_that_it_was_never_given_is_refused() {
    with_app(async |app: App| {
        let (store, elsewhere) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let stranger = a_kitchen(&app, elsewhere).await;
        let order = an_order(&app, store).await;
        let update = json!({"order_id": order, "status": "cancelled", "reason": "spite"});
        post_callback(&app, &stranger, "m-1", &update)
            .await
            .problem(404, "not_found");
        assert_eq!(status(&app, order).await, "pending");
    })
    .await;
}

#[tokio::test]
async fn a_signed_body_is_checked_as_any_other() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let order = an_order(&app, store).await;
        let both = json!({"order_id": order, "reference": "K-1"});
        assert_eq!(
            post_callback(&app, &kitchen, "m-1", &both).await.pointers(),
            ["/order_id", "/status"]
        );
        let wrong = json!({"order_id": order, "status": 7, "mood": "good", "delivery": {"eta": 5, "status": 1}});
        assert_eq!(
            post_callback(&app, &kitchen, "m-2", &wrong).await.pointers(),
            ["/status", "/delivery/status"]
        );
        let more = json!({"order_id": order, "status": "in the oven", "mood": "good", "delivery": {"eta": [5]}});
        let answer = post_callback(&app, &kitchen, "m-3", &more).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
        assert_eq!(answer.json()["result"], "unmapped");
        let again = post_callback(&app, &kitchen, "m-3", &more).await;
        assert_eq!(again.json()["result"], "duplicate");
        app.house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(status(&app, order).await, "pending");
    })
    .await;
}
