//! Query parameters of every operation: those of the document are taken, everything else is refused by name.

use api::access::OPERATIONS;
use domain::account::Role;
use serde_json::Value;

use crate::app::{App, with_app};

/// Returns every operation's method, path, and query parameters as the document has them.
fn operations() -> Vec<(&'static str, String, Vec<Value>)> {
    let document: Value = serde_json::from_str(&api::openapi_document()).unwrap();
    let operations = OPERATIONS.iter().map(|(method, pattern, _)| {
        let operation = &document["paths"][*pattern][method.to_lowercase()];
        let parameters = operation["parameters"].as_array().cloned();
        let parameters = parameters.unwrap_or_default().into_iter();
        let segment = |segment: &str| match segment {
            "{code}" => "f".repeat(40),
            _ if segment.starts_with('{') => "01980000-0000-7000-8000-000000000000".to_owned(),
            _ => segment.to_owned(),
        };
        let path: Vec<_> = pattern.split('/').map(segment).collect();
        (
            *method,
            format!("/api/v1{}", path.join("/")),
            parameters.filter(|one| one["in"] == "query").collect(),
        )
    });
    operations.collect()
}

/// Asks an operation with a query; returns its errors by parameter name.
async fn refused(
    app: &App,
    by: &str,
    method: &str,
    path: &str,
    query: &str,
) -> Vec<(String, String)> {
    let answer = app
        .ask(method, &format!("{path}?{query}"))
        .by(by)
        .send()
        .await;
    let problem = answer.problem(422, "validation_failed");
    let errors = problem["errors"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    errors
        .map(|error| (text(&error["pointer"]), text(&error["detail"])))
        .collect()
}

#[tokio::test]
async fn every_operation_refuses_an_unknown_parameter_by_its_name_beside_what_is_missing() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        for (method, path, parameters) in operations() {
            let errors = refused(&app, &operator, method, &path, "no_such=1&no_such=2").await;
            let required = parameters.iter().filter(|one| one["required"] == true);
            let mut expected = vec![("no_such".to_owned(), None)];
            expected.extend(required.map(|one| {
                let name = one["name"].as_str().unwrap().to_owned();
                (name, Some("is required".to_owned()))
            }));
            let told: Vec<_> = errors
                .into_iter()
                .map(|(name, detail)| {
                    let unknown = detail.starts_with("is an unknown parameter");
                    (name, (!unknown).then_some(detail))
                })
                .collect();
            assert_eq!(told, expected, "{method} {path}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_parameter_of_the_document_is_known_and_refused_in_our_words_if_it_is_repeated_or_wrong()
 {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let mut seen = 0;
        for (method, path, parameters) in operations() {
            for parameter in &parameters {
                let name = parameter["name"].as_str().unwrap();
                let query = format!("{name}=%21&{name}=%21&no_such=1");
                let errors = refused(&app, &operator, method, &path, &query).await;
                let of = |wanted: &str| {
                    let mut found = errors.iter().filter(|(name, _)| name == wanted);
                    let first = found.next().map(|(_, detail)| detail.as_str());
                    assert_eq!(found.next(), None, "{method} {path}: {errors:?}");
                    first
                };
                assert!(of("no_such").is_some(), "{method} {path}: {errors:?}");
                let detail = of(name).expect(name);
                assert!(
                    detail.starts_with("must be "),
                    "{method} {path} {name}: {detail}"
                );
                seen += 1;
            }
        }
        assert!(seen > 30, "{seen}");
    })
    .await;
}

#[tokio::test]
async fn a_number_that_no_list_takes_is_refused_and_not_ignored() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let stores = "/api/v1/stores";
        let errors = refused(&app, &operator, "GET", stores, "number=2&limit=5").await;
        assert_eq!(errors[0].0, "number");
        let detail = &errors[0].1;
        assert!(
            detail.ends_with("this operation takes cursor, limit"),
            "{detail}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_may_not_call_is_told_so_before_anything_about_the_query() {
    with_app(async |app: App| {
        let answer = app.get("/api/v1/users?no_such=1").send().await;
        answer.problem(401, "incorrect_credentials");
        let customer = app.signed_in("anna", Role::Customer, &[]).await;
        let answer = app
            .get("/api/v1/users?no_such=1")
            .by(&customer)
            .send()
            .await;
        answer.problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn pages_and_documents_take_any_query() {
    with_app(async |app: App| {
        for path in [
            "/ping",
            "/",
            "/docs",
            "/style.css",
            "/problems",
            "/api/v1/docs",
            "/api/v1/openapi.json",
            "/api/v1/live.yaml",
        ] {
            let answer = app
                .get(&format!("{path}?utm_source=qr&utm_source=qr"))
                .send()
                .await;
            assert_eq!(answer.status, 200, "{path}");
        }
        let answer = app.get("/api/v1/nowhere?no_such=1").send().await;
        answer.problem(404, "not_found");
    })
    .await;
}
