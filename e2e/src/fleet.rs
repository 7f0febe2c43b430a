//! Several processes of each kind on servers, behind a TCP gateway that finds one that is up.

use parking_lot::Mutex;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use crate::{
    Channel, Ended, Ground, Integrator, Launch, SOON, Shop, built, expediter::client, until_within,
};

const KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seSE=";
const OPERATOR: &str = "operator";

/// Kind of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Api,
    Worker,
    Notifier,
}

/// Several processes that share a database and a broker, with their gateway.
#[derive(Debug)]
pub struct Fleet {
    /// Gateway to an api process that is up.
    pub gate: Gate,
    ground: Ground,
    started: u32,
    password: String,
    client: Client,
}

/// One process; dropping it kills it.
#[derive(Debug)]
pub struct Member {
    pub kind: Kind,
    /// `http://127.0.0.1:port`, without a trailing slash.
    pub url: String,
    launch: Launch,
    child: Child,
}

impl Kind {
    const fn program(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Notifier => "notifier",
        }
    }

    const fn listen(self) -> &'static str {
        match self {
            Self::Api => "http.api_listen",
            Self::Worker => "http.worker_listen",
            Self::Notifier => "http.notifier_listen",
        }
    }
}

impl Fleet {
    /// Creates the database's schema and an operator, and opens the gate. No process runs yet.
    ///
    /// # Panics
    /// If that fails.
    pub async fn found(ground: &Ground) -> Self {
        let made = ground
            .launch()
            .argument(OPERATOR)
            .argument(OPERATOR)
            .run()
            .await;
        assert_eq!(made.code, Some(0), "{made:?}");
        Self {
            gate: Gate::open().await,
            ground: ground.clone(),
            started: 0,
            password: made.stdout.trim().to_owned(),
            client: client(),
        }
    }

    /// Starts another process with the settings that `change` adds. An api is added to the gate.
    ///
    /// # Panics
    /// With its log, if it does not start.
    pub async fn start_with(
        &mut self,
        kind: Kind,
        change: impl FnOnce(Launch) -> Launch,
    ) -> Member {
        self.started += 1;
        let name = format!("{}-{}", kind.program(), self.started);
        let folder = self.ground.folder().join(name);
        fs::create_dir_all(&folder).expect("the test's directory can be written");
        let launch = self
            .ground
            .launch_of(&built(kind.program()), &folder)
            .set(kind.listen(), "127.0.0.1:0")
            .set("http.public_url", &self.gate.url)
            .set("secrets.encryption_key", KEY)
            .set("secrets.jwt_key", KEY)
            .set("worker.allow_http", true)
            .set("worker.allow_networks", r#"["127.0.0.0/8"]"#);
        let member = Member::start(kind, change(launch)).await;
        if kind == Kind::Api {
            self.gate.add_target(&member);
        }
        member
    }

    pub async fn start(&mut self, kind: Kind) -> Member {
        self.start_with(kind, |launch| launch).await
    }

    /// Builds a request to the gate.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.gate.url))
    }

    /// Creates something as the operator; returns the response.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let request = self.request(Method::POST, path).json(body);
        let (status, answer) = answered(request.basic_auth(OPERATOR, Some(&self.password))).await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    /// Reads a path as the operator.
    ///
    /// # Panics
    /// If it cannot be read.
    pub async fn read(&self, path: &str) -> Value {
        let request = self.request(Method::GET, path);
        let (status, answer) = answered(request.basic_auth(OPERATOR, Some(&self.password))).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Signs the operator in; returns the access token.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn token(&self) -> String {
        let credentials = json!({"username": OPERATOR, "password": self.password});
        let request = self.request(Method::POST, "/api/v1/token");
        let (status, pair) = answered(request.json(&credentials)).await;
        assert_eq!(status, 200, "{pair}");
        crate::text(&pair["access"])
    }

    /// Creates a store with a table and this integrator.
    ///
    /// # Panics
    /// If the API refuses any of it.
    pub async fn open_shop(&self, integrator: &Integrator) -> Shop {
        let create = async |path: &str, body| Ok(self.create(path, &body).await);
        let shop = Shop::set_up(create, integrator, 0, json!({})).await;
        shop.expect("a refusal panics")
    }

    /// Runs `expediter audit`.
    ///
    /// # Panics
    /// With the audit's findings.
    pub async fn audit_is_clean(&self) {
        let audit: Ended = self.ground.launch().argument("audit").run().await;
        assert_eq!(audit.code, Some(0), "{audit:?}");
    }
}

impl Member {
    async fn start(kind: Kind, launch: Launch) -> Self {
        let mut child = launch.spawn(Stdio::piped());
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, first_line) = oneshot::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let _ = lines.next().map(|line| sender.send(line));
            // Reads to the end: a full pipe would block the process.
            lines.for_each(drop);
        });
        let line = timeout(SOON, first_line).await;
        let url = line.ok().and_then(Result::ok).and_then(|line| {
            let address = line.split_whitespace().last()?.strip_suffix("/readyz")?;
            Some(address.to_owned())
        });
        let mut member = Self {
            kind,
            url: String::new(),
            launch,
            child,
        };
        member.url =
            url.unwrap_or_else(|| panic!("the process did not start:\n{}", member.launch.log()));
        member
    }

    /// Kills the process and starts it again with the same settings, on another port.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.kill9().await;
        *self = Self::start(self.kind, self.launch.clone()).await;
    }

    pub async fn kill9(&mut self) {
        let _ = self.child.kill();
        self.ended().await;
    }

    /// Sends SIGTERM without waiting.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("sh can be run").success(), "{kill}");
    }

    /// Waits until the process ends.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until_within(SOON, "the end of a process", || {
            let status = child.try_wait().expect("a child can be waited for");
            async move { status }
        })
        .await
    }

    /// Sends a GET; returns status and body.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answered(client().get(format!("{}{path}", self.url))).await
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let address = self.url.trim_start_matches("http://").parse();
        address.expect("the process printed its address")
    }

    /// Opens a session's live channel at a notifier, at a [`Channel::resume_point`] or with a snapshot, which has been
    /// received on return.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn channel(&self, code: &str, after: Option<&str>) -> Channel {
        Channel::open_session(&self.url, code, after).await
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.launch.log()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP gateway: passes each connection to the first of its targets that accepts it.
#[derive(Debug)]
pub struct Gate {
    /// URL without a trailing slash.
    pub url: String,
    ends: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Gate {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let ends = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn({
            let ends = Arc::clone(&ends);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass(client, Arc::clone(&ends)));
                }
            }
        });
        Self { url, ends }
    }

    /// Adds a process as the first target, so that a replacement is used at once.
    pub fn add_target(&self, member: &Member) {
        let mut ends = self.ends.lock();
        ends.insert(0, member.address());
    }
}

async fn pass(mut client: TcpStream, ends: Arc<Mutex<Vec<SocketAddr>>>) {
    let ends = ends.lock().clone();
    for end in ends {
        if let Ok(mut server) = TcpStream::connect(end).await {
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

pub(crate) async fn answered(request: RequestBuilder) -> (u16, Value) {
    // A new connection per request: an idle one could be closed just when a request is written to it.
    let request = request.header("connection", "close");
    let answer = request
        .send()
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap_or_default();
    (status, serde_json::from_str(&body).unwrap_or_default())
}
