//! Event streams of sessions: their form, ids, and the refusals before they begin.

use ledger::NoWake;
use std::sync::Arc;
use tokio::net::TcpStream;

use super::*;
use crate::event_reader::{Event, EventReader, Sent};

impl Table {
    fn stream_path(&self) -> String {
        format!("/api/v1/sessions/{}/events/stream", self.session.code)
    }

    async fn stream(&self, query: &str, headers: &[(&'static str, &str)]) -> EventReader {
        let path = format!("{}{query}", self.stream_path());
        self.served.stream(&path, headers).await
    }
}

fn data(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

#[tokio::test]
async fn frames_are_events_with_their_number_as_id_that_no_gateway_holds_back() {
    on_sqlite(|house| async move {
        let ping_interval = Duration::from_millis(50);
        let table = Table::with(
            house,
            NotifierSettings {
                ping_interval,
                ..settings()
            },
        )
        .await;
        let epoch = table.line.epoch().await;
        let mut stream = table.stream("", &[]).await;
        assert_eq!(stream.status, 200);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(stream.headers[name], value);
        }
        let hello = stream.event().await;
        assert_eq!(data(&hello)["type"], "hello");
        assert_eq!(data(&hello)["session"]["name"], "Table 1");
        assert_eq!(hello.id, Some(format!("1@{epoch}")));
        let retry_ms = stream.retry_ms.unwrap();
        assert!((1000..=3000).contains(&retry_ms), "{retry_ms}");

        table.order(2).await;
        for seq in [2, 3] {
            let event = stream.event().await;
            assert_eq!(event.id, Some(format!("{seq}@{epoch}")));
            assert_eq!(
                (&data(&event)["seq"], &data(&event)["prev"]),
                (&json!(seq), &json!(seq - 1))
            );
        }
        // Without news, comments show that the connection is there.
        for _ in 0..2 {
            assert_eq!(
                timeout(TEST_TIMEOUT, stream.next()).await.unwrap(),
                Some(Sent::Comment)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_comes_back_goes_on_after_the_last_event_that_it_had() {
    on_sqlite(|house| async move {
        let table = Table::new(house).await;
        table.order(5).await;
        let epoch = table.line.epoch().await;
        let other = uuid::Uuid::from_u128(7);
        // A browser sends its first URL again, and in the header the newest number.
        for (query, last, resumed_after) in [
            (String::new(), format!("4@{epoch}"), Some(4)),
            (
                format!("?after=1&epoch={epoch}"),
                format!("4@{epoch}"),
                Some(4),
            ),
            (format!("?epoch={epoch}"), "4".to_owned(), Some(4)),
            (format!("?after=1&epoch={epoch}"), "x".to_owned(), Some(1)),
            (String::new(), "0".to_owned(), Some(0)),
            (String::new(), "4".to_owned(), None),
            (String::new(), format!("4@{other}"), None),
            (
                format!("?after=1&epoch={epoch}"),
                format!("4@{other}"),
                None,
            ),
            (String::new(), format!("-1@{epoch}"), None),
            (String::new(), format!("7@{epoch}"), None),
        ] {
            let mut stream = table.stream(&query, &[("last-event-id", &last)]).await;
            let hello = data(&stream.event().await);
            match resumed_after {
                Some(after) => {
                    assert_eq!(
                        (&hello["resumed"], &hello["seq"]),
                        (&json!(true), &json!(after)),
                        "{query} {last}"
                    );
                    for seq in after + 1..=6 {
                        assert_eq!(stream.event().await.id, Some(format!("{seq}@{epoch}")));
                    }
                }
                None => assert_eq!(
                    (&hello["resumed"], &hello["seq"]),
                    (&Value::Null, &json!(6)),
                    "{query} {last}"
                ),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_new_epoch_the_ids_name_that_epoch() {
    on_sqlite(|house| async move {
        let check_interval = Duration::from_millis(20);
        let settings = NotifierSettings {
            check_interval,
            ..settings()
        };
        let table = Table::with(house, settings).await;
        let mut stream = table.stream("", &[]).await;
        let before = stream.event().await.id.unwrap();
        let elsewhere = table.house.ledger_with_wake(Arc::new(NoWake));
        let epoch = elsewhere.renew_epoch().await.unwrap();
        let anew = stream.event().await;
        assert_eq!(data(&anew)["epoch"], json!(epoch));
        assert_eq!(anew.id, Some(format!("1@{epoch}")));
        assert_ne!(anew.id, Some(before));
        table.order(1).await;
        assert_eq!(stream.event().await.id, Some(format!("2@{epoch}")));
    })
    .await;
}

#[tokio::test]
async fn sockets_and_streams_have_their_places_together() {
    on_sqlite(|house| async move {
        let settings = NotifierSettings {
            max_sockets_per_address: 2,
            ..settings()
        };
        let table = Table::with(house, settings).await;
        let metrics = &table.served.metrics;
        let _socket = table.served.open(&table.path()).await;
        let stream = table.stream("", &[]).await;
        assert_eq!(
            (metrics.sockets_open.get(), metrics.event_streams_open.get()),
            (2, 1)
        );
        let refused = table.stream("", &[]).await;
        assert_eq!(
            (refused.status, &*refused.headers["retry-after"]),
            (429, "5")
        );
        match table.served.open_with(&table.path(), &[]).await {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 429),
            other => panic!("not refused: {other:?}"),
        }
        drop(stream);
        timeout(TEST_TIMEOUT, async {
            while table.stream("", &[]).await.status != 200 {}
        })
        .await
        .expect("its place is free again");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_does_not_begin_is_a_problem() {
    on_sqlite(|house| async move {
        let table = Table::new(house).await;
        let none = "/api/v1/sessions/0000000000000000000000000000000000000000/events/stream";
        let nothing = "/api/v1/nothing/events/stream";
        let own = table.stream_path();
        table
            .line
            .ledger
            .close_session(table.session.id)
            .await
            .unwrap();
        table.house.clock.advance(Duration::from_secs(24 * 3600));
        let evil = [("origin", "https://evil.example"), ("x-request-id", "mine")];
        let mine = [("x-request-id", "mine")];
        for (method, path, headers, status, reason) in [
            ("GET", none, &mine[..], 404, "session_not_found"),
            ("GET", &own, &mine, 410, "session_ended"),
            ("GET", &own, &evil, 403, "forbidden"),
            ("POST", &own, &mine, 405, "incorrect_access_method"),
            ("GET", nothing, &mine, 404, "not_found"),
        ] {
            let tcp = TcpStream::connect(table.served.address).await.unwrap();
            let refused = EventReader::send(tcp, method, path, headers).await;
            assert_eq!(refused.status, status, "{method} {path}");
            assert_eq!(refused.headers["content-type"], "application/problem+json");
            assert_eq!(refused.headers["x-request-id"], "mine");
            let allow = refused.headers.get("allow").cloned();
            assert_eq!(allow.as_deref(), (status == 405).then_some("GET, HEAD"));
            let problem = refused.json().await;
            assert_eq!(
                (&problem["reason"], &problem["status"]),
                (&json!(reason), &json!(status))
            );
            assert_eq!(problem["request_id"], "mine");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_streams() {
    on_sqlite(|house| async move {
        let table = Table::new(house).await;
        let till = ("origin", "https://till.example");
        let stream = table.stream("", &[till]).await;
        assert_eq!(stream.status, 200);
        assert_eq!(stream.headers["access-control-allow-origin"], till.1);
        let tcp = TcpStream::connect(table.served.address).await.unwrap();
        let preflight = [till, ("access-control-request-method", "GET")];
        let allowed = EventReader::send(tcp, "OPTIONS", &table.stream_path(), &preflight).await;
        assert_eq!(allowed.status, 204);
        let headers = &allowed.headers["access-control-allow-headers"];
        assert!(headers.contains("last-event-id"), "{headers}");
    })
    .await;
}
