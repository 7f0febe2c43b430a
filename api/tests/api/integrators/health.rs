//! An integrator's health over HTTP.

use std::time::Duration;

use domain::{account::Role, handoff::SendResult, ids::IntegratorId, order::rfc3339};
use serde_json::{Value, json};

use super::{INTEGRATORS, manager};
use crate::{
    app::{App, with_app},
    callbacks::a_kitchen,
};

/// Makes one attempt with this outcome.
async fn make_attempt(app: &App, kitchen: IntegratorId, heard: SendResult) {
    let ledger = &app.house.ledger;
    let lease = Duration::from_secs(25);
    let claims = ledger.claim_handoffs(kitchen, 1, lease).await.unwrap();
    let concluded = ledger.conclude_attempt(&claims.claimed[0], &heard, None, false);
    concluded.await.unwrap();
}

#[tokio::test]
async fn an_integrators_health_is_shown_and_is_no_part_of_its_tag() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let kitchen = a_kitchen(&app, store).await;
        let path = format!("{INTEGRATORS}/{}", kitchen.id);
        let list = format!("{INTEGRATORS}?store_id={store}");
        let read = async || app.get(&path).by(&manager).send().await;
        let healthy = read().await;
        let unknown = json!({"breaker": {"state": "closed", "until": null},
            "pace": {"paused_until": null, "rate_per_s": null}, "failures_in_a_row": 0, "failing_since": null,
            "success_rate": null, "last_success_at": null, "last_failure": null});
        assert_eq!(healthy.json()["health"], unknown);

        let table = app.house.ledger.open_session(store, "1").await.unwrap();
        let product = app.house.create_product(store).await;
        for _ in 0..4 {
            app.house.place_guest_order(&table, product).await;
        }
        let status = |status| SendResult::Answer { status, retry_after: None };
        make_attempt(&app, kitchen.id, status(200)).await;
        let succeeded_at = app.house.clock.now();
        app.house.clock.advance(Duration::from_secs(1));
        let failing_since = app.house.clock.now();
        make_attempt(&app, kitchen.id, status(503)).await;
        make_attempt(&app, kitchen.id, status(503)).await;
        app.house.clock.advance(Duration::from_secs(1));
        let failed_at = app.house.clock.now();
        make_attempt(&app, kitchen.id, SendResult::NotConnected { error: "connection refused".to_owned() }).await;

        let failing = read().await;
        let health = &failing.json()["health"];
        let mut expected = json!({"failures_in_a_row": 3, "failing_since": rfc3339(failing_since), "success_rate": 0.25,
            "last_success_at": rfc3339(succeeded_at),
            "last_failure": {"at": rfc3339(failed_at), "status": null, "error": "connection refused"}});
        expected["breaker"] = health["breaker"].clone();
        expected["pace"] = json!({"paused_until": null, "rate_per_s": null});
        assert_eq!(health, &expected);
        assert_eq!(health["breaker"]["state"], "open");
        assert!(health["breaker"]["until"].as_str().unwrap() > rfc3339(failed_at).as_str());
        let listed = app.get(&list).by(&manager).send().await.ok();
        assert_eq!(&listed["items"][0]["health"], health);

        assert_eq!(failing.header("etag"), healthy.header("etag"), "edits need not know of it");
        let edit = app.patch(&path, json!({"enabled": true})).by(&manager).header("if-match", healthy.header("etag"));
        assert_eq!(edit.send().await.ok().get("health"), None::<&Value>);
        let reset = read().await.json()["health"].clone();
        assert_eq!((&reset["breaker"]["state"], &reset["failures_in_a_row"]), (&json!("closed"), &json!(0)));
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        app.get(&path).by(&staff).send().await.problem(403, "forbidden");
    })
    .await;
}
