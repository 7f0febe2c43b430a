//! Runs a few rounds of `make chaos`: real processes are killed, stalled, disconnected and restarted under load.

use e2e::chaos::{Chaos, Report, Shape, servers::Servers};
use platform::chance::Chance;
use store::testing::environment;

/// Seed of a run to repeat, as printed.
const SEED: Option<u64> = None;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_of_chaos_in_one_process_lose_double_and_reorder_nothing() {
    run(Shape::Embedded, None, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_of_chaos_among_several_processes_and_their_servers_lose_double_and_reorder_nothing()
 {
    if environment::test_mysql_url().is_none() || environment::test_amqp_url().is_none() {
        assert!(
            !environment::in_ci(),
            "EXPEDITER_TEST_MYSQL_URL or EXPEDITER_TEST_AMQP_URL is not set, and CI must not skip chaos"
        );
        eprintln!(
            "SKIPPED: chaos on servers: EXPEDITER_TEST_MYSQL_URL or EXPEDITER_TEST_AMQP_URL is not set"
        );
        return;
    }
    // The run kills its servers, so it cannot use those of other tests.
    let servers = Servers::own().await.expect("own servers can be started");
    run(Shape::Fleet, Some(servers), 10).await;
}

/// Covers each node of the database and of the broker: killed, stalled, cut off, and without its data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_rounds_of_chaos_on_a_cluster_whose_nodes_fail_lose_double_and_reorder_nothing() {
    if let Err(missing) = Servers::can_be_cluster() {
        assert!(
            !environment::in_ci(),
            "CI must not skip chaos on a cluster: {missing}"
        );
        eprintln!("SKIPPED: chaos on a cluster: {missing}");
        return;
    }
    let servers = Servers::cluster().await.expect("a cluster can be started");
    run(Shape::Cluster, Some(servers), 5).await;
}

async fn run(shape: Shape, servers: Option<Servers>, rounds: u32) {
    let seed = SEED.unwrap_or_else(|| u64::from_le_bytes(Chance::system().bytes()));
    eprintln!("seed {seed}");
    let chaos = Chaos {
        shape,
        seed,
        first_round: 0,
        rounds,
    };
    let report: Report = chaos.run(servers, |round| eprintln!("{round}")).await;
    assert!(report.is_clean(), "{report}");
    eprintln!("{report}");
}
