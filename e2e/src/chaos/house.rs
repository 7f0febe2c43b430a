//! The processes under test with their servers, connected through proxies that can fail.

use std::{net::SocketAddr, time::Duration};

use platform::clock::Clock;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use test_line::Line;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

use super::{
    plan::{Reach, SESSION_TIMEOUT_MS, Wire},
    process::{Process, answer, client, program, unused_address},
    servers::{Address, Server, Servers},
};
use crate::{Ended, Folder, Gateway, Launch};

/// Speed of the processes' clock relative to real time, so that retries and leases do not slow down rounds.
pub const RATE: u32 = 20;
const OPERATOR: &str = "chaos";
const KEY: &str = "Y2hhb3NjaGFvc2NoYW9zY2hhb3NjaGFvc2NoYW9zY2g=";

/// Set of processes under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One `expediter` on SQLite.
    Embedded,
    /// Two of each of `api`, `worker` and `notifier`, on MySQL and RabbitMQ.
    Fleet,
    /// The same behind nginx, on three nodes each of MySQL and RabbitMQ.
    Cluster,
    /// One process of each.
    Three,
}

impl Shape {
    /// Returns the programs of its processes, in order.
    #[must_use]
    pub fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Embedded => &["expediter"],
            Self::Fleet | Self::Cluster => {
                &["api", "api", "notifier", "notifier", "worker", "worker"]
            }
            Self::Three => &["api", "notifier", "worker"],
        }
    }
}

/// A running setup; dropping it kills all its processes.
#[derive(Debug)]
pub struct House {
    pub front: Line,
    /// Proxy for live channels; `None` in a single process, which serves them at the front.
    pub screens: Option<Line>,
    /// Proxies from each process to each node of the database and of the broker, in the order of the processes and of
    /// the nodes; empty without servers.
    pub database: Vec<Vec<Line>>,
    pub broker: Vec<Vec<Line>>,
    pub processes: Vec<Process>,
    pub servers: Option<Servers>,
    pub namespace: String,
    commands: Launch,
    client: Client,
    password: String,
    /// Deleted with the house.
    _folder: Folder,
    _gateway: Option<Gateway>,
    deaths: Mutex<()>,
    /// A cluster's brokers may be down while one of its databases is.
    broker_deaths: Mutex<()>,
}

impl House {
    /// Starts the processes and waits until each answers.
    ///
    /// # Panics
    /// With its log, if a process does not start.
    pub async fn open(shape: Shape, servers: Option<Servers>) -> Self {
        Self::open_with(shape, servers, |launch| launch).await
    }

    /// Like [`Self::open`], with changed settings.
    ///
    /// # Panics
    /// With its log, if a process does not start.
    pub async fn open_with(
        shape: Shape,
        servers: Option<Servers>,
        change: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let folder = Folder::new();
        let roles = shape.roles();
        let count = |role: &str| roles.iter().filter(|one| **one == role).count();
        let (api, notifier) = (count("api") + count("expediter"), count("notifier"));
        let addresses: Vec<SocketAddr> = roles.iter().map(|_| unused_address()).collect();
        let (mut api_at, mut notifier_at) = (
            addresses[..api].to_vec(),
            addresses[api..api + notifier].to_vec(),
        );
        let mut gateway = None;
        if shape == Shape::Cluster {
            gateway = Gateway::start(&api_at, &notifier_at, &Gateway::routes()).await;
        }
        if let Some(gateway) = &gateway {
            (api_at, notifier_at) = (vec![gateway.address], vec![gateway.address]);
        }
        let front = Line::to(api_at).await;
        let screens = match notifier {
            0 => None,
            _ => Some(Line::to(notifier_at).await),
        };
        let (mut database, mut broker) = (Vec::new(), Vec::new());
        let namespace = format!("chaos-{}", addresses[0].port());
        let mut common = Launch::of(&program("expediter"), folder.path())
            .set("secrets.encryption_key", KEY)
            .set("secrets.jwt_key", KEY)
            .set("demo.enabled", false)
            .set("http.public_url", format!("http://{}", front.address))
            .set("worker.allow_http", true)
            .set("worker.allow_networks", r#"["127.0.0.0/8"]"#)
            // Real time, unlike the lease of 15.5 s, which passes in 775 ms.
            .set("worker.attempt_timeout_ms", 500)
            .set("worker.connect_timeout_ms", 300)
            .set("broker.publish_timeout_ms", 1000)
            .set("database.connect_timeout_ms", 2000)
            .set("database.lock_timeout_ms", 1000)
            .set("database.statement_timeout_ms", 2000)
            .set("database.session_timeout_s", SESSION_TIMEOUT_MS / 1000)
            .set("shutdown.drain_s", 5)
            .fast(RATE);
        common = change(common);
        let mut commands = common.clone();
        if shape == Shape::Cluster {
            // Processes return to the first host within a round.
            common = common.set("database.host_return_after_s", 3);
        }
        if let Some(servers) = &servers {
            common = common
                .set("database.allow_weak_durability", true)
                .set("broker.namespace", &namespace);
            commands = common.clone().set("database.url", servers.mysql.url());
            for _ in roles {
                database.push(lines_to(&servers.mysql).await);
                broker.push(lines_to(&servers.amqp).await);
            }
        }
        let made = commands
            .clone()
            .argument("operator")
            .argument(OPERATOR)
            .run()
            .await;
        assert_eq!(made.code, Some(0), "{}\n{}", made.stdout, made.stderr);
        let processes: Vec<Process> = roles
            .iter()
            .zip(&addresses)
            .enumerate()
            .map(|(n, (role, address))| {
                let mut common = common.clone();
                if let Some(servers) = &servers {
                    common = common
                        .set("database.url", servers.mysql.through(&ends(&database[n])))
                        .set("broker.url", servers.amqp.through(&ends(&broker[n])));
                }
                Process::new(n, role, *address, &common, folder.path())
            })
            .collect();
        for process in &processes {
            process.starts().await;
        }
        Self {
            front,
            screens,
            database,
            broker,
            processes,
            servers,
            namespace,
            commands,
            client: client(),
            password: made.stdout.trim().to_owned(),
            _folder: folder,
            _gateway: gateway,
            deaths: Mutex::new(()),
            broker_deaths: Mutex::new(()),
        }
    }

    /// Locks server failures: a killed server must be back before another is killed, and a node before another of its
    /// kind.
    pub async fn lock_failures_of(&self, server: Server) -> MutexGuard<'_, ()> {
        let is_apart = self.reach().is_cluster && server == Server::RabbitMq;
        let deaths = if is_apart {
            &self.broker_deaths
        } else {
            &self.deaths
        };
        deaths.lock().await
    }

    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach {
            processes: self.processes.len(),
            on_servers: self.servers.is_some(),
            servers_are_own: self.servers.as_ref().is_some_and(Servers::are_own),
            is_cluster: self.servers.as_ref().is_some_and(Servers::are_cluster),
        }
    }

    /// Returns the proxies of a wire. The integrator's proxy belongs to the round.
    #[must_use]
    pub fn wires(&self, wire: Wire) -> Vec<&Line> {
        match wire {
            Wire::Front => vec![&self.front],
            Wire::Database => self.database.iter().flatten().collect(),
            Wire::Broker => self.broker.iter().flatten().collect(),
            Wire::Integrator => Vec::new(),
        }
    }

    /// Lets a process vanish with everything that it holds at the servers, which are told nothing, and starts another in
    /// its place.
    pub async fn gone(&self, process: usize, away: Duration) {
        let lines = [self.database.get(process), self.broker.get(process)];
        let lines = lines.into_iter().flatten().flatten();
        lines.for_each(Line::vanish);
        self.processes[process].killed(away).await;
    }

    /// Returns the clock of the processes.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.commands.clock()
    }

    /// Builds a request to the front, without credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.front.address))
    }

    pub fn by_operator(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path)
            .basic_auth(OPERATOR, Some(&self.password))
    }

    /// Returns the URL of a session's live channel.
    #[must_use]
    pub fn channel_url(&self, code: &str) -> String {
        let line = self.screens.as_ref().unwrap_or(&self.front);
        format!("ws://{}/ws/sessions/{code}", line.address)
    }

    /// Reads a path as the operator. Retries, because the processes may have just restarted.
    ///
    /// # Errors
    /// With the last response.
    pub async fn read(&self, path: &str) -> Result<Value, String> {
        let mut last = String::new();
        for _ in 0..10 {
            match answer(self.by_operator(Method::GET, path)).await {
                Some((200, body)) => return Ok(body),
                other => last = format!("{path}: {other:?}"),
            }
            sleep(Duration::from_millis(200)).await;
        }
        Err(last)
    }

    /// Creates something as the operator. Never retries: call it only while there are no failures.
    ///
    /// # Errors
    /// With the response.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value, String> {
        match answer(self.by_operator(Method::POST, path).json(body)).await {
            Some((201, made)) => Ok(made),
            other => Err(format!("{path}: {other:?}")),
        }
    }

    /// Runs `expediter audit`, directly on the servers.
    pub async fn audit(&self) -> Ended {
        self.commands.clone().argument("audit").run().await
    }

    /// Sums the samples of all processes whose line starts with `begins`: a metric's name, with or without labels.
    pub async fn metric(&self, begins: &str) -> f64 {
        let mut sum = 0.0;
        for process in &self.processes {
            let Some(text) = process.metrics().await else {
                continue;
            };
            let samples = text.lines().filter(|line| line.starts_with(begins));
            sum += samples
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>();
        }
        sum
    }

    /// Kills every process; returns the servers to the caller.
    pub async fn end(mut self) -> Option<Servers> {
        for process in self.processes.drain(..) {
            process.ends().await;
        }
        self.servers.take()
    }

    /// Returns the last warnings and errors of each process's log, at most `most` lines each.
    #[must_use]
    pub fn last_warnings(&self, most: usize) -> String {
        let mut told = String::new();
        for process in &self.processes {
            let log = process.log();
            let bad: Vec<&str> = log
                .lines()
                .filter(|line| {
                    ["WARN", "ERROR", "panicked"]
                        .iter()
                        .any(|word| line.contains(word))
                })
                .collect();
            for line in &bad[bad.len().saturating_sub(most)..] {
                told.push_str(&format!("{}: {line}\n", process.name));
            }
        }
        told
    }
}

/// Starts a proxy to each node.
async fn lines_to(address: &Address) -> Vec<Line> {
    let mut lines = Vec::new();
    for end in &address.ends {
        lines.push(Line::to(vec![*end]).await);
    }
    lines
}

fn ends(lines: &[Line]) -> Vec<SocketAddr> {
    lines.iter().map(|line| line.address).collect()
}
