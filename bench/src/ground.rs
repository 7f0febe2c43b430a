//! Backends to measure on: SQLite with everything embedded, or servers (MySQL, and RabbitMQ for whole processes).

use ledger::testing;
use platform::chance::Chance;
use store::testing::environment;
use store::{Db, testing::FreshDb};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    Embedded,
    Servers,
}

impl Ground {
    /// Returns the available backends; servers only if the settings name a MySQL server.
    pub(crate) fn all() -> Vec<Self> {
        let has_servers = environment::test_mysql_url().is_some();
        [Some(Self::Embedded), has_servers.then_some(Self::Servers)]
            .into_iter()
            .flatten()
            .collect()
    }

    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::Embedded => "SQLite",
            Self::Servers => "MySQL",
        }
    }

    /// Returns the database and broker of a whole process, for the tables.
    pub(crate) fn name(self) -> &'static str {
        match (self, environment::test_amqp_url()) {
            (Self::Embedded, _) => "SQLite, embedded broker",
            (Self::Servers, Some(_)) => "MySQL, RabbitMQ",
            (Self::Servers, None) => "MySQL, embedded broker",
        }
    }

    /// Creates a database that nobody else uses; for MySQL on the server of `EXPEDITER_TEST_MYSQL_URL`.
    pub(crate) async fn fresh(self) -> anyhow::Result<FreshDb> {
        match self {
            Self::Embedded => Ok(testing::fresh_sqlite().await),
            Self::Servers => {
                let fresh = testing::fresh_mysql().await;
                fresh.ok_or_else(|| anyhow::anyhow!("EXPEDITER_TEST_MYSQL_URL is not set"))
            }
        }
    }

    /// Returns the settings of a process that uses `database` and this backend's broker.
    pub(crate) fn settings(self, database: &FreshDb) -> Vec<(&'static str, String)> {
        let mut settings = vec![("database.url", database.url())];
        if self == Self::Servers
            && let Some(url) = environment::test_amqp_url()
        {
            let namespace = format!("bench-{}", Chance::system().session_code());
            settings.extend([("broker.url", url), ("broker.namespace", namespace)]);
        }
        settings
    }
}

/// Drops a fresh database. Nothing may use it any more.
pub(crate) async fn end(database: FreshDb) {
    let _: &Db = &database.db;
    database.end().await;
}
