//! Pages that explain the reasons of problems.

use api::http::problem::Reason;
use serde_json::json;

use crate::app::{App, with_app};

#[tokio::test]
async fn every_reason_is_explained_to_programs_and_to_people() {
    with_app(async |app: App| {
        for reason in Reason::ALL {
            let path = format!("/problems/{}", reason.as_str());
            assert!(reason.help().len() > 20, "{path} has a help text");
            assert!(reason.help().ends_with('.'), "{path} ends in a full stop");
            let answer = app.get(&path).header("accept", "*/*").send().await;
            let told = answer.ok();
            assert_eq!(
                answer.header("content-type"),
                "application/json; charset=utf-8"
            );
            assert_eq!(told["type"], path);
            assert_eq!(told["status"], reason.status().as_u16());
            assert_eq!(
                (&told["title"], &told["help"]),
                (&json!(reason.title()), &json!(reason.help()))
            );
            for member in ["type", "title", "status", "reason"] {
                assert_eq!(told["example"][member], told[member], "{path}");
            }
            // `detail` is optional, and `paused` is a field of a store, not a member of a problem.
            for word in reason.help().split('`').skip(1).step_by(2) {
                let is_there = told["example"].get(word).is_some();
                assert!(
                    is_there || ["detail", "paused"].contains(&word),
                    "{path}: {word}"
                );
            }
            let browser = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
            let page = app.get(&path).header("accept", browser).send().await;
            assert_eq!(page.status, 200);
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            assert!(
                page.header("vary").contains("Accept"),
                "{}",
                page.header("vary")
            );
            assert!(
                page.header("content-security-policy")
                    .contains("frame-ancestors 'none'")
            );
            let read = page.text.replace("<code>", "`").replace("</code>", "`");
            let shown = |text: &str| read.contains(&text.replace('"', "&quot;"));
            assert!(
                shown(reason.title()) && shown(reason.help()),
                "{}",
                page.text
            );
            assert!(
                shown(&format!("\"reason\": \"{}\"", reason.as_str())),
                "{}",
                page.text
            );
        }
    })
    .await;
}

#[tokio::test]
async fn all_reasons_are_listed_each_with_its_way() {
    with_app(async |app: App| {
        let list = app.get("/problems").send().await.ok();
        let words: Vec<_> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["reason"].clone())
            .collect();
        assert_eq!(
            words,
            Reason::ALL
                .iter()
                .map(|reason| json!(reason.as_str()))
                .collect::<Vec<_>>()
        );
        let page = app
            .get("/problems")
            .header("accept", "text/html")
            .send()
            .await;
        for reason in Reason::ALL {
            assert!(
                page.text.contains(&format!("href=\"{}\"", reason.path())),
                "{}",
                reason.path()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_problem_leads_to_its_explanation_and_a_made_up_one_nowhere() {
    with_app(async |app: App| {
        let problem = app
            .get("/api/v1/nothing")
            .send()
            .await
            .problem(404, "not_found");
        let explained = app.get(problem["type"].as_str().unwrap()).send().await.ok();
        assert_eq!(explained["title"], problem["title"]);
        app.get("/problems/made_up")
            .send()
            .await
            .problem(404, "not_found");
        let answer = app.ask("POST", "/problems/not_found").send().await;
        answer.problem(405, "incorrect_access_method");
        assert_eq!(answer.header("allow"), "GET, HEAD");
    })
    .await;
}

#[tokio::test]
async fn a_browser_gets_a_page_where_nothing_is_and_a_program_the_problem() {
    with_app(async |app: App| {
        let opens = [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "text/html, application/json;q=0.9",
            "TEXT/HTML",
        ];
        let programs = [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "application/problem+json, text/html;q=0.5",
            "text/html;q=0, */*",
        ];
        for path in ["/nothing", "/panel/nothing", "/problems/made_up"] {
            for accept in opens {
                let page = app.get(path).header("accept", accept).send().await;
                assert_eq!(page.status, 404, "{path} {accept}");
                assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
                assert!(page.header("vary").contains("Accept"));
                assert!(
                    page.header("content-security-policy")
                        .contains("default-src 'self'")
                );
                assert!(!page.header("x-request-id").is_empty());
                assert!(page.text.contains("/missing/app.js"), "{}", page.text);
            }
            for accept in programs {
                let answer = app.get(path).header("accept", accept).send().await;
                assert!(answer.header("vary").contains("Accept"), "{path} {accept}");
                answer.problem(404, "not_found");
            }
        }
        // What Java's HttpURLConnection says of itself; it would read a page as JSON.
        let java = "text/html, image/gif, image/jpeg, */*; q=0.2";
        for path in ["/api/v1/nothing", "/api/v1/order-links/nothing", "/api/"] {
            for accept in opens.into_iter().chain([java]) {
                let answer = app.get(path).header("accept", accept).send().await;
                answer.problem(404, "not_found");
            }
        }
        let script = app.get("/missing/app.js").send().await;
        assert_eq!(script.status, 200);
        // What is no reading is no browser that opens an address.
        let posted = app.ask("POST", "/nothing").header("accept", opens[0]);
        posted.send().await.problem(404, "not_found");
    })
    .await;
}
