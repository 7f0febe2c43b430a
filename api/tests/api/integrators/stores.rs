//! One integrator for several stores over HTTP: who sees it, who edits it, and what a wrong list of stores is told.

use super::*;

fn shared(stores: &[StoreId]) -> Value {
    let mut new = kitchen(stores[0]);
    new["store_ids"] = json!(stores);
    new
}

#[tokio::test]
async fn managers_of_a_store_see_its_integrator_and_those_of_all_its_stores_edit_it() {
    with_app(async |app| {
        let (here, there) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let both = app.signed_in("both", Role::Manager, &[here, there]).await;
        let one = app.signed_in("one", Role::Manager, &[there]).await;
        let staff = app.signed_in("staff", Role::Staff, &[there]).await;
        let elsewhere = app.house.create_store().await;
        let stranger = app.signed_in("stranger", Role::Manager, &[elsewhere]).await;
        // The first store is one of them, named or not.
        let mut new = shared(&[here, there]);
        new["store_ids"] = json!([there]);
        let created = app.post(INTEGRATORS, new).by(&both).send().await.ok();
        let integrator = &created["integrator"];
        assert_eq!(integrator["store_id"], json!(here));
        assert_eq!(integrator["store_ids"], json!([here, there]));
        let path = path(integrator);
        for (store, by) in [(here, &both), (there, &both), (there, &one)] {
            let list = format!("{INTEGRATORS}?store_id={store}");
            let listed = app.get(&list).by(by).send().await.ok();
            let items = listed["items"].as_array().unwrap().clone();
            let items: Vec<_> = items.into_iter().map(without_health).collect();
            assert_eq!(items, [integrator.clone()]);
            let shown = app.get(&path).by(by).send().await.ok();
            assert_eq!(&without_health(shown), integrator);
        }
        let rotate = format!("{path}/rotate-secret");
        for (by, status, reason) in [
            (&one, 403, "forbidden"),
            (&staff, 403, "forbidden"),
            (&stranger, 404, "not_found"),
        ] {
            for ask in [
                app.patch(&path, json!({"enabled": false})),
                app.patch(&path, json!({"store_ids": [here]})),
                app.ask("DELETE", &path),
                app.post(&rotate, json!({"secret": "signing"})),
            ] {
                ask.by(by).send().await.problem(status, reason);
            }
        }
        app.get(&path)
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        app.get(&path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");

        // A test is sent for the store of who sends it, who sees its result.
        let test = app
            .ask("POST", &format!("{path}/test"))
            .by(&one)
            .send()
            .await;
        assert_eq!(test.status, 202, "{}", test.text);
        let seen = app.get(test.header("location")).by(&one).send().await.ok();
        assert_eq!(seen["store_id"], json!(there));

        let renamed = app.patch(&path, json!({"name": "Aggregator"})).by(&both);
        assert_eq!(renamed.send().await.ok()["store_ids"], json!([here, there]));
        let alone = app.patch(&path, json!({"store_ids": [here]})).by(&both);
        assert_eq!(alone.send().await.ok()["store_ids"], json!([here]));
        app.get(&path)
            .by(&one)
            .send()
            .await
            .problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn who_lets_a_store_join_manages_it_and_the_first_store_stays() {
    with_app(async |app| {
        let (here, there) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let one = app.signed_in("one", Role::Manager, &[here]).await;
        let root = app.signed_in("root", Role::Operator, &[]).await;
        let refused = app.post(INTEGRATORS, shared(&[here, there])).by(&one);
        refused.send().await.problem(404, "not_found");
        let created = app.post(INTEGRATORS, shared(&[here])).by(&one).send().await;
        let path = path(&created.ok()["integrator"]);
        let refused = app
            .patch(&path, json!({"store_ids": [here, there]}))
            .by(&one);
        refused.send().await.problem(404, "not_found");
        let nowhere = "01980000-0000-7000-8000-000000000000";
        for stores in [
            json!([there]),
            json!([here, nowhere]),
            json!([here, here]),
            json!([]),
            Value::Null,
        ] {
            let wrong = app.patch(&path, json!({ "store_ids": stores })).by(&root);
            assert_eq!(wrong.send().await.pointers(), ["/store_ids"], "{stores}");
        }
        let mut new = kitchen(here);
        new["store_ids"] = json!([nowhere]);
        let wrong = app.post(INTEGRATORS, new).by(&root).send().await;
        assert_eq!(wrong.pointers(), ["/store_ids"]);
        let etag = app.get(&path).by(&root).send().await;
        let etag = etag.header("etag");
        let joined = app
            .patch(&path, json!({"store_ids": [there, here]}))
            .by(&root);
        let joined = joined.header("if-match", etag).send().await;
        assert_eq!(joined.ok()["store_ids"], json!([here, there]));
        assert_ne!(joined.header("etag"), etag);
        // Now it is no longer theirs alone.
        let edited = app
            .patch(&path, json!({"name": "Mine"}))
            .by(&one)
            .send()
            .await;
        edited.problem(403, "forbidden");
    })
    .await;
}
