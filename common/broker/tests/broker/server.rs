//! Cases that need a server: it is away, is cut off, falls silent, keeps an old queue, or serves several processes.

use std::time::Duration;

use broker::{BrokerState, FeedItem, Message, PublishError};

use crate::ground::{Ground, away, connected, hear, heard, next, publish, publish_one, within};
use platform::chance::Chance;
use test_line::{Line, Traffic};

/// Encodes RabbitMQ's AMQP 0-9-1 extension `connection.blocked`.
fn blocked_frame(reason: &str) -> Vec<u8> {
    let mut arguments = vec![u8::try_from(reason.len()).unwrap()];
    arguments.extend_from_slice(reason.as_bytes());
    frame(60, &arguments)
}

fn unblocked_frame() -> Vec<u8> {
    frame(61, &[])
}

/// Encodes a method of the class `connection` as a frame on channel 0.
fn frame(method: u16, arguments: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0];
    frame.extend_from_slice(&u32::try_from(4 + arguments.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&10_u16.to_be_bytes());
    frame.extend_from_slice(&method.to_be_bytes());
    frame.extend_from_slice(arguments);
    frame.push(0xCE);
    frame
}

#[tokio::test]
async fn after_a_cut_publisher_and_listeners_come_back_by_themselves_and_the_feed_tells_the_gap() {
    let Some((ground, line)) = Ground::rabbit_behind_line().await else {
        return;
    };
    let broker = ground.broker().await;
    let (mut worker, mut subscriber) = (broker.work(5).await, broker.feed().await);
    publish(
        &*broker,
        vec![Message::work("held"), Message::feed("first")],
    )
    .await;
    let held = next(&mut worker).await;
    assert_eq!(hear(&mut subscriber).await, heard("first"));

    for _ in 0..2 {
        line.set(Traffic::Refused);
        away(&*broker).await;
        let error = publish_one(&*broker, Message::work("lost"))
            .await
            .unwrap_err();
        assert!(matches!(error, PublishError::Away { .. }), "{error:?}");

        line.set(Traffic::Open);
        connected(&*broker).await;
        assert_eq!(hear(&mut subscriber).await, FeedItem::Gap);
        publish(&*broker, vec![Message::feed("again")]).await;
        assert_eq!(hear(&mut subscriber).await, heard("again"));
    }
    held.ack(); // No effect: its connection is gone.
    let again = next(&mut worker).await;
    assert_eq!((&*again.body, again.redelivered), (&b"held"[..], true));
    again.ack();
    publish(&*broker, vec![Message::work("after")]).await;
    assert_eq!(next(&mut worker).await.body, "after");
    within(broker.close()).await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_a_time_out_and_then_a_new_connection() {
    let Some((mut ground, line)) = Ground::rabbit_behind_line().await else {
        return;
    };
    ground.options.publish_timeout = Duration::from_millis(300);
    let broker = ground.broker().await;
    publish(&*broker, vec![Message::feed("heard")]).await;

    line.set(Traffic::Frozen);
    let error = publish_one(&*broker, Message::work("unknown"))
        .await
        .unwrap_err();
    assert_eq!(error, PublishError::TimedOut);
    away(&*broker).await;
    line.set(Traffic::Open);
    connected(&*broker).await;
    publish(&*broker, vec![Message::work("known")]).await;
    within(broker.close()).await;
}

#[tokio::test]
async fn a_node_that_goes_or_hangs_is_left_for_the_next_one_by_everybody() {
    let Some(mut ground) = Ground::rabbit() else {
        return;
    };
    let url = ground.options.url.clone();
    let (first, second) = (Line::before(&url).await, Line::before(&url).await);
    ground.options.url = Line::through_all(&[&first, &second], &url);
    ground.options.publish_timeout = Duration::from_millis(500);
    let broker = ground.broker().await;
    let (mut worker, mut subscriber) = (broker.work(5).await, broker.feed().await);
    publish(&*broker, vec![Message::work("one")]).await;
    assert_eq!(next(&mut worker).await.body, "one");

    // The first node goes, then the second one hangs when the first is back.
    first.set(Traffic::Refused);
    for (gone, back) in [(&second, &first), (&first, &second)] {
        while hear(&mut subscriber).await != FeedItem::Gap {}
        until_published(&*broker, Message::feed("news")).await;
        while hear(&mut subscriber).await != heard("news") {}
        until_published(&*broker, Message::work("two")).await;
        // The first hint was not acknowledged, so it may come once more.
        while next(&mut worker).await.body != "two" {}
        back.set(Traffic::Open);
        gone.set(Traffic::Frozen);
    }
    first.set(Traffic::Open);
    second.set(Traffic::Open);
    within(broker.close()).await;
}

/// Publishes until a node has confirmed it: whoever publishes between two nodes is told so at once.
async fn until_published(broker: &dyn broker::Broker, message: Message) {
    let published = async {
        while publish_one(broker, message.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(published).await;
}

#[tokio::test]
async fn a_start_with_the_first_node_away_uses_the_second() {
    let Some(ground) = Ground::rabbit() else {
        return;
    };
    let line = Line::before(&ground.options.url).await;
    let gone = Line::before(&ground.options.url).await;
    gone.set(Traffic::Refused);
    let url = Line::through_all(&[&gone, &line], &ground.options.url);
    let broker = Ground::at(&url).broker().await;
    publish(&*broker, vec![Message::work("hint")]).await;
    within(broker.close()).await;

    let none = broker::connect(
        &broker::BrokerOptions {
            url: "amqp://me:hunter2@a,,b/x".to_owned(),
            ..broker::BrokerOptions::default()
        },
        Chance::system(),
    );
    let refused = none.unwrap_err().to_string();
    assert!(!refused.contains("hunter2"), "{refused}");
}

#[tokio::test]
async fn a_blocked_server_is_an_error_at_once_until_it_takes_messages_again() {
    let Some((mut ground, line)) = Ground::rabbit_behind_line().await else {
        return;
    };
    // Longer than the deadline of a case, so a publish that ends in time did not wait for it.
    ground.options.publish_timeout = Duration::from_secs(60);
    let broker = ground.broker().await;
    publish(&*broker, vec![Message::work("before")]).await;

    line.inject(blocked_frame("low on memory"));
    let blocked = BrokerState::Blocked {
        reason: "low on memory".to_owned(),
    };
    within(broker.state().wait_for(|state| *state == blocked))
        .await
        .unwrap();
    let reason = "low on memory".to_owned();
    assert_eq!(
        publish_one(&*broker, Message::work("meanwhile")).await,
        Err(PublishError::Blocked { reason })
    );

    line.inject(unblocked_frame());
    connected(&*broker).await;
    publish(&*broker, vec![Message::work("after")]).await;
    let mut worker = broker.work(2).await;
    assert_eq!(next(&mut worker).await.body, "before");
    assert_eq!(next(&mut worker).await.body, "after");
    within(broker.close()).await;
}

#[tokio::test]
async fn a_publish_under_way_ends_when_the_server_blocks() {
    let Some((mut ground, line)) = Ground::rabbit_behind_line().await else {
        return;
    };
    ground.options.publish_timeout = Duration::from_secs(60);
    let broker = ground.broker().await;
    publish(&*broker, vec![Message::work("before")]).await;

    // The proxy holds back the server's confirm, but not the injected block.
    line.set(Traffic::Frozen);
    let (result, ()) = tokio::join!(publish_one(&*broker, Message::work("unknown")), async {
        line.inject(blocked_frame("low on disk"));
    });
    assert!(
        matches!(result, Err(PublishError::Blocked { .. })),
        "{result:?}"
    );
    line.set(Traffic::Open);
    within(broker.close()).await;
}

#[tokio::test]
async fn one_process_publishes_and_another_listens() {
    let Some(ground) = Ground::rabbit() else {
        return;
    };
    let (publisher, listener) = (ground.broker().await, ground.broker().await);
    let (mut worker, mut subscriber) = (listener.work(1).await, listener.feed().await);
    publish(
        &*publisher,
        vec![Message::work("hint"), Message::feed("news")],
    )
    .await;
    assert_eq!(next(&mut worker).await.body, "hint");
    assert_eq!(hear(&mut subscriber).await, heard("news"));
    within(publisher.close()).await;
    within(listener.close()).await;
}

#[tokio::test]
async fn a_queue_declared_with_another_capacity_is_used_as_it_is() {
    let Some(ground) = Ground::rabbit() else {
        return;
    };
    let ground = ground.holding(4);
    within(ground.broker().await.close()).await;
    let broker = ground.holding(5).broker().await;
    let mut worker = broker.work(1).await;
    publish(&*broker, vec![Message::work("hint")]).await;
    assert_eq!(next(&mut worker).await.body, "hint");
    within(broker.close()).await;
}

#[tokio::test]
async fn a_server_that_is_away_from_the_start_is_an_error_at_once_and_holds_nothing_up() {
    // Nothing listens on the port of a closed listener.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let broker = Ground::at(&format!("amqp://guest:guest@{gone}/%2f")).connect();
    let mut worker = within(broker.work(1)).await;
    let mut subscriber = within(broker.feed()).await;
    let errors = within(broker.publish(vec![Message::work("x"), Message::feed("x")])).await;
    assert!(
        errors
            .iter()
            .all(|error| matches!(error, Err(PublishError::Away { .. })))
            && errors.len() == 2,
        "{errors:?}"
    );
    within(broker.close()).await;
    assert!(within(worker.next()).await.is_none());
    assert_eq!(within(subscriber.next()).await, None);
}
