//! A minimal HTTP/1.1 client connection (keep-alive, one request at a time), so that the server dominates the
//! measurement.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Maximum length of a message, in bytes.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A complete request or response: its first line with headers, and its body.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Connects to `address` (host and port).
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    /// Sends a request unchanged and returns the response's status and body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.write(request).await?;
        let answer = self
            .read()
            .await?
            .context("the connection was closed before a response")?;
        let status = answer
            .head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok());
        Ok((status.context("the response has no status")?, answer.body))
    }

    /// Sends a request like [`Self::send`]; any other status than `status` is an error.
    pub(crate) async fn expect(&mut self, status: u16, request: &[u8]) -> anyhow::Result<Value> {
        let (answered, body) = self.send(request).await?;
        ensure!(
            answered == status,
            "{} answered {answered}: {}",
            String::from_utf8_lossy(request),
            String::from_utf8_lossy(&body),
        );
        Ok(serde_json::from_slice(&body)?)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads the next message; `None` if the peer closed the connection between two messages.
    pub(crate) async fn read(&mut self) -> anyhow::Result<Option<Message>> {
        loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..at]).into_owned();
                let end = at + 4 + length(&head)?;
                while self.read.len() < end {
                    ensure!(self.more().await?, "the connection ended within a message");
                }
                let body = self.read[at + 4..end].to_vec();
                self.read.drain(..end);
                return Ok(Some(Message { head, body }));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    async fn more(&mut self) -> anyhow::Result<bool> {
        if self.read.len() > MAX_BYTES {
            bail!("a message is longer than {MAX_BYTES} bytes");
        }
        Ok(self.stream.read_buf(&mut self.read).await? > 0)
    }
}

fn length(head: &str) -> anyhow::Result<usize> {
    for line in head.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(value.trim().parse()?);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("unsupported header: {line}");
        }
    }
    Ok(0)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// Encodes a POST of JSON, for repeated use. `token`: the caller's access token.
pub(crate) fn post(path: &str, token: Option<&str>, body: &Value) -> Vec<u8> {
    request("POST", path, token, body)
}

/// Encodes a request with JSON.
pub(crate) fn request(method: &str, path: &str, token: Option<&str>, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        authorization.unwrap_or_default(),
        body.len(),
    )
    .into_bytes()
}
