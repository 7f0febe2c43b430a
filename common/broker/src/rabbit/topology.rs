//! The queues and exchanges, declared at every connect.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use super::setup::{SessionError, setup};
use crate::{DELIVERY_LIMIT, mailbox::MAX_BYTES};

/// RabbitMQ's reply code if a queue or exchange exists with other arguments.
const PRECONDITION_FAILED: u16 = 406;

#[derive(Debug)]
pub(super) struct Topology {
    /// Durable quorum queue, published to through the default exchange.
    pub(super) work: ShortString,
    /// Fanout exchange, and the queue behind it, for hints that came back too often.
    dead: ShortString,
    /// Fanout exchange; every subscriber binds a queue of its own.
    pub(super) feed: ShortString,
    pub(super) capacity: usize,
}

impl Topology {
    pub(super) fn new(namespace: &str, capacity: usize) -> Self {
        Self {
            work: format!("{namespace}.work").into(),
            dead: format!("{namespace}.dead").into(),
            feed: format!("{namespace}.feed").into(),
            capacity: capacity.max(1),
        }
    }

    pub(super) async fn declare(&self, connection: &Connection) -> Result<(), SessionError> {
        let channel = setup(connection.create_channel()).await?;
        for exchange in [&self.dead, &self.feed] {
            let options = ExchangeDeclareOptions {
                durable: true,
                ..Default::default()
            };
            setup(channel.exchange_declare(
                exchange.clone(),
                ExchangeKind::Fanout,
                options,
                FieldTable::default(),
            ))
            .await?;
        }
        let mut arguments = self.bounded("drop-head");
        arguments.insert("x-queue-type".into(), text("quorum"));
        durable(connection, &self.dead, arguments).await?;
        setup(channel.queue_bind(
            self.dead.clone(),
            self.dead.clone(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        ))
        .await?;

        // A full queue refuses messages, which a negative confirm tells the publisher.
        let mut arguments = self.bounded("reject-publish");
        arguments.insert("x-queue-type".into(), text("quorum"));
        arguments.insert(
            "x-delivery-limit".into(),
            AMQPValue::LongLongInt(DELIVERY_LIMIT.into()),
        );
        arguments.insert("x-dead-letter-exchange".into(), text(self.dead.as_str()));
        durable(connection, &self.work, arguments).await?;
        setup(channel.close(200, "OK".into())).await
    }

    /// Declares a queue that belongs to this connection and is deleted with it. `name` must be new: the queue of a
    /// broken connection may still exist.
    pub(super) async fn subscribe(
        &self,
        channel: &Channel,
        name: &ShortString,
    ) -> Result<(), SessionError> {
        let options = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let mut arguments = self.bounded("drop-head");
        let bytes = i64::try_from(MAX_BYTES).unwrap_or(i64::MAX);
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        setup(channel.queue_declare(name.clone(), options, arguments)).await?;
        setup(channel.queue_bind(
            name.clone(),
            self.feed.clone(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        ))
        .await
    }

    fn bounded(&self, overflow: &str) -> FieldTable {
        let mut arguments = FieldTable::default();
        let length = i64::try_from(self.capacity).unwrap_or(i64::MAX);
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(length));
        arguments.insert("x-overflow".into(), text(overflow));
        arguments
    }
}

/// Declares a durable queue on a separate channel, because a refusal closes it. A queue that earlier settings declared
/// differently is used as it is: arguments cannot be changed, and hints through a queue of the old size are better than
/// none.
async fn durable(
    connection: &Connection,
    name: &ShortString,
    arguments: FieldTable,
) -> Result<(), SessionError> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let channel = setup(connection.create_channel()).await?;
    match setup(channel.queue_declare(name.clone(), options, arguments)).await {
        Ok(_) => setup(channel.close(200, "OK".into())).await,
        Err(SessionError::Amqp(error)) if has_other_arguments(&error) => {
            tracing::warn!(queue = %name, %error, "queue exists with other arguments and is used as it is; delete it to apply the current ones");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn has_other_arguments(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(refusal) if refusal.get_id() == PRECONDITION_FAILED)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
