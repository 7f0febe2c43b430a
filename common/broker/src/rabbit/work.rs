//! Consumes work hints.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Connection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::session::{Session, SessionContext};
use super::setup::{SessionError, setup};
use crate::Delivery;

/// A delivery that waits for its consumer.
#[derive(Debug)]
pub(super) struct Prefetched {
    delivery: Delivery,
    acker: Acker,
}

impl Prefetched {
    /// Returns the delivery; `None` once its connection broke: RabbitMQ delivers it again, so it need not be processed
    /// twice.
    pub(super) fn into_delivery(self) -> Option<Delivery> {
        (!self.acker.poisoned()).then_some(self.delivery)
    }
}

#[derive(Debug)]
pub(super) struct WorkSession {
    prefetch: u16,
    deliver: mpsc::Sender<Prefetched>,
    /// Unbounded, but never holds more than the prefetch.
    acknowledge: mpsc::UnboundedSender<Acker>,
    acknowledged: mpsc::UnboundedReceiver<Acker>,
}

impl WorkSession {
    pub(super) fn new(prefetch: u16, deliver: mpsc::Sender<Prefetched>) -> Self {
        let (acknowledge, acknowledged) = mpsc::unbounded_channel();
        Self {
            prefetch,
            deliver,
            acknowledge,
            acknowledged,
        }
    }

    fn prefetched(&self, delivery: lapin::message::Delivery) -> Prefetched {
        let acker = delivery.acker;
        let delivery = Delivery {
            body: Bytes::from(delivery.data),
            redelivered: delivery.redelivered,
            acknowledge: Box::new({
                let (acknowledge, acker) = (self.acknowledge.clone(), acker.clone());
                move || {
                    // Fails if the consumer is gone; the hint then goes back.
                    let _ = acknowledge.send(acker);
                }
            }),
        };
        Prefetched { delivery, acker }
    }
}

#[async_trait]
impl Session for WorkSession {
    fn name(&self) -> &'static str {
        "expediter worker"
    }

    async fn serve(
        &mut self,
        context: &SessionContext,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), SessionError> {
        context.topology.declare(connection).await?;
        let channel = setup(connection.create_channel()).await?;
        setup(channel.basic_qos(self.prefetch, BasicQosOptions::default())).await?;
        let mut consumer = setup(channel.basic_consume(
            context.topology.work.clone(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        ))
        .await?;
        loop {
            tokio::select! {
                biased;
                Some(acker) = self.acknowledged.recv() => {
                    // `Ok(false)` means a delivery of an earlier session: that hint comes again.
                    acker.ack(BasicAckOptions::default()).await?;
                }
                () = stop.cancelled() => return Ok(()),
                delivery = consumer.next() => {
                    let delivery = delivery.ok_or(SessionError::Ended("the queue or the connection is gone"))??;
                    let prefetched = self.prefetched(delivery);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Ok(()),
                        _ = self.deliver.send(prefetched) => {}
                    }
                }
            }
        }
    }

    fn broke(&mut self, _why: &SessionError) {}
}
