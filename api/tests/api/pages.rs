//! Pages that a setting enables, and those that the server fills in.

use std::time::Duration;

use domain::account::Role;
use http::StatusCode;
use serde_json::json;

use crate::app::{App, with_app, with_app_configured};

const FILES: [&str; 3] = [
    "/debug/sessions/ac35940dff4d472ce4801a154de92406f3163565",
    "/debug/session.html",
    "/debug/session.js",
];

#[tokio::test]
async fn the_debug_page_is_there_only_where_it_is_wanted() {
    with_app(async |app: App| {
        for path in FILES {
            app.get(path).send().await.problem(404, "not_found");
        }
    })
    .await;
    let settings = [("http.debug_pages", "true")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app: App| {
            let page = app.get(FILES[0]).send().await;
            assert!(
                page.status.is_success() && page.text.contains("live channel"),
                "{}",
                page.text
            );
            let policy = page.header("content-security-policy");
            assert!(
                policy.contains("default-src 'self'") && !policy.contains("unsafe"),
                "{policy}"
            );
            for file in ["/debug/session.js", "/debug/session.css"] {
                assert!(page.text.contains(file), "{file}");
                assert!(app.get(file).send().await.status.is_success(), "{file}");
            }
            let wrong = app.ask("POST", FILES[0]).send().await;
            wrong.problem(405, "incorrect_access_method");
            assert_eq!(wrong.header("allow"), "GET, HEAD");
        },
    )
    .await;
}

#[tokio::test]
async fn a_guests_page_has_the_names_of_its_store_and_table_before_any_script_runs() {
    with_app(async |app: App| {
        let code = a_table(&app, "Table <1> {{store}} & \"co\"").await;
        let page = app.get(&format!("/s/{code}")).send().await;
        assert_eq!(page.status, StatusCode::OK);
        let name = "Table &lt;1&gt; {{store}} &amp; &quot;co&quot;";
        assert!(
            page.text.contains(&format!("<p>{name}</p>")),
            "{}",
            page.text
        );
        assert!(page.text.contains("ask the staff") && !page.text.contains("{{table}}"));
        assert!(
            !page.text.contains(&code),
            "the address has the code, and nothing else"
        );
        assert_eq!(page.header("cache-control"), "no-cache");
        let again = app
            .get(&format!("/s/{code}"))
            .header("if-none-match", page.header("etag"));
        assert_eq!(again.send().await.status, StatusCode::NOT_MODIFIED);
    })
    .await;
}

#[tokio::test]
async fn a_code_that_is_unknown_or_ended_has_a_page_without_names() {
    with_app(async |app: App| {
        let code = a_table(&app, "Table 1").await;
        let unknown = app.get("/s/x").send().await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        let session = app.house.ledger.session_by_code(&code).await.unwrap();
        let id = session.expect("it is open").id;
        app.house.ledger.close_session(id).await.unwrap();
        let closed = app.get(&format!("/s/{code}")).send().await;
        assert!(closed.status.is_success() && closed.text.contains("Table 1"));
        app.house.clock.advance(Duration::from_hours(25));
        let ended = app.get(&format!("/s/{code}")).send().await;
        assert_eq!(ended.status, StatusCode::GONE);
        for page in [unknown, ended] {
            assert!(page.text.contains("<h1>Expediter</h1>"), "{}", page.text);
            assert!(!page.text.contains("Table 1"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_a_browser_has_already_keeps_its_policy() {
    with_app(async |app: App| {
        let table = format!("/s/{}", a_table(&app, "Table 1").await);
        for path in ["/", "/panel", "/panel/kitchen", "/board", &table] {
            let page = app.get(path).send().await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            let again = app.get(path).header("if-none-match", page.header("etag"));
            let again = again.send().await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
            let policy = "content-security-policy";
            assert_eq!(again.header(policy), page.header(policy), "{path}");
            assert!(page.header(policy).contains("'self'"), "{path}");
        }
    })
    .await;
}

/// Opens a table at a new store and returns its code.
async fn a_table(app: &App, name: &str) -> String {
    let store = app.house.create_store().await;
    let staff = app.signed_in("sam", Role::Staff, &[store]).await;
    let body = json!({"store_id": store.uuid(), "name": name});
    let opened = app.post("/api/v1/sessions", body).by(&staff).send().await;
    opened.ok()["code"].as_str().unwrap().to_owned()
}
