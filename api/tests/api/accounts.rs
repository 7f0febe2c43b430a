//! Tests which accounts a caller may see, create and change.

use domain::{account::Role, ids::StoreId};
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, basic, with_app, with_app_configured};

const USERS: &str = "/api/v1/users";

fn new(username: &str, role: &str, stores: &[StoreId]) -> Value {
    let stores: Vec<String> = stores.iter().map(ToString::to_string).collect();
    json!({"username": username, "password": PASSWORD, "role": role, "stores": stores})
}

async fn make(app: &App, by: &str, user: Value) -> Answer {
    app.post(USERS, user).by(by).send().await
}

#[tokio::test]
async fn an_operator_makes_anybody() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        for (name, role, stores) in [
            ("o", "operator", &[][..]),
            ("m", "manager", &[store]),
            ("s", "staff", &[store]),
            ("c", "customer", &[]),
        ] {
            let answer = make(&app, &operator, new(name, role, stores)).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
            assert_eq!(answer.json()["role"], role);
            assert!(!answer.text.contains("argon2"), "{}", answer.text);
        }
        app.get("/api/v1/me")
            .by(&basic("s", PASSWORD))
            .send()
            .await
            .ok();
    })
    .await;
}

#[tokio::test]
async fn a_manager_makes_staff_of_its_own_stores_only() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let manager = app.signed_in("mia", Role::Manager, &[ours]).await;
        let made = make(&app, &manager, new("sam", "staff", &[ours])).await;
        assert_eq!(made.status, 201);
        for (role, stores) in [
            ("staff", &[theirs][..]),
            ("staff", &[ours, theirs]),
            ("manager", &[ours]),
            ("operator", &[]),
            ("customer", &[]),
        ] {
            let answer = make(&app, &manager, new("x", role, stores)).await;
            answer.problem(403, "forbidden");
        }
    })
    .await;
}

#[tokio::test]
async fn others_make_nobody_unless_registration_is_open() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        make(&app, &staff, new("x", "staff", &[store]))
            .await
            .problem(403, "forbidden");
        make(&app, &staff, new("x", "customer", &[]))
            .await
            .problem(403, "forbidden");
        let answer = app.post(USERS, new("x", "customer", &[])).send().await;
        answer.problem(403, "registration_closed");
        let answer = app.post(USERS, new("x", "operator", &[])).send().await;
        answer.problem(401, "incorrect_credentials");
    })
    .await;
    let open = [("accounts.open_registration", "true")];
    with_app_configured(
        &open,
        |routes| routes,
        async |app: App| {
            let answer = app.post(USERS, new("cora", "customer", &[])).send().await;
            assert_eq!(answer.status, 201, "{}", answer.text);
            let answer = app.post(USERS, new("eve", "operator", &[])).send().await;
            answer.problem(401, "incorrect_credentials");
        },
    )
    .await;
}

#[tokio::test]
async fn a_username_is_taken_once_whatever_its_case() {
    with_app(async |app: App| {
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        make(&app, &operator, new("anna", "customer", &[]))
            .await
            .ok();
        let answer = make(&app, &operator, new("anna", "customer", &[])).await;
        answer.problem(409, "duplicate_user");
        let answer = make(&app, &operator, new("Anna", "customer", &[])).await;
        answer.problem(409, "duplicate_user");
    })
    .await;
}

#[tokio::test]
async fn an_account_that_makes_no_sense_is_refused_with_the_field() {
    with_app(async |app: App| {
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        let store = app.house.create_store().await;
        let nowhere: StoreId = app.house.chance.id(app.house.clock.now());
        for (user, pointer) in [
            (new("x", "staff", &[]), "/stores"),
            (new("x", "customer", &[store]), "/stores"),
            (new("x", "staff", &[nowhere]), "/stores"),
            (new("x", "integrator", &[]), "/integrator_ids"),
            (new("x y", "customer", &[]), "/username"),
            (
                json!({"username": "x", "password": "short", "role": "customer"}),
                "/password",
            ),
            (
                json!({"username": "x", "password": PASSWORD, "role": "king"}),
                "/role",
            ),
            (
                json!({"username": "x", "password": PASSWORD, "role": "customer", "stores": ["y"]}),
                "/stores/0",
            ),
        ] {
            let answer = make(&app, &operator, user).await;
            assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_paged_and_managers_see_those_of_their_stores() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        let manager = app.signed_in("mia", Role::Manager, &[ours]).await;
        app.account("sam", Role::Staff, &[ours, theirs]).await;
        app.account("tom", Role::Staff, &[theirs]).await;
        let mut seen = Vec::new();
        let mut path = format!("{USERS}?limit=3");
        loop {
            let page = app.get(&path).by(&operator).send().await.ok();
            let names = page["items"].as_array().unwrap().iter();
            seen.extend(names.map(|user| user["username"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("{USERS}?limit=3&cursor={cursor}");
        }
        assert_eq!(seen, ["root", "mia", "sam", "tom"]);
        let page = app.get(USERS).by(&manager).send().await.ok();
        let names: Vec<_> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| &user["username"])
            .collect();
        assert_eq!(names, ["mia", "sam"]);
        let staff = basic("sam", PASSWORD);
        app.get(USERS)
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("cursor=x", "cursor"),
        ] {
            let answer = app
                .get(&format!("{USERS}?{query}"))
                .by(&operator)
                .send()
                .await;
            assert_eq!(answer.pointers(), [name]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_manager_changes_staff_of_its_own_stores_only() {
    with_app(async |app: App| {
        let (ours, theirs) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let manager = app.signed_in("mia", Role::Manager, &[ours]).await;
        let own = app.account("sam", Role::Staff, &[ours]).await;
        let shared = app.account("sue", Role::Staff, &[ours, theirs]).await;
        let other = app.account("tom", Role::Staff, &[theirs]).await;
        let chief = app.account("max", Role::Manager, &[ours]).await;
        let change = async |id: &dyn std::fmt::Display, body: Value| {
            app.patch(&format!("{USERS}/{id}"), body)
                .by(&manager)
                .send()
                .await
        };
        let changed = change(&own.id, json!({"disabled": true})).await.ok();
        assert_eq!(changed["disabled"], true);
        change(
            &own.id,
            json!({"disabled": false, "password": "another one"}),
        )
        .await
        .ok();
        app.get("/api/v1/me")
            .by(&basic("sam", "another one"))
            .send()
            .await
            .ok();
        let disable = || json!({"disabled": true});
        change(&shared.id, disable())
            .await
            .problem(403, "forbidden");
        change(&chief.id, disable()).await.problem(403, "forbidden");
        change(&other.id, disable()).await.problem(404, "not_found");
        change(&"no-id", disable()).await.problem(404, "not_found");
        change(&own.id, json!({"role": "manager"}))
            .await
            .problem(403, "forbidden");
        let stores = json!({"stores": [theirs.to_string()]});
        change(&own.id, stores).await.problem(403, "forbidden");
        assert_eq!(
            change(&own.id, json!({"username": "x"})).await.pointers(),
            ["/username"]
        );
    })
    .await;
}

#[tokio::test]
async fn an_operator_changes_roles_and_stores_but_does_not_lock_itself_out() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let root = app.account("root", Role::Operator, &[]).await;
        let sam = app.account("sam", Role::Staff, &[store]).await;
        let by = app.bearer(&root);
        let change = async |id: &dyn std::fmt::Display, body: Value| {
            app.patch(&format!("{USERS}/{id}"), body)
                .by(&by)
                .send()
                .await
        };
        let promoted = change(&sam.id, json!({"role": "manager"})).await.ok();
        assert_eq!(promoted["role"], "manager");
        let answer = change(&sam.id, json!({"role": "customer"})).await;
        assert_eq!(answer.pointers(), ["/stores"]);
        change(&sam.id, json!({"role": "customer", "stores": []}))
            .await
            .ok();
        change(&root.id, json!({"disabled": true}))
            .await
            .problem(403, "forbidden");
        change(&root.id, json!({"role": "customer"}))
            .await
            .problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn what_an_account_always_has_is_not_emptied() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let operator = app.signed_in("root", Role::Operator, &[]).await;
        let sam = make(&app, &operator, new("sam", "staff", &[store])).await.ok();
        let path = format!("{USERS}/{}", sam["id"].as_str().unwrap());
        let nothing = json!({"disabled": null, "role": null, "stores": null, "integrator_ids": null, "password": null});
        let mut pointers = app.patch(&path, nothing).by(&operator).send().await.pointers();
        pointers.sort();
        assert_eq!(pointers, ["/disabled", "/integrator_ids", "/password", "/role", "/stores"]);
        // A refused patch changes nothing.
        let half = json!({"disabled": true, "stores": null});
        let refused = app.patch(&path, half).by(&operator).send().await;
        assert_eq!(refused.pointers(), ["/stores"]);
        let same = app.patch(&path, json!({})).by(&operator).send().await;
        assert_eq!(same.ok(), sam);
    })
    .await;
}

#[tokio::test]
async fn the_own_password_is_changed_with_the_old_one_only() {
    with_app(async |app: App| {
        let anna = app.account("anna", Role::Customer, &[]).await;
        let change = json!({"password": "wrong", "new_password": "something else"});
        let answer = app
            .post("/api/v1/me/password", change)
            .by(&app.bearer(&anna))
            .send()
            .await;
        assert_eq!(answer.pointers(), ["/password"]);
        app.get("/api/v1/me")
            .by(&basic("anna", PASSWORD))
            .send()
            .await
            .ok();
    })
    .await;
}
