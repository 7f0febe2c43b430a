//! A process under test, which can be started, probed, killed, stopped and restarted.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{Launch, until_within};

/// Timeout of a start. Generous, because test machines are busy.
const START_TIMEOUT: Duration = Duration::from_secs(100);
/// Timeout of a request: longer than any planned delay, shorter than a test's timeout.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// A process, across all its restarts.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    address: SocketAddr,
    pub(super) launch: Launch,
    life: Mutex<Life>,
}

/// The running child; dropping it kills it.
#[derive(Debug, Default)]
struct Life(Option<Child>);

impl Process {
    pub(super) fn new(
        n: usize,
        role: &str,
        address: SocketAddr,
        common: &Launch,
        folder: &Path,
    ) -> Self {
        let name = format!("{role}-{n}");
        let own = folder.join(&name);
        std::fs::create_dir_all(&own).expect("the run's directory can be written");
        let listen = match role {
            "notifier" => "http.notifier_listen",
            "worker" => "http.worker_listen",
            _ => "http.api_listen",
        };
        let mut launch = common.clone().at(&program(role), &own).set(listen, address);
        if role == "expediter" {
            // Same data directory as the administration commands.
            launch = launch.set("secrets.data_dir", folder.join("data").display());
        }
        Self {
            name,
            address,
            launch,
            life: Mutex::default(),
        }
    }

    /// Starts the process and waits until it answers.
    ///
    /// # Panics
    /// With its log, if it does not start.
    pub async fn starts(&self) {
        let mut life = self.life.lock().await;
        self.start(&mut life).await;
    }

    /// Kills the process with `kill -9`, without a restart.
    pub async fn ends(&self) {
        self.life.lock().await.kill_now();
    }

    pub async fn killed(&self, away: Duration) {
        let mut life = self.life.lock().await;
        life.kill_now();
        sleep(away).await;
        self.start(&mut life).await;
    }

    /// Sends SIGSTOP; [`Self::resume`] resumes it.
    pub async fn stops(&self) {
        self.life.lock().await.signal("STOP");
    }

    /// Sends SIGCONT.
    pub async fn resume(&self) {
        self.life.lock().await.signal("CONT");
    }

    /// Returns the status and body of `/readyz`, read directly.
    pub async fn readiness(&self) -> Option<(u16, Value)> {
        answer(client().get(format!("http://{}/readyz", self.address))).await
    }

    /// Returns `/metrics`; `None` if the process does not answer.
    pub async fn metrics(&self) -> Option<String> {
        let asked = client()
            .get(format!("http://{}/metrics", self.address))
            .send()
            .await;
        asked.ok()?.text().await.ok()
    }

    /// Returns its standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.launch.log()
    }

    pub async fn stalled(&self, lasts: Duration) {
        let life = self.life.lock().await;
        life.signal("STOP");
        let thaw = Thaw(&life);
        sleep(lasts).await;
        drop(thaw);
    }

    /// # Panics
    /// If it does not end after SIGTERM.
    pub async fn restarted(&self) {
        let mut life = self.life.lock().await;
        life.signal("TERM");
        let what = format!("{} to end after SIGTERM", self.name);
        until_within(START_TIMEOUT, &what, || {
            let ended = !life.is_running();
            async move { ended.then_some(()) }
        })
        .await;
        self.start(&mut life).await;
    }

    /// Starts it repeatedly until it answers: its servers may still be down.
    async fn start(&self, life: &mut Life) {
        let client = client();
        let probe = format!("http://{}/healthz", self.address);
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if !life.is_running() {
                life.0 = Some(self.launch.spawn(Stdio::null()));
            }
            if matches!(answer(client.get(&probe)).await, Some((200, _))) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let log = self.launch.log();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        panic!(
            "{} did not start; its log, newest line first:\n{}",
            self.name,
            last.join("\n")
        );
    }

    /// Returns true, and restarts it, if it has exited unexpectedly.
    pub async fn restart_if_dead(&self) -> bool {
        let mut life = self.life.lock().await;
        let died = !life.is_running();
        if died {
            self.start(&mut life).await;
        }
        died
    }
}

/// Sends SIGCONT on drop, also if the task is cancelled.
struct Thaw<'a>(&'a Life);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT");
    }
}

impl Life {
    fn signal(&self, name: &str) {
        if let Some(child) = &self.0 {
            // Fails if the process has ended meanwhile, which is fine.
            let kill = format!("kill -{name} {}", child.id());
            let _ = std::process::Command::new("sh")
                .args(["-c", &kill])
                .output();
        }
    }

    fn is_running(&mut self) -> bool {
        self.0
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn kill_now(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// Sends a request; returns status and body, or `None` if there was no complete response in time.
pub async fn answer(request: RequestBuilder) -> Option<(u16, Value)> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or_default()))
}

pub(super) fn client() -> Client {
    // Fails if the process already has a provider, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .no_proxy()
        .build()
        .expect("a client without certificates can be made")
}

/// Returns a free port below the kernel's ephemeral range, so that no outgoing connection takes it while its process is
/// down.
pub(super) fn unused_address() -> SocketAddr {
    let chance = platform::chance::Chance::system();
    loop {
        let port = 11_000 + u16::from_le_bytes(chance.bytes()) % 9_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Returns a binary of the same build as the running one: tests are in `deps`, commands in the folder above.
pub(super) fn program(name: &str) -> PathBuf {
    let running = std::env::current_exe().expect("a process knows its file");
    let mut folder = running.parent().expect("a file lies in a folder");
    if folder.ends_with("deps") {
        folder = folder
            .parent()
            .expect("`deps` lies in the profile's folder");
    }
    let program = folder.join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo build --workspace --bins`",
        program.display()
    );
    program
}
