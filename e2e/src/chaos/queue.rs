//! Manual interventions in the queue of hints, as in RabbitMQ's management: empty, delete, count.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::FieldTable,
};

use std::time::Duration;

use tokio::time::timeout;

use super::house::House;

/// Timeout of a connection to a node, which may be stalled.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);

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
        for node in 0..servers.amqp.ends.len() {
            let url = servers.amqp.node_url(node);
            if let Ok(Some(channel)) = timeout(NODE_TIMEOUT, open_channel(&url)).await {
                return Some((channel, format!("{}.work", self.namespace)));
            }
        }
        None
    }
}

async fn open_channel(url: &str) -> Option<Channel> {
    let connected = Connection::connect(url, ConnectionProperties::default()).await;
    connected.ok()?.create_channel().await.ok()
}
