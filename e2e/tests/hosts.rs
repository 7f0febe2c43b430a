//! Several hosts in `database.url` and `broker.url`: those that go or hang under orders are left, and nothing is lost.

use std::{net::SocketAddr, time::Duration};

use e2e::{
    Expediter, Folder, Integrator, Launch, Shop, Verification, Wish, advance_all,
    chaos::servers::Servers, on_servers, until,
};
use store::testing::environment;
use test_line::{Line, Traffic};
use tokio::time::timeout;

const BUNS: u32 = 1000;
/// Speed of the clock: a lease of 25 s expires in about one second.
const RATE: u32 = 20;
const WISHES_PER_WAVE: u32 = 16;
/// Time for all requests to be answered after a fault.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// Words of the log when a process goes to another host.
const MOVED: &str = "is used now in place of";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_hosts_that_go_or_hang_under_orders_are_left_and_used_again_and_nothing_is_lost() {
    on_servers(|ground| async move {
        let servers = ["database.url", "broker.url"].map(|key| ground.setting(key).unwrap());
        let [database, broker] = servers.map(str::to_owned);
        let (first, second) = (Line::before(&database).await, Line::before(&database).await);
        let (mq1, mq2) = (Line::before(&broker).await, Line::before(&broker).await);
        let launch = ground
            .launch()
            .fast(RATE)
            .set(
                "database.url",
                Line::through_all(&[&first, &second], &database),
            )
            .set("broker.url", Line::through_all(&[&mq1, &mq2], &broker))
            .set("broker.publish_timeout_ms", 1000)
            .set("database.host_check_interval_ms", 200)
            .set("database.host_return_after_s", 1)
            .set("database.host_check_timeout_ms", 1000)
            // The hosts are one server: it must free the locks of a session that hangs.
            .set("database.lock_timeout_ms", 1000)
            .set("database.statement_timeout_ms", 4000)
            .set("database.session_timeout_s", 5);
        let integrator = Integrator::start(launch.clock());
        let expediter = launch.start().await;
        let shop = Shop::open(&expediter, &integrator, BUNS).await;
        let mut wishes = Vec::new();
        // After the first fault, the connections to the broker are on its second node.
        let faults = [(Traffic::Refused, &mq1), (Traffic::Frozen, &mq2)];
        for (wave, (fault, node)) in faults.into_iter().enumerate() {
            let series = format!("wave-{wave}");
            let mut placed: Vec<Wish> = (0..WISHES_PER_WAVE)
                .map(|n| Wish::new(&series, n))
                .collect();
            let fail = async {
                for line in [&first, node] {
                    line.set(fault);
                }
            };
            // The requests are under way when the hosts fail.
            let ((), ()) = tokio::join!(advance_all(&mut placed, &expediter, &shop), fail);
            let answered = async {
                while !placed.iter().all(Wish::is_done) {
                    advance_all(&mut placed, &expediter, &shop).await;
                }
            };
            let answered = timeout(ANSWERED_WITHIN, answered).await;
            assert!(answered.is_ok(), "{}", expediter.launch().log());
            until_moved_to(&expediter, second.address).await;
            for line in [&first, node] {
                line.set(Traffic::Open);
            }
            until_moved_to(&expediter, first.address).await;
            wishes.append(&mut placed);
        }
        let reckoning = Verification {
            expediter: &expediter,
            shop: &shop,
            integrator: &integrator,
            buns: i64::from(BUNS),
        };
        reckoning.verify_all(&wishes).await;
        let log = expediter.launch().log();
        assert!(!log.contains("test:test@"), "no password is logged");
    })
    .await;
}

/// Waits until the last move in the log is one to this host.
async fn until_moved_to(expediter: &Expediter, host: SocketAddr) {
    let to = format!("database host {host} {MOVED}");
    let what = format!("a move to {host}");
    until(&what, || async {
        let log = expediter.launch().log();
        let last = log.lines().rfind(|line| line.contains(MOVED))?;
        last.contains(&to).then_some(())
    })
    .await;
}

/// Covers a planned takeover of a replica, by two servers that replicate nothing: which of them is used is all that counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turns_read_only_is_left_for_the_one_that_takes_the_writes_now() {
    if environment::test_mysql_url().is_none() {
        assert!(
            !environment::in_ci(),
            "EXPEDITER_TEST_MYSQL_URL is not set, and CI must not skip a takeover"
        );
        eprintln!("SKIPPED: a takeover: EXPEDITER_TEST_MYSQL_URL is not set");
        return;
    }
    let own = "an own server can be started and configured";
    let old = Servers::start_own_mariadb().await.expect(own);
    let mut new = Servers::start_own_mariadb().await.expect(own);
    new.take_name_of(&old).await.expect(own);
    let folder = Folder::new();
    let launch = |url: String| {
        Launch::new(folder.path())
            .set("database.url", url)
            .set("demo.enabled", false)
    };
    for server in [&old, &new] {
        let migrated = launch(server.mysql.url()).argument("migrate").run().await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
    }
    let hosts = format!("{},{}", old.mysql.end(), new.mysql.end());
    let list = old
        .mysql
        .url()
        .replacen(&old.mysql.end().to_string(), &hosts, 1);

    let refused = launch(list.clone()).run().await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for said in ["in no cluster with each other", "test:***@"] {
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    new.set_global("read_only = ON").await.expect(own);
    let running = launch(list.clone()).start().await;
    let log = running.launch().log();
    let chosen = format!("database host {} is used", old.mysql.end());
    assert!(log.contains(&chosen), "{log}");

    old.set_global("read_only = ON").await.expect(own);
    let nobody = format!(
        "database host {} takes no writes: read_only is on",
        old.mysql.end()
    );
    until("nobody to take writes", || async {
        running.launch().log().contains(&nobody).then_some(())
    })
    .await;
    let elsewhere = Folder::new();
    let refused = Launch::new(elsewhere.path()).set("database.url", list);
    let refused = refused.run().await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("no host of database.url takes writes"),
        "{refused:?}"
    );
    new.set_global("read_only = OFF").await.expect(own);
    until_moved_to(&running, new.mysql.end()).await;
    until("readiness", || async {
        let (status, _) = running.get("/readyz").await;
        (status == 200).then_some(())
    })
    .await;
    for server in [&old, &new] {
        server.end().await.expect(own);
    }
}
