//! A TCP proxy to MySQL that can be frozen, and that can delay or lose one COMMIT, or lose the response to it.

use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use url::Url;

/// A TCP proxy to a MySQL server. Ends with its runtime.
#[derive(Debug)]
pub struct Line {
    /// URL to connect to in place of the server's; without TLS, so that the proxy sees a COMMIT.
    pub url: String,
    state: Arc<State>,
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

#[derive(Debug, Default)]
struct State {
    frozen: AtomicBool,
    next_commit: Mutex<Option<CommitFault>>,
}

impl Line {
    /// Starts a proxy to the server at `url`.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn to(url: &str) -> Self {
        let mut url: Url = url.parse().expect("a database's URL");
        let host = url.host_str().expect("it names a host");
        let server = format!("{host}:{}", url.port().unwrap_or(3306));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        redirect(&mut url, address);
        let state = Arc::new(State::default());
        tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(forward(client, server.clone(), Arc::clone(&state)));
                }
            }
        });
        Self {
            url: url.into(),
            state,
        }
    }

    /// Freezes or unfreezes the proxy. While it is frozen, a connection on which the server responds is lost.
    pub fn freeze(&self, frozen: bool) {
        self.state.frozen.store(frozen, Ordering::SeqCst);
    }

    /// Applies the mishap to the next COMMIT, and to no other.
    pub fn happens(&self, mishap: CommitFault) {
        *self.state.next_commit.lock() = Some(mishap);
    }

    #[must_use]
    pub fn has_happened(&self) -> bool {
        self.state.next_commit.lock().is_none()
    }
}

impl State {}

fn redirect(url: &mut Url, address: SocketAddr) {
    url.set_ip_host(address.ip()).expect("it has a host");
    url.set_port(Some(address.port())).expect("it has a port");
    url.query_pairs_mut().append_pair("ssl-mode", "disabled");
}

async fn forward(client: TcpStream, server: String, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let drops_responses = Arc::new(AtomicBool::new(false));
    tokio::spawn(forward_requests(
        from_client,
        to_server,
        Arc::clone(&state),
        Arc::clone(&drops_responses),
    ));
    forward_responses(from_server, to_client, state, drops_responses).await;
}

async fn forward_requests(
    mut from_client: OwnedReadHalf,
    mut to_server: OwnedWriteHalf,
    state: Arc<State>,
    drops_responses: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 64 * 1024];
    let mut is_cut = false;
    while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
        let said = &bytes[..read];
        if said.windows(6).any(|word| word == b"COMMIT")
            && let Some(mishap) = taken(&state)
        {
            drops_responses.store(true, Ordering::SeqCst);
            match mishap {
                CommitFault::AnswerLost => {}
                CommitFault::Late(by) => tokio::time::sleep(by).await,
                CommitFault::Lost => is_cut = true,
            }
        }
        if !is_cut && to_server.write_all(said).await.is_err() {
            return;
        }
    }
    let _ = to_server.shutdown().await;
}

fn taken(state: &State) -> Option<CommitFault> {
    state.next_commit.lock().take()
}

async fn forward_responses(
    mut from_server: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    state: Arc<State>,
    drops_responses: Arc<AtomicBool>,
) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
        if state.frozen.load(Ordering::SeqCst) || drops_responses.load(Ordering::SeqCst) {
            // Waits forever: the client finds out by itself.
            std::future::pending::<()>().await;
        }
        if to_client.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
