//! A work queue that is full: hints are dropped, events are not.

use super::*;

#[tokio::test]
async fn hints_that_do_not_fit_are_dropped_once_and_counted_and_events_are_not() {
    on_sqlite(|house| async move {
        let fixture = Fixture::over(house.clone(), CuttableBroker::new(3));
        let mut feed = fixture.line.feed().await;
        let dropped = || {
            fixture
                .relay
                .metrics
                .publishes
                .with_label_values(&["dropped"])
                .get()
        };
        // Two full sweeps; all but three hints do not fit, and nobody takes any.
        let placed = event(&house, 1, "told of nevertheless");
        let mut announcements: Vec<_> = (0..7).map(|_| hinting(&hint(&house))).collect();
        announcements.push(Announcement {
            events: vec![placed.clone()],
            hints: vec![hint(&house)],
        });
        fixture.commit(announcements).await;
        house.clock.advance(Duration::from_secs(10));
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::More);
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::More);
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::Empty);
        assert_eq!((fixture.waiting().await, dropped()), (0, 5));
        assert!(fixture.relay.drops_hints.load(Ordering::Relaxed));
        let Some(FeedItem::Message(body)) = feed.next().await else {
            panic!("the event of a row whose hint was dropped is published");
        };
        assert_eq!(in_feed_message(&body).unwrap(), [placed]);

        fixture.hints(3).await;
        fixture.commit(vec![hinting(&hint(&house))]).await;
        house.clock.advance(Duration::from_secs(10));
        fixture.relay.sweep_once().await.unwrap();
        assert_eq!((fixture.waiting().await, dropped()), (0, 5));
        assert!(!fixture.relay.drops_hints.load(Ordering::Relaxed));
    })
    .await;
}

#[tokio::test]
async fn only_a_hint_may_be_refused_for_lack_of_room() {
    on_sqlite(|house| async move {
        let announcement = Announcement {
            events: vec![event(&house, 1, "kept")],
            hints: vec![hint(&house)],
        };
        let row = OutboxRow {
            id: house.chance.id(house.clock.now()),
            announcement,
        };
        let away = || PublishError::Away {
            error: "cut".to_owned(),
        };
        for (event, hint, fate) in [
            (Ok(()), Err(PublishError::Full), Fate::Confirmed),
            (Ok(()), Err(away()), Fate::Retry(away())),
            (
                Err(PublishError::Full),
                Err(PublishError::Full),
                Fate::Retry(PublishError::Full),
            ),
        ] {
            let batch = Batch::of(std::slice::from_ref(&row));
            let results = [event, hint];
            let (_, told) = batch.results_by_row(&results).next().unwrap();
            assert_eq!(told, fate, "{results:?}");
        }
    })
    .await;
}
