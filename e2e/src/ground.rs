//! What a story stands on: everything embedded, or a MySQL and a RabbitMQ server; and a macro that tells it on each.
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

/// A folder, and a database and a namespace on the broker, that nobody else uses.
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

    /// A start of the binary here; whatever is started here shares the data.
    #[must_use]
    pub fn launch(&self) -> Launch {
        let launch = Launch::new(self.folder.path());
        self.settings
            .iter()
            .fold(launch, |launch, (key, value)| launch.set(key, value))
    }

    /// As [`Self::launch`], of another program in a folder of its own.
    #[must_use]
    pub fn launch_of(&self, program: &Path, folder: &Path) -> Launch {
        let launch = Launch::of(program, folder);
        self.settings
            .iter()
            .fold(launch, |launch, (key, value)| launch.set(key, value))
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// What [`each_ground!`](crate::each_ground) runs.
pub async fn on_embedded<F: Future<Output = ()>>(story: impl FnOnce(Ground) -> F) {
    story(Ground::embedded()).await;
}

/// The same on servers, where both are named: the database taken away also if the story panics.
///
/// # Panics
/// In CI without servers.
#[expect(
    clippy::print_stderr,
    reason = "a skipped test must be seen by whoever runs the tests"
)]
pub async fn on_servers<F: Future<Output = ()>>(story: impl FnOnce(Ground) -> F) {
    let Some(broker_url) = environment::test_amqp_url() else {
        assert!(
            !environment::in_ci(),
            "no EXPEDITER_TEST_AMQP_URL, and CI must not skip RabbitMQ"
        );
        eprintln!("SKIPPED: a story on servers, for there is no EXPEDITER_TEST_AMQP_URL");
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

/// One test a ground out of each story; see the module.
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
