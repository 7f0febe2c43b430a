//! Outbox rows as messages.

use super::*;

#[tokio::test]
async fn a_message_has_the_events_of_one_row_until_it_is_large_enough() {
    on_sqlite(|house| async move {
        let text = |bytes: usize| "x".repeat(bytes);
        let row = |sizes: &[usize]| OutboxRow {
            id: house.chance.id(house.clock.now()),
            announcement: Announcement {
                events: (1..)
                    .zip(sizes)
                    .map(|(seq, size)| event(&house, seq, &text(*size)))
                    .collect(),
                hints: Vec::new(),
            },
        };
        let rows = [
            row(&[10, 20, 30]),
            row(&[40_000, 40_000, 9 << 20, 10]),
            row(&[]),
        ];
        let mut batch = Batch::of(&rows);
        let messages = batch.take_messages();
        let told: Vec<Vec<Event>> = messages
            .iter()
            .map(|message| in_feed_message(&message.body).unwrap())
            .collect();
        let [first, second] = [0, 1].map(|row: usize| &rows[row].announcement.events);
        // The one that is too large for the broker is left out, and its row is poisoned.
        assert_eq!(
            told,
            [first.clone(), second[..2].to_vec(), second[3..].to_vec()]
        );
        let fates = [Ok(()), Err(PublishError::TimedOut), Ok(())];
        let fates: Vec<Fate> = batch.results_by_row(&fates).map(|(_, fate)| fate).collect();
        assert!(
            matches!(
                &fates[..],
                [Fate::Confirmed, Fate::Poisoned(_), Fate::Confirmed]
            ),
            "{fates:?}"
        );

        let mut batch = Batch::of(&rows[..1]);
        assert_eq!(batch.take_messages().len(), 1);
        let lost = [Err(PublishError::TimedOut)];
        let (_, fate) = batch.results_by_row(&lost).next().unwrap();
        assert_eq!(fate, Fate::Retry(PublishError::TimedOut));
        // A message of the previous release.
        let alone = serde_json::to_vec(&first[0]).unwrap();
        assert_eq!(in_feed_message(&alone).unwrap(), first[..1]);
        assert!(in_feed_message(b"7").is_err() && in_feed_message(b"").is_err());
    })
    .await;
}

#[tokio::test]
async fn an_event_too_large_for_the_broker_is_never_sent() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        let large = "x".repeat(9 << 20);
        let announcement = Announcement {
            events: vec![event(&house, 1, &large)],
            hints: vec![hint(&house)],
        };
        let row = OutboxRow {
            id: house.chance.id(house.clock.now()),
            announcement,
        };
        let mut batch = Batch::of(&[row]);
        let messages = batch.take_messages();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].topic, Topic::Work);
        let (_, fate) = batch.results_by_row(&[Ok(())]).next().unwrap();
        assert!(matches!(fate, Fate::Poisoned(_)), "{fate:?}");
        drop(fixture);
    })
    .await;
}
