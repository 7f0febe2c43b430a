//! Details of products over HTTP: times at which they come back, and wrong fields.

use super::*;

#[tokio::test]
async fn a_product_that_is_off_until_a_time_is_shown_as_sold_out_until_then() {
    with_pizzeria(async |place| {
        let soup = place.product("Soup", json!({})).await;
        let now = place.app.house.clock.now();
        let until = now + Duration::from_secs(30);
        let off = json!({"available": false, "until": until});
        let answer = place
            .app
            .patch(&path(&soup), off)
            .by(&place.staff)
            .send()
            .await;
        let edited = answer.ok();
        let back_at = domain::order::rfc3339(until);
        assert_eq!(
            (&edited["available"], &edited["available_from"]),
            (&json!(false), &json!(back_at))
        );
        let item = place.guests_menu().await["items"][0].clone();
        assert_eq!(
            (&item["sold_out"], &item["available_from"]),
            (&json!(true), &json!(back_at))
        );
        place.app.house.clock.advance(Duration::from_secs(30));
        let item = place.guests_menu().await["items"][0].clone();
        let expected = (&json!(false), &json!(true), &Value::Null);
        assert_eq!(
            (
                &item["sold_out"],
                &item["available"],
                &item["available_from"]
            ),
            expected
        );

        for (patch, pointer) in [
            (json!({"until": until}), "/until"),
            (
                json!({"available": true, "until": "2027-01-01T00:00:00Z"}),
                "/until",
            ),
            (json!({"available": false, "until": now}), "/until"),
            (json!({"available": false, "until": "tomorrow"}), "/until"),
        ] {
            assert_eq!(place.edit(&soup, patch).await.pointers(), [pointer]);
        }
        // Without a time it stays off, and off the menu.
        place
            .edit(&soup, json!({"available": false, "until": null}))
            .await
            .ok();
        assert_eq!(place.guests_menu().await["items"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn every_wrong_detail_of_a_product_is_named() {
    with_pizzeria(async |place| {
        let category = place.category("Pizza", json!({})).await;
        let product = place.product("Margherita", json!({})).await;
        let other = "01980000-0000-7000-8000-000000000001";
        let here = json!({"category_id": category["id"]});
        for (patch, pointers) in [
            (json!({"allergens": ["milk", "water"]}), vec!["/allergens/1"]),
            (json!({"diets": ["carnivore"]}), vec!["/diets/0"]),
            (json!({"categories": [here, {"category_id": other}]}), vec!["/categories/1/category_id"]),
            (json!({"categories": [here, here]}), vec!["/categories/1/category_id"]),
            (json!({"categories": [{"category_id": other, "position": -1}]}), vec!["/categories/0/position"]),
            (json!({"categories": null, "translations": null}), vec!["/categories", "/translations"]),
            (json!({"translations": {"german": {}}}), vec!["/translations/german"]),
            (json!({"translations": {"DE": {}, "de": {}}}), vec!["/translations/de"]),
            (json!({"translations": {"de": {"name": ""}}}), vec!["/translations/de/name"]),
            (json!({"translations": {"de": {"title": "x"}}}), vec!["/translations/de/title"]),
            (json!({"image_url": "http://pizza.example/a.png"}), vec!["/image_url"]),
            (json!({"image_url": "javascript:alert(1)"}), vec!["/image_url"]),
            (json!({"image_url": format!("/api/v1/images/{other}")}), vec!["/image_url"]),
        ] {
            let mut refused = place.edit(&product, patch.clone()).await.pointers();
            refused.sort();
            assert_eq!(refused, pointers, "{patch}");
        }
        let many: serde_json::Map<String, Value> = ('a'..='u')
            .map(|letter| (format!("{letter}a"), json!({})))
            .collect();
        let refused = place.edit(&product, json!({"translations": many})).await;
        assert_eq!(refused.pointers(), ["/translations"]);
        let staffs = place.app.patch(&path(&product), json!({"allergens": []})).by(&place.staff);
        staffs.send().await.problem(403, "forbidden");

        // Sets are sets, and an edit keeps what it does not name.
        let patch = json!({
            "allergens": ["milk", "gluten", "milk"], "image_url": "https://pizza.example/ä.png", "categories": [here],
        });
        let edited = place.edit(&product, patch).await.ok();
        assert_eq!(edited["allergens"], json!(["gluten", "milk"]));
        assert_eq!(edited["image_url"], "https://pizza.example/%C3%A4.png");
        let renamed = place.edit(&product, json!({"name": "Napoli"})).await.ok();
        assert_eq!(renamed["allergens"], edited["allergens"]);
        assert_eq!(renamed["categories"], edited["categories"]);
    })
    .await;
}
