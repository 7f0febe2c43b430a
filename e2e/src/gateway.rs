//! A real nginx with the configuration in `deploy/gateway`, in front of a test's processes.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::{Client, Response};
use store::testing::environment;

use crate::{Folder, SOON, client, until_within};

/// Directory of the gateway's configuration.
pub const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway");
const LOG: &str = "access.log";

/// A running nginx; dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    pub address: SocketAddr,
    /// `http://127.0.0.1:port`, without a trailing slash.
    pub url: String,
    pub client: Client,
    process: Child,
    folder: Folder,
}

/// Returns a command for nginx; prints that the gateway is left out, and returns `None`, if it is not installed.
///
/// # Panics
/// In CI, if it is not installed.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub fn nginx(arguments: &[&str]) -> Option<Command> {
    // Debian installs servers in folders that only root has in PATH.
    let path = std::env::join_paths(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]).expect("no colons");
    let mut version = Command::new("nginx");
    if version.env("PATH", &path).arg("-v").output().is_err() {
        assert!(
            !environment::in_ci(),
            "CI must not skip the gateway: no nginx"
        );
        eprintln!("SKIPPED: the gateway, for nginx is not installed");
        return None;
    }
    let mut nginx = Command::new("nginx");
    nginx
        .env("PATH", path)
        .args(["-e", "stderr"])
        .args(arguments);
    Some(nginx)
}

impl Gateway {
    /// Returns the configuration of its routes, for [`Self::start`].
    ///
    /// # Panics
    /// Never, in the source tree.
    #[must_use]
    pub fn routes() -> String {
        let path = Path::new(CONFIGURATION).join("expediter.conf");
        fs::read_to_string(path).expect("it is in the source tree")
    }

    /// Starts nginx as `scripts/up` does, in one process; `None` if it is not installed.
    ///
    /// # Panics
    /// If it does not start, and in CI if it is not installed.
    pub async fn start(api: &[SocketAddr], notifier: &[SocketAddr], routes: &str) -> Option<Self> {
        for _ in 0..5 {
            let folder = Folder::new();
            // Another process may take this port first: then the next try gets another one.
            let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let address = free.expect("loopback has free ports");
            let at = folder.path().display();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
                .concat();
            fs::write(folder.path().join("server.conf"), routes).expect("the folder is ours");
            let (api, notifier) = (upstream("api", api), upstream("notifier", notifier));
            let configuration = format!(
                "daemon off; master_process off; pid {at}/pid; error_log stderr crit;
                events {{ worker_connections 512; }}
                http {{
                    {temporary}
                    include {CONFIGURATION}/http.conf;
                    map '' $to_api {{ default api; }} map '' $to_notifier {{ default notifier; }}
                    {api} {notifier}
                    server {{ listen {address}; include {at}/server.conf; }}
                }}"
            );
            let file = folder.path().join("nginx.conf");
            fs::write(&file, configuration).expect("the folder is ours");
            let log = fs::File::create(folder.path().join(LOG)).expect("the folder is ours");
            let mut command = nginx(&["-c", &file.display().to_string()])?;
            let process = command
                .stdout(Stdio::from(log))
                .spawn()
                .expect("it was there just now");
            let mut gateway = Self {
                address,
                url: format!("http://{address}"),
                client: client(),
                process,
                folder,
            };
            if gateway.answers().await {
                return Some(gateway);
            }
        }
        panic!("nginx did not start on any of five ports");
    }

    /// Waits until it answers; returns false if it has ended.
    async fn answers(&mut self) -> bool {
        until_within(SOON, "a response of the gateway, or its end", || {
            let ended = self.process.try_wait().expect("a child can be waited for");
            let asked = self.client.get(format!("{}/healthz", self.url)).send();
            async move {
                if ended.is_some() {
                    return Some(false);
                }
                asked
                    .await
                    .is_ok_and(|it| it.status() == 200)
                    .then_some(true)
            }
        })
        .await
    }

    /// Sends a GET with a request id.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn get(&self, path: &str, request_id: &str) -> Response {
        let asked = self.client.get(format!("{}{path}", self.url));
        let answer = asked.header("X-Request-Id", request_id).send().await;
        answer.expect("an answer of the gateway")
    }

    /// Sends a POST with JSON.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn post(&self, path: &str, body: String) -> Response {
        let asked = self.client.post(format!("{}{path}", self.url)).body(body);
        let answer = asked
            .header("Content-Type", "application/json")
            .send()
            .await;
        answer.expect("an answer of the gateway")
    }

    /// Returns its access log so far.
    ///
    /// # Panics
    /// Never: the log is created before the start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).expect("it was made before the start")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the block of processes of one kind. One that is down is left alone for two seconds.
fn upstream(name: &str, processes: &[SocketAddr]) -> String {
    let servers: String = processes
        .iter()
        .map(|address| format!("server {address} max_fails=1 fail_timeout=2s; "))
        .collect();
    format!("upstream {name} {{ {servers} }}")
}
