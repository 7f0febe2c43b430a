//! One running `expediter`, with what a client, an operator and an accident do to it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use reqwest::{Client, Method, RequestBuilder, redirect};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use crate::{Channel, Ended, Launch, SOON, until_within};

/// The last line that a start prints.
const LAST_LINE: &str = "Ctrl-C stops it";

/// Killed when dropped, if it still runs.
#[derive(Debug)]
pub struct Expediter {
    /// `http://127.0.0.1:port`, without a slash at its end; the same after a restart.
    pub url: String,
    /// What the last start printed.
    pub said: String,
    /// `GET /demo.json` as it was after the last start; null without the demonstration.
    pub demo: Value,
    launch: Launch,
    child: Child,
    client: Client,
}

impl Expediter {
    pub(crate) async fn start(launch: Launch) -> Self {
        let (child, said) = spawn(&launch).await;
        let url = said
            .split_whitespace()
            .find_map(|word| word.strip_suffix("/readyz"))
            .unwrap_or_else(|| panic!("the start names no address:\n{said}"))
            .to_owned();
        // Port 0 asks for any; a restart must come back to where clients and kitchens know it.
        let listen = url.trim_start_matches("http://").to_owned();
        let mut running = Self {
            url,
            said,
            demo: Value::Null,
            launch: launch.set("http.api_listen", listen),
            child,
            client: client(),
        };
        running.read_demo().await;
        running
    }

    /// On the same data, with the same settings and on the same port, after it has ended or was killed.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.kill9().await;
        (self.child, self.said) = spawn(&self.launch).await;
        // What the old process had open is gone.
        self.client = client();
        self.read_demo().await;
    }

    /// As [`Self::restart`], with other settings: a crash point taken away, for example.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart_with(&mut self, change: impl FnOnce(Launch) -> Launch) {
        self.launch = change(self.launch.clone());
        self.restart().await;
    }

    /// As if the machine had lost its power, but for what the operating system still writes.
    pub async fn kill9(&mut self) {
        // One that has ended already can't be killed.
        let _ = self.child.kill();
        self.ended().await;
    }

    /// Ctrl-C. Waits for the end and returns how it was.
    pub async fn sigint(&mut self) -> ExitStatus {
        self.signal("INT");
        self.ended().await
    }

    /// Sends a signal (`INT`, `TERM`, `STOP`, `CONT`), and waits for nothing.
    ///
    /// # Panics
    /// When it can't be sent.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("sh is there");
        assert!(sent.success(), "{kill}");
    }

    /// Waits for its end, for example at a crash point.
    ///
    /// # Panics
    /// When it goes on.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until_within(SOON, "the end of the process", || {
            let status = child.try_wait().expect("a child can be waited for");
            async move { status }
        })
        .await
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// Never, on a system that lets processes wait for their children.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    /// A request to a path of it, such as `/api/v1/orders`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Status and body; null where the body is not JSON.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(self.request(Method::GET, path)).await
    }

    /// Status and body; null where the body is not JSON.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.answer(self.request(Method::POST, path).json(body))
            .await
    }

    /// Sends what [`Self::request`] began.
    ///
    /// # Panics
    /// With its log, when there is no answer.
    pub async fn answer(&self, request: RequestBuilder) -> (u16, Value) {
        let answer = request.send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.launch.log()));
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// As [`Self::answer`]; `None`: nobody is there, or the answer was cut off.
    pub async fn try_answer(&self, request: RequestBuilder) -> Option<(u16, Value)> {
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// The live channel of a session; `after`: from there on, else with a snapshot,
    /// which has come then.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn channel(&self, code: &str, after: Option<i64>) -> Channel {
        Channel::of_session(&self.url, code, after).await
    }

    /// The demonstration's table.
    ///
    /// # Panics
    /// Without the demonstration.
    #[must_use]
    pub fn session_code(&self) -> &str {
        self.demo["session_code"]
            .as_str()
            .expect("this one runs with the demonstration")
    }

    /// A password that the start printed.
    ///
    /// # Panics
    /// When it printed none for that name.
    #[must_use]
    pub fn password(&self, username: &str) -> &str {
        let line = self
            .said
            .lines()
            .find_map(|line| line.trim().strip_prefix(username));
        line.unwrap_or_else(|| panic!("no login of {username}:\n{}", self.said))
            .trim()
    }

    /// `PUT /kitchen/mode`: `down`, `slow`, `twice`, `fine`; `for_requests`: only for so many.
    ///
    /// # Panics
    /// When the kitchen refuses.
    pub async fn kitchen(&self, mode: &str, for_requests: Option<u32>) {
        let body = serde_json::json!({"mode": mode, "for_requests": for_requests});
        let (status, answer) = self
            .answer(self.request(Method::PUT, "/kitchen/mode").json(&body))
            .await;
        assert_eq!(status, 200, "{answer}");
    }

    /// `expediter audit` over its data, whether it runs or not.
    pub async fn audit(&self) -> Ended {
        self.launch.clone().argument("audit").run().await
    }

    #[must_use]
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    async fn read_demo(&mut self) {
        let (status, demo) = self.get("/demo.json").await;
        self.demo = if status == 200 { demo } else { Value::Null };
    }
}

impl Drop for Expediter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn spawn(launch: &Launch) -> (Child, String) {
    let mut child = launch.spawn(Stdio::piped());
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, mut lines) = mpsc::unbounded_channel();
    // Reads on to the end, so that the process never waits for a reader.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    let read = timeout(SOON, async {
        while let Some(line) = lines.recv().await {
            said.push_str(&line);
            said.push('\n');
            if line.starts_with(LAST_LINE) {
                return true;
            }
        }
        false
    });
    if read.await != Ok(true) {
        let _ = child.kill();
        let _ = child.wait();
        panic!(
            "it did not come up; it printed:\n{said}\nand logged:\n{}",
            launch.log()
        );
    }
    (child, said)
}

/// That follows nowhere, gives up, and asks no proxy.
///
/// # Panics
/// Never: it needs no certificates.
#[must_use]
pub fn client() -> Client {
    // An error says that the process has its provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(SOON)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client without certificates can be made")
}
