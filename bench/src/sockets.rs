//! Live channels of sessions, each read by its own task.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// Read buffer per socket; the default of 128 KiB would be most of this process's memory.
const READ_BUFFER_BYTES: usize = 4096;
const CONCURRENT_OPENS: usize = 32;

/// A set of open sockets; dropping it closes them.
#[derive(Debug)]
pub(crate) struct Sockets {
    readers: JoinSet<()>,
}

impl Sockets {
    /// Opens one socket per session code. `on_text` is called with every text frame after the first.
    pub(crate) async fn open(
        address: &str,
        codes: impl IntoIterator<Item = String>,
        on_text: impl Fn(&str) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let opened: Vec<_> = stream::iter(codes.into_iter().map(|code| open(address, code)))
            .buffered(CONCURRENT_OPENS)
            .try_collect()
            .await?;
        let mut readers = JoinSet::new();
        for mut socket in opened {
            let on_text = on_text.clone();
            readers.spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    if let Message::Text(text) = message {
                        on_text(&text);
                    }
                }
            });
        }
        Ok(Self { readers })
    }

    pub(crate) async fn close(mut self) {
        self.readers.shutdown().await;
    }
}

async fn open(address: &str, code: String) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let url = format!("ws://{address}/ws/sessions/{code}");
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    // After the snapshot it receives every event.
    socket
        .next()
        .await
        .context("a channel begins with a snapshot")??;
    Ok(socket)
}
