//! A tunnel through an egress proxy (`CONNECT`, RFC 9110 section 9.3.6) to an address that the guard has vetted.

use std::{fmt, io, net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use super::connect_error::ConnectError;

/// Maximum length of the head of the proxy's answer.
const MAX_HEAD_BYTES: usize = 8192;

/// An egress proxy; its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::outbound) struct Proxy {
    host: String,
    port: u16,
    /// Value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// Reads `http://user:password@host:port`; `None` if the URL has no host or no port.
    pub(in crate::outbound) fn of(url: &Url) -> Option<Self> {
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let user = decoded(url.username());
            let password = decoded(url.password().unwrap_or_default());
            format!("Basic {}", STANDARD.encode([user, password].join(&b':')))
        });
        let host = url.host_str()?;
        Some(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default()?,
            authorization,
        })
    }

    /// Opens a tunnel. The proxy is told the address and no name: it cannot resolve the name to something else than what
    /// was vetted.
    ///
    /// Only an answer of the proxy says something about the integrator: everything before it, and an answer that asks
    /// for a password, is between the proxy and us.
    pub(super) async fn tunnel(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<TcpStream, ConnectError> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        // Less than the time for the whole connection: a proxy that hangs must not look like an integrator that does.
        let mut stream = tokio::time::timeout(timeout / 2, connecting)
            .await
            .map_err(|_| ConnectError::Proxy("connecting to it timed out".to_owned()))?
            .map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map_or_else(String::new, |value| {
            format!("Proxy-Authorization: {value}\r\n")
        });
        let asked = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n");
        stream.write_all(asked.as_bytes()).await.map_err(broken)?;
        let head = read_head(&mut stream).await.map_err(broken)?;
        match status(&head) {
            Some(200..=299) => Ok(stream),
            Some(407) => Err(ConnectError::Proxy(
                "it takes no request without another user or password (status 407)".to_owned(),
            )),
            Some(status) => Err(ConnectError::Integrator(format!(
                "not connected: the egress proxy refused with status {status}"
            ))),
            None => Err(ConnectError::Proxy("it does not speak HTTP".to_owned())),
        }
    }
}

fn broken(error: io::Error) -> ConnectError {
    ConnectError::Proxy(error.to_string())
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Reads to the end of a head, and no byte of what follows it, which is the integrator's.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES {
            return Err(io::Error::other("its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// `me:p@ss%`, as it is sent.
    const IN_BASE64: &str = "bWU6cEBzcyU=";

    /// Answers one request for a tunnel; returns the proxy's URL, and what it was asked.
    async fn proxy(answer: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let asked = read_head(&mut client).await.unwrap();
            client.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        let url = format!("http://me:p%40ss%25@{address}").parse().unwrap();
        (url, asked)
    }

    async fn tunnelled(answer: &'static str) -> (Result<Vec<u8>, ConnectError>, String) {
        let (url, asked) = proxy(answer).await;
        let proxy = Proxy::of(&url).unwrap();
        let shown = format!("{proxy:?}");
        assert!(
            !shown.contains("p@ss") && !shown.contains(IN_BASE64),
            "{shown}"
        );
        let target = "192.0.2.7:443".parse().unwrap();
        let done = async {
            let mut stream = proxy.tunnel(target, Duration::from_secs(20)).await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            Ok(rest)
        };
        let done = tokio::time::timeout(Duration::from_secs(20), done).await;
        (done.unwrap(), asked.await.unwrap())
    }

    #[tokio::test]
    async fn the_proxy_is_asked_for_the_vetted_address_with_its_own_password() {
        let (rest, asked) = tunnelled("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nfirst bytes").await;
        assert_eq!(rest.unwrap(), b"first bytes");
        assert_eq!(
            asked,
            format!(
                "CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\
                 Proxy-Authorization: Basic {IN_BASE64}\r\n\r\n"
            )
        );
    }

    #[tokio::test]
    async fn only_a_status_other_than_407_says_something_about_the_integrator() {
        for (answer, is_of_proxy, told) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                true,
                "status 407",
            ),
            ("SSH-2.0-OpenSSH\r\n\r\n", true, "does not speak HTTP"),
            ("HTTP/1.1 200 OK\r\n", true, ""),
            ("", true, ""),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", false, "status 403"),
            ("HTTP/1.0 502 Bad Gateway\r\n\r\n", false, "status 502"),
        ] {
            let (refused, _) = tunnelled(answer).await;
            let (of_proxy, error) = match refused.unwrap_err() {
                ConnectError::Proxy(error) => (true, error),
                ConnectError::Integrator(error) => (false, error),
            };
            assert_eq!(of_proxy, is_of_proxy, "{answer:?}: {error}");
            assert!(error.contains(told), "{error}");
            assert!(
                !error.contains("p@ss") && !error.contains(IN_BASE64),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_proxy_that_is_down_or_has_no_address_says_nothing_about_the_integrator() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap();
        drop(listener);
        for url in [
            format!("http://{closed}"),
            "http://nowhere.invalid:3128".to_owned(),
        ] {
            let proxy = Proxy::of(&url.parse().unwrap()).unwrap();
            let target = "192.0.2.7:443".parse().unwrap();
            let refused = proxy.tunnel(target, Duration::from_secs(20)).await;
            let error = refused.unwrap_err();
            assert!(matches!(error, ConnectError::Proxy(_)), "{url}: {error:?}");
        }
    }

    #[test]
    fn a_proxys_url_needs_no_user_and_may_be_an_address() {
        let read = |url: &str| Proxy::of(&url.parse().unwrap()).unwrap();
        let plain = read("http://egress.example");
        assert_eq!((plain.host.as_str(), plain.port), ("egress.example", 80));
        assert_eq!(plain.authorization, None);
        assert_eq!(read("http://[::1]:3128").host, "::1");
        // Only what is two digits of a byte is decoded: "a@b100%+f".
        let stray = read("http://u:a%40b100%+f@egress.example").authorization;
        assert_eq!(stray.as_deref(), Some("Basic dTphQGIxMDAlK2Y="));
    }

    #[test]
    fn a_password_without_a_user_is_sent_too() {
        let read = |url: &str| Proxy::of(&url.parse().unwrap()).unwrap().authorization;
        // ":token" and "user:".
        let token = read("http://:token@egress.example");
        assert_eq!(token.as_deref(), Some("Basic OnRva2Vu"));
        let user = read("http://user@egress.example");
        assert_eq!(user.as_deref(), Some("Basic dXNlcjo="));
    }
}
