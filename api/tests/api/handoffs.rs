//! Listing, reading and retrying handoffs, the stuck list, and tests of integrators.

use std::time::Duration;

use domain::{
    account::Role,
    handoff::SendResult,
    ids::{HandoffId, StoreId},
    order::rfc3339,
    status::{By, OrderStatus},
};
use serde_json::{Value, json};

use crate::{
    app::{App, with_app},
    callbacks::{Kitchen, a_kitchen, an_order_by},
    integrator_accounts::sign_in_integrator,
};

/// Makes a handoff that its integrator refuses for good after staff have accepted the order.
pub(crate) async fn a_failed_handoff(
    app: &App,
    store: StoreId,
    kitchen: &Kitchen,
    customer: &str,
) -> HandoffId {
    let order = an_order_by(app, store, customer).await;
    let lease = Duration::from_secs(25);
    let ledger = &app.house.ledger;
    let claims = ledger.claim_handoffs(kitchen.id, 1, lease).await.unwrap();
    let claimed = &claims.claimed[0];
    let accepted = OrderStatus::Accepted;
    ledger
        .move_order(order, accepted, By::Staff, None)
        .await
        .unwrap();
    let heard = SendResult::Answer {
        status: 422,
        retry_after: None,
    };
    let answer = Some(b"no such dish".as_slice());
    ledger
        .conclude_attempt(claimed, &heard, answer, false)
        .await
        .unwrap();
    claimed.handoff.id
}

/// Returns the ids of a page's items.
fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn what_stands_still_is_listed_with_its_reason_and_retried_by_a_manager() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let handoff = a_failed_handoff(&app, store, &kitchen, &anna).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let stranger = app.signed_in("stranger", Role::Manager, &[other]).await;
        let path = format!("/api/v1/handoffs/{handoff}");
        let retry = format!("{path}/retry");

        let stuck = app.get("/api/v1/stuck").by(&staff).send().await.ok();
        let entry = &stuck["items"][0];
        assert_eq!(
            (&entry["kind"], &entry["handoff_id"], &entry["integrator"]),
            (&json!("handoff_failed"), &json!(handoff), &json!("Kitchen"))
        );
        assert!(
            entry["why"].as_str().unwrap().contains("refused"),
            "{entry}"
        );
        assert!(
            entry["next"]
                .as_str()
                .unwrap()
                .contains(&format!("POST /handoffs/{handoff}/retry")),
            "{entry}"
        );
        let theirs = app.get("/api/v1/stuck").by(&stranger).send().await.ok();
        assert_eq!(theirs, json!({"items": [], "next_cursor": null}));

        let shown = app.get(&path).by(&staff).send().await.ok();
        assert_eq!(
            (&shown["state"], &shown["reason"], &shown["not_retryable"]),
            (&json!("failed"), &json!("refused"), &json!(null))
        );
        let attempt = &shown["attempts"][0];
        assert_eq!(
            (&attempt["status"], &attempt["response"]),
            (&json!(422), &json!("no such dish"))
        );
        app.get(&path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");

        app.ask("POST", &retry)
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        app.ask("POST", &retry)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        let retried = app.ask("POST", &retry).by(&manager).send().await.ok();
        assert_eq!(
            (&retried["state"], &retried["round"]),
            (&json!("due"), &json!(2))
        );
        let round = &retried["rounds"][0];
        assert_eq!(
            (&round["round"], &round["retried_by"]["username"]),
            (&json!(2), &json!("manager"))
        );
        let pos = sign_in_integrator(&app, "pos", &[kitchen.id]).await;
        let outside = app.get(&path).by(&pos).send().await.ok();
        let by = &outside["rounds"][0]["retried_by"];
        assert_eq!(by["username"], json!(null), "who works at a store");
        let again = app.ask("POST", &retry).by(&manager).send().await;
        assert!(
            again.problem(409, "not_retryable")["detail"]
                .as_str()
                .unwrap()
                .contains("due")
        );
        let stuck = app.get("/api/v1/stuck").by(&staff).send().await.ok();
        assert_eq!(stuck["items"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_customer_is_told_nothing_of_integrators_among_an_orders_events() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let handoff = a_failed_handoff(&app, store, &kitchen, &anna).await;
        let handoff = app.get(&format!("/api/v1/handoffs/{handoff}"));
        let handoff = handoff.by(&staff).send().await.ok();
        let order = handoff["order_id"].as_str().unwrap();
        let path = format!("/api/v1/orders/{order}/events");
        let is_told = async |by: &str| {
            let events = app.get(&path).by(by).send().await.ok();
            let mut events = events.as_array().unwrap().iter();
            events.any(|event| event["type"] == "handoff.failed")
        };
        assert!(is_told(&staff).await);
        assert!(!is_told(&anna).await);
    })
    .await;
}

#[tokio::test]
async fn the_stuck_list_comes_in_pages() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let mut failed = Vec::new();
        for _ in 0..3 {
            failed.push(json!(a_failed_handoff(&app, store, &kitchen, &anna).await));
            app.house.clock.advance(Duration::from_secs(1));
        }
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let mut seen = Vec::new();
        let mut path = "/api/v1/stuck?limit=2".to_owned();
        loop {
            let page = app.get(&path).by(&staff).send().await.ok();
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| item["handoff_id"].clone()));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/api/v1/stuck?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, failed, "the longest first, each once");
        let wrong = app.get("/api/v1/stuck?cursor=AAAA").by(&staff).send().await;
        assert_eq!(wrong.pointers(), ["cursor"]);
    })
    .await;
}

#[tokio::test]
async fn handoffs_are_looked_for_by_those_whose_they_are() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let failed = a_failed_handoff(&app, store, &kitchen, &anna)
            .await
            .to_string();
        app.house.clock.advance(Duration::from_secs(60));
        let order = an_order_by(&app, store, &anna).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let stranger = app.signed_in("stranger", Role::Staff, &[other]).await;
        let operator = app.signed_in("operator", Role::Operator, &[]).await;
        let list = async |by: &str, query: &str| {
            let path = format!("/api/v1/handoffs{query}");
            app.get(&path).by(by).send().await
        };

        let all = list(&staff, "").await.ok();
        assert_eq!(ids(&all).len(), 2);
        assert_eq!(list(&operator, "").await.ok(), all);
        assert_eq!(ids(&list(&stranger, "").await.ok()), [""; 0]);
        list(&stranger, &format!("?store_id={store}"))
            .await
            .problem(404, "not_found");
        list(&anna, "").await.problem(403, "forbidden");
        let of_integrator = format!("?integrator_id={}", kitchen.id);
        assert_eq!(ids(&list(&stranger, &of_integrator).await.ok()), [""; 0]);

        let item = &list(&staff, "?state=failed").await.ok()["items"][0];
        assert_eq!(item["id"], failed);
        assert_eq!(
            (
                &item["attempts"],
                &item["attempts_in_all"],
                &item["order_number"]
            ),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(
            (
                &item["last_attempt"]["status"],
                &item["last_attempt"].get("response")
            ),
            (&json!(422), &None)
        );
        for query in [
            "?state=failed,held",
            "?state=held&state=failed",
            "?reason=refused",
            "?event=order.placed&state=failed",
            "?created_before=2026-11-25T12:00:30Z",
            "?created_before=2026-11-25T13:00:30%2B01:00",
        ] {
            assert_eq!(
                ids(&list(&staff, query).await.ok()),
                [failed.as_str()],
                "{query}"
            );
        }
        for query in [
            format!("?order_id={order}"),
            "?created_after=2026-11-25T12:00:30Z".to_owned(),
            format!("?store_id={store}&state=due"),
        ] {
            let found = list(&staff, &query).await.ok();
            assert_eq!(
                (ids(&found).len(), &found["items"][0]["order_id"]),
                (1, &json!(order)),
                "{query}"
            );
        }
        let first = list(&staff, "?limit=1").await.ok();
        assert_eq!(ids(&first), ids(&all)[..1]);
        let second = list(
            &staff,
            &format!("?limit=1&cursor={}", first["next_cursor"].as_str().unwrap()),
        )
        .await
        .ok();
        assert_eq!(
            (ids(&second), &second["next_cursor"]),
            (ids(&all)[1..].to_vec(), &json!(null))
        );
        for (query, wrong) in [
            ("?state=lost", "state"),
            ("?limit=101", "limit"),
            ("?created_after=soon", "created_after"),
            ("?cursor=x", "cursor"),
        ] {
            assert_eq!(list(&staff, query).await.pointers(), [wrong]);
        }
    })
    .await;
}

#[tokio::test]
async fn an_integrator_is_tested_by_its_managers_only_while_it_is_enabled() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let kitchen = a_kitchen(&app, store).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let stranger = app.signed_in("stranger", Role::Manager, &[other]).await;
        let path = format!("/api/v1/integrators/{}/test", kitchen.id);
        app.ask("POST", &path)
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        app.ask("POST", &path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        let sent = app.ask("POST", &path).by(&manager).send().await;
        assert_eq!(sent.status, 202);
        let mut shown = app
            .get(sent.header("location"))
            .by(&staff)
            .send()
            .await
            .ok();
        // Only a single handoff is shown with its body.
        assert!(shown["body"].take().is_string());
        assert_eq!(shown, sent.json());
        assert_eq!(
            (
                &shown["event"],
                &shown["state"],
                &shown["order_id"],
                &shown["max_attempts"]
            ),
            (&json!("test"), &json!("due"), &json!(null), &json!(1))
        );
        let off = app.patch(
            &format!("/api/v1/integrators/{}", kitchen.id),
            json!({"enabled": false}),
        );
        off.by(&manager).send().await.ok();
        app.ask("POST", &path)
            .by(&manager)
            .send()
            .await
            .problem(409, "integrator_disabled");
    })
    .await;
}

#[tokio::test]
async fn a_handoff_says_what_it_waits_for_and_until_when() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let ledger = &app.house.ledger;
        let waiting = async || {
            let page = app.get("/api/v1/handoffs").by(&staff).send().await.ok();
            let listed = &page["items"][0];
            let path = format!("/api/v1/handoffs/{}", listed["id"].as_str().unwrap());
            let shown = app.get(&path).by(&staff).send().await.ok();
            let of = |shown: &Value| {
                let (what, until) = (&shown["waiting_for"], &shown["waiting_until"]);
                (what.clone(), until.clone())
            };
            assert_eq!(of(listed), of(&shown), "the list and the handoff agree");
            of(&shown)
        };
        let answer = async |status, retry_after_s: Option<u64>| {
            let lease = Duration::from_secs(25);
            let claims = ledger.claim_handoffs(kitchen.id, 1, lease).await.unwrap();
            let after = |s| domain::handoff::RetryAfter::After(Duration::from_secs(s));
            let heard = SendResult::Answer {
                status,
                retry_after: retry_after_s.map(after),
            };
            ledger
                .conclude_attempt(&claims.claimed[0], &heard, None, false)
                .await
                .unwrap();
        };
        an_order_by(&app, store, &anna).await;
        assert_eq!(waiting().await, (json!(null), json!(null)));

        answer(429, Some(7)).await;
        let until = app.house.clock.now() + Duration::from_secs(7);
        assert_eq!(waiting().await, (json!("rate"), json!(rfc3339(until))));
        app.house.clock.set(until);
        answer(500, None).await;
        let (what, until) = waiting().await;
        assert_eq!(what, json!("schedule"));
        assert!(until.is_string());

        for _ in 0..2 {
            an_order_by(&app, store, &anna).await;
            answer(500, None).await;
        }
        let (what, until) = waiting().await;
        assert_eq!(what, json!("breaker"));
        assert!(until.is_string());
    })
    .await;
}
