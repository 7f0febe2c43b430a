//! The operations of integrator accounts, and that they have no others.

use api::access::{Access, FOR_INTEGRATORS, OPERATIONS};
use domain::{
    account::Role,
    ids::{IntegratorId, StoreId},
};
use ledger::{
    accounts::{AccountChange, NewAccount},
    testing::fixtures::new_account,
};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, PASSWORD, basic, with_app},
    callbacks::{a_kitchen, an_order},
};

const USERS: &str = "/api/v1/users";

fn speaker(username: &str, integrators: &[IntegratorId]) -> Value {
    json!({"username": username, "password": PASSWORD, "role": "integrator", "integrator_ids": integrators})
}

/// Returns the `Authorization` of an account that acts for these integrators.
pub(crate) async fn sign_in_integrator(
    app: &App,
    username: &str,
    integrators: &[IntegratorId],
) -> String {
    let new = NewAccount {
        integrators: integrators.to_vec(),
        ..new_account(username, Role::Integrator)
    };
    app.bearer(&app.house.ledger.create_account(&new).await.unwrap())
}

async fn make(app: &App, by: &str, user: Value) -> Answer {
    app.post(USERS, user).by(by).send().await
}

#[tokio::test]
async fn a_manager_makes_accounts_for_integrators_of_its_own_stores_and_ends_them() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let manager = app.signed_in("mia", Role::Manager, &[ours]).await;
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        let kitchen = a_kitchen(&app, ours).await.id;
        let other = a_kitchen(&app, theirs).await.id;
        let made = make(&app, &manager, speaker("pos", &[kitchen])).await.ok();
        assert_eq!(made["integrator_ids"], json!([kitchen]));
        let me = app
            .get("/api/v1/me")
            .by(&basic("pos", PASSWORD))
            .send()
            .await
            .ok();
        assert_eq!(me["integrator_ids"], json!([kitchen]));
        make(&app, &manager, speaker("x", &[other]))
            .await
            .problem(403, "forbidden");
        make(&app, &manager, speaker("x", &[kitchen, other]))
            .await
            .problem(403, "forbidden");
        let nobody: IntegratorId = app.house.chance.id(app.house.clock.now());
        let answer = make(&app, &operator, speaker("x", &[nobody])).await;
        assert_eq!(answer.pointers(), ["/integrator_ids"]);
        let answer = make(&app, &operator, speaker("x", &[])).await;
        assert_eq!(answer.pointers(), ["/integrator_ids"]);
        let mut staff = speaker("x", &[kitchen]);
        staff["role"] = json!("staff");
        staff["stores"] = json!([ours]);
        assert_eq!(
            make(&app, &manager, staff).await.pointers(),
            ["/integrator_ids"]
        );

        make(&app, &operator, speaker("both", &[kitchen, other]))
            .await
            .ok();
        let list = app.get(USERS).by(&manager).send().await.ok();
        let names = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["username"].clone());
        assert_eq!(names.collect::<Vec<_>>(), ["mia", "pos", "both"]);
        let path =
            |index: usize| format!("{USERS}/{}", list["items"][index]["id"].as_str().unwrap());
        let change =
            async |path: &str, body: Value| app.patch(path, body).by(&manager).send().await;
        // This account also belongs to another store: the manager may see it, not change it.
        change(&path(2), json!({"disabled": true}))
            .await
            .problem(403, "forbidden");
        let more = json!({"integrator_ids": [kitchen, other]});
        change(&path(1), more).await.problem(403, "forbidden");
        change(&path(1), json!({"disabled": true})).await.ok();
        let answer = app
            .get("/api/v1/me")
            .by(&basic("pos", PASSWORD))
            .send()
            .await;
        answer.problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_listed_for_integrators_is_refused_on_every_route() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await.id;
        let pos = sign_in_integrator(&app, "pos", &[kitchen]).await;
        let id = "01980000-0000-7000-8000-000000000000";
        for (method, pattern, access) in OPERATIONS {
            let segments = pattern.split('/').map(|segment| {
                if segment.starts_with('{') {
                    id
                } else {
                    segment
                }
            });
            let path = format!("/api/v1{}", segments.collect::<Vec<_>>().join("/"));
            let ask = app.ask(method, &path).by(&pos);
            let status = ask.json(json!({})).send().await.status.as_u16();
            let is_open = matches!(access, Access::Anyone | Access::Keyholder);
            if is_open || FOR_INTEGRATORS.contains(&(*method, *pattern)) {
                assert!(
                    status != 403 && status != 405,
                    "{method} {pattern} is open: {status}"
                );
            } else {
                assert_eq!(status, 403, "{method} {pattern}");
            }
        }
    })
    .await;
}

#[test]
fn what_is_listed_for_integrators_is_an_operation_that_takes_an_account() {
    for (method, pattern) in FOR_INTEGRATORS {
        let mut all = OPERATIONS.iter();
        let listed = all.find(|(a, b, _)| (a, b) == (method, pattern));
        let access = listed
            .unwrap_or_else(|| panic!("{method} {pattern} is no operation"))
            .2;
        assert!(
            !matches!(access, Access::Anyone | Access::Keyholder),
            "{method} {pattern}"
        );
    }
}

async fn create_product(app: &App, store: StoreId) -> String {
    let product = app.house.create_product(store).await;
    format!("/api/v1/products/{product}")
}

#[tokio::test]
async fn it_says_what_is_available_in_its_own_stores_and_sees_no_others() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let kitchen = a_kitchen(&app, ours).await.id;
        let pos = sign_in_integrator(&app, "pos", &[kitchen]).await;
        let (own, other) = (
            create_product(&app, ours).await,
            create_product(&app, theirs).await,
        );
        let say = async |path: &str| {
            app.patch(path, json!({"available": false}))
                .by(&pos)
                .send()
                .await
        };
        assert_eq!(say(&own).await.ok()["available"], false);
        say(&other).await.problem(404, "not_found");
        let recount = async |path: &str| {
            let delta = json!({"delta": 4, "reason": "counted"});
            app.post(&format!("{path}/stock"), delta)
                .by(&pos)
                .send()
                .await
        };
        assert_eq!(recount(&own).await.ok()["stock"], 4);
        recount(&other).await.problem(404, "not_found");
        let rename = app.patch(&own, json!({"name": "x"})).by(&pos).send().await;
        rename.problem(403, "forbidden");
        let list = async |store: StoreId| {
            let path = format!("/api/v1/products?store_id={store}");
            app.get(&path).by(&pos).send().await
        };
        assert_eq!(list(ours).await.ok()["items"].as_array().unwrap().len(), 1);
        list(theirs).await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn an_archived_integrators_account_may_nothing_more_at_its_store() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let kitchen = a_kitchen(&app, store).await.id;
        let pos = sign_in_integrator(&app, "pos", &[kitchen]).await;
        let product = create_product(&app, store).await;
        app.get(&product).by(&pos).send().await.ok();
        let path = format!("/api/v1/integrators/{kitchen}");
        let archived = app.ask("DELETE", &path).by(&manager).send().await;
        assert!(archived.status.is_success(), "{}", archived.text);
        app.house.clock.advance(std::time::Duration::from_secs(5));
        app.get(&product)
            .by(&pos)
            .send()
            .await
            .problem(404, "not_found");
        // The account can still be disabled, and keeps its name and role.
        let account = app
            .house
            .ledger
            .credentials("pos")
            .await
            .unwrap()
            .unwrap()
            .account;
        let disabled = AccountChange {
            disabled: Some(true),
            ..AccountChange::default()
        };
        let changed = app
            .house
            .ledger
            .change_account(account.id, &disabled, |_| Ok(()));
        assert!(changed.await.unwrap().disabled);
    })
    .await;
}

#[tokio::test]
async fn it_reads_its_own_handoffs_and_their_orders_and_no_others() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await.id;
        let order = an_order(&app, store).await;
        // Created after the order, so it has no handoff of it.
        let other = a_kitchen(&app, store).await.id;
        let pos = sign_in_integrator(&app, "pos", &[kitchen]).await;
        let stranger = sign_in_integrator(&app, "stranger", &[other]).await;
        let both = sign_in_integrator(&app, "both", &[kitchen, other]).await;
        let get = async |path: &str, by: &str| {
            let path = format!("/api/v1{path}");
            app.get(&path).by(by).send().await
        };

        let list = get("/handoffs", &pos).await.ok();
        let handoffs = list["items"].as_array().unwrap();
        assert_eq!(
            (handoffs.len(), &handoffs[0]["integrator_id"]),
            (1, &json!(kitchen))
        );
        assert_eq!(get("/handoffs", &stranger).await.ok()["items"], json!([]));
        let asked = format!("/handoffs?integrator_id={kitchen}");
        assert_eq!(get(&asked, &both).await.ok(), list);
        get(&asked, &stranger).await.problem(404, "not_found");
        assert_eq!(get("/handoffs", &both).await.pointers(), ["integrator_id"]);

        let handoff = format!("/handoffs/{}", handoffs[0]["id"].as_str().unwrap());
        assert_eq!(get(&handoff, &pos).await.ok()["order_id"], json!(order));
        get(&handoff, &stranger).await.problem(404, "not_found");

        let order = format!("/orders/{order}");
        let seen = get(&order, &pos).await.ok();
        assert_eq!(
            (&seen["status"], &seen["next"]),
            (&json!("pending"), &json!([]))
        );
        get(&order, &stranger).await.problem(404, "not_found");
        let path = format!("/api/v1{order}/status");
        let moved = app.ask("PUT", &path).json(json!({"status": "accepted"}));
        moved.by(&pos).send().await.problem(403, "forbidden");
    })
    .await;
}
