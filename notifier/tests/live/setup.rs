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
use notifier::{Notifier, NotifierSettings, edge::Edge, mount};
use platform::{metrics::Metrics, secrets::Keys};
use poem::{EndpointExt, Route};
use runtime::{access_tokens::AccessTokens, lifecycle::Shutdown, listen};
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

use crate::event_reader::{EventReader, Sent};

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
    pub(crate) tokens: AccessTokens,
    over: Over,
}

/// Transport of a test's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Sockets,
    EventStreams,
}

tokio::task_local! {
    /// Transport of the tests that run over both.
    pub(crate) static OVER: Over;
}

/// Makes two tests out of one body, which holds over sockets and over event streams alike.
macro_rules! over_both {
    ($($(#[$doc:meta])* async fn $name:ident($house:ident: TestLedger) $body:block)+) => {$(
        $(#[$doc])*
        async fn $name($house: TestLedger) $body

        mod $name {
            use super::*;
            use crate::setup::{OVER, Over};

            #[each_database]
            async fn over_sockets(house: TestLedger) {
                OVER.scope(Over::Sockets, Box::pin(super::$name(house))).await;
            }

            #[each_database]
            async fn over_event_streams(house: TestLedger) {
                OVER.scope(Over::EventStreams, Box::pin(super::$name(house))).await;
            }
        }
    )+};
}
pub(crate) use over_both;

/// Returns the path of the event stream that shows the same as a socket: `/ws/orders/…?query`.
fn stream_path(socket: &str) -> String {
    let (path, query) = socket.split_once('?').unwrap_or((socket, ""));
    let path = path.strip_prefix("/ws").expect("the path of a socket");
    format!("/api/v1{path}/events/stream?{query}")
}

pub(crate) fn settings() -> NotifierSettings {
    NotifierSettings {
        max_sockets: 1000,
        max_sockets_per_address: 1000,
        max_sockets_per_holder: 1000,
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
    let allowed_origins = settings.allowed_origins.clone();
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let notifier = Notifier::start(
        line.ledger.clone(),
        Arc::clone(&line.broker),
        Arc::clone(&metrics),
        tokens(line),
        settings,
        &shutdown,
    )
    .await;
    let any_port = "127.0.0.1:0".parse().expect("a valid address");
    let acceptor = listen::bind(any_port)
        .await
        .expect("loopback has a free port");
    let address = acceptor.address();
    let routes = mount(Route::new(), &notifier).with(Edge::new(
        &allowed_origins,
        line.ledger.chance().clone(),
        line.ledger.clock().clone(),
    ));
    tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(routes));
    Served {
        notifier,
        metrics,
        address,
        tokens: tokens(line),
        over: OVER.try_get().unwrap_or(Over::Sockets),
    }
}

fn tokens(line: &Line) -> AccessTokens {
    let clock = line.ledger.clock().clone();
    AccessTokens::new(&Keys::seeded(1).jwt, clock, Duration::from_secs(300))
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
        if self.over == Over::EventStreams {
            let stream = EventReader::request(tcp, &stream_path(path), headers).await;
            // A socket is opened first, and then closed with a code.
            return match stream.status {
                200 => Ok(Client(Connection::Stream(stream))),
                401 => Ok(Client(Connection::Refused(4401))),
                404 => Ok(Client(Connection::Refused(4404))),
                410 => Ok(Client(Connection::Refused(4410))),
                status => {
                    let response = http::Response::builder().status(status).body(None);
                    let response = response.expect("a status");
                    Err(tungstenite::Error::Http(response))
                }
            };
        }
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        for (name, value) in headers {
            let value = value.parse().expect("a header's value");
            request.headers_mut().insert(*name, value);
        }
        let (stream, _) = client_async(request, tcp).await?;
        Ok(Client(Connection::Socket(Box::new(stream))))
    }

    /// Requests an event stream by its own path.
    pub(crate) async fn stream(&self, path: &str, headers: &[(&'static str, &str)]) -> EventReader {
        let tcp = TcpStream::connect(self.address)
            .await
            .expect("the server listens");
        EventReader::request(tcp, path, headers).await
    }
}

/// Client of one channel, over either transport: what a stream tells is shown as what a socket would have told.
#[derive(Debug)]
pub(crate) struct Client(Connection);

#[derive(Debug)]
enum Connection {
    Socket(Box<WebSocketStream<TcpStream>>),
    Stream(EventReader),
    /// Stream that was refused in the way that a socket shows by a close code.
    Refused(u16),
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
                    match &mut self.0 {
                        // Sends the close frame that the protocol requires in return.
                        Connection::Socket(socket) => {
                            let _ = socket.flush().await;
                        }
                        Connection::Stream(stream) => {
                            assert_eq!(within(stream.next()).await, None, "it ends after that");
                        }
                        Connection::Refused(_) => {}
                    }
                    return code.into();
                }
                tungstenite::Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }

    /// Checks that no frame is under way, as far as that can be told: a stream takes no message to answer after it.
    pub(crate) async fn expect_nothing_more(&mut self) {
        if matches!(self.0, Connection::Socket(_)) {
            self.say(r#"{"type":"ping"}"#).await;
            assert_eq!(self.frame().await, serde_json::json!({"type": "pong"}));
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        let Connection::Socket(socket) = &mut self.0 else {
            panic!("only a socket can be told something");
        };
        let message = tungstenite::Message::text(text);
        socket.send(message).await.expect("the server reads");
    }

    pub(crate) async fn next(&mut self) -> tungstenite::Message {
        match &mut self.0 {
            Connection::Socket(socket) => within(socket.next())
                .await
                .expect("the server does not close without a frame")
                .expect("the connection holds"),
            Connection::Stream(stream) => within(stream.next())
                .await
                .expect("the server does not end the stream without a word")
                .into(),
            Connection::Refused(code) => close_message(*code),
        }
    }
}

async fn within<T>(next: impl Future<Output = T>) -> T {
    timeout(TEST_TIMEOUT, next)
        .await
        .expect("the server sends something in time")
}

fn close_message(code: u16) -> tungstenite::Message {
    tungstenite::Message::Close(Some(CloseFrame {
        code: code.into(),
        reason: "".into(),
    }))
}

impl From<Sent> for tungstenite::Message {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Comment => Self::Ping(Default::default()),
            Sent::Event(event) if event.kind == "close" => {
                let close: Value = serde_json::from_str(&event.data).expect("it is JSON");
                let code = close["code"].as_u64().and_then(|code| code.try_into().ok());
                close_message(code.expect("it names a code"))
            }
            Sent::Event(event) => {
                assert_eq!(event.kind, "", "frames are messages");
                Self::text(event.data)
            }
        }
    }
}
