//! `If-Match` with concurrent edits: stale ones are refused, and no edit is lost.

use domain::{account::Role, ids::StoreId};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Answer, App, with_app};

const ROUNDS: u32 = 5;

/// Creates one resource of each kind that has a tag; returns an operator's `Authorization` and the paths.
async fn editable_resources(app: &App) -> (String, Vec<String>) {
    let store: StoreId = app.house.create_store().await;
    let product = app.house.create_product(store).await;
    let operator = app.signed_in("op", Role::Operator, &[]).await;
    let mut body = json!({"store_id": store, "items": [{"product_id": product}]});
    let ordered = app.post("/api/v1/orders", body.clone()).by(&operator);
    let order = ordered.send().await.header("location").to_owned();
    body["status"] = json!("draft");
    let drafted = app.post("/api/v1/orders", body).by(&operator);
    let draft = drafted.send().await.header("location").to_owned();
    let new = json!({"store_id": store, "name": "Drinks"});
    let named = app.post("/api/v1/categories", new).by(&operator);
    let category = named.send().await.header("location").to_owned();
    let new = json!({"store_id": store, "name": "Kitchen", "kind": "kitchen", "url": "https://kitchen.example/"});
    let connected = app.post("/api/v1/integrators", new);
    let integrator = connected.by(&operator).send().await;
    let integrator = integrator.header("location").to_owned();
    let paths = vec![
        order,
        draft,
        format!("/api/v1/stores/{store}"),
        format!("/api/v1/products/{product}"),
        category,
        integrator,
    ];
    (operator, paths)
}

fn edit(path: &str, word: &str) -> Value {
    if path.contains("/orders/") {
        json!({"user_note": word})
    } else {
        json!({"name": word})
    }
}

/// Sends three concurrent edits of the same field with different values.
async fn three_edit(app: &App, by: &str, path: &str, if_match: &str) -> Vec<Answer> {
    let edits = ["one", "two", "three"].map(|word| {
        let asked = app.patch(path, edit(path, &format!("{word} {if_match}")));
        asked.by(by).header("if-match", if_match).send()
    });
    join_all(edits).await
}

#[tokio::test]
async fn of_edits_made_from_one_tag_at_once_one_is_done_and_the_others_are_told() {
    with_app(async |app: App| {
        let (operator, paths) = editable_resources(&app).await;
        for path in &paths {
            for _ in 0..ROUNDS {
                let read = app.get(path).by(&operator).send().await;
                let (version, tag) = (read.ok()["version"].clone(), read.header("etag").to_owned());
                assert_ne!(tag, "", "{path}");
                let answers = three_edit(&app, &operator, path, &tag).await;
                let (done, refused): (Vec<_>, Vec<_>) = answers
                    .iter()
                    .partition(|answer| answer.status.is_success());
                assert_eq!((done.len(), refused.len()), (1, 2), "{path}");
                for refused in refused {
                    refused.problem(412, "version_conflict");
                }
                let now = app.get(path).by(&operator).send().await;
                let (now, done) = (now.ok(), done[0].json());
                for field in ["version", "name", "user_note"] {
                    assert_eq!(now[field], done[field], "{path}");
                }
                assert_eq!(now["version"], version.as_i64().unwrap() + 1);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_stands_there_fits_a_star() {
    with_app(async |app: App| {
        let (operator, paths) = editable_resources(&app).await;
        for path in &paths {
            for _ in 0..ROUNDS {
                for answer in three_edit(&app, &operator, path, "*").await {
                    answer.ok();
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_until_it_is_otherwise() {
    with_app(async |app: App| {
        let (operator, paths) = editable_resources(&app).await;
        // The tag of an integrator does not cover its health.
        for path in paths.iter().filter(|path| !path.contains("/integrators/")) {
            let read = |if_none_match: String| {
                let asked = app.get(path).by(&operator);
                asked.header("if-none-match", &if_none_match).send()
            };
            let tag = read(String::new()).await.header("etag").to_owned();
            let known = read(format!("\"x\", {tag}")).await;
            assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));
            assert_eq!(known.header("etag"), tag);
            let edited = app.patch(path, edit(path, "otherwise")).by(&operator);
            edited.send().await.ok();
            assert_ne!(read(tag.clone()).await.header("etag"), tag, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_tag_that_a_compressing_proxy_made_weak_is_told_so_and_changes_nothing() {
    with_app(async |app: App| {
        let (operator, paths) = editable_resources(&app).await;
        for path in paths {
            let before = app.get(&path).by(&operator).send().await;
            let tag = before.header("etag").to_owned();
            let weak = format!("W/{tag}");
            for refused in [&weak, &format!("{weak}, W/\"x\"")] {
                let patch = app.patch(&path, edit(&path, "weak")).by(&operator);
                let answer = patch.header("if-match", refused).send().await;
                let problem = answer.problem(412, "version_conflict");
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains("weak"), "{detail}");
            }
            assert_eq!(
                app.get(&path).by(&operator).send().await.header("etag"),
                tag
            );
            let patch = app.patch(&path, edit(&path, "strong")).by(&operator);
            let both = format!("{weak}, {tag}");
            patch.header("if-match", &both).send().await.ok();
        }
    })
    .await;
}
