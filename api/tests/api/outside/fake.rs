//! A fake external service on loopback with scripted responses, which records its requests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Responds with this status and body.
    Answer(u16, String),
    /// Reads the request and never responds.
    Nothing,
    /// Redirects to itself, where it would say yes.
    Redirect,
}

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Scripted responses; the last one is repeated.
    says: Mutex<VecDeque<Reply>>,
    heard: Mutex<Vec<Heard>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    /// Method and path, such as `GET /get/1/`.
    pub(crate) line: String,
    pub(crate) body: Value,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let serving = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            }
        });
        Self {
            url,
            shared,
            serving,
        }
    }

    pub(crate) fn says(&self, says: Reply) {
        self.says_in_turn([says]);
    }

    pub(crate) fn says_in_turn(&self, says: impl IntoIterator<Item = Reply>) {
        *self.shared.says.lock().unwrap() = says.into_iter().collect();
    }

    pub(crate) fn says_json(&self, status: u16, body: &Value) {
        self.says(Reply::Answer(status, body.to_string()));
    }

    /// Returns the requests since the last call.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.shared.heard.lock().unwrap())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.line).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns a URL where nothing listens.
pub(crate) async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Wraps a response in the envelope of the first seed's services.
pub(crate) fn enveloped(response: &Value) -> Value {
    json!({"success": true, "response": response})
}

/// Returns all kinds of invalid responses, with a description of each.
pub(crate) fn invalid_responses() -> Vec<(&'static str, Reply)> {
    let says = |status, body: &str| Reply::Answer(status, body.to_owned());
    let yes = json!({"success": true, "response": {"user_id": 1, "value": "a".repeat(40)}});
    vec![
        ("hangs", Reply::Nothing),
        ("redirects", Reply::Redirect),
        ("fails", says(500, "")),
        ("fails and says yes", says(503, &yes.to_string())),
        ("fails and says no", says(500, r#"{"success": false}"#)),
        ("is a page", says(200, "<html>")),
        ("says half a word", says(200, r#"{"success": tr"#)),
        ("says something else", says(200, "[[]]")),
        ("says yes and no", says(404, &yes.to_string())),
        ("does not know us", says(400, "{}")),
        (
            "never ends",
            says(200, &format!("\"{}\"", "x".repeat(2 << 20))),
        ),
    ]
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let header = header.trim().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let says = {
        let mut says = shared.says.lock().unwrap();
        if says.len() > 1 {
            says.pop_front()
        } else {
            says.front().cloned()
        }
    };
    shared.heard.lock().unwrap().push(Heard {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let (status, more, body) = match says.expect("the test has scripted a response") {
        Reply::Nothing => std::future::pending().await,
        Reply::Redirect => (302, "location: /elsewhere\r\n", String::new()),
        Reply::Answer(status, body) => (status, "", body),
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
}
