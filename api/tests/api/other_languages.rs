//! Bodies as programs in other languages write them.

use std::io::Write;

use domain::account::Role;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::app::{Answer, App, with_app, with_app_configured};

const STORES: &str = "/api/v1/stores";

async fn create_raw(app: &App, by: &str, body: impl Into<poem::Body>) -> Answer {
    let ask = app.ask("POST", STORES).by(by);
    ask.header("content-type", "application/json")
        .raw(body)
        .send()
        .await
}

fn a_store() -> Value {
    json!({"name": "Kiosk", "timezone": "Europe/Berlin", "currency": "EUR"})
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn half_of_a_character_is_a_wrong_field_beside_all_other_wrong_fields() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let body = r#"{"name":"Kiosk \ud83d","timezone":"Nowhere","currency":"EUR","address":"\udc00","wall\ud83d":1}"#;
        let mut pointers = create_raw(&app, &operator, body).await.pointers();
        pointers.sort();
        assert_eq!(
            pointers,
            ["/address", "/name", "/timezone", "/wall\u{fffd}", "/wall\u{fffd}"]
        );
        let whole = r#"{"name":"Kiosk \ud83d\ude00","timezone":"UTC","currency":"EUR"}"#;
        let made = create_raw(&app, &operator, whole).await.ok();
        assert_eq!(made["name"], "Kiosk 😀");
    })
    .await;
}

#[tokio::test]
async fn a_byte_order_mark_integers_with_a_point_and_quoted_coordinates_are_read() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let body = "\u{feff}{\"name\":\"Kiosk\",\"timezone\":\"UTC\",\"currency\":\"EUR\",\
            \"accept_within_s\":6e2,\"lead_time_min\":45.0,\"lat\":\"52.5200\",\"lng\":\"-13.405\"}";
        let made = create_raw(&app, &operator, body).await.ok();
        assert_eq!(
            (&made["accept_within_s"], &made["lead_time_min"], &made["lat"], &made["lng"]),
            (&json!(600), &json!(45), &json!(52.52), &json!(-13.405))
        );
        for (field, wrong) in [
            ("lat", "\"90.0001\""),
            ("lng", "\"-180.0001\""),
            ("lat", "\"5e1\""),
            ("lat", "\"north\""),
            ("accept_within_s", "9.0"),
            ("accept_within_s", "86401.0"),
            ("accept_within_s", "10.5"),
            ("accept_within_s", "\"600\""),
            ("lead_time_min", "1e300"),
        ] {
            let mut body = a_store().to_string();
            body.insert_str(1, &format!("\"{field}\":{wrong},"));
            let pointers = create_raw(&app, &operator, body).await.pointers();
            assert_eq!(pointers, [format!("/{field}")], "{wrong}");
        }
        for (field, right) in [("lat", "\"90\""), ("lng", "\"-180.0\""), ("accept_within_s", "1e1")] {
            let mut body = a_store().to_string();
            body.insert_str(1, &format!("\"{field}\":{right},"));
            create_raw(&app, &operator, body).await.ok();
        }
    })
    .await;
}

#[tokio::test]
async fn a_compressed_body_is_read_within_the_limit_and_other_encodings_are_refused() {
    let settings = [("http.body_limit_bytes", "2000")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app: App| {
            let operator = app.signed_in("op", Role::Operator, &[]).await;
            let send = async |encoding: &str, body: Vec<u8>| {
                let ask = app.ask("POST", STORES).by(&operator);
                ask.header("content-type", "application/json")
                    .header("content-encoding", encoding)
                    .raw(body)
                    .send()
                    .await
            };
            // White space around JSON makes it as long as it shall be.
            let padded = |length: usize| format!("{:<length$}", a_store().to_string()).into_bytes();
            for encoding in ["gzip", "x-gzip", "GZIP"] {
                send(encoding, gzip(&padded(2000))).await.ok();
            }
            send("identity", padded(2000)).await.ok();
            let too_large = send("gzip", gzip(&padded(2001))).await;
            assert_eq!(
                too_large.problem(413, "payload_too_large")["limit_bytes"],
                2000
            );
            send("gzip", padded(100)).await.problem(400, "bad_request");
            for encoding in ["deflate", "br", "zstd", "gzip, gzip", "aws-chunked"] {
                let refused = send(encoding, gzip(&padded(100))).await;
                refused.problem(415, "unsupported_media_type");
                assert_eq!(refused.header("accept-encoding"), "gzip", "{encoding}");
            }
        },
    )
    .await;
}
