//! Handoffs read and retried, and the list of what stands still.

use common::domain::{
    account::Role,
    handoff::Heard,
    ids::{HandoffId, StoreId},
};
use serde_json::json;

use crate::{
    app::{App, with_app},
    callbacks::{a_kitchen, an_order},
};

/// A handoff whose integrator refused it for good after staff had accepted the order.
async fn a_failed_handoff(app: &App, store: StoreId) -> HandoffId {
    let kitchen = a_kitchen(app, store).await;
    let order = an_order(app, store).await;
    let lease = std::time::Duration::from_secs(25);
    let claims = app
        .house
        .ledger
        .claim_handoffs(kitchen.id, 1, lease)
        .await
        .unwrap();
    let by = common::domain::status::By::Staff;
    let accepted = common::domain::status::OrderStatus::Accepted;
    app.house
        .ledger
        .move_order(order, accepted, by, None)
        .await
        .unwrap();
    let heard = Heard::Answer {
        status: 422,
        retry_after: None,
    };
    app.house
        .ledger
        .conclude_attempt(&claims.claimed[0], &heard, Some(b"no such dish"), false)
        .await
        .unwrap();
    claims.claimed[0].handoff.id
}

#[tokio::test]
async fn what_stands_still_is_listed_with_its_reason_and_retried_by_a_manager() {
    with_app(async |app: App| {
        let (store, other) = (app.house.a_store().await, app.house.a_store().await);
        let handoff = a_failed_handoff(&app, store).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let stranger = app.signed_in("stranger", Role::Manager, &[other]).await;
        let path = format!("/api/v1/handoffs/{handoff}");
        let retry = format!("{path}/retry");

        let stuck = app.get("/api/v1/stuck").by(&staff).send().await.ok();
        assert_eq!(
            (&stuck[0]["kind"], &stuck[0]["handoff_id"]),
            (&json!("handoff_failed"), &json!(handoff))
        );
        assert_eq!(
            app.get("/api/v1/stuck").by(&stranger).send().await.ok(),
            json!([])
        );
        let shown = app.get(&path).by(&staff).send().await.ok();
        assert_eq!(
            (&shown["state"], &shown["reason"]),
            (&json!("failed"), &json!("refused"))
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
        let again = app.ask("POST", &retry).by(&manager).send().await;
        assert!(
            again.problem(409, "not_retryable")["detail"]
                .as_str()
                .unwrap()
                .contains("due")
        );
        assert_eq!(
            app.get("/api/v1/stuck").by(&staff).send().await.ok(),
            json!([])
        );
    })
    .await;
}
