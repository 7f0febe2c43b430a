//! `make chaos`: runs rounds of failures and prints the results.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use e2e::chaos::{Chaos, Shape, servers::Servers};
use platform::chance::Chance;

/// Kills, stalls, disconnects and restarts processes under load, then compares accepted orders with stored ones.
#[derive(Debug, Parser)]
struct CommandLine {
    /// Setup under test: one process on SQLite, two of each kind on MySQL and RabbitMQ, the same on three nodes each, the
    /// first two, or all
    #[arg(long, value_enum, default_value_t = Ground::Both)]
    ground: Ground,
    /// Number of rounds on each ground
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Seed of the run to repeat [default: a new one]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of the first round
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// For a fleet, use the servers of EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL, which are never killed
    #[arg(long)]
    named_servers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ground {
    Embedded,
    Fleet,
    Cluster,
    Both,
    All,
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the report is the output of the command"
)]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let seed = line
        .seed
        .unwrap_or_else(|| u64::from_le_bytes(Chance::system().bytes()));
    println!("seed {seed}");
    let mut is_clean = true;
    let shapes: &[Shape] = match line.ground {
        Ground::Embedded => &[Shape::Embedded],
        Ground::Fleet => &[Shape::Fleet],
        Ground::Cluster => &[Shape::Cluster],
        Ground::Both => &[Shape::Embedded, Shape::Fleet],
        Ground::All => &[Shape::Embedded, Shape::Fleet, Shape::Cluster],
    };
    for &shape in shapes {
        let servers = match shape {
            Shape::Embedded => Ok(None),
            Shape::Fleet | Shape::Three => servers(line.named_servers).await.map(Some),
            Shape::Cluster => Servers::cluster().await.map(Some),
        };
        let servers = match servers {
            Ok(servers) => servers,
            Err(error) => {
                println!("the servers could not be started: {error}");
                return ExitCode::from(2);
            }
        };
        let chaos = Chaos {
            shape,
            seed,
            first_round: line.first,
            rounds: line.rounds,
        };
        let report = chaos.run(servers, |round| println!("{round}")).await;
        println!("{report}");
        is_clean &= report.is_clean();
    }
    if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn servers(named: bool) -> Result<Servers, String> {
    if !named {
        return Servers::own().await;
    }
    let none = "EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL are not set";
    Servers::named().await?.ok_or_else(|| none.to_owned())
}
