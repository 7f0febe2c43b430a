//! Accepts connections, as many as are allowed, with TCP_NODELAY and timeouts for slow heads and for what is not taken, and
//! reports an address in use with a clear error. TLS is spoken on all of them or on none.

mod connection;
mod line;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::uri::Scheme;
use poem::{
    listener::{Acceptor, TcpAcceptor},
    web::{LocalAddr, RemoteAddr},
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

use self::line::Line;
pub use self::{
    connection::Connection,
    tls::{Tls, TlsError, TlsFiles},
};

/// Pause after a failed accept. Without free file descriptors, accepting fails at once, again and again; the pause lets
/// other tasks close theirs.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Time after which a connection is closed whose client takes nothing of what was sent to it: it has vanished, or does
/// not read. Shorter than http.idle_timeout_s, which does not see the difference.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Bounds until [`NoDelayAcceptor::bounded`] is called.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 25_000;

/// Starts to listen; `poem::Server::new_with_acceptor` takes the result.
pub async fn bind(address: SocketAddr) -> Result<NoDelayAcceptor, ListenError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Refused { address, cause },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(failed)?;
    Ok(NoDelayAcceptor {
        acceptor,
        address,
        head_within: HEAD_WITHIN,
        places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        is_full: false,
        tls: None,
    })
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {0}: the address is already in use")]
    InUse(SocketAddr),
    #[error("cannot listen on {address}: {cause}")]
    Refused {
        address: SocketAddr,
        cause: io::Error,
    },
}

/// An acceptor that sets TCP_NODELAY. Without it the second of two small writes waits 40 ms for the client's delayed
/// ACK.
pub struct NoDelayAcceptor {
    acceptor: TcpAcceptor,
    address: SocketAddr,
    head_within: Duration,
    places: Arc<Semaphore>,
    /// True if the last connection was one too many.
    is_full: bool,
    tls: Option<TlsAcceptor>,
}

impl NoDelayAcceptor {
    /// Closes connections whose heads take longer than that, and those beyond so many at once.
    #[must_use]
    pub fn bounded(self, head_within: Duration, max_connections: usize) -> Self {
        Self {
            head_within,
            places: Arc::new(Semaphore::new(max_connections)),
            ..self
        }
    }

    /// Speaks TLS on all connections.
    #[must_use]
    pub fn secured(self, tls: &Tls) -> Self {
        let tls = Some(tls.acceptor());
        Self { tls, ..self }
    }

    fn refuse_one(&mut self) {
        if !self.is_full {
            tracing::warn!(
                "more connections than http.max_connections: the latest ones are closed at once"
            );
        }
        self.is_full = true;
    }

    /// Returns the bound address, with the real port even if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Acceptor for NoDelayAcceptor {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            match self.acceptor.accept().await {
                Ok((stream, local, remote, _)) => {
                    let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                        // The stream is dropped, which closes it.
                        self.refuse_one();
                        continue;
                    };
                    self.is_full = false;
                    // Fails if the connection is already closed; the next read reports that.
                    let _ = stream.set_nodelay(true);
                    set_user_timeout(&stream);
                    let scheme = match self.tls {
                        Some(_) => Scheme::HTTPS,
                        None => Scheme::HTTP,
                    };
                    let line = Line::new(stream, self.tls.as_ref());
                    let connection = Connection::new(line, self.head_within, place);
                    return Ok((connection, local, remote, scheme));
                }
                Err(cause) => {
                    tracing::warn!(%cause, "accepting a connection failed");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    return Err(cause);
                }
            }
        }
    }
}

/// Bounds how long data may wait for the client, which TCP alone does for a quarter of an hour if the client has
/// vanished, and not at all if it reads nothing.
fn set_user_timeout(connection: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(connection).set_tcp_user_timeout(Some(TAKEN_WITHIN));
    #[cfg(not(target_os = "linux"))]
    let _ = (SockRef::from(connection), TAKEN_WITHIN);
}

impl std::fmt::Debug for NoDelayAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NoDelayAcceptor")
            .field(&self.address)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[tokio::test]
    async fn accepted_connections_do_not_delay_small_writes() {
        let mut acceptor = bind(any_port()).await.unwrap();
        let client = TcpStream::connect(acceptor.address()).await.unwrap();
        let (accepted, ..) = acceptor.accept().await.unwrap();
        assert!(accepted.stream().nodelay().unwrap());
        drop(client);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_client_that_takes_nothing_for_a_minute_loses_its_connection() {
        let mut acceptor = bind(any_port()).await.unwrap();
        let client = TcpStream::connect(acceptor.address()).await.unwrap();
        let (accepted, ..) = acceptor.accept().await.unwrap();
        let timeout = SockRef::from(accepted.stream()).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(Duration::from_secs(60)));
        drop(client);
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_until_another_one_ends() {
        let hour = Duration::from_secs(3600);
        let mut acceptor = bind(any_port()).await.unwrap().bounded(hour, 2);
        let address = acceptor.address();
        let (accepted, mut taken) = tokio::sync::mpsc::channel(8);
        let accepting = tokio::spawn(async move {
            while let Ok((connection, ..)) = acceptor.accept().await {
                accepted.send(connection).await.unwrap();
            }
        });
        let _first = TcpStream::connect(address).await.unwrap();
        let one = taken.recv().await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let _two = taken.recv().await.unwrap();
        let mut third = TcpStream::connect(address).await.unwrap();
        // Closed without a byte.
        assert!(matches!(third.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        drop(one);
        let _fourth = TcpStream::connect(address).await.unwrap();
        assert!(taken.recv().await.is_some());
        accepting.abort();
    }

    #[tokio::test]
    async fn a_head_that_is_not_whole_in_time_ends_its_connection_and_a_slow_answer_does_not() {
        // Long enough for a head to arrive on a busy machine.
        let soon = Duration::from_secs(1);
        let mut acceptor = bind(any_port()).await.unwrap().bounded(soon, 10);
        let mut read = async |sent: &[&[u8]], answer: &[u8]| {
            let mut client = TcpStream::connect(acceptor.address()).await.unwrap();
            let (mut connection, ..) = acceptor.accept().await.unwrap();
            let mut buffer = [0; 100];
            for piece in sent {
                client.write_all(piece).await.unwrap();
                let read = connection.read(&mut buffer).await?;
                assert_eq!(read, piece.len());
            }
            connection.write_all(answer).await.unwrap();
            tokio::time::timeout(soon * 2, connection.read(&mut buffer))
                .await
                .unwrap_or(Ok(0))
        };
        let slow = |read: io::Result<usize>| read.unwrap_err().kind() == io::ErrorKind::TimedOut;
        assert!(slow(read(&[b"GET / HT"], b"").await));
        assert!(slow(read(&[b"\r\n"], b"").await));
        let whole = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(read(&[whole], b"").await.unwrap(), 0);
        assert_eq!(read(&[whole], b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap(), 0);
        assert_eq!(read(&[], b"").await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_address_in_use_is_told_in_one_line() {
        let first = bind(any_port()).await.unwrap();
        let error = bind(first.address()).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cannot listen on {}: the address is already in use",
                first.address()
            )
        );
    }

    #[tokio::test]
    async fn an_address_that_is_not_this_machines_is_told_with_its_cause() {
        let error = bind("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, ListenError::Refused { .. }), "{error}");
    }
}
