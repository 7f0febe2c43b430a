//! A minimal integrator: answers every request with 200 at once and reports when each order arrived.

use std::time::Instant;

use serde::Deserialize;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::wire::Wire;

const OK_RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// A running integrator; dropping it stops the server.
#[derive(Debug)]
pub(crate) struct Integrator {
    /// Host and port.
    pub(crate) address: String,
    server: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Handoff {
    order: Named,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Integrator {
    /// Starts the server. `came` is called with each order's id as soon as its handoff has been read.
    pub(crate) async fn start(
        came: impl Fn(String, Instant) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let came = came.clone();
                tokio::spawn(async move {
                    let Ok(mut wire) = Wire::new(stream) else {
                        return;
                    };
                    while let Ok(Some(request)) = wire.read().await {
                        let at = Instant::now();
                        if let Ok(handoff) = serde_json::from_slice::<Handoff>(&request.body) {
                            came(handoff.order.id, at);
                        }
                        if wire.write(OK_RESPONSE).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { address, server })
    }
}

impl Drop for Integrator {
    fn drop(&mut self) {
        self.server.abort();
    }
}
