//! What is measured on: SQLite with everything embedded, or a MySQL and, where a process needs it, a RabbitMQ server.

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
    /// Those there are: servers only where their addresses are given.
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

    /// What a whole process stands on.
    pub(crate) fn name(self) -> &'static str {
        match (self, environment::test_amqp_url()) {
            (Self::Embedded, _) => "SQLite, embedded broker",
            (Self::Servers, Some(_)) => "MySQL, RabbitMQ",
            (Self::Servers, None) => "MySQL, embedded broker",
        }
    }

    /// A database that nobody else uses. MySQL: on the server of `EXPEDITER_TEST_MYSQL_URL`.
    pub(crate) async fn fresh(self) -> anyhow::Result<FreshDb> {
        match self {
            Self::Embedded => Ok(testing::fresh_sqlite().await),
            Self::Servers => {
                let fresh = testing::fresh_mysql().await;
                fresh.ok_or_else(|| anyhow::anyhow!("EXPEDITER_TEST_MYSQL_URL names no server"))
            }
        }
    }

    /// Settings of a process on this ground; `database` is what it uses.
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

/// Takes a fresh database away again once nothing runs on it.
pub(crate) async fn end(database: FreshDb) {
    let _: &Db = &database.db;
    database.end().await;
}
