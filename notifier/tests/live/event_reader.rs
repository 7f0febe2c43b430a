//! Reader of server-sent events that shows all that is sent: headers, comments, ids and the end.

use std::collections::HashMap;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Response to the request for an event stream.
#[derive(Debug)]
pub(crate) struct EventReader {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    connection: TcpStream,
    /// Received bytes that were not read yet.
    received: Vec<u8>,
    /// Text of the body that was read and not yet parsed.
    text: String,
    /// Bytes of a character that was not read whole.
    bytes: Vec<u8>,
    /// Time in milliseconds after which a client reconnects.
    pub(crate) retry_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Event(Event),
    Comment,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

impl EventReader {
    pub(crate) async fn request(
        tcp: TcpStream,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        Self::send(tcp, "GET", path, headers).await
    }

    pub(crate) async fn send(
        mut tcp: TcpStream,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        tcp.write_all(head.as_bytes())
            .await
            .expect("the server reads");
        let mut reader = Self {
            status: 0,
            headers: HashMap::new(),
            connection: tcp,
            received: Vec::new(),
            text: String::new(),
            bytes: Vec::new(),
            retry_ms: None,
        };
        let status = reader.line().await.expect("a response");
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
        reader.status = status.expect("a status");
        while let Some(line) = reader.line().await.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a header");
            let name = name.to_ascii_lowercase();
            reader.headers.insert(name, value.to_owned());
        }
        reader
    }

    /// Returns the rest of the body as JSON.
    pub(crate) async fn json(mut self) -> Value {
        let length = self.headers["content-length"].parse().expect("a length");
        while self.received.len() < length {
            assert!(self.receive().await, "the whole body");
        }
        serde_json::from_slice(&self.received[..length]).expect("a problem is JSON")
    }

    /// Returns the next event or comment; `None` at the end. An event that was not sent whole is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(sent) = self.parse(&block) {
                    return Some(sent);
                }
            }
            let chunk = self.chunk().await?;
            self.bytes.extend(chunk);
            let whole = match std::str::from_utf8(&self.bytes) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let rest = self.bytes.split_off(whole);
            let text = std::mem::replace(&mut self.bytes, rest);
            self.text
                .push_str(&String::from_utf8(text).expect("checked"));
        }
    }

    /// Returns the next event; skips comments.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            match self.next().await.expect("the stream goes on") {
                Sent::Event(event) => return event,
                Sent::Comment => {}
            }
        }
    }

    fn parse(&mut self, block: &str) -> Option<Sent> {
        let (mut event, mut is_comment) = (Event::default(), false);
        for line in block.lines() {
            match line.split_once(':') {
                Some(("", _)) => is_comment = true,
                Some((field, value)) => {
                    let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                    match field {
                        "event" => event.kind = value,
                        "data" => event.data = value,
                        "id" => event.id = Some(value),
                        "retry" => self.retry_ms = value.parse().ok(),
                        other => panic!("an unknown field: {other}"),
                    }
                }
                None => panic!("not a field: {line}"),
            }
        }
        if event.data.is_empty() {
            return is_comment.then_some(Sent::Comment);
        }
        Some(Sent::Event(event))
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(chunk) = self.take_chunk() {
                return (!chunk.is_empty()).then_some(chunk);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// Takes the next chunk if it was received whole; the last one is empty.
    fn take_chunk(&mut self) -> Option<Vec<u8>> {
        let begin = 2 + line_end(&self.received)?;
        let length = String::from_utf8_lossy(&self.received[..begin - 2]);
        let length = usize::from_str_radix(&length, 16).expect("a chunk's length");
        if self.received.len() < begin + length + 2 {
            return None;
        }
        let chunk = self.received.drain(..begin + length + 2);
        Some(chunk.skip(begin).take(length).collect())
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = line_end(&self.received) {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8(line).expect("ASCII"));
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// Receives more; returns false at the end.
    async fn receive(&mut self) -> bool {
        let received = self.connection.read_buf(&mut self.received).await;
        received.is_ok_and(|count| count > 0)
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\r\n")
}
