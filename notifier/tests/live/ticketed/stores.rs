//! Store channels: every event of all streams of one store.

use super::*;

over_both! {
    async fn a_stores_screen_sees_every_event_of_all_its_streams_and_of_no_other_store(house: TestLedger) {
        let pass = Pass::new(house).await;
        let elsewhere = pass.house.create_store().await;
        let product = pass.house.create_product(pass.store).await;
        let first = pass.table("1").await;
        let waiting = pass.house.place_guest_order(&first, product).await;

        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        assert_eq!(
            (&hello["store"]["id"], &hello["orders"][0]["id"]),
            (&json!(pass.store), &json!(waiting.id))
        );
        assert_eq!(hello["streams"][first.id.to_string()], 2);
        assert!(!hello.to_string().contains(&first.code));

        let second = pass.table("2").await;
        pass.ledger().open_session(elsewhere, "3").await.unwrap();
        pass.accept(&waiting).await;
        let placed = pass.house.place_guest_order(&second, product).await;
        pass.accept(&placed).await;
        pass.ledger().close_session(first.id).await.unwrap();
        let events = frames(&mut client, 5).await;
        let mut seen = chains(&hello, &events);
        seen.sort();
        let (a, b) = (first.id.to_string(), second.id.to_string());
        assert_eq!(
            seen,
            [
                (a.clone(), 3),
                (a, 4),
                (b.clone(), 1),
                (b.clone(), 2),
                (b, 3)
            ]
        );
    }

    async fn staff_see_table_note_customer_and_what_they_may_do_and_others_see_none_of_it(house: TestLedger) {
        let pass = Pass::new(house).await;
        let product = pass.house.create_product(pass.store).await;
        let table = pass.table("Terrace \"7\"").await;
        let before = pass.house.place_guest_order(&table, product).await;
        let mut staff = pass.open_store().await;
        let hello = staff.frame().await;
        let shown = &hello["orders"][0];
        assert_eq!(shown["id"], json!(before.id));
        assert_eq!(shown["session"], json!({"name": "Terrace \"7\""}));
        assert_eq!(shown["next"], json!(["accepted", "rejected", "cancelled"]));
        let mut guest = pass
            .served
            .open(&format!("/ws/sessions/{}", table.code))
            .await;
        guest.frame().await;

        let noted = OrderEdit {
            user_note: Some(Some("NO NUTS – allergy".to_owned())),
            customer: CustomerEdit {
                name: Some(Some("Eve".to_owned())),
                phone: Some(Some("+49 30 1".to_owned())),
                device_token: Some(Some("push".to_owned())),
                ..CustomerEdit::default()
            },
            ..OrderEdit::default()
        };
        pass.ledger().edit_order(before.id, None, &noted).await.unwrap();
        pass.accept(&before).await;
        let order = |frame: &Value| frame["data"]["order"].clone();
        let edited = order(&staff.frame().await);
        assert_eq!(edited["user_note"], "NO NUTS – allergy");
        assert_eq!(
            edited["customer"],
            json!({"name": "Eve", "phone": "+49 30 1", "email": null, "address": null})
        );
        let accepted = order(&staff.frame().await);
        assert_eq!(accepted["status"], "accepted");
        assert_eq!(
            accepted["next"],
            json!(["preparing", "ready", "dispatched", "delivered", "cancelled"])
        );
        for frame in [guest.frame().await, guest.frame().await] {
            let text = frame.to_string();
            assert!(["NUTS", "Eve", "+49", "next", "user_note"].iter().all(|word| !text.contains(word)), "{text}");
        }
    }

    async fn staff_are_told_of_a_disabled_integrator_and_the_table_is_not(house: TestLedger) {
        let pass = Pass::new(house).await;
        let (kitchen, _) = pass
            .ledger()
            .create_integrator(new_integrator(pass.store))
            .await
            .unwrap();
        let product = pass.house.create_product(pass.store).await;
        let table = pass.table("1").await;
        let mut guest = pass
            .served
            .open(&format!("/ws/sessions/{}", table.code))
            .await;
        guest.frame().await;
        let mut staff = pass.open_store().await;
        let hello = staff.frame().await;
        pass.house.place_guest_order(&table, product).await;
        let claims = pass
            .ledger()
            .claim_handoffs(kitchen.id, 1, Duration::from_secs(30))
            .await
            .unwrap();
        let gone = SendResult::Answer {
            status: 410,
            retry_after: None,
        };
        pass.ledger()
            .conclude_attempt(&claims.claimed[0], &gone, None, false)
            .await
            .unwrap();

        let mut seen = Vec::new();
        while seen
            .last()
            .is_none_or(|frame: &Value| frame["type"] != "integrator.disabled")
        {
            seen.push(staff.frame().await);
        }
        chains(&hello, &seen);
        let told = seen.pop().unwrap();
        assert_eq!(told["stream"], json!(pass.store));
        assert_eq!(
            told["data"],
            json!({"integrator": {"id": kitchen.id, "name": "Kitchen", "reason": "gone"}})
        );
        pass.ledger().close_session(table.id).await.unwrap();
        let mut types = Vec::new();
        while types.last().is_none_or(|kind| *kind != "session.closed") {
            types.push(guest.frame().await["type"].clone());
        }
        assert!(
            !types.contains(&json!("integrator.disabled")) && !types.contains(&json!("handoff.failed")),
            "{types:?}"
        );
    }

    async fn what_the_feed_lost_of_a_store_comes_with_the_next_check(house: TestLedger) {
        let check_interval = Duration::from_millis(20);
        let pass = Pass::with(
            house,
            NotifierSettings {
                check_interval,
                ..settings()
            },
        )
        .await;
        let product = pass.house.create_product(pass.store).await;
        let first = pass.table("1").await;
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        pass.line.loses(true);
        pass.house.place_guest_order(&first, product).await;
        let second = pass.table("2").await;
        pass.house.place_guest_order(&second, product).await;
        let mut seen = chains(&hello, &frames(&mut client, 3).await);
        seen.sort();
        let (a, b) = (first.id.to_string(), second.id.to_string());
        assert_eq!(seen, [(a, 2), (b.clone(), 1), (b, 2)]);
    }
}

#[each_database]
async fn a_stores_screen_stays_while_the_ledger_is_away(house: TestLedger) {
    let check_interval = Duration::from_millis(20);
    let pass = Pass::with(
        house,
        NotifierSettings {
            check_interval,
            ..settings()
        },
    )
    .await;
    let mut client = pass.open_store().await;
    client.frame().await;
    pass.house.db.close().await;
    // The checks fail, and the client is sent nothing.
    let told = tokio::time::timeout(check_interval * 10, client.next()).await;
    assert!(told.is_err(), "{told:?}");
    client.say(r#"{"type":"ping"}"#).await;
    assert_eq!(client.frame().await, json!({"type": "pong"}));
}

over_both! {
    async fn of_what_was_over_before_only_the_new_is_told(house: TestLedger) {
        let pass = Pass::new(house).await;
        let product = pass.house.create_product(pass.store).await;
        let table = pass.table("1").await;
        let order = pass.house.place_guest_order(&table, product).await;
        pass.accept(&order).await;
        pass.house.clock.advance(Duration::from_secs(3600));
        pass.ledger().finish_session(table.id).await.unwrap();
        pass.house.clock.advance(Duration::from_secs(3600));
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        assert_eq!(hello["streams"][table.id.to_string()], Value::Null);
        // A relay that crashed before it deleted them publishes them again, in any order.
        let events = pass
            .ledger()
            .events_after(table.id.into(), 0, 100)
            .await
            .unwrap();
        assert_eq!(events.len(), 5);
        let bodies = events.iter().chain(events.iter().rev());
        let bodies = bodies.map(|event| Message::feed(serde_json::to_vec(event).unwrap()));
        pass.line.broker.publish(bodies.collect()).await;
        let again = pass.table("1").await;
        let events = frames(&mut client, 1).await;
        assert_eq!(chains(&hello, &events), [(again.id.to_string(), 1)]);
    }

    async fn a_burst_larger_than_what_is_kept_for_a_screen_is_read_from_the_ledger(house: TestLedger) {
        let pass = Pass::with(
            house,
            NotifierSettings {
                client_queue_capacity: 3,
                ..settings()
            },
        )
        .await;
        let product = pass.house.create_product(pass.store).await;
        let tables = [pass.table("1").await, pass.table("2").await];
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        for table in &tables {
            futures_util::future::join_all(
                (0..60).map(|_| pass.house.place_guest_order(table, product)),
            )
            .await;
        }
        let mut seen = chains(&hello, &frames(&mut client, 120).await);
        seen.sort();
        let mut expected: Vec<_> = tables
            .iter()
            .flat_map(|table| (2..=61).map(|seq| (table.id.to_string(), seq)))
            .collect();
        expected.sort();
        assert_eq!(seen, expected);
    }
}
