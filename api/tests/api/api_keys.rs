//! Keys of programs: what they may call, at which stores, and when they end.

use std::time::Duration;

use api::access::{Access, FOR_KEYS, NEVER_FOR_KEYS, OPERATIONS, STREAMS, for_keys};
use domain::{account::Role, api_key::KeyAction, ids::StoreId};
use ledger::testing::TEST_TIMEOUT;
use serde_json::{Value, json};

use crate::app::{Answer, App, basic, with_app};

const KEYS: &str = "/api/v1/api-keys";
const NOWHERE: &str = "01980000-0000-7000-8000-000000000000";

fn all_actions() -> Vec<&'static str> {
    KeyAction::ALL
        .iter()
        .map(|action| action.as_str())
        .collect()
}

fn new_key(stores: &[StoreId], actions: &[&str]) -> Value {
    let stores: Vec<String> = stores.iter().map(ToString::to_string).collect();
    json!({"name": "Till", "store_ids": stores, "actions": actions})
}

struct Key {
    id: String,
    bearer: String,
}

async fn make(app: &App, by: &str, new: Value) -> Key {
    let made = app.post(KEYS, new).by(by).send().await.ok();
    Key {
        id: made["api_key"]["id"].as_str().unwrap().to_owned(),
        bearer: format!("Bearer {}", made["key"].as_str().unwrap()),
    }
}

async fn me(app: &App, key: &Key) -> Answer {
    app.get("/api/v1/me").by(&key.bearer).send().await
}

#[test]
fn each_operation_that_takes_an_account_is_listed_for_keys_or_as_never_for_keys() {
    let listed = |method: &str, path: &str| {
        let for_keys = for_keys(method, path).is_some();
        usize::from(for_keys) + usize::from(NEVER_FOR_KEYS.contains(&(method, path)))
    };
    for (method, path, access) in OPERATIONS.iter().chain(STREAMS) {
        let takes_account = !matches!(access, Access::Anyone | Access::Keyholder);
        assert_eq!(
            listed(method, path),
            usize::from(takes_account),
            "{method} {path}: list it once in FOR_KEYS or NEVER_FOR_KEYS of api/src/access.rs"
        );
        let is_operators = *access == Access::Operator;
        assert!(
            !is_operators || for_keys(method, path).is_none(),
            "{method} {path}"
        );
    }
    let known = |method: &str, path: &str| {
        let mut all = OPERATIONS.iter().chain(STREAMS);
        all.any(|(a, b, _)| *a == method && *b == path)
    };
    for (method, path, _) in FOR_KEYS {
        assert!(known(method, path), "{method} {path} is no operation");
    }
    for (method, path) in NEVER_FOR_KEYS {
        assert!(known(method, path), "{method} {path} is no operation");
    }
}

#[tokio::test]
async fn a_key_with_one_action_may_call_the_operations_of_that_action_and_no_others() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        for action in KeyAction::ALL {
            let key = make(&app, &manager, new_key(&[store], &[action.as_str()])).await;
            for (method, pattern, access) in OPERATIONS {
                let segments = pattern.split('/').map(|segment| match segment {
                    _ if segment.starts_with('{') => NOWHERE,
                    segment => segment,
                });
                let path = format!("/api/v1{}", segments.collect::<Vec<_>>().join("/"));
                let ask = app.ask(method, &path).by(&key.bearer).json(json!({}));
                let answer = ask.send().await;
                let is_open = matches!(access, Access::Anyone | Access::Keyholder);
                let may = match for_keys(method, pattern) {
                    Some(None) => true,
                    Some(Some(needed)) => needed == *action,
                    None => is_open,
                };
                let status = answer.status.as_u16();
                if may {
                    assert!(
                        status != 403 && status != 405,
                        "{action} {method} {pattern}: {status}"
                    );
                    assert!(is_open || status != 401, "{action} {method} {pattern}");
                } else {
                    let problem = answer.problem(403, "forbidden");
                    let detail = problem["detail"].as_str().unwrap();
                    assert!(detail.contains("API key"), "{method} {pattern}: {detail}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_reaches_its_own_stores_only() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let (mine, other) = (
            app.house.create_product(ours).await,
            app.house.create_product(theirs).await,
        );
        let root = app.signed_in("root", Role::Operator, &[]).await;
        let key = make(&app, &root, new_key(&[ours], &all_actions())).await;
        let order = |store: StoreId, product| {
            let items = json!([{"product_id": product, "quantity": 1}]);
            json!({"store_id": store, "fulfilment": "pickup", "items": items})
        };
        let place =
            async |by: &str, body: Value| app.post("/api/v1/orders", body).by(by).send().await;
        let placed = place(&key.bearer, order(ours, mine)).await.ok();
        let foreign = place(&root, order(theirs, other)).await.ok();
        place(&key.bearer, order(theirs, other))
            .await
            .problem(404, "not_found");
        let mut draft = order(theirs, other);
        draft["status"] = json!("draft");
        place(&key.bearer, draft).await.problem(404, "not_found");

        let listed = app.get("/api/v1/orders").by(&key.bearer).send().await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        let stores = app.get("/api/v1/stores").by(&key.bearer).send().await.ok();
        assert_eq!(stores["items"].as_array().unwrap().len(), 1);
        for path in [
            format!("/api/v1/orders/{}", foreign["id"].as_str().unwrap()),
            format!("/api/v1/orders?store_id={theirs}"),
            format!("/api/v1/orders.csv?store_id={theirs}"),
            format!("/api/v1/stats?store_id={theirs}"),
            format!("/api/v1/stores/{theirs}"),
            format!("/api/v1/stores/{theirs}/menu"),
            format!("/api/v1/products?store_id={theirs}"),
            format!("/api/v1/products/{other}"),
            format!("/api/v1/sessions?store_id={theirs}"),
            format!("/api/v1/integrators?store_id={theirs}"),
            format!("/api/v1/handoffs?store_id={theirs}"),
            format!("/api/v1/callbacks?store_id={theirs}"),
            format!("/api/v1/stuck?store_id={theirs}"),
        ] {
            let seen = app.get(&path).by(&key.bearer).send().await;
            seen.problem(404, "not_found");
            let own = path.replace(&theirs.to_string(), &ours.to_string());
            let own = own.replace(&other.to_string(), &mine.to_string());
            let own = own.replace(
                foreign["id"].as_str().unwrap(),
                placed["id"].as_str().unwrap(),
            );
            let seen = app.get(&own).by(&key.bearer).send().await;
            assert_eq!(seen.status.as_u16(), 200, "{own}: {}", seen.text);
        }
        let ticket = async |store: StoreId| {
            let wish = json!({"store_id": store});
            let ask = app.post("/api/v1/live-tickets", wish).by(&key.bearer);
            ask.send().await.status.as_u16()
        };
        assert_eq!((ticket(ours).await, ticket(theirs).await), (201, 404));
        // An operator made it, and it is none.
        let path = format!("/api/v1/stores/{ours}");
        let external = json!({"external_location_id": "17"});
        let edited = app.patch(&path, external).by(&key.bearer).send().await;
        edited.problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_shown_once_and_a_replay_shows_none() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let ask = async || {
            let new = new_key(&[store], &["menu:read"]);
            let ask = app.post(KEYS, new).by(&manager);
            ask.header("idempotency-key", "k-1").send().await
        };
        let (first, second) = (ask().await, ask().await);
        assert_eq!(first.status.as_u16(), 201);
        let text = first.json()["key"].as_str().unwrap().to_owned();
        assert!(text.starts_with("exk_"), "{text}");
        assert_eq!(second.header("idempotency-replayed"), "true");
        let replayed = second.ok();
        assert_eq!(replayed["key"], Value::Null);
        assert_eq!(replayed["api_key"], first.json()["api_key"]);
        let listed = app.get(KEYS).by(&manager).send().await;
        assert_eq!(listed.ok()["items"], json!([first.json()["api_key"]]));
        assert!(!listed.text.contains(&text));
        let users = app.get("/api/v1/users").by(&manager).send().await.ok();
        assert_eq!(users["items"].as_array().unwrap().len(), 1, "mia alone");
        let key = Key {
            id: replayed["api_key"]["id"].as_str().unwrap().to_owned(),
            bearer: format!("bearer  {text}"),
        };
        let shown = me(&app, &key).await.ok();
        assert_eq!(
            (&shown["id"], &shown["username"], &shown["stores"]),
            (&json!(key.id), &json!("Till"), &json!([store]))
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_key_in_force_is_refused_as_wrong_credentials() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let mut new = new_key(&[store], &all_actions());
        let in_a_minute = app.house.clock.now() + chrono::TimeDelta::minutes(1);
        new["expires_at"] = json!(in_a_minute.to_rfc3339());
        let key = make(&app, &manager, new).await;
        me(&app, &key).await.ok();
        let text = key.bearer.strip_prefix("Bearer ").unwrap();
        for wrong in [
            format!("Bearer {}x", &text[..text.len() - 1]),
            format!("Bearer {}", &text[..text.len() - 1]),
            format!("Bearer {text}x"),
            "Bearer exk_".to_owned(),
            format!("Bearer {}", text.to_uppercase()),
            basic("Till", text),
            basic(&key.id, text),
            basic(text, ""),
            basic(
                &format!("Till (key {})", &key.id[key.id.len() - 12..]),
                "api key",
            ),
        ] {
            let refused = app.get("/api/v1/me").by(&wrong).send().await;
            refused.problem(401, "incorrect_credentials");
        }
        app.house.clock.advance(Duration::from_secs(60));
        me(&app, &key).await.problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_ends_here_at_once_and_elsewhere_within_five_seconds() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let key = make(&app, &manager, new_key(&[store], &["menu:read"])).await;
        let elsewhere = app.another();
        me(&app, &key).await.ok();
        me(&elsewhere, &key).await.ok();
        let path = format!("{KEYS}/{}", key.id);
        for _ in 0..2 {
            let revoked = app.ask("DELETE", &path).by(&manager).send().await;
            assert_eq!(revoked.status.as_u16(), 204, "{}", revoked.text);
        }
        me(&app, &key).await.problem(401, "incorrect_credentials");
        app.house.clock.advance(Duration::from_secs(5));
        me(&elsewhere, &key)
            .await
            .problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn a_key_ends_with_its_maker() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let root = app.signed_in("root", Role::Operator, &[]).await;
        let mia = app.account("mia", Role::Manager, &[store]).await;
        let (mias, roots) = (
            make(&app, &app.bearer(&mia), new_key(&[store], &["menu:read"])).await,
            make(&app, &root, new_key(&[store], &["menu:read"])).await,
        );
        me(&app, &mias).await.ok();
        let path = format!("/api/v1/users/{}", mia.id);
        let disabled = app.patch(&path, json!({"disabled": true})).by(&root);
        disabled.send().await.ok();
        me(&app, &mias).await.problem(401, "incorrect_credentials");
        me(&app, &roots).await.ok();
        // Its account is no user that could be enabled again or given a password.
        let path = format!("/api/v1/users/{}", mias.id);
        for change in [
            json!({"disabled": false}),
            json!({"password": "open sesame"}),
        ] {
            let changed = app.patch(&path, change).by(&root).send().await;
            changed.problem(404, "not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn managers_make_see_and_revoke_keys_of_their_own_stores() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let root = app.signed_in("root", Role::Operator, &[]).await;
        let mia = app.signed_in("mia", Role::Manager, &[ours]).await;
        let max = app.signed_in("max", Role::Manager, &[ours, theirs]).await;
        let staff = app.signed_in("sam", Role::Staff, &[ours, theirs]).await;
        let new = |stores: &[StoreId]| new_key(stores, &["menu:read"]);
        for (by, stores, status) in [
            (&mia, &[theirs][..], 404),
            (&mia, &[ours, theirs], 404),
            (&staff, &[ours], 403),
        ] {
            let refused = app.post(KEYS, new(stores)).by(by).send().await;
            assert_eq!(refused.status.as_u16(), status, "{}", refused.text);
        }
        let (both, one) = (
            make(&app, &max, new(&[ours, theirs])).await,
            make(&app, &root, new(&[ours])).await,
        );
        let hidden = make(&app, &root, new(&[theirs])).await;
        let seen = async |by: &str| {
            let listed = app.get(KEYS).by(by).send().await.ok();
            let items = listed["items"].as_array().unwrap().clone();
            items
                .iter()
                .map(|key| key["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(seen(&mia).await, [both.id.clone(), one.id.clone()]);
        assert_eq!(seen(&root).await.len(), 3);
        let revoke = async |by: &str, key: &Key| {
            let path = format!("{KEYS}/{}", key.id);
            app.ask("DELETE", &path).by(by).send().await.status.as_u16()
        };
        assert_eq!(revoke(&mia, &hidden).await, 404);
        assert_eq!(revoke(&mia, &both).await, 403);
        assert_eq!(revoke(&mia, &one).await, 204);
        assert_eq!(revoke(&max, &both).await, 204);
        assert_eq!(revoke(&staff, &hidden).await, 403);
        assert_eq!(revoke(&root, &hidden).await, 204);
        assert_eq!(seen(&root).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_refused_with_the_field() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let root = app.signed_in("root", Role::Operator, &[]).await;
        let with = |field: &str, value: Value| {
            let mut new = new_key(&[store], &["menu:read"]);
            new[field] = value;
            new
        };
        for (new, pointer) in [
            (with("name", json!("  ")), "/name"),
            (with("name", json!("x".repeat(61))), "/name"),
            (with("store_ids", json!([])), "/store_ids"),
            (with("store_ids", json!([NOWHERE])), "/store_ids"),
            (with("actions", json!([])), "/actions"),
            (with("actions", json!(["orders:delete"])), "/actions/0"),
            (
                with("actions", json!(["menu:read", "menu:read"])),
                "/actions",
            ),
            (
                with("expires_at", json!("2020-01-01T00:00:00Z")),
                "/expires_at",
            ),
            (with("role", json!("operator")), "/role"),
        ] {
            let refused = app.post(KEYS, new).by(&root).send().await;
            assert_eq!(refused.pointers(), [pointer]);
        }
    })
    .await;
}

#[tokio::test]
async fn orders_references_and_idempotency_keys_are_each_keys_own() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let actions = ["orders:write", "orders:read"];
        let (a, b) = (
            make(&app, &manager, new_key(&[store], &actions)).await,
            make(&app, &manager, new_key(&[store], &actions)).await,
        );
        let place = async |key: &Key, idempotency: &str| {
            let order = json!({
                "store_id": store, "fulfilment": "pickup", "reference": "R-1",
                "items": [{"product_id": product, "quantity": 1}],
            });
            let ask = app.post("/api/v1/orders", order).by(&key.bearer);
            ask.header("idempotency-key", idempotency).send().await
        };
        let (first, second) = (place(&a, "k").await.ok(), place(&b, "k").await.ok());
        assert_ne!(first["id"], second["id"]);
        assert_eq!(place(&a, "k").await.ok()["id"], first["id"]);
        place(&a, "k-2").await.problem(409, "duplicate_order");
    })
    .await;
}

#[tokio::test]
async fn the_last_use_is_written_beside_the_request() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let key = make(&app, &manager, new_key(&[store], &["menu:read"])).await;
        let last_used = async || {
            let listed = app.get(KEYS).by(&manager).send().await.ok();
            listed["items"][0]["last_used_at"].clone()
        };
        assert_eq!(last_used().await, Value::Null);
        me(&app, &key).await.ok();
        let used = tokio::time::timeout(TEST_TIMEOUT, async {
            loop {
                match last_used().await {
                    Value::Null => tokio::task::yield_now().await,
                    used => break used,
                }
            }
        });
        assert!(used.await.expect("the use is written").is_string());
    })
    .await;
}
