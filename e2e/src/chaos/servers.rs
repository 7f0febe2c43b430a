//! MariaDB and RabbitMQ servers: the run's own, which may be killed and restarted, or named ones; one each or a cluster.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use platform::chance::Chance;
use sqlx::{Connection, MySqlConnection};
use store::testing::environment;

use crate::Folder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    MariaDb,
    RabbitMq,
}

/// The servers of a run. Dropping own ones stops them and deletes their data; named ones only get a database, which
/// [`Self::end`] drops.
#[derive(Debug)]
pub struct Servers {
    pub mysql: Address,
    pub amqp: Address,
    database: String,
    own: Option<Own>,
}

/// A URL `scheme://user:password@host:port,host:port/path`, split around the hosts and ports.
#[derive(Clone, Debug)]
pub struct Address {
    before: String,
    /// All hosts.
    pub ends: Vec<SocketAddr>,
    path: String,
}

#[derive(Debug)]
struct Own {
    folder: Folder,
    /// Starts and kills them.
    script: PathBuf,
    /// A process that stops the servers if this one is killed.
    watcher: Child,
}

/// A broker URL on which nothing listens.
const NO_BROKER: &str = "amqp://guest:guest@127.0.0.1:1/%2f";

impl Servers {
    /// Starts own servers with `scripts/test-servers`, ignoring the environment.
    ///
    /// # Errors
    /// With the script's output.
    pub async fn own() -> Result<Self, String> {
        Self::started("test-servers", None).await
    }

    /// Starts an own cluster with `scripts/cluster`: three nodes each.
    ///
    /// # Errors
    /// With the script's output.
    pub async fn cluster() -> Result<Self, String> {
        Self::started("cluster", None).await
    }

    /// Checks that the programs of a cluster are installed.
    ///
    /// # Errors
    /// With the names of the missing packages.
    pub fn can_be_cluster() -> Result<(), String> {
        run(&script("cluster"), &["check"])
    }

    /// Starts an own MariaDB only; the broker's address is unreachable.
    ///
    /// # Errors
    /// With the script's output.
    pub async fn start_own_mariadb() -> Result<Self, String> {
        Self::started("test-servers", Some(NO_BROKER)).await
    }

    async fn started(with: &str, broker: Option<&str>) -> Result<Self, String> {
        let folder = Folder::new();
        let dir = folder.path().join("servers");
        let script = script(with);
        let mut start = Command::new(&script);
        start
            .arg("start")
            .arg(&dir)
            .env_remove("EXPEDITER_TEST_MYSQL_URL")
            .env_remove("EXPEDITER_TEST_AMQP_URL")
            // The script does not start a server that is named.
            .envs(broker.map(|url| ("EXPEDITER_TEST_AMQP_URL", url)));
        let started = start
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", script.display()))?;
        if !started.status.success() {
            return Err(String::from_utf8_lossy(&started.stderr).into_owned());
        }
        let watch = r#"tail --pid="$1" -f /dev/null; exec "$2" stop "$3""#;
        let watcher = Command::new("setsid")
            .args(["bash", "-c", watch, "-", &std::process::id().to_string()])
            .arg(&script)
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("setsid: {error}"))?;
        let url =
            |file: &str| fs::read_to_string(dir.join(file)).map_err(|error| error.to_string());
        let mysql = url("mysql-url")?;
        let amqp = match broker {
            Some(named) => named.to_owned(),
            None => url("amqp-url")?,
        };
        let own = Own {
            folder,
            script,
            watcher,
        };
        Self::at(mysql.trim(), amqp.trim(), Some(own)).await
    }

    /// Uses the servers of `EXPEDITER_TEST_MYSQL_URL` and `EXPEDITER_TEST_AMQP_URL`; `None` unless both are set.
    ///
    /// # Errors
    /// If they cannot be reached.
    pub async fn named() -> Result<Option<Self>, String> {
        let (Some(mysql), Some(amqp)) =
            (environment::test_mysql_url(), environment::test_amqp_url())
        else {
            return Ok(None);
        };
        Self::at(&mysql, &amqp, None).await.map(Some)
    }

    async fn at(mysql: &str, amqp: &str, own: Option<Own>) -> Result<Self, String> {
        let database = format!("expediter_chaos_{}", &Chance::system().session_code()[..16]);
        let mut made = Self {
            mysql: mysql.parse()?,
            amqp: amqp.parse()?,
            database: database.clone(),
            own,
        };
        made.mysql.path.clone_from(&format!("/{database}"));
        if made.own.is_none() {
            sql(
                &made.mysql.server_url(),
                &format!("DROP DATABASE IF EXISTS {database}"),
            )
            .await?;
        }
        sql(
            &made.mysql.server_url(),
            &format!("CREATE DATABASE {database}"),
        )
        .await?;
        Ok(made)
    }

    #[must_use]
    pub fn are_own(&self) -> bool {
        self.own.is_some()
    }

    #[must_use]
    pub fn are_cluster(&self) -> bool {
        self.mysql.ends.len() > 1
    }

    /// Returns the name of the run's database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Kills a server with `kill -9`; its port then refuses connections.
    ///
    /// # Panics
    /// If it is not the run's own, or does not end.
    pub async fn kill(&self, server: Server) {
        self.tell("kill", server.name()).await;
    }

    /// Restarts a server with the same data and port. Returns when it listens.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&self, server: Server) {
        self.tell("again", server.name()).await;
    }

    /// Changes a global setting of MySQL.
    ///
    /// # Errors
    /// If the server refuses.
    ///
    /// # Panics
    /// If it is not the run's own.
    pub async fn set_global(&self, setting: &str) -> Result<(), String> {
        assert!(
            self.are_own(),
            "only the run's own servers may be reconfigured"
        );
        let statement = format!("SET GLOBAL {setting}");
        sql(&self.mysql.server_url(), &statement).await
    }

    /// Makes a database with the name of another run's, so that both servers can stand in one list of hosts.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn take_name_of(&mut self, other: &Self) -> Result<(), String> {
        self.database.clone_from(&other.database);
        self.mysql.path.clone_from(&other.mysql.path);
        let create = format!("CREATE DATABASE {}", self.database);
        sql(&self.mysql.server_url(), &create).await
    }

    /// Returns the number of tables in the run's database.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn tables(&self) -> Result<i64, String> {
        let said = |error: sqlx::Error| error.to_string();
        let mut connection = MySqlConnection::connect(&self.mysql.server_url())
            .await
            .map_err(said)?;
        let count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ?";
        let tables = sqlx::query_scalar(count)
            .bind(&self.database)
            .fetch_one(&mut connection);
        tables.await.map_err(said)
    }

    /// Runs a command of the script about a server or a node.
    pub(super) async fn tell(&self, what: &str, name: &str) {
        let own = self
            .own
            .as_ref()
            .expect("only the run's own servers are killed");
        let dir = own.folder.path().join("servers").display().to_string();
        let (script, arguments) = (own.script.clone(), [what.to_owned(), dir, name.to_owned()]);
        let told = tokio::task::spawn_blocking(move || {
            run(&script, &arguments.each_ref().map(String::as_str))
        });
        let told = told.await.expect("running a command does not panic");
        told.unwrap_or_else(|error| panic!("{what} {name}: {error}"));
    }

    /// Returns the last lines of the own servers' logs.
    #[must_use]
    pub fn log_tails(&self) -> String {
        let Some(own) = &self.own else {
            return String::new();
        };
        let folders = fs::read_dir(own.folder.path().join("servers"));
        let mut folders: Vec<PathBuf> = folders
            .map(|all| all.filter_map(|one| Some(one.ok()?.path())).collect())
            .unwrap_or_default();
        folders.sort();
        let mut told = String::new();
        for folder in folders {
            let Ok(log) = fs::read(folder.join("server.log")) else {
                continue;
            };
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().rev().take(15).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            told.push_str(&format!("--- {name}\n{}\n", lines.join("\n")));
        }
        told
    }

    /// Drops the database that was created on named servers.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn end(&self) -> Result<(), String> {
        if self.own.is_some() {
            return Ok(());
        }
        sql(
            &self.mysql.server_url(),
            &format!("DROP DATABASE {}", self.database),
        )
        .await
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let Some(own) = &mut self.own else { return };
        let dir = own.folder.path().join("servers");
        let _ = run(&own.script, &["stop", &dir.display().to_string()]);
        // Kills the watcher's whole process group, including its `tail`.
        let group = format!("-{}", own.watcher.id());
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -- {group}")])
            .output();
        let _ = own.watcher.wait();
    }
}

impl Server {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

impl Address {
    /// Returns the URL with the proxies' hosts and ports.
    #[must_use]
    pub fn through(&self, lines: &[SocketAddr]) -> String {
        let hosts: Vec<String> = lines.iter().map(SocketAddr::to_string).collect();
        format!("{}{}{}", self.before, hosts.join(","), self.path)
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.through(&self.ends)
    }

    /// Returns the URL of one node, from 0.
    #[must_use]
    pub fn node_url(&self, node: usize) -> String {
        self.through(&self.ends[node..=node])
    }

    /// Returns the first host.
    #[must_use]
    pub fn end(&self) -> SocketAddr {
        self.ends[0]
    }

    fn server_url(&self) -> String {
        format!("{}{}/", self.before, self.end())
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let wrong =
            || "a server's URL must be scheme://user:password@127.0.0.1:port,…/path".to_owned();
        let at = url.rfind('@').map(|at| at + 1);
        let at = at
            .or_else(|| url.find("://").map(|at| at + 3))
            .ok_or_else(wrong)?;
        let (before, rest) = url.split_at(at);
        let slash = rest.find('/').unwrap_or(rest.len());
        let (hosts, path) = rest.split_at(slash);
        let hosts = hosts.replace("localhost", "127.0.0.1");
        let ends = hosts.split(',').map(|host| host.parse());
        let ends: Vec<SocketAddr> = ends.collect::<Result<_, _>>().map_err(|_| wrong())?;
        Ok(Self {
            before: before.to_owned(),
            ends,
            path: path.to_owned(),
        })
    }
}

async fn sql(url: &str, statement: &str) -> Result<(), String> {
    let said = |error: sqlx::Error| format!("{statement}: {error}");
    let mut connection = MySqlConnection::connect(url).await.map_err(said)?;
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .map_err(said)?;
    connection.close().await.map_err(said)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../scripts")
        .join(name)
}

/// Runs a script to its end; fails with what it said.
fn run(script: &Path, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(script)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let done = done.map_err(|error| format!("{}: {error}", script.display()))?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_at_its_host() {
        let address: Address = "amqp://guest:guest@127.0.0.1:5672/%2f".parse().unwrap();
        assert_eq!(address.url(), "amqp://guest:guest@127.0.0.1:5672/%2f");
        let line = "127.0.0.1:9".parse().unwrap();
        assert_eq!(
            address.through(&[line]),
            "amqp://guest:guest@127.0.0.1:9/%2f"
        );
        let address: Address = "mysql://a:b@127.0.0.1:1,127.0.0.1:2/c".parse().unwrap();
        assert_eq!(address.url(), "mysql://a:b@127.0.0.1:1,127.0.0.1:2/c");
        assert_eq!(address.node_url(1), "mysql://a:b@127.0.0.1:2/c");
    }
}
