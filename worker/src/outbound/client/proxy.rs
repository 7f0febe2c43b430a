//! A tunnel through an egress proxy (`CONNECT`, RFC 9110 section 9.3.6) to an address that the guard has vetted.

use std::{fmt, io, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

/// Maximum length of the head of the proxy's answer.
const MAX_HEAD_BYTES: usize = 8192;

/// An egress proxy; its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// Value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// Reads `http://user:password@host:port`; `None` if the URL has no host.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let decoded = |text: &str| percent_decoded(text);
        let authorization = (!url.username().is_empty()).then(|| {
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

    /// Opens a tunnel to the first of the addresses that the proxy reaches. The proxy is told the address and no name: it
    /// cannot resolve the name to something else than what was vetted.
    pub(super) async fn tunnel(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match self.tunnel_to(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn tunnel_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("egress proxy: {error}")))?;
        stream.set_nodelay(true)?;
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map_or_else(String::new, |value| {
            format!("Proxy-Authorization: {value}\r\n")
        });
        let asked = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n");
        stream.write_all(asked.as_bytes()).await?;
        let head = read_head(&mut stream).await?;
        match status(&head) {
            Some(200..=299) => Ok(stream),
            Some(status) => Err(io::Error::other(format!(
                "the egress proxy refused with status {status}"
            ))),
            None => Err(io::Error::other("the egress proxy does not speak HTTP")),
        }
    }
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
            return Err(io::Error::other("the egress proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

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

    async fn tunnelled(answer: &'static str) -> (io::Result<Vec<u8>>, String) {
        let (url, asked) = proxy(answer).await;
        let proxy = Proxy::of(&url).unwrap();
        assert!(!format!("{proxy:?}").contains("p@ss"), "{proxy:?}");
        let target = "192.0.2.7:443".parse().unwrap();
        let done = async {
            let mut stream = proxy.tunnel(&[target]).await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
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
            "CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\
             Proxy-Authorization: Basic bWU6cEBzcyU=\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_or_speaks_otherwise_is_an_error_without_the_password() {
        for (answer, told) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                "status 407",
            ),
            ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "status 502"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
            ("HTTP/1.1 200 OK\r\n", ""),
        ] {
            let (refused, _) = tunnelled(answer).await;
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("p@ss"), "{error}");
        }
    }

    #[test]
    fn a_proxys_url_needs_no_user_and_may_be_an_address() {
        let read = |url: &str| Proxy::of(&url.parse().unwrap()).unwrap();
        let plain = read("http://egress.example");
        assert_eq!((plain.host.as_str(), plain.port), ("egress.example", 80));
        assert_eq!(plain.authorization, None);
        assert_eq!(read("http://[::1]:3128").host, "::1");
        assert_eq!(percent_decoded("100%"), b"100%");
    }
}
