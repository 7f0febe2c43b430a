//! Settings of integrators that say what they hear, and where their values stand in their answers.

use serde_json::json;

use super::{INTEGRATORS, kitchen, manager, path};
use crate::app::with_app;

#[tokio::test]
async fn places_of_values_in_answers_are_set_shown_and_edited_one_by_one() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let usual = json!({"token": null, "reference": null});
        let made = app.post(INTEGRATORS, kitchen(store)).by(&manager).send();
        let made = made.await.ok();
        assert_eq!(made["integrator"]["answers"], usual);

        let mut new = kitchen(store);
        new["answers"] = json!({"token": "/data", "reference": "/a~1b/0"});
        let made = app.post(INTEGRATORS, new.clone()).by(&manager).send().await;
        let made = made.ok();
        assert_eq!(made["integrator"]["answers"], new["answers"]);
        let path = path(&made["integrator"]);
        for (answers, expected) in [
            (json!({}), json!({"token": "/data", "reference": "/a~1b/0"})),
            (
                json!({"reference": ""}),
                json!({"token": "/data", "reference": ""}),
            ),
            (
                json!({"token": null}),
                json!({"token": null, "reference": ""}),
            ),
            (json!(null), usual.clone()),
        ] {
            let patch = json!({"answers": answers});
            let edited = app.patch(&path, patch).by(&manager).send().await.ok();
            assert_eq!(edited["answers"], expected, "{answers}");
            let shown = app.get(&path).by(&manager).send().await.ok();
            assert_eq!(shown["answers"], expected, "{answers}");
        }
        for (answers, wrong) in [
            (json!({"token": "data"}), vec!["/answers/token"]),
            (
                json!({"token": "#/data", "reference": "/a~2"}),
                vec!["/answers/reference", "/answers/token"],
            ),
            (json!({"reference": "/~"}), vec!["/answers/reference"]),
            (
                json!({"reference": format!("/{}", "ü".repeat(250))}),
                vec!["/answers/reference"],
            ),
            (json!({"reference": 7}), vec!["/answers/reference"]),
            (json!({"refrence": "/id"}), vec!["/answers/refrence"]),
            (json!("/data"), vec!["/answers"]),
        ] {
            new["answers"] = answers.clone();
            let refused = app.post(INTEGRATORS, new.clone()).by(&manager).send().await;
            assert_eq!(sorted(refused.pointers()), wrong, "{answers}");
            let patch = app.patch(&path, json!({"answers": answers}));
            let refused = patch.by(&manager).send().await;
            assert_eq!(sorted(refused.pointers()), wrong, "{answers}");
        }
    })
    .await;
}

fn sorted(mut pointers: Vec<String>) -> Vec<String> {
    pointers.sort_unstable();
    pointers
}

#[tokio::test]
async fn every_event_but_a_test_can_be_listened_to() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = manager(&app, store).await;
        let mut new = kitchen(store);
        new["events"] = json!([
            "order.placed",
            "order.cancelled",
            "order.dispatched",
            "order.status_changed",
            "delivery.moved"
        ]);
        let made = app.post(INTEGRATORS, new.clone()).by(&manager).send().await;
        let made = made.ok();
        assert_eq!(made["integrator"]["events"], new["events"]);
        let patch = json!({"events": ["delivery.moved"]});
        let edited = app.patch(&path(&made["integrator"]), patch).by(&manager);
        assert_eq!(
            edited.send().await.ok()["events"],
            json!(["delivery.moved"])
        );
    })
    .await;
}
