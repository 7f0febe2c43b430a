//! Sections 13 and 14: the whole way beside the peer of `bench/peers`, on the same servers in turns.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use platform::chance::Chance;
use serde_json::json;
use sqlx::{Connection, Executor, MySqlConnection};
use store::testing::environment;
use tokio::time::sleep;

use crate::{
    effort::Effort,
    ground::Ground,
    integrator::Integrator,
    report::{Measured, Section, rate},
    rush::{Load, Log, Requests, Rush},
    samples::{Run, median},
    scene::Scene,
    targets::Target,
    wire::post,
};

const SOON: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
const PRODUCTS: usize = 50;

/// The servers that a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// MariaDB and RabbitMQ of Debian.
    Private,
    /// Today's MySQL, over TLS, and RabbitMQ.
    Today,
}

/// Measures; returns nothing without both servers. `packages`: the peer's Python packages; without them it does not run.
pub(crate) async fn measure(
    effort: &Effort,
    servers: Servers,
    packages: Option<&Path>,
) -> anyhow::Result<Option<Section>> {
    let (Some(database), Some(broker)) =
        (environment::test_mysql_url(), environment::test_amqp_url())
    else {
        return Ok(None);
    };
    let scene = Scene::open(Ground::Servers).await?;
    let peer = match packages {
        Some(packages) => Some(Peer::start(packages, &database, &broker).await?),
        None => None,
    };
    let (mut ours, mut theirs) = (Runs::default(), Runs::default());
    for round in 0..=effort.rounds {
        let length = if round == 0 {
            effort.warm_up.max(Duration::from_secs(1))
        } else {
            effort.beside_peer
        };
        let load = scene.saturating(length, effort.patience);
        let rush = load.run(&scene.log).await?;
        let other = match &peer {
            Some(peer) => Some(peer.load(length, effort.patience).run(&peer.log).await?),
            None => None,
        };
        // The first round fills caches and pools.
        if round > 0 {
            ours.add(&rush);
            if let Some(rush) = &other {
                theirs.add(rush);
            }
        }
    }
    scene.end().await?;
    if let Some(peer) = peer {
        peer.end().await?;
    }

    let (number, title, target) = match servers {
        Servers::Private => (13, "Beside a peer", Target::Peer),
        Servers::Today => (14, "On today's MySQL (TLS) and RabbitMQ", Target::PeerToday),
    };
    let name = version(&database).await?;
    let ratio = ours.whole.ratio_to(&theirs.whole);
    let mut rows = vec![ours.row(&name, "expediter", &ratio)];
    let mut figures = Vec::new();
    if packages.is_some() {
        rows.push(theirs.row(&name, "peer", "1.00"));
        figures.push(target.is(&name, &ratio));
    }
    Ok(Some(Section {
        number,
        title,
        about: "64 clients place orders of three items as fast as they are answered; the rate end to end is that of orders \
                that reached the integrator, until the last one did. The peer is what a team would put together instead \
                (`bench/peers/peer.py`: FastAPI, SQLAlchemy, Celery; one transaction an order, then a task that POSTs it), in turns \
                on the same servers, with the same load generator and the same integrator, which answers at once. Neither is pinned to cores: both \
                share all of them with servers and generator. The peer has a web process and a task process for each core, \
                Expediter one process with a thread for each core. Expediter has sockets open at 64 tables meanwhile; the \
                peer has no outbox, no events and no screens. If the server offers TLS, Expediter's connections use it and the \
                peer's, with its drivers' defaults, do not.",
        columns: vec![
            "database",
            "program",
            "accepted/s",
            "handed over meanwhile/s",
            "end to end/s",
            "to integrator: p50 ms",
            "p99 ms",
            "max ms",
            "refused (503)",
            "not handed over in time",
            "÷ the peer",
        ],
        rows,
        figures,
        limiting_factor: "The processor. The peer spends it in Python, once per order in three processes; Expediter in the \
                     database's and its own work on a batch.",
    }))
}

/// The loads on one program.
#[derive(Default)]
struct Runs {
    /// Rates end to end, and delays to the integrator.
    whole: Measured,
    accepted_per_s: Vec<f64>,
    meanwhile_per_s: Vec<f64>,
    refused: usize,
    left: usize,
}

impl Runs {
    fn add(&mut self, rush: &Rush) {
        self.whole.add(Run {
            elapsed: rush.whole,
            took: rush.to_integrator(),
        });
        self.accepted_per_s.push(rush.accepted_per_s());
        self.meanwhile_per_s
            .push(rush.handed_over_meanwhile_per_s());
        self.refused += rush.refused;
        self.left += rush.left();
    }

    fn row(&self, database: &str, program: &str, ratio: &str) -> Vec<String> {
        let median_of = |rates: &[f64]| rate(median(rates.iter().copied()).unwrap_or(0.0));
        let mut row = vec![
            database.to_owned(),
            program.to_owned(),
            median_of(&self.accepted_per_s),
            median_of(&self.meanwhile_per_s),
            rate(self.whole.rate_per_s()),
        ];
        row.extend(self.whole.spread());
        row.extend([
            self.refused.to_string(),
            self.left.to_string(),
            ratio.to_owned(),
        ]);
        row
    }
}

/// A running peer with a database of its own. Dropping it ends its processes.
struct Peer {
    child: Child,
    address: String,
    log: Log,
    server: String,
    database: String,
    _integrator: Integrator,
}

impl Peer {
    async fn start(packages: &Path, server: &str, broker: &str) -> anyhow::Result<Self> {
        let log = Log::default();
        let integrator = Integrator::start({
            let log = log.clone();
            move |order, at| log.received(order, at)
        })
        .await?;
        let name = format!("bench_peer_{}", Chance::system().session_code());
        execute(
            server,
            format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
        )
        .await?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let place = server.trim_start_matches("mysql://").trim_end_matches('/');
        let processes = std::thread::available_parallelism()?.to_string();
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/run");
        let child = Command::new(&run)
            .arg(port.to_string())
            .env("PYTHONPATH", packages.canonicalize()?)
            .env("PEER_DATABASE", format!("{place}/{name}"))
            .env("PEER_BROKER", broker)
            .env("PEER_QUEUE", &name)
            .env("PEER_INTEGRATOR", format!("http://{}/orders", integrator.address))
            .env("PEER_PROCESSES", processes)
            // It ends when this pipe does.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{} could not be started", run.display()))?;
        let mut peer = Self {
            child,
            address: format!("127.0.0.1:{port}"),
            log,
            server: server.to_owned(),
            database: name,
            _integrator: integrator,
        };
        peer.await_ready().await?;
        Ok(peer)
    }

    async fn await_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            ensure!(
                self.child.try_wait()?.is_none() && began.elapsed() < SOON,
                "the peer did not start"
            );
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn load(&self, length: Duration, patience: Duration) -> Load {
        let requests: Requests = Arc::new(|n| {
            let item = |at| json!({"product_id": 1 + (n + at) % PRODUCTS, "quantity": 1});
            let items: Vec<_> = (0..crate::stall::ITEMS).map(item).collect();
            post("/orders", None, &json!({"store_id": 1, "items": items}))
        });
        Load::saturating(self.address.clone(), requests, length, patience)
    }

    async fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        execute(&self.server, format!("DROP DATABASE {}", self.database)).await
    }
}

async fn execute(server: &str, statement: String) -> anyhow::Result<()> {
    let mut connection = MySqlConnection::connect(server).await?;
    connection.execute(statement.as_str()).await?;
    Ok(connection.close().await?)
}

/// Returns the database server's name and version.
async fn version(server: &str) -> anyhow::Result<String> {
    let mut connection = MySqlConnection::connect(server).await?;
    let version: String = sqlx::query_scalar("SELECT CAST(VERSION() AS CHAR)")
        .fetch_one(&mut connection)
        .await?;
    let number = version.split('-').next().unwrap_or_default();
    let name = if version.contains("MariaDB") {
        "MariaDB"
    } else {
        "MySQL"
    };
    Ok(format!("{name} {number}"))
}
