//! Consumes work hints.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Connection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::session::{Broken, Dialler, Session, setup};
use crate::broker::Delivery;

#[derive(Debug)]
pub(super) struct WorkSession {
    prefetch: u16,
    deliver: mpsc::Sender<Delivery>,
    /// Bounded by the prefetch.
    acknowledge: mpsc::UnboundedSender<Acker>,
    acknowledged: mpsc::UnboundedReceiver<Acker>,
}

impl WorkSession {
    pub(super) fn new(prefetch: u16, deliver: mpsc::Sender<Delivery>) -> Self {
        let (acknowledge, acknowledged) = mpsc::unbounded_channel();
        Self {
            prefetch,
            deliver,
            acknowledge,
            acknowledged,
        }
    }

    fn delivery(&self, delivery: lapin::message::Delivery) -> Delivery {
        let acknowledge = self.acknowledge.clone();
        Delivery {
            body: Bytes::from(delivery.data),
            redelivered: delivery.redelivered,
            acknowledge: Box::new(move || {
                // Nobody takes it any more: the consumer is gone, and the hint goes back.
                let _ = acknowledge.send(delivery.acker);
            }),
        }
    }
}

#[async_trait]
impl Session for WorkSession {
    fn name(&self) -> &'static str {
        "expediter worker"
    }

    async fn serve(
        &mut self,
        dialler: &Dialler,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), Broken> {
        dialler.topology.declare(connection).await?;
        let channel = setup(connection.create_channel()).await?;
        setup(channel.basic_qos(self.prefetch, BasicQosOptions::default())).await?;
        let mut consumer = setup(channel.basic_consume(
            dialler.topology.work.clone(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        ))
        .await?;
        loop {
            tokio::select! {
                biased;
                Some(acker) = self.acknowledged.recv() => {
                    // `Ok(false)` is one of an earlier session: that hint comes once more.
                    acker.ack(BasicAckOptions::default()).await?;
                }
                () = stop.cancelled() => return Ok(()),
                delivery = consumer.next() => {
                    let delivery = delivery.ok_or(Broken::Ended("the queue or the connection is gone"))??;
                    let delivery = self.delivery(delivery);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Ok(()),
                        _ = self.deliver.send(delivery) => {}
                    }
                }
            }
        }
    }

    fn broke(&mut self, _why: &Broken) {}
}
