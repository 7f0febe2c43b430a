//! Integrators and their secrets over HTTP.

mod answers;
mod health;
mod stores;

use crate::app::{App, with_app, with_app_configured};
use domain::{account::Role, ids::StoreId, integrator::OutboundAuth, signature::SigningSecret};
use serde_json::{Value, json};

const INTEGRATORS: &str = "/api/v1/integrators";

fn kitchen(store: StoreId) -> Value {
    json!({"store_id": store, "name": "Kitchen", "kind": "kitchen", "url": "https://kitchen.example/orders",
        "auth": {"type": "basic", "username": "us", "password": "hunter2"}, "status_map": {"COOKED": "ready"}})
}

async fn manager(app: &App, store: StoreId) -> String {
    app.signed_in("manager", Role::Manager, &[store]).await
}

fn path(integrator: &Value) -> String {
    format!("{INTEGRATORS}/{}", integrator["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_integrators_secrets_are_shown_once_and_its_auth_never() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let answer = app
            .post(INTEGRATORS, kitchen(store))
            .by(&manager)
            .send()
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let created = answer.json();
        let integrator = &created["integrator"];
        assert_eq!(answer.header("location"), path(integrator));
        for secret in ["signing_secret", "callback_secret"] {
            assert!(SigningSecret::parse(created[secret].as_str().unwrap()).is_ok());
        }
        assert_eq!(integrator["auth_type"], "basic");
        assert_eq!(
            integrator["events"],
            json!(["order.placed", "order.cancelled"])
        );
        assert_eq!(
            (&integrator["required"], &integrator["enabled"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            (&integrator["confirms"], &integrator["format"]),
            (&json!("acknowledgement"), &json!("order"))
        );
        assert_eq!(
            (&integrator["max_attempts"], &integrator["concurrency"]),
            (&json!(5), &json!(8))
        );
        let shown = app.get(&path(integrator)).by(&manager).send().await;
        let listed = app
            .get(&format!("{INTEGRATORS}?store_id={store}"))
            .by(&manager)
            .send()
            .await;
        assert_eq!(&without_health(shown.ok()), integrator);
        let items = listed.ok()["items"].as_array().unwrap().clone();
        assert_eq!(
            json!(items.into_iter().map(without_health).collect::<Vec<_>>()),
            json!([integrator])
        );
        for text in [&answer.text, &shown.text, &listed.text] {
            assert!(!text.contains("hunter2"));
        }
        for text in [&shown.text, &listed.text] {
            assert!(!text.contains("whsec_"));
        }
    })
    .await;
}

fn without_health(mut shown: Value) -> Value {
    let health = shown.as_object_mut().unwrap().remove("health");
    assert!(health.unwrap().is_object());
    shown
}

#[tokio::test]
async fn only_managers_of_the_store_see_its_integrators() {
    with_app(async |app| {
        let (here, there) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let manager = manager(&app, here).await;
        let created = app
            .post(INTEGRATORS, kitchen(here))
            .by(&manager)
            .send()
            .await
            .ok();
        let path = path(&created["integrator"]);
        let rotate = format!("{path}/rotate-secret");
        let list = format!("{INTEGRATORS}?store_id={here}");
        let staff = app.signed_in("staff", Role::Staff, &[here]).await;
        let customer = app.signed_in("customer", Role::Customer, &[]).await;
        let stranger = app.signed_in("stranger", Role::Manager, &[there]).await;
        for (who, status, reason) in [
            (&staff, 403, "forbidden"),
            (&customer, 403, "forbidden"),
            (&stranger, 404, "not_found"),
        ] {
            let tries = [
                app.get(&list),
                app.get(&path),
                app.post(INTEGRATORS, kitchen(here)),
                app.patch(&path, json!({"enabled": false})),
                app.ask("DELETE", &path),
                app.post(&rotate, json!({"secret": "signing"})),
            ];
            for one in tries {
                one.by(who).send().await.problem(status, reason);
            }
        }
        let shown = app.get(&path).by(&manager).send().await.ok();
        assert_eq!(without_health(shown), created["integrator"]);
    })
    .await;
}

#[tokio::test]
async fn an_address_is_https_and_carries_no_credentials() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let pointers = async |field: &str, value: Value| {
            let mut new = kitchen(store);
            new[field] = value;
            app.post(INTEGRATORS, new).by(&manager).send().await.pointers()
        };
        for url in ["http://kitchen.example/", "https://us:hunter2@kitchen.example/", "https://us@kitchen.example/",
            "https://kitchen.example/#x", "ftp://kitchen.example/", "kitchen"]
        {
            assert_eq!(pointers("url", json!(url)).await, ["/url"], "{url}");
        }
        let sign_in = json!({"type": "sign_in", "url": "http://x.example/", "username": "u", "password": "p"});
        assert_eq!(pointers("auth", sign_in).await, ["/auth/url"]);
        let oauth2 = json!({"type": "oauth2", "token_url": "https://a:b@x.example/", "client_id": "c",
            "client_secret": "s"});
        assert_eq!(pointers("auth", oauth2).await, ["/auth/token_url"]);
        let edit = app.post(INTEGRATORS, kitchen(store)).by(&manager).send().await.ok();
        let patch = app.patch(&path(&edit["integrator"]), json!({"url": "http://kitchen.example/"}));
        assert_eq!(patch.by(&manager).send().await.pointers(), ["/url"]);
    })
    .await;
}

#[tokio::test]
async fn http_is_taken_where_the_settings_allow_it() {
    with_app_configured(
        &[("worker.allow_http", "true")],
        |routes| routes,
        async |app| {
            let store = app.house.create_store().await;
            let manager = manager(&app, store).await;
            let mut new = kitchen(store);
            new["url"] = json!("http://127.0.0.1:8091/orders");
            app.post(INTEGRATORS, new).by(&manager).send().await.ok();
        },
    )
    .await;
}

#[tokio::test]
async fn what_the_schema_cannot_say_is_checked_too_and_told_at_once() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let pointers = async |change: Value| {
            let mut new = kitchen(store);
            new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let mut pointers = app.post(INTEGRATORS, new).by(&manager).send().await.pointers();
            pointers.sort();
            pointers
        };
        let wrong = json!({"url": "http://x.example/", "events": ["test"], "callback_auth": "bearer",
            "status_map": {"": "ready"}, "auth": {"type": "bearer", "token": "a\nb"}});
        assert_eq!(pointers(wrong).await, ["/auth/token", "/callback_auth", "/events", "/status_map", "/url"]);
        assert_eq!(pointers(json!({"events": ["order.eaten"]})).await, ["/events/0"]);
        assert_eq!(pointers(json!({"events": []})).await, ["/events"]);
        assert_eq!(pointers(json!({"max_attempts": 6})).await, ["/max_attempts"]);
        assert_eq!(pointers(json!({"status_map": {"X": "eaten"}})).await, ["/status_map/X"]);
        assert_eq!(pointers(json!({"auth": {"type": "magic"}})).await, ["/auth/type"]);
        for name in ["host", "Content-Length", "webhook-id", "no good"] {
            let auth = json!({"auth": {"type": "header", "name": name, "value": "x"}});
            assert_eq!(pointers(auth).await, ["/auth/name"], "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_way_to_make_ourselves_known_is_taken() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        for auth in [
            json!({"type": "none"}),
            json!({"type": "basic", "username": "u", "password": ""}),
            json!({"type": "bearer", "token": "t"}),
            json!({"type": "header", "name": "X-Key", "value": "v"}),
            json!({"type": "oauth2", "token_url": "https://x.example/", "client_id": "c", "client_secret": "s"}),
            json!({"type": "sign_in", "url": "https://x.example/", "username": "u", "password": "p"}),
        ] {
            let mut new = kitchen(store);
            new["auth"] = auth.clone();
            let created = app.post(INTEGRATORS, new).by(&manager).send().await.ok();
            assert_eq!(created["integrator"]["auth_type"], auth["type"]);
            // The form of the domain is the same.
            assert!(serde_json::from_value::<OutboundAuth>(auth).is_ok());
        }
    })
    .await;
}

#[tokio::test]
async fn a_manager_edits_disables_and_enables() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let created = app
            .post(INTEGRATORS, kitchen(store))
            .by(&manager)
            .send()
            .await
            .ok();
        let before = created["integrator"].clone();
        let edit = async |patch: Value| app.patch(&path(&before), patch).by(&manager).send().await;
        let elsewhere = json!({"url": "https://thief.example/"});
        assert_eq!(edit(elsewhere).await.pointers(), ["/auth"]);
        let edited = edit(json!({"rate_per_s": 5, "auth": {"type": "none"}, "required": false}))
            .await
            .ok();
        let mut expected = before.clone();
        expected["rate_per_s"] = json!(5);
        expected["auth_type"] = json!("none");
        expected["required"] = json!(false);
        expected["version"] = json!(2);
        assert_eq!(edited, expected);
        assert_eq!(
            edit(json!({"rate_per_s": null})).await.ok()["rate_per_s"],
            Value::Null
        );
        let disabled = edit(json!({"enabled": false, "disabled_reason": "on fire"}))
            .await
            .ok();
        assert_eq!(
            (&disabled["enabled"], &disabled["disabled_reason"]),
            (&json!(false), &json!("on fire"))
        );
        let enabled = edit(json!({"enabled": true})).await.ok();
        assert_eq!(
            (&enabled["enabled"], &enabled["disabled_reason"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(
            edit(json!({"disabled_reason": "x"})).await.pointers(),
            ["/disabled_reason"]
        );
        let late = app
            .patch(&path(&before), json!({"name": "late"}))
            .by(&manager)
            .header("if-match", "\"2\"");
        assert_eq!(
            late.send().await.problem(412, "version_conflict")["current_version"],
            5
        );
    })
    .await;
}

#[tokio::test]
async fn a_rotated_secret_is_shown_once_and_replaces_the_old_one() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let created = app
            .post(INTEGRATORS, kitchen(store))
            .by(&manager)
            .send()
            .await
            .ok();
        let rotate = format!("{}/rotate-secret", path(&created["integrator"]));
        let rotated = app
            .post(&rotate, json!({"secret": "callback"}))
            .by(&manager)
            .send()
            .await
            .ok();
        assert_eq!(rotated["secret"], "callback");
        let id = created["integrator"]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let (_, secrets) = app
            .house
            .ledger
            .callback_secrets(id)
            .await
            .unwrap()
            .unwrap();
        let texts: Vec<String> = secrets.iter().map(SigningSecret::reveal).collect();
        assert_eq!(
            json!(texts),
            json!([rotated["value"], created["callback_secret"]])
        );
        let signing = app
            .post(&rotate, json!({"secret": "signing"}))
            .by(&manager)
            .send()
            .await
            .ok();
        assert!(
            signing["value"] != created["signing_secret"] && signing["value"] != rotated["value"]
        );
        let wrong = app
            .post(&rotate, json!({"secret": "both"}))
            .by(&manager)
            .send()
            .await;
        assert_eq!(wrong.pointers(), ["/secret"]);
    })
    .await;
}

#[tokio::test]
async fn what_an_integrator_always_has_is_not_emptied() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let made = app.post(INTEGRATORS, kitchen(store)).by(&manager);
        let integrator = made.send().await.ok()["integrator"].clone();
        let never_empty = [
            "name",
            "kind",
            "format",
            "events",
            "url",
            "required",
            "confirms",
            "unknown_policy",
            "callback_auth",
            "auth",
            "status_map",
            "max_attempts",
            "concurrency",
            "enabled",
        ];
        let nothing: Value = never_empty
            .iter()
            .map(|name| (*name, Value::Null))
            .collect();
        let refused = app
            .patch(&path(&integrator), nothing)
            .by(&manager)
            .send()
            .await;
        assert_eq!(
            refused.pointers(),
            never_empty.map(|name| format!("/{name}"))
        );
        // Other errors are reported together with it.
        let both = json!({"name": null, "url": "http://kitchen.example"});
        let refused = app
            .patch(&path(&integrator), both)
            .by(&manager)
            .send()
            .await;
        assert_eq!(refused.pointers(), ["/name", "/url"]);
        let may_be_empty = json!({"rate_per_s": null, "disabled_reason": null});
        let edited = app.patch(&path(&integrator), may_be_empty).by(&manager);
        assert_eq!(edited.send().await.ok()["name"], "Kitchen");
    })
    .await;
}

#[tokio::test]
async fn an_archived_integrator_is_gone() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let created = app
            .post(INTEGRATORS, kitchen(store))
            .by(&manager)
            .send()
            .await
            .ok();
        let path = path(&created["integrator"]);
        let archived = app.ask("DELETE", &path).by(&manager).send().await;
        assert_eq!(
            (archived.status.as_u16(), archived.text.as_str()),
            (204, "")
        );
        app.get(&path)
            .by(&manager)
            .send()
            .await
            .problem(404, "not_found");
        app.ask("DELETE", &path)
            .by(&manager)
            .send()
            .await
            .problem(404, "not_found");
        let listed = app
            .get(&format!("{INTEGRATORS}?store_id={store}"))
            .by(&manager)
            .send()
            .await
            .ok();
        assert_eq!(listed, json!({"items": [], "next_cursor": null}));
        let nowhere = "01980000-0000-7000-8000-000000000000";
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let missing = app
            .get(&format!("{INTEGRATORS}?store_id={nowhere}"))
            .by(&operator)
            .send()
            .await;
        missing.problem(404, "not_found");
        let mut new = kitchen(store);
        new["store_id"] = json!(nowhere);
        assert_eq!(
            app.post(INTEGRATORS, new)
                .by(&operator)
                .send()
                .await
                .pointers(),
            ["/store_id"]
        );
    })
    .await;
}
