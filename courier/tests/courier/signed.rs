//! Signed messages, with the configured secret and with an account's own.

use courier::{Courier, CourierSettings, Login};
use poem::http::Method;
use serde_json::json;

use crate::{
    CALLBACK, Caller, Place, SIGNING, STEP, api::wrong, message, receiver::Receiver, secret,
    send_all,
};

#[tokio::test]
async fn with_a_configured_secret_only_signed_messages_are_taken_and_their_sender_is_told() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let settings = CourierSettings {
        signing_secret: Some(secret(SIGNING)),
        callback_secret: Some(secret(CALLBACK)),
        login: Some(Login {
            username: "expediter".into(),
            password: "of the test".into(),
        }),
        ..place.settings()
    };
    let courier = Courier::open(settings).await.unwrap();
    let (nobody, thief) = (
        Caller::with(&courier, ""),
        Caller::new(&courier, "thief").await,
    );
    let signed = |order: &str, id: &str, age_s: i64| {
        let mut body = message(order);
        body["callback_url"] = receiver.url.clone().into();
        let body = body.to_string();
        let at_s = place.clock.now().timestamp() - age_s;
        let signature = secret(SIGNING).sign(id, at_s, body.as_bytes());
        (body, id.to_owned(), at_s.to_string(), signature)
    };
    let send = |caller: &Caller<'_>,
                (body, id, at, signature): (String, String, String, String)| {
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", at),
            ("webhook-signature", signature),
        ];
        let caller = Caller::with(&courier, &caller.token);
        async move {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            caller
                .ask(Method::POST, "/deliveries", &body, &headers)
                .await
        }
    };
    // A signature needs no token, and the delivery is the configured account's.
    assert_eq!(send(&nobody, signed("o-1", "msg_1", 0)).await.0, 201);
    assert_eq!(send(&nobody, signed("o-1", "msg_1", 0)).await.0, 200);
    // Nobody else gets updates signed: not without a signature, nor with a damaged, an old or an altered one.
    let mut stolen = signed("o-1", "msg_2", 0);
    stolen.0 = stolen.0.replace("Ana", "Eve");
    let damaged = {
        let (body, id, at, _) = signed("o-2", "msg_3", 0);
        (body, id, at, "v1,AAAA".to_owned())
    };
    for (caller, message) in [
        (&thief, stolen),
        (&nobody, damaged),
        (&nobody, signed("o-3", "msg_4", 301)),
    ] {
        let (status, problem) = send(caller, message).await;
        assert_eq!(
            (status.as_u16(), &problem["reason"]),
            (401, &"bad_signature".into())
        );
    }
    let (status, problem) = thief.post("/deliveries", &message("o-1")).await;
    assert_eq!(
        (status.as_u16(), &problem["reason"]),
        (401, &"bad_signature".into())
    );

    place.clock.advance(STEP);
    assert_eq!(courier.step_due().await.unwrap(), 1);
    send_all(&courier).await;
    assert_eq!(receiver.told_of("o-1"), ["AT_ORIGIN"]);
    let login = json!({"username": "expediter", "password": "of the test"});
    let (_, answer) = nobody.post("/signin", &login).await;
    let expediter = Caller::with(&courier, answer["token"].as_str().unwrap());
    assert_eq!(expediter.status(1).await, "AT_ORIGIN");
    assert_eq!(thief.get("/deliveries/1").await.0, 404);
}

#[tokio::test]
async fn an_accounts_own_signing_secret_is_checked() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    let webhook = json!({"signing_secret": SIGNING});
    let (status, answer) = shop.post("/webhooks", &webhook).await;
    assert_eq!(status, 201);
    assert!(
        answer["callback_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    let (_, listed) = shop.get("/webhooks").await;
    assert_eq!(listed["items"][0]["has_signing_secret"], true);
    assert!(!listed.to_string().contains("whsec"), "{listed}");
    assert_eq!(shop.post("/deliveries", &message("o-1")).await.0, 401);
    let body = message("o-1").to_string();
    let at_s = place.clock.now().timestamp();
    let signature = secret(SIGNING).sign("msg_1", at_s, body.as_bytes());
    let at_s = at_s.to_string();
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", at_s.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    let signed = shop.ask(Method::POST, "/deliveries", &body, &headers).await;
    assert_eq!(signed.0, 201);
    let (status, problem) = shop.post("/webhooks", &json!({})).await;
    assert_eq!(
        (status.as_u16(), &problem["reason"]),
        (409, &"duplicate_webhook".into())
    );
    let bad = json!({"url": "http://u:p@x.example", "callback_secret": "whsec_short"});
    let (_, problem) = shop.post("/webhooks", &bad).await;
    assert_eq!(wrong(&problem), ["/url", "/callback_secret"]);
}
