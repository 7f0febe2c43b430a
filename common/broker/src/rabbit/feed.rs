//! Subscribes to the feed: an exclusive queue for each connection, drained at once into the subscriber's mailbox.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use lapin::Connection;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::publisher::{COUNT, ORIGIN, hex};
use super::session::{Session, SessionContext};
use super::setup::{SessionError, setup};
use crate::mailbox::Mailbox;

/// Number of messages that RabbitMQ sends ahead; acknowledged in runs of up to [`ACK_BATCH`].
const PREFETCH: u16 = 1024;
const ACK_BATCH: usize = 128;
/// Maximum number of publisher sessions whose count is remembered.
const MAX_ORIGINS: usize = 1024;

#[derive(Debug)]
pub(super) struct FeedSession {
    mailbox: Arc<Mailbox>,
    /// Signals the first subscription to the subscriber that waits for it; `None` afterwards.
    subscribed: Option<oneshot::Sender<()>>,
}

impl FeedSession {
    pub(super) fn new(mailbox: Arc<Mailbox>, subscribed: oneshot::Sender<()>) -> Self {
        Self {
            mailbox,
            subscribed: Some(subscribed),
        }
    }
}

#[async_trait]
impl Session for FeedSession {
    fn name(&self) -> &'static str {
        "expediter feed"
    }

    async fn serve(
        &mut self,
        context: &SessionContext,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), SessionError> {
        let topology = &context.topology;
        topology.declare(connection).await?;
        let channel = setup(connection.create_channel()).await?;
        setup(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let queue: ShortString =
            format!("{}.{}", topology.feed.as_str(), hex(context.chance.bytes())).into();
        topology.subscribe(&channel, &queue).await?;
        let mut consumer = setup(channel.basic_consume(
            queue,
            "".into(),
            BasicConsumeOptions {
                exclusive: true,
                ..Default::default()
            },
            FieldTable::default(),
        ))
        .await?;
        // A subscriber that no longer waits for the first subscription, or had one before, has missed messages.
        if self
            .subscribed
            .take()
            .is_none_or(|subscribed| subscribed.send(()).is_err())
        {
            self.mailbox.gap();
        }
        let mut counts = Counts::default();
        loop {
            let mut next = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                next = consumer.next() => Some(next),
            };
            let mut last = None;
            let mut run = 0;
            while let Some(delivery) = next.take() {
                let message = delivery
                    .ok_or(SessionError::Ended("the queue or the connection is gone"))??;
                if counts.has_gap(message.properties.headers().as_ref()) {
                    self.mailbox.gap();
                }
                self.mailbox.push(Bytes::from(message.data));
                last = Some(message.acker);
                run += 1;
                if run < ACK_BATCH {
                    next = consumer.next().now_or_never();
                }
            }
            if let Some(acker) = last {
                acker.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
    }

    fn broke(&mut self, _why: &SessionError) {
        self.subscribed = None;
    }
}

/// The last count of each publisher session, which shows what the queue dropped. The first message of a session is
/// accepted as it is: a drop before it cannot be told from a message published before the subscription.
#[derive(Debug, Default)]
struct Counts(HashMap<String, i64>);

impl Counts {
    fn has_gap(&mut self, headers: Option<&FieldTable>) -> bool {
        let Some((origin, count)) = headers.and_then(read) else {
            return false;
        };
        if self.0.len() >= MAX_ORIGINS && !self.0.contains_key(&origin) {
            self.0.clear();
        }
        self.0
            .insert(origin, count)
            .is_some_and(|before| count != before + 1)
    }
}

fn read(headers: &FieldTable) -> Option<(String, i64)> {
    let headers = headers.inner();
    match (headers.get(ORIGIN)?, headers.get(COUNT)?) {
        (AMQPValue::LongString(origin), AMQPValue::LongLongInt(count)) => {
            Some((origin.to_string(), *count))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rabbit::publisher::origin_headers;

    #[test]
    fn a_count_that_jumps_is_a_gap_in_its_own_origin_only() {
        let mut counts = Counts::default();
        let mut has_gap = |origin, count| counts.has_gap(Some(&origin_headers(origin, count)));
        assert!(!has_gap("a", 7));
        assert!(!has_gap("a", 8));
        assert!(!has_gap("b", 1));
        assert!(has_gap("a", 10));
        assert!(!has_gap("a", 11));
        assert!(!has_gap("b", 2));
    }
}
