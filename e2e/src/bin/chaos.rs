//! `make chaos`: runs rounds of failures and prints the results.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use e2e::chaos::{Chaos, Shape, servers::Servers};
use platform::chance::Chance;

/// Kills, stalls, disconnects and restarts processes under load, then compares accepted orders with stored ones.
#[derive(Debug, Parser)]
struct CommandLine {
    /// Setup under test: one process on SQLite, or two of each kind on MySQL and RabbitMQ
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
    /// Use the servers of EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL, which are never killed
    #[arg(long)]
    named_servers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ground {
    Embedded,
    Fleet,
    Both,
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
    for shape in [Shape::Embedded, Shape::Fleet] {
        let is_wanted = match line.ground {
            Ground::Both => true,
            Ground::Embedded => shape == Shape::Embedded,
            Ground::Fleet => shape == Shape::Fleet,
        };
        if !is_wanted {
            continue;
        }
        let servers = match shape {
            Shape::Embedded => None,
            Shape::Fleet | Shape::Three => match servers(line.named_servers).await {
                Ok(servers) => Some(servers),
                Err(error) => {
                    println!("the servers could not be started: {error}");
                    return ExitCode::from(2);
                }
            },
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
