//! The broker's contract: the same cases against each back end. Cases that need a server are in `broker/server.rs`.
//!
//! The RabbitMQ cases run if `EXPEDITER_TEST_AMQP_URL` names a server on which tests may leave queues.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use broker::{ConnectError, FeedItem, Message, PublishError};
use platform::chance::Chance;

#[path = "broker/ground.rs"]
mod ground;
#[path = "broker/server.rs"]
mod server;
#[path = "broker/tls.rs"]
mod tls;

use ground::{Ground, away, hear, heard, next, number, numbers, publish, publish_one, within};

macro_rules! contract {
    ($($case:ident)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Ground::embedded().unwrap()).await;
            })*
        }
        mod rabbitmq {
            $(#[tokio::test]
            async fn $case() {
                if let Some(ground) = super::Ground::rabbit() {
                    super::$case(ground).await;
                }
            })*
        }
    };
}

contract! {
    a_hint_goes_to_one_of_two_consumers_and_only_once
    an_unacknowledged_hint_comes_back_when_its_consumer_is_gone
    a_hint_that_comes_back_too_often_is_given_up
    a_consumer_is_given_no_more_than_its_prefetch
    hints_wait_for_a_consumer_that_comes_later
    the_feed_reaches_every_subscriber_in_order
    a_slow_subscriber_gets_a_gap_and_never_holds_up_the_publisher
    a_full_work_queue_refuses_at_once_and_recovers
    a_batch_gets_one_result_a_message_in_order
    two_namespaces_do_not_mix
    close_waits_for_publishes_under_way_and_ends_all_listeners
    a_closed_broker_refuses
}

async fn a_hint_goes_to_one_of_two_consumers_and_only_once(ground: Ground) {
    let broker = ground.broker().await;
    let (mut one, mut other) = (broker.work(4).await, broker.work(4).await);
    publish(&*broker, numbers(0..40, Message::work)).await;

    let mut seen = Vec::new();
    while seen.len() < 40 {
        let delivery = within(async {
            tokio::select! { hint = one.next() => hint, hint = other.next() => hint }
        })
        .await
        .unwrap();
        assert!(!delivery.redelivered);
        seen.push(number(&delivery.body));
        delivery.ack();
    }
    // A duplicate would come before this.
    publish(&*broker, numbers(40..41, Message::work)).await;
    let last = within(async {
        tokio::select! { hint = one.next() => hint, hint = other.next() => hint }
    })
    .await
    .unwrap();
    assert_eq!(number(&last.body), 40);
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
    broker.close().await;
}

async fn an_unacknowledged_hint_comes_back_when_its_consumer_is_gone(ground: Ground) {
    let broker = ground.broker().await;
    publish(&*broker, numbers(0..3, Message::work)).await;
    let mut first = broker.work(2).await;
    let acknowledged = next(&mut first).await;
    let unacknowledged = next(&mut first).await;
    assert_eq!(
        (number(&acknowledged.body), number(&unacknowledged.body)),
        (0, 1)
    );
    acknowledged.ack();
    drop(first);

    let mut second = broker.work(1).await;
    let mut left = BTreeSet::from([1, 2]);
    while !left.is_empty() {
        let delivery = next(&mut second).await;
        let number = number(&delivery.body);
        assert!(left.remove(&number), "{number} came, and {left:?} are left");
        assert!(
            delivery.redelivered || number != 1,
            "the returned hint is marked as redelivered"
        );
        delivery.ack();
    }
    broker.close().await;
}

async fn a_consumer_is_given_no_more_than_its_prefetch(ground: Ground) {
    let broker = ground.broker().await;
    let mut one = broker.work(1).await;
    publish(&*broker, numbers(0..1, Message::work)).await;
    let zero = next(&mut one).await;
    let mut other = broker.work(1).await;
    publish(&*broker, numbers(1..2, Message::work)).await;
    // `one` waits as well, with its prefetch used up.
    let first = within(async {
        tokio::select! { biased; _ = one.next() => panic!("more than the prefetch"), hint = other.next() => hint }
    })
    .await
    .unwrap();
    assert_eq!(number(&first.body), 1);

    zero.ack();
    publish(&*broker, numbers(2..3, Message::work)).await;
    let second = next(&mut one).await;
    assert_eq!(number(&second.body), 2);
    first.ack();
    second.ack();
    broker.close().await;
}

async fn hints_wait_for_a_consumer_that_comes_later(ground: Ground) {
    let broker = ground.broker().await;
    publish(&*broker, numbers(0..10, Message::work)).await;
    let mut worker = broker.work(3).await;
    for expected in 0..10 {
        let delivery = next(&mut worker).await;
        assert_eq!(number(&delivery.body), expected);
        delivery.ack();
    }
    broker.close().await;
}

async fn the_feed_reaches_every_subscriber_in_order(ground: Ground) {
    let broker = ground.broker().await;
    publish(&*broker, vec![Message::feed("before anyone listens")]).await;
    let (mut one, mut other) = (broker.feed().await, broker.feed().await);
    publish(&*broker, vec![Message::feed("a"), Message::feed("b")]).await;
    let mut late = broker.feed().await;
    publish(&*broker, vec![Message::feed("c")]).await;

    for subscriber in [&mut one, &mut other] {
        for text in ["a", "b", "c"] {
            assert_eq!(hear(subscriber).await, heard(text));
        }
    }
    assert_eq!(hear(&mut late).await, heard("c"));
    drop(one);
    // Its queue may be deleted while this is on its way to it: unknown to the publisher, and no loss to the others.
    let published = publish_one(&*broker, Message::feed("d")).await;
    assert!(
        matches!(published, Ok(()) | Err(PublishError::SubscriberLost)),
        "{published:?}"
    );
    assert_eq!(hear(&mut other).await, heard("d"));
    publish(&*broker, vec![Message::feed("e")]).await;
    assert_eq!(hear(&mut other).await, heard("e"));
    broker.close().await;
}

async fn a_slow_subscriber_gets_a_gap_and_never_holds_up_the_publisher(ground: Ground) {
    const CAPACITY: u32 = 100;
    let broker = ground.holding(CAPACITY as usize).broker().await;
    let mut subscriber = broker.feed().await;
    let mut expected = 0;
    let mut holes = 0;
    // Over RabbitMQ the messages may trickle in while they are read, so one round need not overflow.
    for round in 1.. {
        assert!(round < 50, "no gap in all these rounds");
        let end = round * 1000;
        for begin in (end - 1000..end).step_by(100) {
            publish(&*broker, numbers(begin..begin + 100, Message::feed)).await;
        }
        // A gap covers all messages that waited when it was reported.
        let mut covered = 0;
        while expected < end {
            match hear(&mut subscriber).await {
                FeedItem::Gap => covered = CAPACITY,
                FeedItem::Message(body) => {
                    let number = number(&body);
                    assert!(
                        number == expected || number > expected && covered > 0,
                        "{number} came instead of {expected} without a gap"
                    );
                    holes += u32::from(number > expected);
                    expected = number + 1;
                    covered = covered.saturating_sub(1);
                }
            }
        }
        if holes > 0 {
            break;
        }
    }
    broker.close().await;
}

async fn a_full_work_queue_refuses_at_once_and_recovers(ground: Ground) {
    let broker = ground.holding(4).broker().await;
    let mut kept = BTreeSet::new();
    let refused = loop {
        let number = u32::try_from(kept.len()).unwrap();
        // A quorum queue checks its length a little late.
        assert!(number < 100, "never full");
        match publish_one(&*broker, Message::work(number.to_string())).await {
            Ok(()) => kept.insert(number),
            Err(error) => break error,
        };
    };
    assert_eq!(refused, PublishError::Full);
    assert!(kept.len() >= 4);
    publish(&*broker, vec![Message::feed("the feed goes on")]).await;

    let mut worker = broker.work(1).await;
    while !kept.is_empty() {
        let delivery = next(&mut worker).await;
        kept.remove(&number(&delivery.body));
        delivery.ack();
    }
    within(async { while publish_one(&*broker, Message::work("room")).await.is_err() {} }).await;
    assert_eq!(next(&mut worker).await.body, "room");
    broker.close().await;
}

async fn a_batch_gets_one_result_a_message_in_order(ground: Ground) {
    let broker = ground.holding(4).broker().await;
    let results = within(broker.publish(numbers(0..6, Message::work))).await;
    assert_eq!(results[..4], vec![Ok(()); 4]);
    assert_eq!(results[4..], vec![Err(PublishError::Full); 2]);
    assert_eq!(within(broker.publish(Vec::new())).await, Vec::new());
    broker.close().await;
}

async fn two_namespaces_do_not_mix(ground: Ground) {
    let other_ground = Ground::at(&ground.options.url);
    let (broker, other) = (ground.broker().await, other_ground.broker().await);
    let (mut worker, mut other_worker) = (broker.work(8).await, other.work(8).await);
    let (mut subscriber, mut other_subscriber) = (broker.feed().await, other.feed().await);
    publish(&*broker, vec![Message::work("mine"), Message::feed("mine")]).await;
    publish(
        &*other,
        vec![Message::work("theirs"), Message::feed("theirs")],
    )
    .await;

    // A stray message would have come first.
    assert_eq!(next(&mut other_worker).await.body, "theirs");
    assert_eq!(hear(&mut other_subscriber).await, heard("theirs"));
    publish(&*broker, vec![Message::work("more"), Message::feed("more")]).await;
    for text in ["mine", "more"] {
        let delivery = next(&mut worker).await;
        assert_eq!(delivery.body, text);
        delivery.ack();
        assert_eq!(hear(&mut subscriber).await, heard(text));
    }
    broker.close().await;
    other.close().await;
}

async fn close_waits_for_publishes_under_way_and_ends_all_listeners(ground: Ground) {
    let broker = ground.broker().await;
    let (mut worker, mut subscriber) = (broker.work(1).await, broker.feed().await);
    let hints = numbers(0..200, Message::work);
    let (results, (), hint, item) = within(async {
        tokio::join!(
            broker.publish(hints),
            broker.close(),
            worker.next(),
            subscriber.next()
        )
    })
    .await;
    assert_eq!(results, vec![Ok(()); 200]);
    assert!(hint.is_none_or(|hint| number(&hint.body) == 0));
    assert_eq!(item, None);
    assert!(within(worker.next()).await.is_none());
}

async fn a_closed_broker_refuses(ground: Ground) {
    let broker = ground.broker().await;
    within(broker.close()).await;
    away(&*broker).await;
    assert_eq!(
        publish_one(&*broker, Message::work("late")).await,
        Err(PublishError::Closed)
    );
    assert_eq!(
        publish_one(&*broker, Message::feed("late")).await,
        Err(PublishError::Closed)
    );
    assert!(within(within(broker.work(1)).await.next()).await.is_none());
    assert!(within(within(broker.feed()).await.next()).await.is_none());
    within(broker.close()).await;
}

async fn a_hint_that_comes_back_too_often_is_given_up(ground: Ground) {
    let broker = ground.broker().await;
    publish(&*broker, vec![Message::work("poison")]).await;
    for round in 0..6 {
        let mut worker = broker.work(1).await;
        let delivery = next(&mut worker).await;
        assert_eq!(
            (&*delivery.body, delivery.redelivered),
            (&b"poison"[..], round > 0)
        );
    }
    publish(&*broker, vec![Message::work("good")]).await;
    assert_eq!(next(&mut broker.work(1).await).await.body, "good");
    broker.close().await;
}

#[tokio::test]
async fn a_url_that_cannot_be_used_says_why_and_never_shows_its_password() {
    for (url, expected) in [
        ("redis://secret@localhost", ConnectError::UnknownScheme),
        ("", ConnectError::UnknownScheme),
        ("amqp://user:secret@local host", ConnectError::Malformed),
        ("amqps://user:secret@local host", ConnectError::Malformed),
    ] {
        let ground = Ground::at(url);
        let error = broker::connect(&ground.options, Chance::system()).unwrap_err();
        assert_eq!(error, expected, "{url}");
        assert!(!format!("{error} {:?}", ground.options).contains("secret"));
    }
    let broker = Ground::at("amqp://user:secret@127.0.0.1:1/%2f").connect();
    assert!(!format!("{broker:?}").contains("secret"), "{broker:?}");
    broker.close().await;
}
