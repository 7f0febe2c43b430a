//! The list of callbacks, for a store's people.

use super::*;

#[tokio::test]
async fn what_integrators_said_is_shown_to_their_stores_people_with_what_came_of_it() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let (kitchen, bar) = (a_kitchen(&app, store).await, a_kitchen(&app, other).await);
        let order = an_order(&app, store).await;
        let accepted = json!({"order_id": order, "status": "accepted", "sequence": 2});
        post_callback(&app, &kitchen, "m-2", &accepted).await.ok();
        app.house.ledger.apply_callbacks(order).await.unwrap();
        app.house.clock.advance(std::time::Duration::from_secs(60));
        let late = json!({"order_id": order, "status": "in_the_pan", "sequence": 1});
        post_callback(&app, &kitchen, "m-1", &late).await.ok();
        app.house.ledger.apply_callbacks(order).await.unwrap();
        let unknown = json!({"reference": "B-1", "status": "ready"});
        post_callback(&app, &bar, "m-1", &unknown).await.ok();
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let operator = app.signed_in("operator", Role::Operator, &[]).await;
        let anna = app.signed_in("berta", Role::Customer, &[]).await;
        let list = async |by: &str, query: &str| {
            let path = format!("/api/v1/callbacks{query}");
            app.get(&path).by(by).send().await
        };
        let names = |page: &Value| -> Vec<(String, String)> {
            let items = page["items"].as_array().unwrap().iter();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            items
                .map(|item| (text(&item["webhook_id"]), text(&item["result"])))
                .collect()
        };
        let of = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(id, result)| ((*id).to_owned(), (*result).to_owned()))
                .collect()
        };
        let theirs = of(&[("m-1", "stale"), ("m-2", "applied")]);

        let page = list(&staff, "").await.ok();
        assert_eq!(names(&page), theirs);
        let stale = &page["items"][0];
        assert_eq!(
            (
                &stale["order_number"],
                &stale["sequence"],
                &stale["payload"]["status"]
            ),
            (&json!(1), &json!(1), &json!("in_the_pan"))
        );
        assert!(stale["detail"].is_string(), "{stale}");
        assert_eq!(names(&list(&operator, "").await.ok()).len(), 3);
        assert_eq!(
            names(&list(&operator, "?result=waiting").await.ok()),
            of(&[("m-1", "waiting")])
        );
        list(&anna, "").await.problem(403, "forbidden");
        list(&staff, &format!("?store_id={other}"))
            .await
            .problem(404, "not_found");
        assert_eq!(
            names(
                &list(&staff, &format!("?integrator_id={}", bar.id))
                    .await
                    .ok()
            ),
            []
        );
        for query in [
            format!("?order_id={order}"),
            format!("?integrator_id={}&store_id={store}", kitchen.id),
            "?result=stale,applied".to_owned(),
        ] {
            assert_eq!(names(&list(&staff, &query).await.ok()), theirs, "{query}");
        }
        assert_eq!(
            names(
                &list(&staff, "?received_before=2026-11-25T12:00:30Z")
                    .await
                    .ok()
            ),
            theirs[1..]
        );
        assert_eq!(
            names(
                &list(&staff, "?received_after=2026-11-25T12:00:30Z&result=stale")
                    .await
                    .ok()
            ),
            theirs[..1]
        );
        let first = list(&staff, "?limit=1").await.ok();
        let next = format!("?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
        assert_eq!(
            (names(&first), names(&list(&staff, &next).await.ok())),
            (theirs[..1].to_vec(), theirs[1..].to_vec())
        );
        assert_eq!(list(&staff, "?result=lost").await.pointers(), ["result"]);
    })
    .await;
}
