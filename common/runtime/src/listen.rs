//! Accepts connections with TCP_NODELAY and a timeout for what is not taken, and reports an address in use with a clear error.

use std::{io, net::SocketAddr, time::Duration};

use http::uri::Scheme;
use poem::{
    listener::{Acceptor, TcpAcceptor},
    web::{LocalAddr, RemoteAddr},
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// Pause after a failed accept. Without free file descriptors, accepting fails at once, again and again; the pause lets
/// other tasks close theirs.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Time after which a connection is closed whose client takes nothing of what was sent to it: it has vanished, or does
/// not read. Shorter than http.idle_timeout_s, which does not see the difference.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Starts to listen; `poem::Server::new_with_acceptor` takes the result.
pub async fn bind(address: SocketAddr) -> Result<NoDelayAcceptor, ListenError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Refused { address, cause },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(failed)?;
    Ok(NoDelayAcceptor { acceptor, address })
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
}

impl NoDelayAcceptor {
    /// Returns the bound address, with the real port even if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Acceptor for NoDelayAcceptor {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        match self.acceptor.accept().await {
            Ok(accepted) => {
                // Fails if the connection is already closed; the next read reports that.
                let _ = accepted.0.set_nodelay(true);
                set_user_timeout(&accepted.0);
                Ok(accepted)
            }
            Err(cause) => {
                tracing::warn!(%cause, "accepting a connection failed");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                Err(cause)
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
    use super::*;

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[tokio::test]
    async fn accepted_connections_do_not_delay_small_writes() {
        let mut acceptor = bind(any_port()).await.unwrap();
        let client = TcpStream::connect(acceptor.address()).await.unwrap();
        let (accepted, ..) = acceptor.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
        drop(client);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_client_that_takes_nothing_for_a_minute_loses_its_connection() {
        let mut acceptor = bind(any_port()).await.unwrap();
        let client = TcpStream::connect(acceptor.address()).await.unwrap();
        let (accepted, ..) = acceptor.accept().await.unwrap();
        let timeout = SockRef::from(&accepted).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(Duration::from_secs(60)));
        drop(client);
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
