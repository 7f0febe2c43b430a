//! `make bench`: what the house does in a second and how long it takes, each beside what would be the limit.

mod effort; // how long and how often
mod machine;
mod report; // the tables
mod samples; // what a run measured // where

mod bare; // the limit: rows and nothing else
mod ground; // SQLite alone, or servers
mod intake; // 1
mod stall; // a store in this process
mod statements; // 4

mod expediter; // the real binary, and a shop in it
mod fan_out;
mod http_intake; // 2
mod integrator; // takes everything at once
mod sockets; // live channels
mod whole_way; // 3
mod wire; // HTTP, as lean as can be // 5

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Context;
use clap::Parser;
use common::{clock::Clock, config};

use self::{effort::Effort, report::Report};

/// Measures; servers are those of EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL.
#[derive(Debug, Parser)]
struct CommandLine {
    /// Under a minute, and rougher.
    #[arg(long)]
    quick: bool,
    /// Write the page here.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Only these sections, by number.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u32>,
    /// With the statements that section 4 counts.
    #[arg(long)]
    statements: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let line = CommandLine::parse();
    let effort = if line.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    let machine = machine::facts();
    let began = Instant::now();
    let report = measure(&line, &effort).await?;
    let page = page(&line, &machine, &report, began);
    say(&page);
    if let Some(path) = &line.write {
        fs::write(path, &page).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn measure(line: &CommandLine, effort: &Effort) -> anyhow::Result<Report> {
    let wanted = |number: u32| line.only.is_empty() || line.only.contains(&number);
    let mut sections = Vec::new();
    let mut in_process = Vec::new();
    if wanted(1) {
        progress("intake in process");
        let (section, ours) = intake::measure(effort).await?;
        sections.push(section);
        in_process = ours;
    }
    if wanted(2) {
        progress("intake over HTTP");
        sections.push(http_intake::measure(effort, &in_process).await?);
    }
    if wanted(3) {
        progress("the whole way");
        sections.push(whole_way::measure(effort).await?);
    }
    if wanted(4) {
        progress("statements");
        let texts = line.statements;
        sections.push(tokio::task::spawn_blocking(move || statements::count(texts)).await??);
    }
    if wanted(5) {
        progress("one event to many screens");
        sections.push(fan_out::measure(effort).await?);
    }
    Ok(Report { sections })
}

fn page(line: &CommandLine, machine: &str, report: &Report, began: Instant) -> String {
    let command = if line.quick {
        "make bench QUICK=1"
    } else {
        "make bench"
    };
    let date = Clock::system().now().format("%Y-%m-%d");
    let build = if cfg!(debug_assertions) {
        "**debug build: worth nothing**"
    } else {
        "release build"
    };
    let servers = match (config::test_mysql_url(), config::test_amqp_url()) {
        (Some(_), Some(_)) => "with private MariaDB and RabbitMQ servers on the same machine",
        (Some(_), None) => "with a MySQL server and no RabbitMQ",
        (None, _) => "without servers",
    };
    format!(
        "# Benchmarks\n\n\
         Written by `{command}` on {date}: {machine}; {build}, {servers}, {} s in all.\n\n\
         Load generator, integrator, server, database and broker share these cores, and runs differ by up to 30 %: trust \
         the ratios, which compare what ran in turns in the same run. Rates are medians of {} rounds; delays are of all \
         rounds together. Every commit is durable (`innodb_flush_log_at_trx_commit = 1`, `synchronous = FULL`).\n\n{report}",
        began.elapsed().as_secs(),
        if line.quick {
            Effort::QUICK.rounds
        } else {
            Effort::FULL.rounds
        },
    )
}

#[expect(clippy::print_stdout, reason = "the page is what is asked for")]
fn say(page: &str) {
    println!("{page}");
}

#[expect(clippy::print_stderr, reason = "whoever waits sees how far it is")]
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
