//! External services of seed 000 behind HTTP: their requests, and the handling of their responses.

mod exchange;
mod fake;
mod products;

use domain::{
    account::{Account, Role},
    ids::StoreId,
};
use ledger::accounts::AccountChange;
use serde_json::{Value, json};

use self::fake::{Fake, Reply, enveloped, invalid_responses, nowhere};
use crate::app::{Answer, App, with_app_configured};

const CODE: &str = "ac35940dff4d472ce4801a154de92406f3163565";
const SERVICES: [(&str, &str); 4] = [
    ("verification", "verification_service_unavailable"),
    ("locations", "locations_service_unavailable"),
    ("codes", "code_service_unavailable"),
    ("products", "products_service_unavailable"),
];

/// Store with location id 7, and a staff account that is user 1 of the verification service.
struct Place<'a> {
    app: &'a App,
    store: StoreId,
    account: Account,
    staff: String,
}

impl<'a> Place<'a> {
    async fn new(app: &'a App) -> Self {
        let linked = app.house.create_store_with(|store| {
            store.external_location_id = Some("7".to_owned());
        });
        let store = linked.await;
        let account = app.account("sam", Role::Staff, &[store]).await;
        let ledger = &app.house.ledger;
        ledger
            .link_external_identity(account.id, "1")
            .await
            .unwrap();
        let staff = app.bearer(&account);
        Self {
            app,
            store,
            account,
            staff,
        }
    }

    async fn opens(&self, name: &str) -> Answer {
        let body = json!({"store_id": self.store, "name": name});
        let asked = self.app.post("/api/v1/sessions", body);
        asked.by(&self.staff).send().await
    }

    async fn menu(&self) -> Answer {
        let path = format!("/api/v1/stores/{}/menu", self.store);
        self.app.get(&path).by(&self.staff).send().await
    }

    /// Sends a request that needs the given service.
    async fn needs(&self, service: &str) -> Answer {
        match service {
            "verification" => exchange(self.app, json!(1)).await,
            "products" => self.menu().await,
            _ => self.opens("Table 1").await,
        }
    }
}

async fn exchange(app: &App, user_id: Value) -> Answer {
    let body = json!({"user_id": user_id, "session_key": "rjl9y6x6b35towopj9qp65mgj3xdq07c"});
    app.post("/api/v1/token/exchange", body).send().await
}

/// Runs a test against an app that uses the service at this URL.
async fn with_service<F: Future<Output = ()>>(
    service: &str,
    url: &str,
    body: impl FnOnce(App) -> F,
) {
    let key = format!("outside.{service}_url");
    let settings = [(key.as_str(), url), ("outside.timeout_ms", "300")];
    with_app_configured(&settings, |routes| routes, body).await;
}

#[tokio::test]
async fn whatever_is_no_answer_is_that_services_503_and_changes_nothing() {
    for (service, reason) in SERVICES {
        let fake = Fake::start().await;
        with_service(service, &fake.url.clone(), async |app: App| {
            let place = Place::new(&app).await;
            for (what, says) in invalid_responses() {
                fake.says(says);
                let answer = place.needs(service).await;
                assert_eq!(
                    answer.status.as_u16(),
                    503,
                    "{service} {what}: {}",
                    answer.text
                );
                answer.problem(503, reason);
                assert_eq!(answer.header("retry-after"), "1");
                assert_eq!(fake.heard().len(), 1, "{service} {what} is asked once");
            }
            let list = format!("/api/v1/sessions?store_id={}", place.store);
            let open = app.get(&list).by(&place.staff).send().await.ok();
            assert_eq!(open["items"], json!([]), "{service}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_service_where_nobody_listens_is_its_503() {
    for (service, reason) in SERVICES {
        with_service(service, &nowhere().await, async |app: App| {
            let place = Place::new(&app).await;
            place.needs(service).await.problem(503, reason);
        })
        .await;
    }
}

#[tokio::test]
async fn a_verified_user_is_signed_in_as_the_account_that_it_is() {
    let fake = Fake::start().await;
    let url = format!("{}/verification/verify/", fake.url);
    with_service("verification", &url, async |app: App| {
        let place = Place::new(&app).await;
        for says in [
            Reply::Answer(200, r#"{"success": true}"#.to_owned()),
            Reply::Answer(200, "{}".to_owned()),
            Reply::Answer(204, String::new()),
        ] {
            fake.says(says);
            let tokens = exchange(&app, json!(1)).await.ok();
            assert_eq!(fake.heard()[0].line, "POST /verification/verify/");
            let bearer = format!("Bearer {}", tokens["access"].as_str().unwrap());
            let me = app.get("/api/v1/me").by(&bearer).send().await.ok();
            assert_eq!(me["username"], "sam");
        }
        // The service receives the id as the client sent it, as a number or a string.
        for user_id in [json!(1), json!("1")] {
            exchange(&app, user_id.clone()).await.ok();
            let key = "rjl9y6x6b35towopj9qp65mgj3xdq07c";
            assert_eq!(
                fake.heard()[0].body,
                json!({"user_id": user_id, "session_key": key})
            );
        }
        let refused = async |user: Value| {
            exchange(&app, user)
                .await
                .problem(401, "incorrect_credentials");
        };
        // Verified, but no account belongs to this user.
        refused(json!(2)).await;
        for (status, body) in [(403, ""), (401, "{}"), (200, r#"{"success": false}"#)] {
            fake.says(Reply::Answer(status, body.to_owned()));
            refused(json!(1)).await;
        }
        fake.says(Reply::Answer(200, String::new()));
        let disabled = AccountChange {
            disabled: Some(true),
            ..AccountChange::default()
        };
        let ledger = &app.house.ledger;
        ledger
            .change_account(place.account.id, &disabled, |_| Ok(()))
            .await
            .unwrap();
        refused(json!(1)).await;
    })
    .await;
}

#[tokio::test]
async fn a_location_opens_sessions_for_its_owner_alone() {
    let fake = Fake::start().await;
    with_service(
        "locations",
        &format!("{}/locations", fake.url),
        async |app: App| {
            let place = Place::new(&app).await;
            for (name, answer) in [
                ("1", json!({"user_id": 1, "name": "Corner"})),
                ("2", json!({"user_id": "1"})),
                ("3", enveloped(&json!({"user_id": 1}))),
            ] {
                fake.says_json(200, &answer);
                place.opens(name).await.ok();
                assert_eq!(fake.lines(), ["GET /locations/get/7/"]);
            }
            fake.says_json(200, &json!({"user_id": 2}));
            place.opens("4").await.problem(403, "forbidden");
            // The role decides for an account that is not one of the service's users.
            let own = app.signed_in("ola", Role::Staff, &[place.store]).await;
            let body = json!({"store_id": place.store, "name": "5"});
            app.post("/api/v1/sessions", body)
                .by(&own)
                .send()
                .await
                .ok();
            for (status, body) in [(404, ""), (200, r#"{"success": false}"#)] {
                fake.says(Reply::Answer(status, body.to_owned()));
                place.opens("6").await.problem(404, "not_found");
            }
            fake.heard();
            // The service is not asked about a store that is not a location.
            let store = app.house.create_store().await;
            let staff = app.signed_in("kim", Role::Staff, &[store]).await;
            let body = json!({"store_id": store, "name": "1"});
            app.post("/api/v1/sessions", body)
                .by(&staff)
                .send()
                .await
                .ok();
            assert_eq!(fake.lines(), Vec::<String>::new());
        },
    )
    .await;
}

#[tokio::test]
async fn codes_come_from_the_service_and_a_taken_one_is_drawn_again() {
    let fake = Fake::start().await;
    let drawn = |code: &str| Reply::Answer(200, json!({"value": code}).to_string());
    with_service("codes", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        fake.says_json(201, &enveloped(&json!({"value": CODE})));
        assert_eq!(place.opens("1").await.ok()["code"], CODE);
        assert_eq!(fake.lines(), ["GET /new/"]);
        // No code is drawn if the session's name is taken.
        place.opens("1").await.problem(409, "duplicate_session");
        assert_eq!(fake.lines(), Vec::<String>::new());

        let second = "b".repeat(40);
        fake.says_in_turn([drawn(CODE), drawn(CODE), drawn(&second)]);
        assert_eq!(place.opens("2").await.ok()["code"], second);
        assert_eq!(fake.lines().len(), 3);
        place
            .opens("3")
            .await
            .problem(503, "code_service_unavailable");
        assert_eq!(fake.lines().len(), 5);

        let renew = format!("/api/v1/sessions/{CODE}/code");
        fake.says_in_turn([drawn(&second), drawn(&"c".repeat(40))]);
        let renewed = app.ask("POST", &renew).by(&place.staff).send().await.ok();
        assert_eq!(renewed["code"], "c".repeat(40));
        for nonsense in ["", "c0ffee", &"g".repeat(40), &"a".repeat(41)] {
            fake.says(drawn(nonsense));
            place
                .opens("3")
                .await
                .problem(503, "code_service_unavailable");
        }
        for (status, body) in [(200, r#"{"success": false}"#), (404, ""), (403, "{}")] {
            fake.says(Reply::Answer(status, body.to_owned()));
            place
                .opens("3")
                .await
                .problem(503, "code_service_unavailable");
        }
    })
    .await;
}

#[tokio::test]
async fn only_an_operator_says_which_location_a_store_is() {
    with_app_configured(
        &[],
        |routes| routes,
        async |app: App| {
            let store = app.house.create_store().await;
            let path = format!("/api/v1/stores/{store}");
            let manager = app.signed_in("max", Role::Manager, &[store]).await;
            let operator = app.signed_in("oz", Role::Operator, &[]).await;
            let wish = json!({"external_location_id": 7});
            let refused = app.patch(&path, wish.clone()).by(&manager).send().await;
            refused.problem(403, "forbidden");
            let linked = app.patch(&path, wish).by(&operator).send().await.ok();
            assert_eq!(linked["external_location_id"], "7");
            for wrong in [
                json!(-1),
                json!(1.5),
                json!(""),
                json!("a/b"),
                json!(".."),
                json!([]),
            ] {
                let wish = json!({"external_location_id": wrong});
                let answer = app.patch(&path, wish).by(&operator).send().await;
                assert_eq!(answer.pointers(), ["/external_location_id"], "{wrong}");
            }
            let unlinked = app.patch(&path, json!({"external_location_id": null}));
            let unlinked = unlinked.by(&operator).send().await.ok();
            assert_eq!(unlinked["external_location_id"], Value::Null);
        },
    )
    .await;
}
