//! The backends of a test (everything embedded, or MySQL and RabbitMQ servers), and a macro that runs it on each.
//!
//! ```ignore
//! e2e::each_ground! {
//!     async fn an_order_travels_the_whole_way(ground: Ground) { … }
//! }
//! ```
//! becomes `an_order_travels_the_whole_way::{embedded, servers}`. The servers are those of `EXPEDITER_TEST_MYSQL_URL`
//! and `EXPEDITER_TEST_AMQP_URL`.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
};

use futures_util::FutureExt;
use ledger::testing;
use platform::chance::Chance;
use store::testing::FreshDb;
use store::testing::environment;

use crate::{Folder, Launch};

/// A folder, a database and a broker namespace of one test.
#[derive(Clone, Debug)]
pub struct Ground {
    folder: std::sync::Arc<Folder>,
    settings: Vec<(&'static str, String)>,
}

impl Ground {
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            folder: std::sync::Arc::new(Folder::new()),
            settings: Vec::new(),
        }
    }

    /// Returns true if the ledger is on a database server, not in a file.
    #[must_use]
    pub fn has_servers(&self) -> bool {
        !self.settings.is_empty()
    }

    /// Returns a launch of `expediter`; all launches of a ground share its data.
    #[must_use]
    pub fn launch(&self) -> Launch {
        let launch = Launch::new(self.folder.path());
        self.settings
            .iter()
            .fold(launch, |launch, (key, value)| launch.set(key, value))
    }

    /// Like [`Self::launch`], for another program in its own folder.
    #[must_use]
    pub fn launch_of(&self, program: &Path, folder: &Path) -> Launch {
        let launch = Launch::of(program, folder);
        self.settings
            .iter()
            .fold(launch, |launch, (key, value)| launch.set(key, value))
    }

    /// Returns a setting that names a server; `None` if everything is embedded.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Runs a test embedded, for [`each_ground!`](crate::each_ground).
pub async fn on_embedded<F: Future<Output = ()>>(story: impl FnOnce(Ground) -> F) {
    story(Ground::embedded()).await;
}

/// Runs a test on servers, if both are named. Drops the database afterwards, also if the test panics.
///
/// # Panics
/// In CI without servers.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub async fn on_servers<F: Future<Output = ()>>(story: impl FnOnce(Ground) -> F) {
    let Some(broker_url) = environment::test_amqp_url() else {
        assert!(
            !environment::in_ci(),
            "EXPEDITER_TEST_AMQP_URL is not set, and CI must not skip RabbitMQ"
        );
        eprintln!("SKIPPED: a test on servers: EXPEDITER_TEST_AMQP_URL is not set");
        return;
    };
    let Some(database) = testing::fresh_mysql().await else {
        return;
    };
    let ground = Ground {
        settings: vec![
            ("database.url", FreshDb::url(&database)),
            ("database.allow_weak_durability", "true".to_owned()),
            ("broker.url", broker_url),
            (
                "broker.namespace",
                format!("test-{}", Chance::system().session_code()),
            ),
        ],
        ..Ground::embedded()
    };
    let done = AssertUnwindSafe(story(ground)).catch_unwind().await;
    database.end().await;
    if let Err(panic) = done {
        resume_unwind(panic);
    }
}

/// Turns each async function into one test per ground; see the module's documentation.
#[macro_export]
macro_rules! each_ground {
    ($($(#[$attribute:meta])* async fn $name:ident($ground:ident: Ground) $story:block)+) => {$(
        $(#[$attribute])*
        mod $name {
            use super::*;

            async fn story($ground: $crate::Ground) $story

            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                $crate::on_embedded(story).await;
            }

            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn servers() {
                $crate::on_servers(story).await;
            }
        }
    )+};
}
