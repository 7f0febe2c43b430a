//! A fake integrator on a TCP socket, which responds as a test says and records every request byte for byte.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use store::testing::TEST_TIMEOUT;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinHandle,
};
use url::Url;

pub(crate) mod scripted;

/// Response of the fake integrator to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes and keeps the connection open.
    Say(String),
    /// Sends these bytes once the test notifies it.
    SayWhenReleased(String, Arc<Notify>),
    /// Sends these bytes, then closes the connection.
    SayAndClose(String),
    /// Sends these bytes, then hangs.
    SayAndHang(String),
    /// Sends these bytes, then as many as the client reads.
    SayAndPour(String),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::with(status, "", "{}")
    }

    /// Builds a complete response; each of `headers` ends with `\r\n`.
    pub(crate) fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Say(format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    pub(crate) fn hang() -> Self {
        Self::SayAndHang(String::new())
    }
}

/// Request as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Debug)]
pub(crate) struct Integrator {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    /// Requests without a response.
    open: AtomicUsize,
    /// Maximum of `open` so far.
    peak: AtomicUsize,
    received: watch::Sender<Vec<Received>>,
}

impl Integrator {
    /// Starts an integrator that sends these replies in turn and repeats the last one.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            open: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            received: watch::Sender::new(Vec::new()),
        });
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut connections = Vec::new();
                for connection in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    let serving = serve(stream, connection, Arc::clone(&shared));
                    connections.push(AbortOnDrop(tokio::spawn(serving)));
                }
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/orders", self.address).parse().unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    pub(crate) fn received_count(&self) -> usize {
        self.shared.received.borrow().len()
    }

    /// Returns the maximum number of concurrent requests so far.
    pub(crate) fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    pub(crate) async fn until_received(&self, count: usize) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        let enough = received.wait_for(|received| received.len() >= count);
        tokio::time::timeout(TEST_TIMEOUT, enough)
            .await
            .expect("the requests arrive in time")
            .unwrap()
            .clone()
    }
}

impl Drop for Integrator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread, connection).await {
        let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(open, Ordering::SeqCst);
        shared
            .received
            .send_modify(|received| received.push(request));
        let reply = {
            let mut replies = shared.replies.lock().unwrap();
            if replies.len() > 1 {
                replies.pop_front().unwrap()
            } else {
                replies[0].clone()
            }
        };
        if let Reply::SayWhenReleased(_, release) = &reply {
            release.notified().await;
        }
        let (Reply::Say(said)
        | Reply::SayWhenReleased(said, _)
        | Reply::SayAndClose(said)
        | Reply::SayAndHang(said)
        | Reply::SayAndPour(said)) = &reply;
        // Decremented before the response is written, because the client may send its next request at once.
        if !matches!(reply, Reply::SayAndHang(_)) {
            shared.open.fetch_sub(1, Ordering::SeqCst);
        }
        if stream.write_all(said.as_bytes()).await.is_err() {
            return;
        }
        match reply {
            Reply::Say(_) | Reply::SayWhenReleased(..) => {}
            Reply::SayAndClose(_) => return,
            Reply::SayAndHang(_) => std::future::pending().await,
            Reply::SayAndPour(_) => {
                let flood = vec![b'x'; 1 << 16];
                while stream.write_all(&flood).await.is_ok() {}
                return;
            }
        }
    }
}

pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    unread: &mut Vec<u8>,
    connection: usize,
) -> Option<Received> {
    let head_length = loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(unread.drain(..head_length).collect()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while unread.len() < length {
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received {
        line,
        headers,
        body: unread.drain(..length).collect(),
        connection,
    })
}
