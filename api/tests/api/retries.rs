//! Bulk retries of handoffs, and the record of who retried what.

use domain::account::Role;
use serde_json::{Value, json};

use crate::{
    app::{App, with_app},
    callbacks::a_kitchen,
    handoffs::a_failed_handoff,
};

#[tokio::test]
async fn many_are_retried_as_a_dry_run_said_and_who_did_it_is_on_record() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let mut failed = Vec::new();
        for _ in 0..3 {
            failed.push(a_failed_handoff(&app, store, &kitchen, &anna).await);
        }
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let stranger = app.signed_in("stranger", Role::Manager, &[other]).await;
        let retry = async |by: &str, body: Value| {
            app.post("/api/v1/handoffs/retry", body).by(by).send().await
        };
        let which = json!({"store_id": store, "per_s": 2});

        retry(&staff, which.clone()).await.problem(403, "forbidden");
        retry(&stranger, which.clone())
            .await
            .problem(404, "not_found");
        assert_eq!(
            retry(&stranger, json!({"integrator_id": kitchen.id}))
                .await
                .ok()["matched"],
            0
        );
        assert_eq!(
            retry(&manager, json!({"dry_run": true})).await.pointers(),
            [""]
        );
        assert_eq!(
            retry(&manager, json!({"state": ["failed", "due"]}))
                .await
                .pointers(),
            ["/state/1"]
        );
        assert_eq!(
            retry(&manager, json!({"store_id": store, "per_s": 0}))
                .await
                .pointers(),
            ["/per_s"]
        );

        let mut dry = which.clone();
        dry["dry_run"] = json!(true);
        let told = retry(&manager, dry).await.ok();
        assert_eq!(
            (
                &told["dry_run"],
                &told["matched"],
                &told["retried"],
                &told["id"]
            ),
            (&json!(true), &json!(3), &json!(3), &json!(null))
        );
        let done = retry(&manager, which.clone()).await.ok();
        for same in [
            "matched",
            "retried",
            "refused",
            "sample",
            "first_due_at",
            "last_due_at",
            "next_cursor",
        ] {
            assert_eq!(done[same], told[same], "{same}");
        }
        assert_eq!(done["sample"][2]["due_at"], "2026-11-25T12:00:01.000000Z");
        assert_eq!(
            retry(&manager, which).await.ok()["matched"],
            0,
            "a second click"
        );

        let shown = app
            .get(&format!("/api/v1/handoffs/{}", failed[2]))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(shown["next_attempt_at"], "2026-11-25T12:00:01.000000Z");
        let round = &shown["rounds"][0];
        assert_eq!(
            (&round["retry_id"], &round["retried_by"]["username"]),
            (&done["id"], &json!("manager"))
        );

        app.get("/api/v1/handoffs/retries")
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        let theirs = app
            .get("/api/v1/handoffs/retries")
            .by(&stranger)
            .send()
            .await
            .ok();
        assert_eq!(
            theirs["items"].as_array().unwrap().len(),
            1,
            "only the one that found nothing"
        );
        let trail = app
            .get("/api/v1/handoffs/retries?limit=1")
            .by(&manager)
            .send()
            .await
            .ok();
        assert!(trail["next_cursor"].is_string());
        let cursor = trail["next_cursor"].as_str().unwrap();
        let next = app
            .get(&format!("/api/v1/handoffs/retries?cursor={cursor}"))
            .by(&manager)
            .send()
            .await
            .ok();
        let kept = &next["items"][0];
        assert_eq!(
            (
                &kept["id"],
                &kept["retried"],
                &kept["retried_by"]["username"]
            ),
            (&done["id"], &json!(3), &json!("manager"))
        );
        assert_eq!(
            (&kept["filter"]["states"], &kept["filter"]["per_s"]),
            (&json!(["failed"]), &json!(2.0))
        );
        assert_eq!(app.house.ledger.audit().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_limit_that_is_hit_is_told_with_how_to_go_on() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        for _ in 0..3 {
            a_failed_handoff(&app, store, &kitchen, &anna).await;
        }
        let operator = app.signed_in("operator", Role::Operator, &[]).await;
        let retry = async |body: Value| {
            app.post("/api/v1/handoffs/retry", body)
                .by(&operator)
                .send()
                .await
        };
        let first = retry(json!({"state": ["failed"], "limit": 2})).await.ok();
        assert_eq!(first["retried"], 2);
        let cursor = &first["next_cursor"];
        assert!(cursor.is_string(), "{first}");
        let rest = retry(json!({"state": ["failed"], "limit": 2, "cursor": cursor}))
            .await
            .ok();
        assert_eq!(
            (&rest["retried"], &rest["next_cursor"]),
            (&json!(1), &json!(null))
        );
        assert_eq!(
            retry(json!({"state": ["failed"], "cursor": "x"}))
                .await
                .pointers(),
            ["/cursor"]
        );
        assert_eq!(
            retry(json!({"state": ["failed"], "limit": 1001}))
                .await
                .pointers(),
            ["/limit"]
        );
    })
    .await;
}
