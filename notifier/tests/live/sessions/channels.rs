//! Channels of sessions: gaps, codes, closes and limits.

use super::*;
use crate::setup::{OVER, Over};
use domain::capacity::Busy;
use ledger::stores::{RulesEdit, StoreEdit};

/// Defines tests on SQLite alone, over both transports: they test the notifier and use no query of the ledger that the
/// others do not.
macro_rules! live_test {
    ($(async fn $name:ident($house:ident: TestLedger) $body:block)+) => {$(
        async fn $name($house: TestLedger) $body

        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_sockets() {
                on_sqlite(|house| OVER.scope(Over::Sockets, super::$name(house))).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_event_streams() {
                on_sqlite(|house| OVER.scope(Over::EventStreams, super::$name(house))).await;
            }
        }
    )+};
}

/// Defines tests of what only a socket can do: be told something.
macro_rules! socket_test {
    ($(async fn $name:ident($house:ident: TestLedger) $body:block)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            on_sqlite(|$house| async move $body).await;
        }
    )+};
}

live_test! {
    async fn a_number_that_was_never_given_out_is_answered_with_a_snapshot(house: TestLedger) {
        let table = Table::new(house).await;
        let epoch = table.line.epoch().await;
        for after in ["-1", "7", "9223372036854775807", "x"] {
            let path = format!("{}?after={after}&epoch={epoch}", table.path());
            let mut client = table.served.open(&path).await;
            let hello = client.frame().await;
            assert_eq!((&hello["seq"], &hello["resumed"]), (&json!(1), &Value::Null), "after={after}");
        }
    }

    async fn what_the_feed_lost_is_filled_from_the_ledger_when_the_next_event_comes(house: TestLedger) {
        let table = Table::new(house).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        table.line.loses(true);
        table.order(250).await;
        table.line.loses(false);
        table.order(1).await;
        assert_eq!(chain(1, &client.frames_to(252).await), (2..=252).collect::<Vec<_>>());
        assert!(table.served.metrics.feed_gaps_filled.get() >= 1);
    }

    async fn what_the_feed_lost_comes_with_the_next_check_where_no_event_follows(house: TestLedger) {
        let check_interval = Duration::from_millis(20);
        let table = Table::with(house, NotifierSettings { check_interval, ..settings() }).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        table.line.loses(true);
        table.order(2).await;
        assert_eq!(chain(1, &client.frames_to(3).await), [2, 3]);
        assert_eq!(table.served.metrics.feed_messages.get(), 1, "only the opening of the session came over the feed");
    }

    async fn what_comes_twice_or_unreadable_over_the_feed_reaches_nobody(house: TestLedger) {
        let table = Table::new(house).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        table.order(1).await;
        assert_eq!(chain(1, &client.frames_to(2).await), [2]);
        let events = table.line.ledger.events_after(table.session.id.into(), 0, 10).await.unwrap();
        let mut bodies: Vec<_> = events.iter().map(|event| serde_json::to_vec(event).unwrap()).collect();
        bodies.push(b"{\"from\":\"a newer version\"}".to_vec());
        table.line.broker.publish(bodies.into_iter().map(Message::feed).collect()).await;
        table.order(1).await;
        assert_eq!(chain(2, &client.frames_to(3).await), [3]);
    }

    async fn two_notifiers_tell_the_same(house: TestLedger) {
        let table = Table::new(house).await;
        let other = serve(&table.line, settings()).await;
        let (mut here, mut there) = (table.served.open(&table.path()).await, other.open(&table.path()).await);
        assert_eq!(here.frame().await, there.frame().await);
        table.order(20).await;
        assert_eq!(here.frames_to(21).await, there.frames_to(21).await);
    }

    async fn who_does_not_keep_up_is_sent_away_and_comes_back_for_the_rest(house: TestLedger) {
        let table = Table::with(house, NotifierSettings { client_queue_capacity: 20, ..settings() }).await;
        let mut slow = table.served.open_narrow(&table.path()).await;
        let mut quick = table.served.open(&table.path()).await;
        quick.frame().await;
        let long = "x".repeat(1000);
        let mut ordered = 0;
        // Until the buffers in between are full; the quick client keeps reading.
        while table.served.metrics.slow_clients.get() == 0 {
            assert!(ordered < 20_000, "the slow client was never noticed");
            let orders = (0..50).map(|_| table.house.place_guest_order_with(&table.session, table.product, |order| {
                for line in &mut order.lines {
                    line.note = Some(long.clone());
                }
            }));
            join_all(orders).await;
            ordered += 50;
            quick.frames_to(1 + ordered).await;
        }
        let mut frames = Vec::new();
        let code = loop {
            match slow.next().await {
                tungstenite::Message::Text(text) => frames.push(serde_json::from_str::<Value>(&text).unwrap()),
                tungstenite::Message::Close(Some(close)) => break u16::from(close.code),
                _ => {}
            }
        };
        assert_eq!(code, 4408);
        let seen = *chain(1, &frames[1..]).last().unwrap_or(&1);
        assert!(seen < 1 + ordered);
        // Gets the missed events, or a snapshot if there are more than 1000.
        let mut again = table.served.open(&table.path_after(seen).await).await;
        match again.frame().await["resumed"] {
            Value::Bool(true) => assert_eq!(chain(seen, &again.frames_to(1 + ordered).await).len() as i64, 1 + ordered - seen),
            _ => assert!(1 + ordered - seen > 1000),
        }
        assert_eq!(table.served.metrics.slow_clients.get(), 1);
    }

    async fn a_long_snapshot_comes_whole_and_says_whose_each_order_is(house: TestLedger) {
        let table = Table::new(house).await;
        for n in 0..40_u8 {
            let key = ["a guest's own key", "another guest's key"][usize::from(n % 2)];
            let note = format!("é\"\\{}", "x".repeat(usize::from(n) * 97));
            let order = table.house.place_guest_order_with(&table.session, table.product, |order| {
                order.placer = Placer::Guest { key_hash: Some(sha256(key.as_bytes())) };
                order.lines[0].note = Some(note);
            });
            order.await;
        }
        let mut nobody = table.served.open(&table.path()).await;
        let mut hello = nobody.frame().await;
        assert_eq!((&hello["seq"], &hello["next_cursor"]), (&json!(41), &Value::Null));
        let orders = hello["orders"].as_array().unwrap().clone();
        let notes = orders.iter().map(|order| order["items"][0]["note"].as_str().unwrap().len());
        assert_eq!(notes.collect::<Vec<_>>(), (0..40).map(|n| 4 + n * 97).collect::<Vec<_>>());
        let key = [("Expediter-Guest", "a guest's own key")];
        let mut guest = table.served.open_with(&table.path(), &key).await.unwrap();
        for (n, order) in hello["orders"].as_array_mut().unwrap().iter_mut().enumerate() {
            order["mine"] = json!(n % 2 == 0);
        }
        assert_eq!(guest.frame().await, hello, "the same with `mine`");
        // Long events come whole, too.
        let long = table.house.place_guest_order_with(&table.session, table.product, |order| {
            order.lines[0].note = Some("é".repeat(4000));
        });
        long.await;
        for client in [&mut nobody, &mut guest] {
            let frame = client.frame().await;
            let item = &frame["data"]["order"]["items"][0];
            assert_eq!((&frame["seq"], item["note"].as_str().unwrap().len()), (&json!(42), 8000));
        }
    }

    async fn a_client_that_comes_back_gets_long_events_it_missed_a_few_at_a_time(house: TestLedger) {
        let few = NotifierSettings { client_queue_bytes: 20_000, ..settings() };
        let table = Table::with(house, few).await;
        for _ in 0..60 {
            let order = table.house.place_guest_order_with(&table.session, table.product, |order| {
                order.lines[0].note = Some("x".repeat(4000));
            });
            order.await;
        }
        let mut client = table.served.open(&table.path_after(1).await).await;
        assert_eq!(client.frame().await["resumed"], true);
        assert_eq!(chain(1, &client.frames_to(61).await), (2..=61).collect::<Vec<_>>());
    }

    async fn a_code_that_opens_nothing_is_answered_with_4404(house: TestLedger) {
        let table = Table::new(house).await;
        for code in ["0000000000000000000000000000000000000000", "x"] {
            let mut client = table.served.open(&format!("/ws/sessions/{code}")).await;
            assert_eq!(client.closed_with().await, 4404);
        }
    }

    async fn a_renewed_code_closes_the_sockets_of_the_old_one_at_once_and_tells_them_nothing_more(house: TestLedger) {
        // No check runs within this test; the renewal comes over the feed.
        let table = Table::new(house).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        let renewed = table.line.ledger.renew_session_code(table.session.id, &table.session.code).await.unwrap();
        table.order(1).await;
        let next = client.next().await;
        assert!(matches!(&next, tungstenite::Message::Close(Some(frame)) if u16::from(frame.code) == 4401), "{next:?}");
        assert_eq!(table.served.open(&table.path()).await.closed_with().await, 4404);
        let mut fresh = table.served.open(&format!("/ws/sessions/{}", renewed.code)).await;
        assert_eq!(fresh.frame().await["type"], "hello");
    }

    async fn a_renewed_code_of_which_the_feed_lost_the_news_closes_them_with_the_next_check(house: TestLedger) {
        let check_interval = Duration::from_millis(20);
        let table = Table::with(house, NotifierSettings { check_interval, ..settings() }).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        table.line.loses(true);
        table.line.ledger.renew_session_code(table.session.id, &table.session.code).await.unwrap();
        assert_eq!(client.closed_with().await, 4401);
    }

    async fn whoever_has_the_fresh_code_goes_on_after_a_number_across_the_renewal(house: TestLedger) {
        let table = Table::new(house).await;
        let renewed = table.line.ledger.renew_session_code(table.session.id, &table.session.code).await.unwrap();
        table.order(1).await;
        let epoch = table.line.epoch().await;
        let path = format!("/ws/sessions/{}?after=1&epoch={epoch}", renewed.code);
        let mut client = table.served.open(&path).await;
        assert_eq!(client.frame().await["resumed"], true);
        let placed = client.frame().await;
        // The renewal was number 2 and is not visible to guests.
        assert_eq!((&placed["seq"], &placed["prev"]), (&json!(3), &json!(1)));
    }

    async fn a_session_closed_a_day_ago_is_answered_with_4410_also_on_open_sockets(house: TestLedger) {
        let check_interval = Duration::from_millis(20);
        let table = Table::with(house, NotifierSettings { check_interval, ..settings() }).await;
        table.line.ledger.close_session(table.session.id).await.unwrap();
        let mut client = table.served.open(&table.path()).await;
        assert_eq!(client.frame().await["session"]["state"], "CLOSED");
        table.house.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(client.closed_with().await, 4410);
        assert_eq!(table.served.open(&table.path()).await.closed_with().await, 4410);
    }

    async fn a_stop_closes_every_socket_with_1012_and_waits_for_it(house: TestLedger) {
        let table = Table::new(house).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = table.served.open(&table.path()).await;
            client.frame().await;
            clients.push(client);
        }
        let closes = join_all(clients.iter_mut().map(|client| client.closed_with()));
        let ((), codes) = tokio::join!(table.served.notifier.drain(), closes);
        assert_eq!(codes, [1012; 20]);
        assert_eq!(table.served.metrics.sockets_open.get(), 0);
        let refused = table.served.open_with(&table.path(), &[]).await.unwrap_err();
        assert!(matches!(refused, tungstenite::Error::Http(answer) if answer.status() == 503));
    }

    async fn other_sites_pages_and_one_socket_too_many_are_refused_before_the_upgrade(house: TestLedger) {
        let table = Table::with(house, NotifierSettings { max_sockets: 1, ..settings() }).await;
        let status = async |headers: &[(&'static str, &str)]| {
            match table.served.open_with(&table.path(), headers).await {
                Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
                other => panic!("not refused: {other:?}"),
            }
        };
        assert_eq!(status(&[("origin", "https://evil.example")]).await, 403);
        let _one = table.served.open_with(&table.path(), &[("origin", "https://till.example")]).await.unwrap();
        assert_eq!(status(&[]).await, 503);
    }

    async fn one_address_takes_no_more_places_than_its_own_and_gets_them_back(house: TestLedger) {
        let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        let settings = NotifierSettings { max_sockets_per_address: 1, trusted_proxies, ..settings() };
        let table = Table::with(house, settings).await;
        let open = async |from: &str| table.served.open_with(&table.path(), &[("x-forwarded-for", from)]).await;
        let one = open("192.0.2.1").await.unwrap();
        match open("192.0.2.1").await {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 429),
            other => panic!("not refused: {other:?}"),
        }
        let _other = open("192.0.2.2").await.unwrap();
        drop(one);
        let again = timeout(TEST_TIMEOUT, async {
            while open("192.0.2.1").await.is_err() {}
        });
        again.await.expect("the address can open a channel again");
    }
}

socket_test! {
    async fn a_guest_key_is_answered_so_often_in_a_minute_and_then_the_channel_closes(house: TestLedger) {
        let limited = NotifierSettings { guest_messages_per_minute: 3, ..settings() };
        let table = Table::with(house, limited).await;
        let mut client = table.served.open(&table.path()).await;
        client.frame().await;
        for key in ["one", "two", "two"] {
            client.say(&json!({"type": "guest", "key": key}).to_string()).await;
            assert_eq!(client.frame().await["type"], "hello");
        }
        // Pings are no guest keys.
        client.say(r#"{"type":"ping"}"#).await;
        assert_eq!(client.frame().await["type"], "pong");
        client.say(r#"{"type":"guest","key":"three"}"#).await;
        assert_eq!(client.closed_with().await, 4429);
    }

    async fn a_guest_who_asks_is_signalled_that_the_store_has_changed_and_numbers_go_on(house: TestLedger) {
        let table = Table::new(house).await;
        let mut asks = table.served.open(&table.path()).await;
        let mut other = table.served.open(&table.path()).await;
        for client in [&mut asks, &mut other] {
            client.frame().await;
        }
        asks.say(r#"{"type":"guest","key":"one","store":true}"#).await;
        other.say(r#"{"type":"guest","key":"two"}"#).await;
        for client in [&mut asks, &mut other] {
            assert_eq!(client.frame().await["type"], "hello");
        }
        for paused in [true, false] {
            let edit = StoreEdit { paused: Some(paused), ..StoreEdit::default() };
            table.line.ledger.edit_store(table.session.store_id, None, edit).await.unwrap();
            assert_eq!(asks.frame().await, json!({"type": "store.changed"}));
        }
        table.order(1).await;
        for client in [&mut asks, &mut other] {
            assert_eq!(chain(1, &client.frames_to(2).await), [2]);
        }
        // Who does not ask any more is not told any more.
        asks.say(r#"{"type":"guest","key":"one"}"#).await;
        assert_eq!(asks.frame().await["type"], "hello");
        let busy = RulesEdit::Busy(Busy { adds_minutes: 15, paused_until: None });
        table.line.ledger.edit_store_rules(table.session.store_id, busy).await.unwrap();
        table.order(1).await;
        assert_eq!(chain(2, &asks.frames_to(3).await), [3]);
    }

    async fn too_long_a_message_is_answered_with_1009(house: TestLedger) {
        let table = Table::new(house).await;
        for length in [5000, 60_000, 100_000] {
            let mut client = table.served.open(&table.path()).await;
            client.frame().await;
            client.say(&"x".repeat(length)).await;
            assert_eq!(client.closed_with().await, 1009, "{length} bytes");
        }
    }

    async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_stays(house: TestLedger) {
        let ping_interval = Duration::from_millis(400);
        let table = Table::with(house, NotifierSettings { ping_interval, ..settings() }).await;
        let mut lively = table.served.open(&table.path()).await;
        lively.frame().await;
        // Reads nothing, so it answers no ping.
        let mut silent = table.served.open(&table.path()).await;
        let mut pings = 0;
        while table.served.metrics.sockets_open.get() > 1 {
            pings += usize::from(matches!(lively.next().await, tungstenite::Message::Ping(_)));
        }
        assert!(pings >= 2, "{pings}");
        assert_eq!(silent.closed_with().await, 1001);
        lively.say(r#"{"type":"ping"}"#).await;
        assert_eq!(lively.frame().await, json!({"type": "pong"}));
    }

    async fn a_guest_who_gives_its_key_learns_what_is_its_own(house: TestLedger) {
        let table = Table::new(house).await;
        let order_of = async |key: &str| {
            let key_hash = Some(sha256(key.as_bytes()));
            table.house.place_guest_order_with(&table.session, table.product, |order| order.placer = Placer::Guest { key_hash }).await
        };
        order_of("ann").await;
        order_of("bob").await;
        let mut client = table.served.open(&table.path()).await;
        assert_eq!(client.frame().await["orders"][0]["mine"], Value::Null);

        client.say(r#"{"type":"guest","key":"ann"}"#).await;
        let hello = client.frame().await;
        assert_eq!((&hello["type"], &hello["seq"]), (&json!("hello"), &json!(3)));
        let mine: Vec<_> = hello["orders"].as_array().unwrap().iter().map(|order| order["mine"].clone()).collect();
        assert_eq!(mine, [true, false]);

        order_of("bob").await;
        order_of("ann").await;
        let frames = client.frames_to(5).await;
        assert_eq!(chain(3, &frames), [4, 5]);
        assert_eq!((&frames[0]["mine"], &frames[1]["mine"]), (&json!(false), &json!(true)));

        let mut by_header = table.served.open_with(&table.path(), &[("expediter-guest", "bob")]).await.unwrap();
        assert_eq!(by_header.frame().await["orders"][1]["mine"], true);
    }

    async fn one_table_has_so_many_channels_whoever_opens_them_and_gets_them_back(house: TestLedger) {
        let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        let settings = NotifierSettings { max_sockets_per_holder: 2, trusted_proxies, ..settings() };
        let table = Table::with(house, settings).await;
        let mut addresses = 0..;
        let mut open = async |path: &str, guest: &str| {
            let from = format!("192.0.2.{}", addresses.next().unwrap());
            table.served.open_with(path, &[("x-forwarded-for", &from), ("expediter-guest", guest)]).await.unwrap()
        };
        let path = table.path();
        let (mut one, mut two) = (open(&path, "ann").await, open(&path, "bob").await);
        assert_eq!((one.frame().await["type"].clone(), two.frame().await["type"].clone()), (json!("hello"), json!("hello")));
        for path in [&path, &format!("{path}?after=0"), &format!("{path}?after=x&epoch=y")] {
            assert_eq!(open(path, "eve").await.closed_with().await, 4429, "{path}");
        }
        let another = table.house.ledger.open_session(table.session.store_id, "another").await.unwrap();
        let mut elsewhere = open(&format!("/ws/sessions/{}", another.code), "eve").await;
        assert_eq!(elsewhere.frame().await["type"], "hello", "other tables have their own places");
        drop(one);
        let again = timeout(TEST_TIMEOUT, async {
            loop {
                let mut client = open(&path, "ann").await;
                match client.next().await {
                    tungstenite::Message::Text(_) => return,
                    _ => tokio::task::yield_now().await,
                }
            }
        });
        again.await.expect("the place is free again");
        table.order(1).await;
        assert_eq!(two.frame().await["seq"], 2, "the others are told as before");
    }
}
