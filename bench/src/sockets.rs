//! Live channels of a session, each read by a task of its own.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// The default of 128 KiB a socket would be most of this process.
const READ_BUFFER_BYTES: usize = 4096;
const OPENED_AT_ONCE: usize = 32;

/// Closed when dropped.
#[derive(Debug)]
pub(crate) struct Sockets {
    readers: JoinSet<()>,
}

impl Sockets {
    /// One for each of `codes`. `on_text`: told of every frame after the first.
    pub(crate) async fn open(
        address: &str,
        codes: impl IntoIterator<Item = String>,
        on_text: impl Fn(&str) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let opened: Vec<_> = stream::iter(codes.into_iter().map(|code| open(address, code)))
            .buffered(OPENED_AT_ONCE)
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
    // From its snapshot on it is told of everything.
    socket
        .next()
        .await
        .context("a channel begins with a snapshot")??;
    Ok(socket)
}
