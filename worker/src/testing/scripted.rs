//! A server that plays a script for each request, over each transport that the worker speaks, byte for byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

/// Certificate and key of test servers, and of nobody else.
const PEM: &[u8] = include_bytes!("integrator.pem");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
    Http2,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Http2];

    fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls | Self::Http2 => "https",
        }
    }
}

/// Part of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Say(Vec<u8>),
    /// Sends an HTTP/2 frame of the request's stream: type, flags and payload.
    Frame(u8, u8, Vec<u8>),
    /// Repeats the steps with a pause, until the client closes.
    Repeat(Vec<Step>, Duration),
    Pause(Duration),
    Hang,
    /// Says that nothing more comes, and goes on.
    Finish,
    Close,
}

/// Answers to one request; afterwards the connection waits for the next one.
pub(crate) type Script = Vec<Step>;

#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    transport: Transport,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    scripts: Vec<Script>,
    /// Connection number of each request.
    requests: Mutex<Vec<usize>>,
    /// Connections that are closed.
    closed: AtomicUsize,
}

impl Scripted {
    /// Starts a server that plays the scripts in turn and repeats the last one. With `resets` a connection ends with
    /// RST in place of FIN.
    pub(crate) async fn start(transport: Transport, scripts: Vec<Script>, resets: bool) -> Self {
        Self::start_at("127.0.0.1:0", transport, scripts, resets).await
    }

    pub(crate) async fn start_at(
        address: &str,
        transport: Transport,
        scripts: Vec<Script>,
        resets: bool,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            scripts,
            requests: Mutex::default(),
            closed: AtomicUsize::new(0),
        });
        let mut serving = JoinSet::new();
        let known = Arc::clone(&shared);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                if resets {
                    stream.set_zero_linger().unwrap();
                }
                let known = Arc::clone(&known);
                connections.spawn(async move {
                    serve(stream, transport, connection, &known).await;
                    known.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            transport,
            shared,
            _serving: serving,
        }
    }

    pub(crate) fn url(&self) -> Url {
        let scheme = self.transport.scheme();
        format!("{scheme}://{}/orders", self.address)
            .parse()
            .unwrap()
    }

    /// Returns the number of the connection that each request came over.
    pub(crate) fn requests(&self) -> Vec<usize> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn next_script(&self, connection: usize) -> Script {
        let mut requests = self.requests.lock().unwrap();
        let at = requests.len().min(self.scripts.len() - 1);
        requests.push(connection);
        self.scripts[at].clone()
    }
}

async fn serve(tcp: TcpStream, transport: Transport, connection: usize, shared: &Shared) {
    match transport {
        Transport::Plain => serve_http1(tcp, connection, shared).await,
        Transport::Tls => {
            let Ok(tls) = acceptor(&[b"http/1.1"]).accept(tcp).await else {
                return;
            };
            serve_http1(tls, connection, shared).await;
        }
        Transport::Http2 => {
            let Ok(tls) = acceptor(&[b"h2"]).accept(tcp).await else {
                return;
            };
            serve_http2(tls, connection, shared).await;
        }
    }
}

pub(crate) fn acceptor(protocols: &[&[u8]]) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(PEM).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PEM).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config).into()
}

/// Returns TLS settings of a client that trusts the test servers only.
pub(crate) fn trusting() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(PEM).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn serve_http1(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    shared: &Shared,
) {
    let mut unread = Vec::new();
    loop {
        let request = super::read_request(&mut stream, &mut unread, connection).await;
        if request.is_none() {
            return;
        }
        let script = shared.next_script(connection);
        if !play(&mut stream, &script, 0).await {
            return;
        }
    }
}

async fn serve_http2(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    shared: &Shared,
) {
    const PREFACE: usize = 24;
    const END_STREAM: u8 = 1;
    const DATA: u8 = 0;
    const SETTINGS: u8 = 4;
    const WINDOW_UPDATE: u8 = 8;
    const LARGE: [u8; 4] = [0x3f, 0xff, 0xff, 0xff];
    // Windows that no request fills: of each stream (setting 4), and of the connection.
    let mut settings = frame(SETTINGS, 0, 0, &[&[0, 4][..], &LARGE].concat());
    settings.extend(frame(WINDOW_UPDATE, 0, 0, &LARGE));
    if stream.write_all(&settings).await.is_err()
        || stream.read_exact(&mut [0; PREFACE]).await.is_err()
    {
        return;
    }
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if kind == SETTINGS && flags == 0 {
            let acknowledged = frame(SETTINGS, 1, 0, &[]);
            if stream.write_all(&acknowledged).await.is_err() {
                return;
            }
        }
        if kind == DATA && flags & END_STREAM != 0 {
            let script = shared.next_script(connection);
            if !play(&mut stream, &script, id).await {
                return;
            }
        }
    }
}

/// Plays the steps; returns false if the connection is to be closed.
async fn play(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    script: &[Step],
    id: u32,
) -> bool {
    for step in script {
        let bytes = match step {
            Step::Say(bytes) => bytes.clone(),
            Step::Frame(kind, flags, payload) => frame(*kind, *flags, id, payload),
            Step::Repeat(steps, pause) => loop {
                if !Box::pin(play(stream, steps, id)).await {
                    return false;
                }
                tokio::time::sleep(*pause).await;
            },
            Step::Pause(time) => {
                tokio::time::sleep(*time).await;
                continue;
            }
            Step::Hang => {
                // The client closes when it has waited for long enough.
                while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
                return false;
            }
            Step::Finish => {
                if stream.shutdown().await.is_err() {
                    return false;
                }
                continue;
            }
            Step::Close => return false,
        };
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            return false;
        }
    }
    true
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Encodes header fields for HTTP/2, each as a literal without any compression.
pub(crate) fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        if *name == ":status" {
            // Number 8 of the static table.
            block.push(8);
        } else {
            block.push(0);
            text(&mut block, name);
        }
        text(&mut block, value);
    }
    block
}

/// Appends a string literal, whose length has a prefix of seven bits.
fn text(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text.as_bytes());
}
