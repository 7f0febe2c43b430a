//! A TCP proxy for tests, between a client and one or several servers. It can cut, refuse, freeze and delay
//! connections, fail one COMMIT, and inject bytes.
//!
//! A crate of its own, because the tests of `broker`, `store`, `ledger` and `e2e` use it and share no other crate that
//! would know of servers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream, lookup_host,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{broadcast, watch},
    task::JoinHandle,
};
use url::Url;

/// Maximum size of a chunk that is forwarded, and delayed, at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Treatment of the traffic through a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    Open,
    /// Open connections are closed and new ones are refused.
    Refused,
    /// Connections stay open, but their data is held back until the line is opened again.
    Frozen,
    /// Each chunk is delayed by this much.
    Slow(Duration),
}

/// Fate of a COMMIT whose response the client never gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The COMMIT arrives at once.
    AnswerLost,
    /// It arrives after this delay, even if its client has disconnected meanwhile.
    Late(Duration),
    /// It never arrives; the server learns that its client is gone when the client disconnects.
    Lost,
}

/// A running proxy on loopback; dropping it closes all its connections.
#[derive(Debug)]
pub struct Line {
    /// Address to use instead of the target's.
    pub address: SocketAddr,
    controls: Arc<Controls>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Controls {
    traffic: watch::Sender<Traffic>,
    cuts: watch::Sender<u64>,
    vanishings: watch::Sender<u64>,
    next_commit: Mutex<Option<CommitFault>>,
    injected: broadcast::Sender<Vec<u8>>,
}

impl Line {
    /// Starts a proxy. With several targets, each connection goes to the next one that accepts it, like at a gateway.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn to(ends: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let controls = Arc::new(Controls {
            traffic: watch::Sender::new(Traffic::Open),
            cuts: watch::Sender::new(0),
            vanishings: watch::Sender::new(0),
            next_commit: Mutex::new(None),
            injected: broadcast::Sender::new(8),
        });
        let accepting = tokio::spawn(accept(listener, ends.into(), Arc::clone(&controls)));
        Self {
            address,
            controls,
            accepting,
        }
    }

    /// Starts a proxy to the server that a URL names: `mysql://user:password@host:port/` or `amqp://…`.
    ///
    /// # Panics
    /// If the URL names no host that is known, or loopback has no free port.
    pub async fn before(url: &str) -> Self {
        let url: Url = url.parse().expect("a server's URL");
        let host = url.host_str().expect("it names a host");
        let default_port = if is_mysql(&url) { 3306 } else { 5672 };
        let server = format!("{host}:{}", url.port().unwrap_or(default_port));
        let ends = lookup_host(server).await.expect("the host is known");
        Self::to(ends.collect()).await
    }

    /// Returns a server's URL with the proxy in the server's place; for MySQL without TLS, so that a COMMIT is seen.
    ///
    /// # Panics
    /// If it is not a server's URL.
    #[must_use]
    pub fn through(&self, url: &str) -> String {
        let mut url: Url = url.parse().expect("a server's URL");
        let address = self.address.ip().to_string();
        url.set_host(Some(&address)).expect("it names a host");
        url.set_port(Some(self.address.port())).expect("and a port");
        if is_mysql(&url) {
            url.query_pairs_mut().append_pair("ssl-mode", "disabled");
        }
        url.into()
    }

    /// Returns a server's URL with a list of proxies in the server's place: each is one host.
    ///
    /// # Panics
    /// If it is not a server's URL, or there is no proxy.
    #[must_use]
    pub fn through_all(lines: &[&Self], url: &str) -> String {
        let first = lines.first().expect("a list has a host");
        let hosts: Vec<String> = lines.iter().map(|line| line.address.to_string()).collect();
        let one = first.address.to_string();
        first.through(url).replacen(&one, &hosts.join(","), 1)
    }

    pub fn set(&self, traffic: Traffic) {
        self.controls.traffic.send_replace(traffic);
        if traffic == Traffic::Refused {
            self.cut();
        }
    }

    /// Closes all open connections; new ones are accepted.
    pub fn cut(&self) {
        self.controls.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Makes all open connections go silent for ever, as if the clients' machine had lost its power: nothing is
    /// forwarded any more, and neither side learns of the other's end. New connections are accepted.
    pub fn vanish(&self) {
        self.controls.vanishings.send_modify(|count| *count += 1);
    }

    /// Applies a fault to the next COMMIT, and to no other.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        *self.controls.next_commit.lock() = Some(fault);
    }

    /// Returns true if the fault of [`Self::fail_next_commit`] has occurred.
    #[must_use]
    pub fn has_failed_commit(&self) -> bool {
        self.controls.next_commit.lock().is_none()
    }

    /// Sends bytes to each client as if its server had sent them, even while the line is frozen. Call it only while the
    /// servers send nothing.
    ///
    /// # Panics
    /// If no connection is open.
    pub fn inject(&self, bytes: Vec<u8>) {
        let sent = self.controls.injected.send(bytes);
        sent.expect("a connection is open");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Controls {
    /// Takes the fault for a chunk of requests, if there is a COMMIT in it and a fault is set.
    fn take_commit_fault(&self, requests: &[u8]) -> Option<CommitFault> {
        let mut fault = self.next_commit.lock();
        let is_for_this = fault.is_some() && requests.windows(6).any(|word| word == b"COMMIT");
        is_for_this.then(|| fault.take()).flatten()
    }

    /// Waits as long as the traffic is held back or delayed.
    async fn delay(&self) {
        let mut traffic = self.traffic.subscribe();
        let thawed = traffic.wait_for(|now| *now != Traffic::Frozen).await;
        let now = thawed.map_or(Traffic::Open, |now| *now);
        if let Traffic::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
    }
}

fn is_mysql(url: &Url) -> bool {
    url.scheme() == "mysql"
}

async fn accept(listener: TcpListener, ends: Arc<[SocketAddr]>, controls: Arc<Controls>) {
    let next = AtomicUsize::new(0);
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors for the moment.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // Before the traffic is looked at, so that a refusal that begins in between closes this connection too.
        let mut cut = controls.cuts.subscribe();
        let vanish = controls.vanishings.subscribe();
        if *controls.traffic.borrow() == Traffic::Refused {
            continue;
        }
        let first = next.fetch_add(1, Ordering::Relaxed);
        let (ends, controls) = (Arc::clone(&ends), Arc::clone(&controls));
        tokio::spawn(async move {
            tokio::select! {
                () = forward(client, &ends, first, &controls, vanish) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn forward(
    mut client: TcpStream,
    ends: &[SocketAddr],
    first: usize,
    controls: &Controls,
    mut vanish: watch::Receiver<u64>,
) {
    let Some(mut server) = connect_first(ends, first).await else {
        return;
    };
    // Sends small chunks at once, so that the proxy adds no delay.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    {
        // Borrowed halves: an owned one tells its peer when it is dropped.
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let drops_responses = AtomicBool::new(false);
        tokio::select! {
            () = forward_requests(from_client, to_server, controls, &drops_responses) => return,
            () = forward_responses(from_server, to_client, controls, &drops_responses) => return,
            _ = vanish.changed() => {}
        }
    }
    // The server may end the session, which the client never hears; the client is gone.
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(1..) = server.read(&mut buffer).await {}
}

async fn connect_first(ends: &[SocketAddr], first: usize) -> Option<TcpStream> {
    for n in 0..ends.len() {
        if let Ok(end) = TcpStream::connect(ends[(first + n) % ends.len()]).await {
            return Some(end);
        }
    }
    None
}

async fn forward_requests(
    mut from_client: ReadHalf<'_>,
    mut to_server: WriteHalf<'_>,
    controls: &Controls,
    drops_responses: &AtomicBool,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut drops_requests = false;
    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
        let requests = &buffer[..count];
        controls.delay().await;
        if let Some(fault) = controls.take_commit_fault(requests) {
            drops_responses.store(true, Ordering::SeqCst);
            match fault {
                CommitFault::AnswerLost => {}
                CommitFault::Late(delay) => tokio::time::sleep(delay).await,
                CommitFault::Lost => drops_requests = true,
            }
        }
        if !drops_requests && to_server.write_all(requests).await.is_err() {
            return;
        }
    }
}

async fn forward_responses(
    mut from_server: ReadHalf<'_>,
    mut to_client: WriteHalf<'_>,
    controls: &Controls,
    drops_responses: &AtomicBool,
) {
    let mut injected = controls.injected.subscribe();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let written = tokio::select! {
            Ok(bytes) = injected.recv() => to_client.write_all(&bytes).await,
            read = from_server.read(&mut buffer) => {
                let Ok(count @ 1..) = read else { return };
                controls.delay().await;
                if drops_responses.load(Ordering::SeqCst) {
                    // Read all the same: unread data would make a reset of the close, and a reset may overtake a COMMIT.
                    continue;
                }
                to_client.write_all(&buffer[..count]).await
            }
        };
        if written.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
