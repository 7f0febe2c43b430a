//! A few rounds of what `make chaos` does: real processes killed, stalled, cut off and restarted under load.

use e2e::chaos::{Chaos, Report, Shape, servers::Servers};
use platform::chance::Chance;
use store::testing::environment;

/// To repeat a run: the seed that it printed.
const SEED: Option<u64> = None;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_of_chaos_in_one_process_lose_double_and_reorder_nothing() {
    run(Shape::Embedded, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_of_chaos_among_several_processes_and_their_servers_lose_double_and_reorder_nothing()
 {
    if environment::test_mysql_url().is_none() || environment::test_amqp_url().is_none() {
        assert!(
            !environment::in_ci(),
            "no EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL, and CI must not skip chaos"
        );
        eprintln!(
            "SKIPPED: chaos on servers, for there is no EXPEDITER_TEST_MYSQL_URL or no EXPEDITER_TEST_AMQP_URL"
        );
        return;
    }
    // Killed now and then, so they can't be those that other tests use at the same time.
    let servers = Servers::own()
        .await
        .expect("what started those starts more");
    run(Shape::Fleet, Some(servers)).await;
}

async fn run(shape: Shape, servers: Option<Servers>) {
    let seed = SEED.unwrap_or_else(|| u64::from_le_bytes(Chance::system().bytes()));
    eprintln!("seed {seed}");
    let chaos = Chaos {
        shape,
        seed,
        first_round: 0,
        rounds: 10,
    };
    let report: Report = chaos.run(servers, |round| eprintln!("{round}")).await;
    assert!(report.is_clean(), "{report}");
    eprintln!("{report}");
}
