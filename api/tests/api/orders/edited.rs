//! Edits of orders over HTTP: merge patches, entity tags and idempotency keys.

use domain::{
    account::Role,
    status::{By, OrderStatus},
};
use serde_json::{Value, json};

use super::{ORDERS, create_product, wanted};
use crate::app::{Answer, App, with_app};

/// Places Anna's order of two pieces; returns its path, its answer, and her `Authorization`.
async fn an_order(app: &App) -> (String, Answer, String) {
    let store = app.house.create_store().await;
    let product = create_product(app, store, Some(9)).await;
    let anna = app.signed_in("anna", Role::Customer, &[]).await;
    let mut body = wanted(store, product, 2);
    body["customer"] = json!({"name": "Anna", "phone": "+49 40 1"});
    let answer = app.post(ORDERS, body).by(&anna).send().await;
    (answer.header("location").to_owned(), answer, anna)
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_null_empties() {
    with_app(async |app: App| {
        let (path, answer, anna) = an_order(&app).await;
        let patch =
            json!({"user_note": "hot", "customer": {"name": null, "email": "anna@example.org"}});
        let sent = app
            .ask("PATCH", &path)
            .json(patch)
            .header("content-type", "application/merge-patch+json");
        let edited = sent.by(&anna).send().await.ok();
        assert_eq!(
            (&edited["user_note"], &edited["version"]),
            (&json!("hot"), &json!(2))
        );
        let customer = &edited["customer"];
        assert_eq!(
            (&customer["name"], &customer["phone"], &customer["email"]),
            (&Value::Null, &json!("+49 40 1"), &json!("anna@example.org"))
        );
        assert_eq!(edited["items"], answer.json()["items"]);
        let items =
            json!({"items": [{"sku": "ESP", "quantity": 5}], "user_note": null, "customer": null});
        let edited = app.patch(&path, items).by(&anna).send().await.ok();
        assert_eq!(
            (&edited["total"]["amount"], &edited["user_note"]),
            (&json!(1250), &Value::Null)
        );
        assert_eq!(edited["customer"]["phone"], Value::Null);
        assert_eq!(app.get(&path).by(&anna).send().await.ok(), edited);
        let events = app
            .get(&format!("{path}/events"))
            .by(&anna)
            .send()
            .await
            .ok();
        let kinds: Vec<_> = events
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["order.placed", "order.edited", "order.edited"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_an_edit_is_told_with_its_place() {
    with_app(async |app: App| {
        let (path, _, anna) = an_order(&app).await;
        let patch = json!({"status": "accepted", "customer": {"email": "nonsense"}, "items": [{"quantity": 0}]});
        let pointers = app.patch(&path, patch).by(&anna).send().await.pointers();
        for pointer in ["/status", "/customer/email", "/items/0/quantity"] {
            assert!(pointers.iter().any(|told| told == pointer), "{pointer} is not among {pointers:?}");
        }
        let items = format!("{path}/items");
        let add = |item: Value| app.post(&items, item).by(&anna).send();
        assert_eq!(add(json!({"sku": "NONE"})).await.pointers(), ["/sku"]);
        assert_eq!(add(json!({})).await.pointers(), ["/product_id"]);
        let short = add(json!({"sku": "ESP", "quantity": 8})).await;
        assert_eq!(short.problem(409, "insufficient_stock")["short"][0]["left"], 7);
        let nothing = format!("{path}/items/00000000-0000-7000-8000-000000000000");
        app.patch(&nothing, json!({"quantity": 1})).by(&anna).send().await.problem(404, "not_found");
        let otto = app.signed_in("otto", Role::Customer, &[]).await;
        app.patch(&path, json!({})).by(&otto).send().await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn items_are_edited_one_by_one_until_somebody_took_the_order() {
    with_app(async |app: App| {
        let (path, answer, anna) = an_order(&app).await;
        let order = answer.json();
        let item = format!("{path}/items/{}", order["items"][0]["id"].as_str().unwrap());
        let edited = app
            .patch(&item, json!({"quantity": 3, "note": "hot"}))
            .by(&anna)
            .send()
            .await
            .ok();
        assert_eq!(
            (&edited["items"][0]["note"], &edited["total"]["amount"]),
            (&json!("hot"), &json!(750))
        );
        let last = app.ask("DELETE", &item).by(&anna).send().await;
        assert_eq!(last.pointers(), ["/items"]);
        app.post(&format!("{path}/items"), json!({"sku": "ESP"}))
            .by(&anna)
            .send()
            .await
            .ok();
        let left = app.ask("DELETE", &item).by(&anna).send().await.ok();
        assert_eq!(
            (left["items"].as_array().unwrap().len(), &left["version"]),
            (1, &json!(4))
        );

        let id = order["id"].as_str().unwrap().parse().unwrap();
        app.house
            .ledger
            .move_order(id, OrderStatus::Accepted, By::Staff, None)
            .await
            .unwrap();
        let refused = app
            .patch(&path, json!({"user_note": "late"}))
            .by(&anna)
            .send()
            .await;
        assert_eq!(
            refused.problem(409, "order_not_editable")["order_status"],
            "accepted"
        );
    })
    .await;
}

#[tokio::test]
async fn an_edit_of_what_somebody_else_changed_is_refused_and_what_is_known_is_not_sent_again() {
    with_app(async |app: App| {
        let (path, answer, anna) = an_order(&app).await;
        let tag = answer.header("etag").to_owned();
        let read = app.get(&path).by(&anna).send().await;
        assert_eq!(read.header("etag"), tag);
        let known = app
            .get(&path)
            .by(&anna)
            .header("if-none-match", &format!("\"x\", W/{tag}"))
            .send()
            .await;
        assert_eq!(
            (
                known.status.as_u16(),
                known.header("etag"),
                known.text.as_str()
            ),
            (304, tag.as_str(), "")
        );

        let edit = |note: &str| {
            app.patch(&path, json!({"user_note": note}))
                .by(&anna)
                .header("if-match", &tag)
        };
        let edited = edit("first").send().await;
        assert_ne!(edited.header("etag"), tag);
        edited.ok();
        assert_eq!(
            edit("second").send().await.problem(412, "version_conflict")["current_version"],
            2
        );
        let read = app
            .get(&path)
            .by(&anna)
            .header("if-none-match", &tag)
            .send()
            .await;
        assert_eq!(
            (read.ok()["user_note"].clone(), read.header("etag")),
            (json!("first"), edited.header("etag"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_repeated_edit_is_done_once_also_where_its_tag_is_old_by_then() {
    with_app(async |app: App| {
        let (path, answer, anna) = an_order(&app).await;
        let items = format!("{path}/items");
        let add = |key: &'static str, quantity: u32| {
            let ask = app
                .post(&items, json!({"sku": "ESP", "quantity": quantity}))
                .by(&anna);
            ask.header("idempotency-key", key)
                .header("if-match", answer.header("etag"))
        };
        let first = add("a", 1).send().await;
        assert_eq!(
            (first.status.as_u16(), first.header("idempotency-replayed")),
            (201, "")
        );
        let again = add("a", 1).send().await;
        assert_eq!(
            (again.status.as_u16(), again.header("idempotency-replayed")),
            (201, "true")
        );
        assert_eq!(again.json(), first.json());
        add("a", 2)
            .send()
            .await
            .problem(422, "idempotency_key_reused");
        // Elsewhere the same key is another request.
        let elsewhere = app
            .patch(&path, json!({}))
            .by(&anna)
            .header("idempotency-key", "a");
        elsewhere
            .send()
            .await
            .problem(422, "idempotency_key_reused");
        // A refused request does not use up its key.
        add("b", 1).send().await.problem(412, "version_conflict");
        let free = app
            .patch(&path, json!({"user_note": "b"}))
            .by(&anna)
            .header("idempotency-key", "b");
        free.send().await.ok();
        app.patch(&path, json!({}))
            .by(&anna)
            .header("idempotency-key", "")
            .send()
            .await
            .pointers();
    })
    .await;
}

#[tokio::test]
async fn a_draft_is_begun_once_for_one_key() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let begin = || {
            let body = json!({"store_id": store, "status": "draft"});
            app.post(ORDERS, body)
                .by(&anna)
                .header("idempotency-key", "k")
                .send()
        };
        let (first, again) = (begin().await, begin().await);
        assert_eq!(first.json()["id"], again.json()["id"]);
        assert_eq!(again.header("idempotency-replayed"), "true");
    })
    .await;
}

#[tokio::test]
async fn an_order_is_moved_or_removed_only_as_it_was_seen_where_that_is_asked() {
    with_app(async |app: App| {
        let (path, answer, anna) = an_order(&app).await;
        let tag = answer.header("etag").to_owned();
        let edited = app.patch(&path, json!({"user_note": "hot"})).by(&anna);
        let edited = edited.send().await;
        let status = format!("{path}/status");
        let cancel = |if_match: &str| {
            let ask = app.ask("PUT", &status).json(json!({"status": "cancelled"}));
            ask.by(&anna).header("if-match", if_match).send()
        };
        let remove = |if_match: &str| {
            let ask = app.ask("DELETE", &path).by(&anna);
            ask.header("if-match", if_match).send()
        };
        for old in [tag.as_str(), "\"1\""] {
            let refused = cancel(old).await.problem(412, "version_conflict");
            assert_eq!(refused["current_version"], 2);
            remove(old).await.problem(412, "version_conflict");
        }
        let cancelled = remove(edited.header("etag")).await;
        assert_eq!(cancelled.ok()["status"], "cancelled");
        // Moves do not count as versions, but change the tag.
        let old = cancel(edited.header("etag")).await;
        old.problem(412, "version_conflict");
        assert_eq!(cancel("\"2\"").await.ok(), cancelled.json());
        assert_eq!(
            cancel(cancelled.header("etag")).await.ok(),
            cancelled.json()
        );
    })
    .await;
}

#[tokio::test]
async fn null_empties_a_drafts_items_and_is_refused_of_what_is_never_empty() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(9)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let mut body = wanted(store, product, 2);
        let placed = app.post(ORDERS, body.clone()).by(&anna).send().await;
        body["status"] = json!("draft");
        let draft = app.post(ORDERS, body).by(&anna).send().await;
        let patch = async |order: &Answer, body: Value| {
            let asked = app.patch(order.header("location"), body).by(&anna);
            asked.send().await
        };
        let emptied = patch(&draft, json!({"items": null})).await.ok();
        assert_eq!(emptied["items"], json!([]));
        assert_eq!(
            patch(&placed, json!({"items": null})).await.pointers(),
            ["/items"]
        );
        let wrong = patch(&placed, json!({"fulfilment": null, "user_note": "hot"})).await;
        assert_eq!(wrong.pointers(), ["/fulfilment"]);
        let (path, order) = (placed.header("location"), placed.json());
        let item = format!("{path}/items/{}", order["items"][0]["id"].as_str().unwrap());
        let wrong = app
            .patch(&item, json!({"quantity": null}))
            .by(&anna)
            .send()
            .await;
        assert_eq!(wrong.pointers(), ["/quantity"]);
        assert_eq!(app.get(path).by(&anna).send().await.ok(), order);
    })
    .await;
}
