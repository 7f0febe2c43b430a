//! Manual interventions in the queue of hints, as in RabbitMQ's management: empty, delete, count.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::FieldTable,
};

use super::house::House;

/// Empties the queue. No-op if the server is down.
pub(super) async fn empty(house: &House) {
    if let Some((channel, queue)) = open_queue(house).await {
        let _ = channel
            .queue_purge(queue.as_str().into(), QueuePurgeOptions::default())
            .await;
    }
}

/// Deletes the queue. No-op if the server is down.
pub(super) async fn delete(house: &House) {
    if let Some((channel, queue)) = open_queue(house).await {
        let _ = channel
            .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
            .await;
    }
}

/// Returns the number of messages in the queue; `None` if there is no server or no queue.
pub(super) async fn waiting(house: &House) -> Option<u32> {
    let (channel, queue) = open_queue(house).await?;
    let look = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let looked = channel
        .queue_declare(queue.as_str().into(), look, FieldTable::default())
        .await;
    Some(looked.ok()?.message_count())
}

async fn open_queue(house: &House) -> Option<(Channel, String)> {
    let servers = house.servers.as_ref()?;
    let url = servers.amqp.url();
    let connected = Connection::connect(&url, ConnectionProperties::default());
    let connected = tokio::time::timeout(std::time::Duration::from_secs(3), connected).await;
    let channel = connected.ok()?.ok()?.create_channel().await.ok()?;
    Some((channel, format!("{}.work", house.namespace)))
}
