//! Names as people read them, and usernames and passwords as keyboards write them.

use domain::{account::Role, ids::StoreId};
use serde_json::json;

use crate::app::{Answer, App, PASSWORD, basic, with_app};

const SESSIONS: &str = "/api/v1/sessions";
const USERS: &str = "/api/v1/users";

async fn open(app: &App, staff: &str, store: StoreId, name: &str) -> Answer {
    let body = json!({"store_id": store, "name": name});
    app.post(SESSIONS, body).by(staff).send().await
}

#[tokio::test]
async fn two_tables_never_have_names_that_people_take_for_the_same() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        for (first, twins) in [
            (
                "Caf\u{e9} S\u{fc}d",
                [
                    "Cafe\u{301} Su\u{308}d",
                    "CAF\u{c9} S\u{dc}D",
                    "caf\u{e9}\u{200b} s\u{fc}d",
                ],
            ),
            (
                "Table 9",
                ["Table\u{a0}9", "\u{feff}TABLE 9", "Table \u{ff19}"],
            ),
            ("Stra\u{df}e", ["STRASSE", "strasse", "Stra\u{1e9e}e"]),
        ] {
            let made = open(&app, &staff, store, first).await.ok();
            assert_eq!(made["name"], first, "shown as it was written");
            for twin in twins {
                let refused = open(&app, &staff, store, twin).await;
                refused.problem(409, "duplicate_session");
            }
        }
        for other in ["Cafe Sud", "Table 99", "Tisch 9"] {
            open(&app, &staff, store, other).await.ok();
        }
        // The longest key that a name can have fits its column.
        let long = "\u{fdfa}".repeat(100);
        open(&app, &staff, store, &long).await.ok();
        open(&app, &staff, store, &long)
            .await
            .problem(409, "duplicate_session");
    })
    .await;
}

#[tokio::test]
async fn no_name_has_control_characters_or_nothing_to_see() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let price = json!({"amount": 250, "currency": "EUR"});
        for wrong in ["a\nb", "\u{0}", "a\tb", "\u{7f}", "\u{85}x", "\u{202e}x", "x\u{2028}", "\u{200b}", "\u{3164}"] {
            for (path, body) in [
                (SESSIONS, json!({"store_id": store, "name": wrong})),
                ("/api/v1/products", json!({"store_id": store, "name": wrong, "price": price})),
                ("/api/v1/categories", json!({"store_id": store, "name": wrong})),
            ] {
                let answer = app.post(path, body).by(&manager).send().await;
                assert_eq!(answer.pointers(), ["/name"], "{path} {wrong:?}");
            }
            let path = format!("/api/v1/stores/{store}");
            let answer = app.patch(&path, json!({"name": wrong})).by(&manager).send().await;
            assert_eq!(answer.pointers(), ["/name"], "{wrong:?}");
        }
        // Texts of several lines stay what they are.
        let body = json!({"store_id": store, "name": "Tea \u{1f468}\u{200d}\u{1f469}", "price": price, "description": "hot\nand sweet"});
        app.post("/api/v1/products", body).by(&manager).send().await.ok();
    })
    .await;
}

#[tokio::test]
async fn no_two_usernames_differ_by_case_only() {
    with_app(async |app: App| {
        let operator = app.signed_in("Operator", Role::Operator, &[]).await;
        let make = async |username: &str| {
            let user = json!({"username": username, "password": PASSWORD, "role": "customer"});
            app.post(USERS, user).by(&operator).send().await
        };
        for taken in ["Operator", "operator", "OPERATOR", "oPERATOR"] {
            make(taken).await.problem(409, "duplicate_user");
        }
        make("operator1").await.ok();
        make("Anna@Example.org").await.ok();
        make("anna@example.org")
            .await
            .problem(409, "duplicate_user");
    })
    .await;
}

#[tokio::test]
async fn a_password_is_neither_the_username_nor_one_of_the_commonest() {
    with_app(async |app: App| {
        let operator = app.signed_in("operator.one", Role::Operator, &[]).await;
        for (wrong, username) in [
            ("password1", "eve"),
            ("PASSWORD1", "eve"),
            ("12345678", "eve"),
            ("eve@example.org", "eve@example.org"),
            ("EVE@example.org", "eve@example.org"),
        ] {
            let user = json!({"username": username, "password": wrong, "role": "customer"});
            let answer = app.post(USERS, user).by(&operator).send().await;
            assert_eq!(answer.pointers(), ["/password"], "{wrong}");
        }
        let anna = app.account("anna.anna", Role::Customer, &[]).await;
        for wrong in ["anna.anna", "Anna.Anna", "qwertyuiop"] {
            let path = format!("{USERS}/{}", anna.id);
            let answer = app.patch(&path, json!({"password": wrong})).by(&operator);
            assert_eq!(answer.send().await.pointers(), ["/password"], "{wrong}");
            let body = json!({"password": PASSWORD, "new_password": wrong});
            let answer = app.post("/api/v1/me/password", body).by(&app.bearer(&anna));
            assert_eq!(answer.send().await.pointers(), ["/new_password"], "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_is_right_however_the_keyboard_writes_its_letters() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let user = json!({"username": "anna", "password": "cre\u{300}me bru\u{302}le\u{301}e", "role": "customer"});
        app.post(USERS, user).by(&operator).send().await.ok();
        for typed in ["cr\u{e8}me br\u{fb}l\u{e9}e", "cre\u{300}me bru\u{302}le\u{301}e", "cr\u{e8}me bru\u{302}l\u{e9}e"] {
            let body = json!({"username": "anna", "password": typed});
            app.post("/api/v1/token", body).send().await.ok();
            app.get("/api/v1/me").by(&basic("anna", typed)).send().await.ok();
        }
        let body = json!({"username": "anna", "password": "creme brulee"});
        app.post("/api/v1/token", body).send().await.problem(401, "incorrect_credentials");
        let short = "e\u{301}".repeat(7);
        let user = json!({"username": "ben", "password": short, "role": "customer"});
        let answer = app.post(USERS, user).by(&operator).send().await;
        assert_eq!(answer.pointers(), ["/password"]);
    })
    .await;
}
