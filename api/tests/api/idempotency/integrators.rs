//! Idempotency of creating integrators, rotating and showing their secrets, and retrying handoffs.

use domain::account::Role;
use serde_json::{Value, json};

use super::ConcurrentRequests;
use crate::{
    app::{App, with_app},
    callbacks::a_kitchen,
    handoffs::a_failed_handoff,
};

#[tokio::test]
async fn an_integrator_is_connected_once_and_only_that_answer_shows_its_secrets() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let new = |name: &str| {
            json!({"store_id": store, "name": name, "kind": "pos", "url": "https://till.example/"})
        };
        let path = "/api/v1/integrators";
        let connect = ConcurrentRequests::of(&app, "POST", path, &manager).json(new("Till"));
        let (done, replayed) = connect.at_once().await;
        let done = done.json();
        let secret = done["signing_secret"].as_str().unwrap();
        for answer in replayed {
            let known = json!({"integrator": done["integrator"], "signing_secret": null, "callback_secret": null});
            assert_eq!(answer.json(), known);
        }
        connect.refuse(new("Other")).await;

        let path = format!("{path}/{}", done["integrator"]["id"].as_str().unwrap());
        let edit = ConcurrentRequests { if_match: Some("\"1\""), ..ConcurrentRequests::of(&app, "PATCH", &path, &manager).json(json!({"name": "Pos"})) };
        let edited = edit.assert_done_once(json!({"name": "Kasse"})).await;
        assert_eq!((&edited["name"], &edited["version"]), (&json!("Pos"), &json!(2)));

        let rotation = format!("{path}/rotate-secret");
        let rotate = ConcurrentRequests::of(&app, "POST", &rotation, &manager).json(json!({"secret": "signing"}));
        let (rotated, replayed) = rotate.at_once().await;
        assert_ne!(rotated.json()["value"].as_str().unwrap(), secret);
        for answer in replayed {
            assert_eq!(answer.json(), json!({"secret": "signing", "value": null}));
        }
        rotate.refuse(json!({"secret": "callback"})).await;
        // Only once: a second rotation would invalidate the secret before the last.
        assert_eq!(app.get(&path).by(&manager).send().await.ok()["version"], 3);
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_to_an_integrator_by_hand_is_sent_once() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let failed = a_failed_handoff(&app, store, &kitchen, &anna).await;
        let second = a_failed_handoff(&app, store, &kitchen, &anna).await;

        let path = format!("/api/v1/handoffs/{failed}/retry");
        let (retried, replayed) = ConcurrentRequests::of(&app, "POST", &path, &manager)
            .at_once()
            .await;
        let retried = retried.json();
        assert_eq!(
            (
                &retried["round"],
                retried["rounds"].as_array().unwrap().len()
            ),
            (&json!(2), 1)
        );
        assert!(replayed.iter().all(|answer| answer.json() == retried));

        let which = |per_s: u32| json!({"store_id": store, "per_s": per_s});
        let many =
            ConcurrentRequests::of(&app, "POST", "/api/v1/handoffs/retry", &manager).json(which(1));
        let (done, replayed) = many.at_once().await;
        let done = done.json();
        assert_eq!(
            (&done["retried"], &done["sample"][0]["handoff_id"]),
            (&json!(1), &json!(second))
        );
        for answer in replayed {
            let answer = answer.json();
            assert_eq!(
                (&answer["id"], &answer["sample"]),
                (&done["id"], &json!([]))
            );
        }
        let again = many.ask(many.body.as_ref()).await.ok();
        assert_eq!(
            (&again["retried"], &again["matched"]),
            (&json!(1), &json!(1))
        );
        many.refuse(which(2)).await;
        let record = app
            .get("/api/v1/handoffs/retries")
            .by(&manager)
            .send()
            .await
            .ok();
        assert_eq!(record["items"].as_array().unwrap().len(), 2);

        let path = format!("/api/v1/integrators/{}/test", kitchen.id);
        let (sent, replayed) = ConcurrentRequests::of(&app, "POST", &path, &manager)
            .at_once()
            .await;
        assert!(replayed.iter().all(|answer| answer.json() == sent.json()));
        let tests = app
            .get("/api/v1/handoffs?event=test")
            .by(&manager)
            .send()
            .await
            .ok();
        let ids: Vec<&Value> = tests["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|test| &test["id"])
            .collect();
        assert_eq!(ids, [&sent.json()["id"]]);
    })
    .await;
}
