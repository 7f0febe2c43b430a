//! Test setup: a notifier on a real ledger and the embedded broker, on a loopback port, and a client that reads frames.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use broker::{Broker, Embedded, Message};
use domain::ids::EpochId;
use futures_util::{SinkExt, StreamExt};
use ledger::{Ledger, OutboxRow, Wake, testing::TestLedger};
use notifier::{Notifier, NotifierSettings, routes};
use platform::metrics::Metrics;
use runtime::{lifecycle::Shutdown, listen};
use serde_json::Value;
use store::testing::TEST_TIMEOUT;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, client::IntoClientRequest, protocol::CloseFrame},
};

/// Passes committed events on as the relay does, or drops them.
#[derive(Debug)]
pub(crate) struct FeedLine {
    rows: mpsc::UnboundedSender<OutboxRow>,
    pub(crate) loses: AtomicBool,
}

impl Wake for FeedLine {
    fn offer(&self, row: OutboxRow) {
        if !self.loses.load(Ordering::SeqCst) {
            let _ = self.rows.send(row);
        }
    }
}

/// Ledger whose commits reach a broker's feed.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) ledger: Ledger,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) feed: Arc<FeedLine>,
}

impl Line {
    pub(crate) fn new(house: &TestLedger) -> Self {
        let broker: Arc<dyn Broker> = Arc::new(Embedded::new(100_000));
        let (sender, mut rows) = mpsc::unbounded_channel::<OutboxRow>();
        let publishing = Arc::clone(&broker);
        tokio::spawn(async move {
            while let Some(row) = rows.recv().await {
                let bodies = row.announcement.events.iter();
                let bodies =
                    bodies.map(|event| serde_json::to_vec(event).expect("events are JSON"));
                publishing
                    .publish(bodies.map(Message::feed).collect())
                    .await;
            }
        });
        let feed = Arc::new(FeedLine {
            rows: sender,
            loses: AtomicBool::new(false),
        });
        Self {
            ledger: house.ledger_with_wake(feed.clone()),
            broker,
            feed,
        }
    }

    pub(crate) async fn epoch(&self) -> EpochId {
        self.ledger.check_epoch().await.expect("the ledger answers")
    }

    pub(crate) fn loses(&self, loses: bool) {
        self.feed.loses.store(loses, Ordering::SeqCst);
    }
}

/// Notifier that listens on a port.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) notifier: Notifier,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) address: SocketAddr,
}

pub(crate) fn settings() -> NotifierSettings {
    NotifierSettings {
        max_sockets: 1000,
        max_sockets_per_address: 1000,
        trusted_proxies: Vec::new(),
        client_queue_capacity: 256,
        client_queue_bytes: 1 << 20,
        guest_messages_per_minute: 10,
        ping_interval: Duration::from_secs(20),
        max_reads: 4,
        // Long enough never to run, except in tests that set a short one.
        check_interval: Duration::from_secs(600),
        allowed_origins: vec!["https://till.example".to_owned()],
    }
}

pub(crate) async fn serve(line: &Line, settings: NotifierSettings) -> Served {
    let metrics = Metrics::new();
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let notifier = Notifier::start(
        line.ledger.clone(),
        Arc::clone(&line.broker),
        Arc::clone(&metrics),
        settings,
        &shutdown,
    )
    .await;
    let any_port = "127.0.0.1:0".parse().expect("a valid address");
    let acceptor = listen::bind(any_port)
        .await
        .expect("loopback has a free port");
    let address = acceptor.address();
    tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(routes(&notifier)));
    Served {
        notifier,
        metrics,
        address,
    }
}

impl Served {
    pub(crate) async fn open(&self, path: &str) -> Client {
        self.open_with(path, &[])
            .await
            .expect("the server takes the socket")
    }

    pub(crate) async fn open_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, tungstenite::Error> {
        let tcp = TcpStream::connect(self.address).await?;
        self.handshake(tcp, path, headers).await
    }

    /// Opens a client with a very small receive buffer.
    pub(crate) async fn open_narrow(&self, path: &str) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = socket
            .connect(self.address)
            .await
            .expect("the server listens");
        self.handshake(tcp, path, &[])
            .await
            .expect("the server takes the socket")
    }

    async fn handshake(
        &self,
        tcp: TcpStream,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        for (name, value) in headers {
            let value = value.parse().expect("a header's value");
            request.headers_mut().insert(*name, value);
        }
        let (stream, _) = client_async(request, tcp).await?;
        Ok(Client { stream })
    }

    /// Waits until no socket is open.
    pub(crate) async fn until_no_sockets(&self) {
        timeout(TEST_TIMEOUT, async {
            while self.metrics.sockets_open.get() != 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("all sockets end");
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: WebSocketStream<TcpStream>,
}

impl Client {
    /// Returns the next frame; answers pings in between.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            match self.next().await {
                tungstenite::Message::Text(text) => {
                    return serde_json::from_str(&text).expect("frames are JSON");
                }
                tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_) => {}
                other => panic!("not a frame: {other:?}"),
            }
        }
    }

    /// Returns the frames up to and including number `seq`.
    pub(crate) async fn frames_to(&mut self, seq: i64) -> Vec<Value> {
        let mut frames = Vec::new();
        while frames
            .last()
            .and_then(|frame: &Value| frame["seq"].as_i64())
            != Some(seq)
        {
            frames.push(self.frame().await);
        }
        frames
    }

    /// Returns the code that the server closes with; skips frames before it.
    pub(crate) async fn closed_with(&mut self) -> u16 {
        loop {
            match self.next().await {
                tungstenite::Message::Close(Some(CloseFrame { code, .. })) => {
                    // Sends the close frame that the protocol requires in return.
                    let _ = self.stream.flush().await;
                    return code.into();
                }
                tungstenite::Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        let message = tungstenite::Message::text(text);
        self.stream.send(message).await.expect("the server reads");
    }

    pub(crate) async fn next(&mut self) -> tungstenite::Message {
        timeout(TEST_TIMEOUT, self.stream.next())
            .await
            .expect("the server sends a message in time")
            .expect("the server does not close without a frame")
            .expect("the connection holds")
    }
}
