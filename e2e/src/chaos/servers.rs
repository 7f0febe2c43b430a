//! MariaDB and RabbitMQ servers: the run's own, which may be killed and restarted, or named ones.

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

/// A URL `scheme://user:password@host:port/path`, split around the host and port.
#[derive(Clone, Debug)]
pub struct Address {
    before: String,
    pub end: SocketAddr,
    path: String,
}

#[derive(Debug)]
struct Own {
    folder: Folder,
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
        Self::started(None).await
    }

    /// Starts an own MariaDB only; the broker's address is unreachable.
    ///
    /// # Errors
    /// With the script's output.
    pub async fn start_own_mariadb() -> Result<Self, String> {
        Self::started(Some(NO_BROKER)).await
    }

    async fn started(broker: Option<&str>) -> Result<Self, String> {
        let folder = Folder::new();
        let dir = folder.path().join("servers");
        let script = script();
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
        let own = Own { folder, watcher };
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

    /// Kills a server with `kill -9`; its port then refuses connections.
    ///
    /// # Panics
    /// If it is not the run's own, or does not end.
    pub async fn kill(&self, server: Server) {
        self.tell("kill", server).await;
    }

    /// Restarts a server with the same data and port. Returns when it listens.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&self, server: Server) {
        self.tell("again", server).await;
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

    async fn tell(&self, what: &str, server: Server) {
        let own = self
            .own
            .as_ref()
            .expect("only the run's own servers are killed");
        let name = match server {
            Server::MariaDb => "mariadb",
            Server::RabbitMq => "rabbitmq",
        };
        let mut command = Command::new(script());
        command
            .arg(what)
            .arg(own.folder.path().join("servers"))
            .arg(name)
            .stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output()).await;
        let told = told
            .expect("running a command does not panic")
            .expect("the script is in the source tree");
        assert!(
            told.status.success(),
            "{what} {name}: {}",
            String::from_utf8_lossy(&told.stderr)
        );
    }

    /// Returns the last lines of the own servers' logs.
    #[must_use]
    pub fn log_tails(&self) -> String {
        let Some(own) = &self.own else {
            return String::new();
        };
        let last = ["mariadb", "rabbitmq"].map(|name| {
            let file = own
                .folder
                .path()
                .join("servers")
                .join(name)
                .join("server.log");
            let log = fs::read(file).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().rev().take(15).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- {name}\n{}\n", lines.join("\n"))
        });
        last.concat()
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
        let _ = Command::new(script())
            .arg("stop")
            .arg(dir)
            .stdin(Stdio::null())
            .output();
        // Kills the watcher's whole process group, including its `tail`.
        let group = format!("-{}", own.watcher.id());
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -- {group}")])
            .output();
        let _ = own.watcher.wait();
    }
}

impl Address {
    /// Returns the URL with the proxy's host and port.
    #[must_use]
    pub fn through(&self, line: SocketAddr) -> String {
        format!("{}{line}{}", self.before, self.path)
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.through(self.end)
    }

    fn server_url(&self) -> String {
        format!("{}{}/", self.before, self.end)
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let wrong =
            || "a server's URL must be scheme://user:password@127.0.0.1:port/path".to_owned();
        let at = url.rfind('@').map(|at| at + 1);
        let at = at
            .or_else(|| url.find("://").map(|at| at + 3))
            .ok_or_else(wrong)?;
        let (before, rest) = url.split_at(at);
        let slash = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(slash);
        let end = host
            .replace("localhost", "127.0.0.1")
            .parse()
            .map_err(|_| wrong())?;
        Ok(Self {
            before: before.to_owned(),
            end,
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

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-servers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_at_its_host() {
        let address: Address = "amqp://guest:guest@127.0.0.1:5672/%2f".parse().unwrap();
        assert_eq!(address.url(), "amqp://guest:guest@127.0.0.1:5672/%2f");
        let line = "127.0.0.1:9".parse().unwrap();
        assert_eq!(address.through(line), "amqp://guest:guest@127.0.0.1:9/%2f");
    }
}
