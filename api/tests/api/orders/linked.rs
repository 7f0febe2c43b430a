//! The link to an order's status page.

use std::time::Duration;

use domain::account::Role;
use serde_json::json;

use super::{ORDERS, create_product, wanted};
use crate::app::{App, with_app};

#[tokio::test]
async fn a_customer_follows_an_order_by_its_link_without_an_account() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let espresso = create_product(&app, store, None).await;
        let carla = app.signed_in("carla", Role::Customer, &[]).await;
        let mut order = wanted(store, espresso, 2);
        order["customer"] = json!({"name": "Carla", "phone": "+49 30 1234"});
        let order = app.post(ORDERS, order).by(&carla).send().await.ok();
        let path = format!("{ORDERS}/{}/link", order["id"].as_str().unwrap());

        let link = app.get(&path).by(&carla).send().await.ok();
        assert_eq!(link, app.get(&path).by(&carla).send().await.ok());
        let (url, token) = (
            link["url"].as_str().unwrap(),
            link["token"].as_str().unwrap(),
        );
        assert!(url.ends_with(&format!("/o/{token}")), "{url}");
        let page = app.get(&format!("/o/{token}")).send().await;
        assert!(page.status.is_success() && page.text.contains("/order/app.js"));

        let path = format!("/api/v1/order-links/{token}");
        let answer = app.get(&path).send().await;
        let seen = answer.ok();
        assert_eq!(seen["order"]["number"], order["number"]);
        assert_eq!(seen["expires_at"], link["expires_at"]);
        assert!(!answer.text.contains("Carla") && !answer.text.contains("1234"));
        assert_eq!(seen["order"]["next"], json!([]), "the link allows nothing");
        let again = app
            .get(&path)
            .header("if-none-match", answer.header("etag"));
        assert_eq!(again.send().await.status.as_u16(), 304);

        app.house.clock.advance(Duration::from_hours(31 * 24));
        app.get(&path).send().await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_link_is_for_those_who_see_the_order_and_no_other_token_is_one() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let espresso = create_product(&app, store, None).await;
        let carla = app.signed_in("carla", Role::Customer, &[]).await;
        let dieter = app.signed_in("dieter", Role::Customer, &[]).await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let order = wanted(store, espresso, 1);
        let order = app.post(ORDERS, order).by(&carla).send().await.ok();
        let path = format!("{ORDERS}/{}/link", order["id"].as_str().unwrap());
        app.get(&path).by(&staff).send().await.ok();
        app.get(&path)
            .by(&dieter)
            .send()
            .await
            .problem(404, "not_found");
        app.get(&path)
            .send()
            .await
            .problem(401, "incorrect_credentials");

        let mut draft = wanted(store, espresso, 1);
        draft["status"] = json!("draft");
        let draft = app.post(ORDERS, draft).by(&carla).send().await.ok();
        let path = format!("{ORDERS}/{}/link", draft["id"].as_str().unwrap());
        app.get(&path)
            .by(&carla)
            .send()
            .await
            .problem(404, "not_found");

        for token in [
            "x",
            order["id"].as_str().unwrap(),
            &"A".repeat(54),
            &"A".repeat(4000),
        ] {
            let forged = app.get(&format!("/api/v1/order-links/{token}"));
            forged.send().await.problem(404, "not_found");
        }
    })
    .await;
}
