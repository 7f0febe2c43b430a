//! Manual interventions in the queue of hints, as in RabbitMQ's management: empty, delete, count.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::FieldTable,
};

use super::house::House;

impl House {
    /// Empties the work queue, as an administrator would. No-op if the server is down.
    pub async fn empty_queue(&self) {
        if let Some((channel, queue)) = self.open_queue().await {
            let _ = channel
                .queue_purge(queue.as_str().into(), QueuePurgeOptions::default())
                .await;
        }
    }

    /// Deletes the work queue with its messages and consumers. No-op if the server is down.
    pub async fn delete_queue(&self) {
        if let Some((channel, queue)) = self.open_queue().await {
            let _ = channel
                .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
                .await;
        }
    }

    /// Returns the number of hints in the work queue; `None` if there is no server or no queue.
    pub async fn waiting_hints(&self) -> Option<u32> {
        let (channel, queue) = self.open_queue().await?;
        let look = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let looked = channel
            .queue_declare(queue.as_str().into(), look, FieldTable::default())
            .await;
        Some(looked.ok()?.message_count())
    }

    async fn open_queue(&self) -> Option<(Channel, String)> {
        let servers = self.servers.as_ref()?;
        let url = servers.amqp.url();
        let connected = Connection::connect(&url, ConnectionProperties::default());
        let connected = tokio::time::timeout(std::time::Duration::from_secs(3), connected).await;
        let channel = connected.ok()?.ok()?.create_channel().await.ok()?;
        Some((channel, format!("{}.work", self.namespace)))
    }
}
