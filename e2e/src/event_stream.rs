//! A client for event streams (server-sent events).

use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::time::timeout;

use crate::SOON;

/// An open event stream.
#[derive(Debug)]
pub struct EventStream {
    response: reqwest::Response,
    /// Received text that was not read yet.
    text: String,
    /// `id` of the last event, for `Last-Event-ID`.
    pub last_id: Option<String>,
}

impl EventStream {
    /// # Panics
    /// If it is refused.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
            last_id: None,
        }
    }

    /// Returns the next event's data; `None` when the stream has ended.
    ///
    /// # Panics
    /// If nothing arrives in time.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines();
                    let value = lines.find_map(|line| line.strip_prefix(name))?;
                    Some(value.trim_start().to_owned())
                };
                let (data, id) = (field("data:"), field("id:"));
                self.text = rest.to_owned();
                self.last_id = id.or(self.last_id.take());
                if let Some(data) = data {
                    return Some(serde_json::from_str(&data).expect("each event is JSON"));
                }
                continue;
            }
            let chunk = timeout(SOON, self.response.chunk()).await;
            let chunk = chunk.expect("events, or comments, in time").ok()??;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// Reads events until one shows the order in this status; returns their numbers.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn until_status(&mut self, order_id: &str, status: &str) -> Vec<i64> {
        let mut numbers = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event["type"] == "hello" {
                continue;
            }
            numbers.extend(event["seq"].as_i64());
            let order = &event["data"]["order"];
            if order["id"] == order_id && order["status"] == status {
                return numbers;
            }
        }
    }
}
