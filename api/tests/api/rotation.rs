//! A rotation of the key that signs, while processes of neighbouring steps serve the same clients.

use domain::{
    account::Role,
    ids::{ProductId, StoreId},
};
use platform::secrets::Keys;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, with_app};

const ORDERS: &str = "/api/v1/orders";

fn wanted(store: StoreId, product: ProductId, quantity: u32) -> Value {
    json!({"store_id": store, "items": [{"product_id": product, "quantity": quantity}]})
}

/// Returns the processes of each step: all have the old key, then the new one is beside it, then it is the first, and in
/// the end it is alone.
fn steps(app: &App) -> [App; 4] {
    [
        Keys::seeded(1),
        Keys::seeded_beside(1, &[2]),
        Keys::seeded_beside(2, &[1]),
        Keys::seeded(2),
    ]
    .map(|keys| app.another_with_keys(keys))
}

/// Pairs of processes that run side by side at some time, in both directions.
fn neighbours(steps: &[App; 4]) -> impl Iterator<Item = (&App, &App)> {
    let pairs = steps.windows(2).map(|pair| (&pair[0], &pair[1]));
    pairs.flat_map(|(one, other)| [(one, other), (other, one)])
}

#[tokio::test]
async fn a_sign_in_holds_at_the_neighbouring_processes_of_a_rotation() {
    with_app(async |app: App| {
        app.account("anna", Role::Customer, &[]).await;
        for (here, there) in neighbours(&steps(&app)) {
            let body = json!({"username": "anna", "password": PASSWORD});
            let pair = here.post("/api/v1/token", body).send().await.ok();
            let bearer = format!("Bearer {}", pair["access"].as_str().unwrap());
            there.get("/api/v1/me").by(&bearer).send().await.ok();
            let refresh = json!({"refresh": pair["refresh"]});
            let next = there.post("/api/v1/token/refresh", refresh).send().await;
            let bearer = format!("Bearer {}", next.ok()["access"].as_str().unwrap());
            here.get("/api/v1/me").by(&bearer).send().await.ok();
        }
        let [old, .., new] = steps(&app);
        let carla = old.signed_in("carla", Role::Customer, &[]).await;
        let me = new.get("/api/v1/me").by(&carla).send().await;
        me.problem(401, "incorrect_credentials");
    })
    .await;
}

#[tokio::test]
async fn a_request_is_done_once_whichever_process_of_a_rotation_gets_it_again() {
    with_app(async |app: App| {
        let customer = app.account("carla", Role::Customer, &[]).await;
        let operator = app.account("olga", Role::Operator, &[]).await;
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        for (at, (here, there)) in neighbours(&steps(&app)).enumerate() {
            let key = format!("key {at}");
            let send = async |at: &App, path: &str, body: &Value| {
                let ask = at.post(path, body.clone()).by(&at.bearer(&customer));
                ask.header("idempotency-key", &key).send().await
            };
            // One key for each kind of request: those that share a batch, and those of their own.
            let order = wanted(store, product, 1);
            let made = send(here, ORDERS, &order).await.ok();
            let again = send(there, ORDERS, &order).await;
            assert_eq!(again.header("idempotency-replayed"), "true");
            assert_eq!(again.ok()["id"], made["id"]);
            let refused = send(there, ORDERS, &wanted(store, product, 2)).await;
            refused.problem(422, "idempotency_key_reused");

            let key = format!("product {at}");
            let send = async |at: &App, name: &str| {
                let price = json!({"amount": 250, "currency": "EUR"});
                let body = json!({"store_id": store, "name": name, "price": price});
                let ask = at.post("/api/v1/products", body).by(&at.bearer(&operator));
                ask.header("idempotency-key", &key).send().await
            };
            let made = send(here, "Tea").await.ok();
            assert_eq!(send(there, "Tea").await.ok()["id"], made["id"]);
            send(there, "Coffee")
                .await
                .problem(422, "idempotency_key_reused");
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_of_an_order_leads_to_it_at_the_neighbouring_processes_of_a_rotation() {
    with_app(async |app: App| {
        let customer = app.account("carla", Role::Customer, &[]).await;
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let placed = app.post(ORDERS, wanted(store, product, 1));
        let placed = placed.by(&app.bearer(&customer));
        let order = placed.send().await.ok();
        let path = format!("{ORDERS}/{}/link", order["id"].as_str().unwrap());
        for (here, there) in neighbours(&steps(&app)) {
            let link = here.get(&path).by(&here.bearer(&customer));
            let link = link.send().await.ok();
            let path = format!("/api/v1/order-links/{}", link["token"].as_str().unwrap());
            let seen = there.get(&path).send().await.ok();
            assert_eq!(seen["order"]["number"], order["number"]);
        }
        let [old, .., new] = steps(&app);
        let link = old.get(&path).by(&old.bearer(&customer)).send().await.ok();
        let path = format!("/api/v1/order-links/{}", link["token"].as_str().unwrap());
        new.get(&path).send().await.problem(404, "not_found");
    })
    .await;
}
