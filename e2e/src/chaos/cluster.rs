//! Carries out failures of a cluster's nodes, and compares the nodes' data. A failure ends when the cluster is whole again.

use std::time::Duration;

use sqlx::{Connection, MySqlConnection};
use test_line::{Line, Traffic};
use tokio::time::{Instant, sleep, timeout};

use super::{
    house::House,
    plan::{Node, NodeFault},
    servers::{Server, Servers},
};

/// Timeout of a question to a node, which may be stalled.
const NODE_TIMEOUT: Duration = Duration::from_secs(2);
/// Tables that stand still when every order has ended.
const QUIET_TABLES: &str =
    "orders, order_items, events, handoffs, attempts, callbacks, stock, idempotency_keys";
/// Time after which nodes give a silent one up, with some to spare (scripts/cluster sets 2 s).
const GIVEN_UP_AFTER: Duration = Duration::from_secs(3);
/// Time for the nodes to apply what they have received.
const APPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// Carries out one failure; of nodes of one kind, only one fails at a time.
///
/// # Panics
/// If the node does not come back, or there is no cluster.
pub(super) async fn carry_out(house: &House, node: Node, fault: NodeFault) {
    let servers = house.servers.as_ref().expect("planned on a cluster only");
    let server = match node {
        Node::Writer | Node::MariaDb(_) => Server::MariaDb,
        Node::RabbitMq(_) => Server::RabbitMq,
    };
    // Two of three nodes must be left.
    let _alone = house.lock_failures_of(server).await;
    let n = match node {
        Node::Writer => servers.writer().await,
        Node::MariaDb(n) | Node::RabbitMq(n) => n,
    };
    let name = format!("{}-{}", server.name(), n + 1);
    match fault {
        NodeFault::Killed { away } => {
            servers.tell("kill", &name).await;
            sleep(away).await;
            servers.tell("again", &name).await;
        }
        NodeFault::Stalled { lasts } => {
            servers.tell("stall", &name).await;
            sleep(lasts).await;
            servers.tell("resume", &name).await;
        }
        NodeFault::Isolated { lasts } => {
            servers.tell("isolate", &name).await;
            sleep(lasts).await;
            servers.tell("rejoin", &name).await;
            // The others may be about to give it up, and call themselves settled until then.
            sleep(GIVEN_UP_AFTER).await;
        }
        NodeFault::Wiped => servers.tell("wipe", &name).await,
        NodeFault::Unreachable {
            process,
            passage,
            lasts,
        } => {
            let lines = lines_to(house, server, n, process);
            lines.iter().for_each(|line| line.set(passage));
            sleep(lasts).await;
            lines.iter().for_each(|line| line.set(Traffic::Open));
            return;
        }
    }
    servers.tell("settled", server.name()).await;
}

/// Returns the lines of all processes, or of one, to a node.
fn lines_to(house: &House, server: Server, node: usize, process: Option<usize>) -> Vec<&Line> {
    let all = match server {
        Server::MariaDb => &house.database,
        Server::RabbitMq => &house.broker,
    };
    let chosen = all.iter().enumerate();
    chosen
        .filter(|(n, _)| process.is_none_or(|process| process == *n))
        .map(|(_, to_nodes)| &to_nodes[node])
        .collect()
}

impl Servers {
    /// Returns the MariaDB node, from 0, at which the run's database has most connections.
    async fn writer(&self) -> usize {
        let mut most = (0, 0);
        for node in 0..self.mysql.ends.len() {
            let count = timeout(NODE_TIMEOUT, self.connections(node)).await;
            let count = count.ok().and_then(Result::ok).unwrap_or(0);
            if count > most.1 {
                most = (node, count);
            }
        }
        most.0
    }

    /// Compares the copies of the nodes; returns the difference, if one stays. All orders must have ended.
    pub(super) async fn difference(&self) -> Option<String> {
        let deadline = Instant::now() + APPLY_TIMEOUT;
        loop {
            let mut copies = Vec::new();
            for node in 0..self.mysql.ends.len() {
                copies.push(self.checksums(node).await);
            }
            let are_same = copies.iter().all(|copy| copy.is_ok() && *copy == copies[0]);
            if are_same {
                return None;
            }
            if Instant::now() > deadline {
                return Some(format!("the nodes differ: {copies:?}"));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns what each node has at this moment, a line each.
    pub(super) async fn states(&self) -> String {
        let mut told = String::new();
        for node in 0..self.mysql.ends.len() {
            let state = timeout(NODE_TIMEOUT, self.state(node)).await;
            told.push_str(&format!("mariadb-{}: {state:?}\n", node + 1));
        }
        told
    }

    /// Returns how much a node has. It waits for nothing that the other nodes have committed.
    async fn state(&self, node: usize) -> Result<String, sqlx::Error> {
        let connections = self.connections(node).await?;
        let mut connection = MySqlConnection::connect(&self.mysql.node_url(node)).await?;
        let (events, outbox, newest): (i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM outbox), \
             (SELECT last_seq FROM sessions ORDER BY opened_at DESC LIMIT 1)",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(format!(
            "{connections} connections, {events} events, {outbox} in the outbox; newest session at {newest:?}"
        ))
    }

    /// Returns the checksum of each quiet table at a node.
    async fn checksums(&self, node: usize) -> Result<Vec<(String, Option<i64>)>, String> {
        let said = |error: sqlx::Error| error.to_string();
        let connected = MySqlConnection::connect(&self.mysql.node_url(node)).await;
        let mut connection = connected.map_err(said)?;
        let sums = format!("CHECKSUM TABLE {QUIET_TABLES}");
        sqlx::query_as(&sums)
            .fetch_all(&mut connection)
            .await
            .map_err(said)
    }

    async fn connections(&self, node: usize) -> Result<i64, sqlx::Error> {
        let mut connection = MySqlConnection::connect(&self.mysql.node_url(node)).await?;
        let count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = ?";
        sqlx::query_scalar(count)
            .bind(self.database())
            .fetch_one(&mut connection)
            .await
    }
}
