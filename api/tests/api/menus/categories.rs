//! Categories over HTTP: who reads, makes and changes them.

use super::*;

#[tokio::test]
async fn categories_are_read_by_those_who_may_order_and_changed_by_managers() {
    with_pizzeria(async |place| {
        let app = &place.app;
        let category = place.category("Pizza", json!({"position": 4})).await;
        let path = format!("/api/v1/categories/{}", category["id"].as_str().unwrap());
        let list = format!("/api/v1/categories?store_id={}", place.store);
        let customer = app.signed_in("customer", Role::Customer, &[]).await;
        let other_store = app.house.create_store().await;
        let stranger = app
            .signed_in("stranger", Role::Manager, &[other_store])
            .await;
        for who in [&customer, &place.staff, &place.manager] {
            assert_eq!(app.get(&path).by(who).send().await.ok(), category);
            assert_eq!(
                app.get(&list).by(who).send().await.ok()["items"],
                json!([category])
            );
        }
        app.get(&path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        app.get(&list)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        app.get(&path)
            .send()
            .await
            .problem(401, "incorrect_credentials");

        let new = json!({"store_id": place.store, "name": "Pasta"});
        for (who, status, reason) in [
            (&customer, 403, "forbidden"),
            (&place.staff, 403, "forbidden"),
        ] {
            let made = app
                .post("/api/v1/categories", new.clone())
                .by(who)
                .send()
                .await;
            made.problem(status, reason);
            app.patch(&path, json!({"name": "x"}))
                .by(who)
                .send()
                .await
                .problem(status, reason);
            app.ask("DELETE", &path)
                .by(who)
                .send()
                .await
                .problem(status, reason);
        }
        let made = app
            .post("/api/v1/categories", new.clone())
            .by(&stranger)
            .send()
            .await;
        made.problem(404, "not_found");

        let patch = json!({"name": "Pizze", "description": "baked", "position": null});
        let refused = app.patch(&path, patch).by(&place.manager).send().await;
        assert_eq!(refused.pointers(), ["/position"]);
        let patch = json!({"name": "Pizze", "weight": 2});
        let edited = app.patch(&path, patch).by(&place.manager).send().await.ok();
        assert_eq!(
            (&edited["position"], &edited["weight"], &edited["version"]),
            (&json!(4), &json!(2), &json!(2))
        );
        let deleted = app
            .ask("DELETE", &path)
            .by(&place.manager)
            .header("if-match", "\"1\"")
            .send()
            .await;
        deleted.problem(412, "version_conflict");
        assert_eq!(
            app.ask("DELETE", &path)
                .by(&place.manager)
                .send()
                .await
                .status,
            204
        );
        app.ask("DELETE", &path)
            .by(&place.manager)
            .send()
            .await
            .problem(404, "not_found");

        let pasta = async || {
            let asked = app
                .post("/api/v1/categories", new.clone())
                .by(&place.manager);
            asked.header("idempotency-key", "once").send().await
        };
        let (first, second) = (pasta().await, pasta().await);
        assert_eq!(first.ok(), second.ok());
        assert_eq!(second.header("idempotency-replayed"), "true");
    })
    .await;
}
