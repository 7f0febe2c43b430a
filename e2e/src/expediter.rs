//! A running `expediter` process: requests to it, operator's commands, signals and restarts.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use reqwest::{Certificate, Client, Method, RequestBuilder, redirect};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use crate::{Channel, Ended, Launch, SOON, until_within};

/// Beginning of the last line that the process prints when it has started.
const LAST_LINE: &str = "Ctrl-C stops it";

/// A running process; dropping it kills the process.
#[derive(Debug)]
pub struct Expediter {
    /// `http://127.0.0.1:port`, or with https, without a trailing slash; the same after a restart.
    pub url: String,
    /// Output of the last start.
    pub said: String,
    /// `GET /demo.json` after the last start; null without the demonstration.
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
            .unwrap_or_else(|| panic!("the process printed no address:\n{said}"))
            .to_owned();
        // Port 0 means any port; a restart must use the same one, which clients and kitchens know.
        let listen = url.split("//").last().unwrap_or_default().to_owned();
        let mut running = Self {
            url,
            said,
            demo: Value::Null,
            client: launch.client(),
            launch: launch.set("http.api_listen", listen),
            child,
        };
        running.read_demo().await;
        running
    }

    /// Kills the process if it still runs, and starts it again with the same data, settings and port.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.kill9().await;
        (self.child, self.said) = spawn(&self.launch).await;
        // The old process's connections are gone.
        self.client = self.launch.client();
        self.read_demo().await;
    }

    /// Like [`Self::restart`], with other settings, for example without a crash point.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart_with(&mut self, change: impl FnOnce(Launch) -> Launch) {
        self.launch = change(self.launch.clone());
        self.restart().await;
    }

    /// Kills the process with `kill -9`. Data that it had passed to the operating system is still written.
    pub async fn kill9(&mut self) {
        // Fails if the process has already ended, which is fine.
        let _ = self.child.kill();
        self.ended().await;
    }

    /// Sends SIGINT, waits for the end, and returns the exit status.
    pub async fn sigint(&mut self) -> ExitStatus {
        self.signal("INT");
        self.ended().await
    }

    /// Sends a signal (`INT`, `TERM`, `STOP`, `CONT`) without waiting.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("sh can be run");
        assert!(sent.success(), "{kill}");
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process ends, for example at a crash point.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until_within(SOON, "the end of the process", || {
            let status = child.try_wait().expect("a child can be waited for");
            async move { status }
        })
        .await
    }

    /// Returns a line of `/proc/PID/status` in KiB: `VmRSS`, the memory that it has, or `VmHWM`, the most that it had.
    ///
    /// # Panics
    /// If the process has ended.
    #[must_use]
    pub fn memory_kib(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).expect("the process runs");
        let line = status
            .lines()
            .find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.unwrap_or_else(|| panic!("{path} has no such line:\n{status}"))
    }

    /// Returns true if the process still runs.
    ///
    /// # Panics
    /// Never, on a system that lets processes wait for their children.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    /// Returns the largest resident memory that the process ever had, in MiB.
    ///
    /// # Panics
    /// If the process has ended.
    #[must_use]
    pub fn peak_memory_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the kernel tells a process's peak") / 1024
    }

    /// Builds a request to a path, such as `/api/v1/orders`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a GET; returns status and body (null if it is not JSON).
    ///
    /// # Panics
    /// If there is no response.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(self.request(Method::GET, path)).await
    }

    /// Sends a POST; returns status and body (null if it is not JSON).
    ///
    /// # Panics
    /// If there is no response.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.answer(self.request(Method::POST, path).json(body))
            .await
    }

    /// Sends a request; returns status and body.
    ///
    /// # Panics
    /// With the process's log, if there is no response.
    pub async fn answer(&self, request: RequestBuilder) -> (u16, Value) {
        let answer = request.send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.launch.log()));
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Like [`Self::answer`]; `None` if there was no complete response.
    pub async fn try_answer(&self, request: RequestBuilder) -> Option<(u16, Value)> {
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Opens a session's live channel at a [`Channel::resume_point`], or with a snapshot, which has been received on
    /// return.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn channel(&self, code: &str, after: Option<&str>) -> Channel {
        Channel::open_session(&self.url, code, after).await
    }

    /// Returns the session code of the demonstration's table.
    ///
    /// # Panics
    /// Without the demonstration.
    #[must_use]
    pub fn session_code(&self) -> &str {
        self.demo["session_code"]
            .as_str()
            .expect("the process runs with the demonstration")
    }

    /// Returns a password that the start printed.
    ///
    /// # Panics
    /// If it printed none for that name.
    #[must_use]
    pub fn password(&self, username: &str) -> &str {
        let line = self
            .said
            .lines()
            .find_map(|line| line.trim().strip_prefix(username));
        line.unwrap_or_else(|| panic!("no password for {username} was printed:\n{}", self.said))
            .trim()
    }

    /// Sends `PUT /kitchen/mode` (`down`, `slow`, `twice` or `fine`), for the next `for_requests` requests or for good.
    ///
    /// # Panics
    /// If the kitchen refuses.
    pub async fn kitchen(&self, mode: &str, for_requests: Option<u32>) {
        let body = serde_json::json!({"mode": mode, "for_requests": for_requests});
        let (status, answer) = self
            .answer(self.request(Method::PUT, "/kitchen/mode").json(&body))
            .await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Runs `expediter audit` on its data; the process need not run.
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
    // Reads to the end: a full pipe would block the process.
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
            "the process did not start; it printed:\n{said}\nand logged:\n{}",
            launch.log()
        );
    }
    (child, said)
}

/// Returns an HTTP client without redirects and proxies, and with a timeout.
#[must_use]
pub fn client() -> Client {
    client_trusting(None)
}

/// Returns the same client, which trusts this authority only.
pub(crate) fn client_trusting(authority: Option<&str>) -> Client {
    // Fails if the process already has a provider, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .timeout(SOON)
        .redirect(redirect::Policy::none())
        .no_proxy();
    if let Some(pem) = authority {
        let authority = Certificate::from_pem(pem.as_bytes()).expect("a certificate in PEM");
        builder = builder.tls_certs_only([authority]);
    }
    builder.build().expect("a client can be made")
}
