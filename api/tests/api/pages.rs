//! Pages that a setting enables.

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
