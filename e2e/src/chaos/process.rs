//! One process under test: started, probed, killed, stopped and restarted.

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

/// A process that does not answer after so long does not come up. Generous, because machines that test are busy.
const COMING_UP: Duration = Duration::from_secs(100);
/// Longer than any delay that is made, shorter than a test's patience.
const ANSWER: Duration = Duration::from_secs(3);

/// One, through all its lives.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    address: SocketAddr,
    pub(super) launch: Launch,
    life: Mutex<Life>,
}

/// Killed when dropped.
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
            // The same data as the commands'.
            launch = launch.set("secrets.data_dir", folder.join("data").display());
        }
        Self {
            name,
            address,
            launch,
            life: Mutex::default(),
        }
    }

    /// For the first time, until it answers.
    ///
    /// # Panics
    /// With its log, when it does not come up.
    pub async fn starts(&self) {
        let mut life = self.life.lock().await;
        self.start(&mut life).await;
    }

    /// `kill -9`, for good.
    pub async fn ends(&self) {
        self.life.lock().await.end_at_once();
    }

    pub async fn killed(&self, away: Duration) {
        let mut life = self.life.lock().await;
        life.end_at_once();
        sleep(away).await;
        self.start(&mut life).await;
    }

    /// SIGSTOP, until [`Self::goes_on`].
    pub async fn stops(&self) {
        self.life.lock().await.signal("STOP");
    }

    /// SIGCONT.
    pub async fn goes_on(&self) {
        self.life.lock().await.signal("CONT");
    }

    /// `/readyz`, past all lines.
    pub async fn readiness(&self) -> Option<(u16, Value)> {
        answer(client().get(format!("http://{}/readyz", self.address))).await
    }

    /// As it tells them; `None`: it does not answer.
    pub async fn metrics(&self) -> Option<String> {
        let asked = client()
            .get(format!("http://{}/metrics", self.address))
            .send()
            .await;
        asked.ok()?.text().await.ok()
    }

    /// What it has said on standard error.
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
    /// When it does not end after SIGTERM.
    pub async fn restarted(&self) {
        let mut life = self.life.lock().await;
        life.signal("TERM");
        let what = format!("{} to end after SIGTERM", self.name);
        until_within(COMING_UP, &what, || {
            let ended = !life.is_running();
            async move { ended.then_some(()) }
        })
        .await;
        self.start(&mut life).await;
    }

    /// Again and again, since it may come up before what it needs does.
    async fn start(&self, life: &mut Life) {
        let client = client();
        let probe = format!("http://{}/healthz", self.address);
        let deadline = Instant::now() + COMING_UP;
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
            "{} does not come up, and said, the last first:\n{}",
            self.name,
            last.join("\n")
        );
    }

    /// Starts it if it has ended by itself, which it must not.
    pub async fn has_died(&self) -> bool {
        let mut life = self.life.lock().await;
        let died = !life.is_running();
        if died {
            self.start(&mut life).await;
        }
        died
    }
}

/// Nothing stays stopped, also when its task is cut short.
struct Thaw<'a>(&'a Life);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT");
    }
}

impl Life {
    fn signal(&self, name: &str) {
        if let Some(child) = &self.0 {
            // One that has ended meanwhile can't be told anything.
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

    fn end_at_once(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end_at_once();
    }
}

/// Status and body; `None`: nobody is there, or the answer was cut off, or did not come in time.
pub async fn answer(request: RequestBuilder) -> Option<(u16, Value)> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or_default()))
}

pub(super) fn client() -> Client {
    // An error says that the process has its provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(ANSWER)
        .no_proxy()
        .build()
        .expect("a client without certificates can be made")
}

/// Below those that the kernel hands out by itself, so that no outgoing connection takes it while its process is away.
pub(super) fn unused() -> SocketAddr {
    let chance = platform::chance::Chance::system();
    loop {
        let port = 11_000 + u16::from_le_bytes(chance.bytes()) % 9_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Built by the same build as what runs: a test lies in `deps`, the command beside it.
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
