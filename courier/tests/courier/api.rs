//! The HTTP API: accounts, deliveries and problems.

use courier::{Courier, CourierSettings};
use poem::http::Method;
use serde_json::{Value, json};

use crate::{Caller, Place, STEP, message, receiver::Receiver, send_all};

/// Returns the pointers of a problem's errors.
pub(crate) fn wrong(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_has_one_delivery_however_often_it_is_asked_for() {
    let place = Place::new();
    let courier = place.open().await;
    let (shop, other) = (
        Caller::new(&courier, "shop").await,
        Caller::new(&courier, "other").await,
    );
    let body = message("o-1");
    let at_once = (0..10).map(|_| shop.post("/deliveries", &body));
    let mut answers = Vec::new();
    for answer in at_once {
        answers.push(answer.await);
    }
    let created = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(created, 1);
    assert!(
        answers
            .iter()
            .all(|(_, answer)| answer["id"] == 1 && answer["tracking_number"] == "C-1")
    );
    assert_eq!(answers[0].1["status"], "READY_FOR_PICK_UP");
    // Another account may have an order of the same name.
    assert_eq!(other.post("/deliveries", &body).await.0, 201);
}

#[tokio::test]
async fn ten_messages_at_once_make_one_delivery_on_two_couriers() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    Caller::new(&one, "shop").await;
    let login = json!({"username": "shop", "password": "open sesame"});
    let (_, answer) = Caller::with(&one, "").post("/signin", &login).await;
    let token = answer["token"].as_str().unwrap().to_owned();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..10 {
        let courier = if n % 2 == 0 { one.clone() } else { two.clone() };
        let token = token.clone();
        asked.spawn(async move {
            let shop = Caller::with(&courier, &token);
            shop.post("/deliveries", &message("o-1")).await.0.as_u16()
        });
    }
    let mut statuses = asked.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 9].as_slice(), &[201]].concat());
}

#[tokio::test]
async fn a_repeated_key_changes_nothing_and_one_with_another_message_is_refused() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    for header in ["webhook-id", "idempotency-key"] {
        let key = format!("key of {header}");
        let ask = |order: String| {
            let (shop, key) = (&shop, key.clone());
            async move {
                let body = message(&order).to_string();
                shop.ask(Method::POST, "/deliveries", &body, &[(header, &key)])
                    .await
            }
        };
        assert_eq!(ask(format!("{header}-1")).await.0, 201);
        assert_eq!(ask(format!("{header}-1")).await.0, 200);
        let (status, problem) = ask(format!("{header}-2")).await;
        assert_eq!(status, 422);
        assert_eq!(problem["reason"], "idempotency_key_reused");
    }
    let (_, listed) = shop.get("/deliveries").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    let body = json!({
        "order": {"products": [{"sku": "A", "name": ["x"], "qty": 0}, 7]},
        "origin": "Calle 1", "destination": {"address": "x".repeat(501)}, "callback_url": "ftp://x",
    });
    let (status, problem) = shop.post("/deliveries", &body).await;
    assert_eq!(
        (status.as_u16(), &problem["reason"]),
        (422, &"validation_failed".into())
    );
    assert_eq!(
        wrong(&problem),
        [
            "/callback_url",
            "/order/foreign_order_id",
            "/order/products/0/name",
            "/order/products/0/qty",
            "/order/products/1",
            "/order/products/1/qty",
            "/origin",
            "/destination/address",
        ]
    );
    let long = "x".repeat(300_000);
    for (body, status, reason) in [
        ("{", 400, "malformed_json"),
        ("[]", 422, "validation_failed"),
        (long.as_str(), 413, "payload_too_large"),
    ] {
        let (got, problem) = shop.ask(Method::POST, "/deliveries", body, &[]).await;
        assert_eq!(
            (got.as_u16(), problem["reason"].as_str()),
            (status, Some(reason))
        );
    }
    let (_, problem) = shop
        .post("/signup", &json!({"username": "", "password": "short"}))
        .await;
    assert_eq!(wrong(&problem), ["/username", "/password"]);
    for (path, pointer) in [
        ("/deliveries?limit=0", "limit"),
        ("/deliveries?limit=x", "limit"),
        ("/deliveries?status=LOST", "status"),
        ("/deliveries?cursor=x", "cursor"),
        ("/deliveries-history?cursor=1", "cursor"),
    ] {
        let (status, problem) = shop.get(path).await;
        assert_eq!(
            (status.as_u16(), wrong(&problem)),
            (422, vec![pointer]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let place = Place::new();
    let courier = place.open().await;
    let (nobody, shop) = (
        Caller::with(&courier, ""),
        Caller::new(&courier, "shop").await,
    );
    let forged = Caller::with(&courier, "not.a.token");
    let body = message("o-1");
    for ((status, problem), expected) in [
        (nobody.get("/nowhere").await, (404, "not_found")),
        (shop.get("/deliveries/x").await, (404, "not_found")),
        (shop.get("/deliveries/99").await, (404, "not_found")),
        (
            nobody.delete("/signin").await,
            (405, "incorrect_access_method"),
        ),
        (
            nobody.get("/deliveries").await,
            (401, "incorrect_credentials"),
        ),
        (
            forged.get("/deliveries").await,
            (401, "incorrect_credentials"),
        ),
        (
            nobody.post("/deliveries", &body).await,
            (401, "incorrect_credentials"),
        ),
        (
            forged.post("/deliveries", &body).await,
            (401, "incorrect_credentials"),
        ),
        (
            shop.ask(Method::POST, "/signin", "", &[]).await,
            (415, "unsupported_media_type"),
        ),
        (
            nobody
                .post(
                    "/signup",
                    &json!({"username": "shop", "password": "another one"}),
                )
                .await,
            (409, "duplicate_user"),
        ),
        (
            nobody
                .post(
                    "/signin",
                    &json!({"username": "shop", "password": "wrong one"}),
                )
                .await,
            (401, "incorrect_credentials"),
        ),
        (
            nobody
                .post(
                    "/signin",
                    &json!({"username": "ghost", "password": "open sesame"}),
                )
                .await,
            (401, "incorrect_credentials"),
        ),
    ] {
        assert_eq!(
            (status.as_u16(), problem["reason"].as_str()),
            (expected.0, Some(expected.1))
        );
        assert_eq!(problem["status"], expected.0);
    }
}

#[tokio::test]
async fn updates_go_to_allowed_hosts_only() {
    let place = Place::new();
    let settings = CourierSettings {
        receivers: vec!["api".into(), "127.0.0.1:8080".into()],
        ..place.settings()
    };
    let courier = Courier::open(settings).await.unwrap();
    let shop = Caller::new(&courier, "shop").await;
    for (url, status) in [
        ("http://api/x", 201),
        ("https://api:9000/x", 201),
        ("http://127.0.0.1:8080/x", 201),
        ("http://127.0.0.1:8081/x", 422),
        ("http://169.254.169.254/", 422),
        ("http://api.example/", 422),
    ] {
        assert_eq!(
            shop.post("/webhooks", &json!({"url": url})).await.0,
            status,
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_caller_sees_its_own_deliveries_and_the_delivery_service_all() {
    let place = Place::new();
    let courier = place.open().await;
    let (shop, other) = (
        Caller::new(&courier, "shop").await,
        Caller::new(&courier, "other").await,
    );
    let id = shop.deliver("o-1").await;
    for path in [format!("/deliveries/{id}"), "/deliveries/0".to_owned()] {
        assert_eq!(other.get(&path).await.0, 404);
        assert_eq!(other.delete(&path).await.0, 404);
    }
    for path in [
        "/deliveries",
        "/deliveries-history",
        "/deliveries?foreign_order_id=o-1",
    ] {
        assert_eq!(other.get(path).await.1["items"], json!([]), "{path}");
    }
    for user in courier.mock_users().await.unwrap() {
        let seen = if user.username == "mock-user" { 0 } else { 1 };
        let (_, listed) = Caller::with(&courier, &user.token).get("/deliveries").await;
        assert_eq!(
            listed["items"].as_array().unwrap().len(),
            seen,
            "{}",
            user.username
        );
    }
}

#[tokio::test]
async fn a_delivery_is_cancelled_before_pick_up_only_and_that_is_told_once() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    let (first, second) = (shop.deliver("o-1").await, shop.deliver("o-2").await);
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    for _ in 0..2 {
        let (status, answer) = shop.delete(&format!("/deliveries/{first}")).await;
        assert_eq!(
            (status.as_u16(), &answer["status"]),
            (200, &"CANCELLED".into())
        );
    }
    place.clock.advance(STEP);
    assert_eq!(courier.step_due().await.unwrap(), 1);
    let (status, problem) = shop.delete(&format!("/deliveries/{second}")).await;
    assert_eq!(
        (status.as_u16(), &problem["reason"]),
        (409, &"already_picked_up".into())
    );
    send_all(&courier).await;
    assert_eq!(receiver.told_of("o-1"), ["AT_ORIGIN", "CANCELLED"]);
    assert_eq!(
        receiver.told_of("o-2"),
        ["AT_ORIGIN", "EN_ROUTE_OF_DELIVERY"]
    );
}

#[tokio::test]
async fn a_message_that_the_order_was_cancelled_counts_also_if_it_comes_first() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    let cancelled =
        |order: &str| json!({"event": "order.cancelled", "order": {"foreign_order_id": order}});
    let id = shop.deliver("o-1").await;
    let (status, answer) = shop.post("/deliveries", &cancelled("o-1")).await;
    assert_eq!(
        (status.as_u16(), &answer["status"]),
        (200, &"CANCELLED".into())
    );
    assert_eq!(shop.status(id).await, "CANCELLED");
    // It overtook its order.
    assert_eq!(shop.post("/deliveries", &cancelled("o-2")).await.0, 200);
    let (status, answer) = shop.post("/deliveries", &message("o-2")).await;
    assert_eq!(
        (status.as_u16(), &answer["status"]),
        (200, &"CANCELLED".into())
    );
    place.clock.advance(STEP);
    assert_eq!(courier.step_due().await.unwrap(), 0);
    // It came too late: the parcel is on its way, and the message is taken.
    let late = shop.deliver("o-3").await;
    for _ in 0..2 {
        place.clock.advance(STEP);
        courier.step_due().await.unwrap();
    }
    let (status, answer) = shop.post("/deliveries", &cancelled("o-3")).await;
    assert_eq!(
        (status.as_u16(), &answer["status"]),
        (200, &"EN_ROUTE_OF_DELIVERY".into())
    );
    assert_eq!(shop.status(late).await, "EN_ROUTE_OF_DELIVERY");
    // An event that asks for nothing is noted.
    for event in ["test", "order.status_changed", "from.the.future"] {
        assert_eq!(
            shop.post("/deliveries", &json!({"event": event})).await.0,
            204,
            "{event}"
        );
    }
}

#[tokio::test]
async fn probes_and_metrics_need_no_token() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.deliver("o-1").await;
    let nobody = Caller::with(&courier, "");
    for path in ["/livez", "/readyz", "/openapi.json", "/metrics"] {
        assert_eq!(nobody.get(path).await.0, 200, "{path}");
    }
    courier.run(std::future::ready(())).await;
    let (status, answer) = nobody.get("/readyz").await;
    assert_eq!(
        (status.as_u16(), &answer["reason"]),
        (503, &"stopping".into())
    );
}
