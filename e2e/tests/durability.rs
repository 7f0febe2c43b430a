//! Processes refuse to start on a server that could lose a committed order in a power cut, unless settings allow it.

use std::{fs, path::Path};

use e2e::{Ended, Folder, Launch, built, chaos::servers::Servers};
use store::testing::environment;

const KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seSE=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_lose_a_commit_is_refused_unless_that_is_allowed() {
    if environment::test_mysql_url().is_none() {
        assert!(
            !environment::in_ci(),
            "EXPEDITER_TEST_MYSQL_URL is not set, and CI must not skip weak durability"
        );
        eprintln!("SKIPPED: weak durability: EXPEDITER_TEST_MYSQL_URL is not set");
        return;
    }
    // The test changes global settings, so it cannot use the server of other tests.
    let servers = Servers::start_own_mariadb()
        .await
        .expect("an own server can be started");
    let folder = Folder::new();

    for (setting, weakness) in [
        (
            "innodb_flush_log_at_trx_commit = 2",
            "innodb_flush_log_at_trx_commit is 2, not 1",
        ),
        (
            "innodb_flush_log_at_trx_commit = 0",
            "innodb_flush_log_at_trx_commit is 0, not 1",
        ),
    ] {
        servers
            .set_global(setting)
            .await
            .expect("the own server can be configured");
        for program in ["api", "worker", "notifier", "expediter"] {
            let ended = launch(program, folder.path(), &servers).run().await;
            is_refused_with(&ended, weakness);
        }
        // It is refused before anything is written.
        assert_eq!(servers.tables().await, Ok(0));
    }

    let allowed = launch("expediter", folder.path(), &servers)
        .set("database.allow_weak_durability", true)
        .set("broker.url", "embedded:");
    let mut running = allowed.start().await;
    assert_ne!(servers.tables().await, Ok(0));
    running.kill9().await;

    servers
        .set_global("innodb_flush_log_at_trx_commit = 1")
        .await
        .expect("the own server can be configured");
    let mut running = launch("expediter", folder.path(), &servers)
        .set("broker.url", "embedded:")
        .start()
        .await;
    running.kill9().await;
}

fn launch(program: &str, folder: &Path, servers: &Servers) -> Launch {
    let folder = folder.join(program);
    fs::create_dir_all(&folder).expect("the test's directory can be written");
    Launch::of(&built(program), &folder)
        .set("http.worker_listen", "127.0.0.1:0")
        .set("http.notifier_listen", "127.0.0.1:0")
        .set("secrets.encryption_key", KEY)
        .set("secrets.jwt_key", KEY)
        .set("telemetry.filter", "off")
        .set("database.url", servers.mysql.url())
        .set("broker.url", servers.amqp.url())
}

fn is_refused_with(ended: &Ended, weakness: &str) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in [weakness, "database.allow_weak_durability", "test:***@"] {
        assert!(ended.stderr.contains(word), "{word}: {ended:?}");
    }
}
