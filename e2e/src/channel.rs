//! A WebSocket client for live channels.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::SOON;

#[derive(Debug)]
pub struct Channel {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// All messages so far, `hello` first.
    pub seen: Vec<Value>,
}

/// A frame from a live channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Message(Value),
    /// Close code; `None` if the connection broke or was closed without one.
    Closed(Option<u16>),
}

impl Channel {
    /// # Panics
    /// If it is refused.
    pub async fn open(url: &str) -> Self {
        let opened = timeout(SOON, connect_async(url))
            .await
            .expect("an answer to the handshake");
        let (socket, _) = opened.unwrap_or_else(|error| panic!("{url}: {error}"));
        Self {
            socket,
            seen: Vec::new(),
        }
    }

    /// Opens a session's channel with the key of a guest in the header.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open_as_guest(url: &str, key: &str) -> Self {
        let mut request = url.into_client_request().expect("a URL");
        let key = key.parse().expect("a header's value");
        request.headers_mut().insert("expediter-guest", key);
        let opened = connect_async(request).await;
        let (socket, _) = opened.unwrap_or_else(|error| panic!("{url}: {error}"));
        Self {
            socket,
            seen: Vec::new(),
        }
    }

    /// Sends a message.
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn say(&mut self, message: &Value) {
        let sent = self.socket.send(Message::text(message.to_string())).await;
        sent.expect("the channel is open");
    }

    /// Opens a session's channel at a [`Self::resume_point`], or with a snapshot. The snapshot has been received on return:
    /// later changes arrive as events.
    ///
    /// # Panics
    /// If it is refused, or does not begin with its snapshot.
    pub(crate) async fn open_session(server: &str, code: &str, after: Option<&str>) -> Self {
        let query = after.map(|after| format!("?{after}")).unwrap_or_default();
        let server = server.replacen("http", "ws", 1);
        let mut channel = Self::open(&format!("{server}/ws/sessions/{code}{query}")).await;
        if after.is_none() {
            let first = channel.next().await;
            assert!(
                matches!(&first, Frame::Message(hello) if hello["type"] == "hello"),
                "a live channel begins with a snapshot, not {first:?}"
            );
        }
        channel
    }

    /// Opens a channel; `None` if the server cannot be reached or refuses it.
    pub(crate) async fn try_open(url: &str) -> Option<Self> {
        let opened = timeout(SOON, connect_async(url)).await.ok()?;
        let (socket, _) = opened.ok()?;
        let seen = Vec::new();
        Some(Self { socket, seen })
    }

    /// Returns the next message, or the end of the channel. Pings are answered automatically.
    ///
    /// # Panics
    /// If nothing arrives in time.
    pub async fn next(&mut self) -> Frame {
        let next = timeout(SOON, self.read()).await;
        next.unwrap_or_else(|_| panic!("nothing arrived; earlier messages:\n{}", self.story()))
    }

    /// Reads messages until the channel ends; returns its close code.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn until_closed(&mut self) -> Option<u16> {
        loop {
            if let Frame::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    /// Reads messages until one matches.
    ///
    /// # Panics
    /// With all received messages, if none matches in time.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until_within(SOON, what, fits).await
    }

    /// Like [`Self::until`], with another timeout.
    ///
    /// # Panics
    /// With all received messages, if none matches in time.
    pub async fn until_within(
        &mut self,
        patience: Duration,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            match timeout_at(deadline, self.read()).await {
                Ok(Frame::Message(event)) if fits(&event) => return event,
                Ok(Frame::Message(_)) => {}
                Ok(Frame::Closed(code)) => panic!(
                    "{what}: closed with {code:?}; earlier messages:\n{}",
                    self.story()
                ),
                Err(_) => panic!(
                    "{what}: not within {} s:\n{}",
                    patience.as_secs(),
                    self.story()
                ),
            }
        }
    }

    /// Reads messages until one shows the order in this status.
    ///
    /// # Panics
    /// With all received messages, if none does in time.
    pub async fn until_status(&mut self, order_id: &str, status: &str) -> Value {
        let what = format!("order {order_id} to be {status}");
        self.until(&what, |event| {
            let order = &event["data"]["order"];
            order["id"] == order_id && order["status"] == status
        })
        .await
    }

    /// Returns the numbers of all events so far.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        let events = self.seen.iter().filter(|event| event["type"] != "hello");
        events.filter_map(|event| event["seq"].as_i64()).collect()
    }

    /// Returns the query of a channel that goes on after the last message, with the epoch in which its number counts.
    #[must_use]
    pub fn resume_point(&self) -> Option<String> {
        let last = |field: &str| {
            let named = self.seen.iter().rev().find(|seen| !seen[field].is_null());
            named.map(|seen| seen[field].clone())
        };
        let (seq, epoch) = (last("seq")?, last("epoch")?);
        Some(format!("after={seq}&epoch={}", epoch.as_str()?))
    }

    pub async fn close(mut self) {
        let _ = self.socket.send(Message::Close(None)).await;
    }

    /// Like [`Self::next`], without a timeout.
    pub(crate) async fn read(&mut self) -> Frame {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap_or_default();
                    self.seen.push(message.clone());
                    return Frame::Message(message);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Frame::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Frame::Closed(None),
            }
        }
    }

    fn story(&self) -> String {
        self.seen
            .iter()
            .map(|message| format!("{message}\n"))
            .collect()
    }
}
