//! `make bench`: what the house does in a second and how long it takes, each beside what would be the limit.

mod effort; // how long and how often
mod machine;
mod page; // the whole page
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

mod history; // a year's orders
mod million; // 6

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Context;
use clap::Parser;
use platform::clock::Clock;
use store::testing::environment;

use self::{effort::Effort, page::Page, report::Report};

/// Measures; servers are those of EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL.
#[derive(Debug, Parser)]
struct CommandLine {
    /// Under a minute, and rougher.
    #[arg(long)]
    quick: bool,
    /// Write the page here.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Only these sections, by number; of a page that is written the others stay. The sixth takes minutes, and runs only
    /// when it is asked for.
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
    let taken = taken(&line, &machine, began);
    let head = head(&taken, &effort);
    say(&format!("{head}\n\n{report}"));
    if let Some(path) = &line.write {
        let mut page = Page::read(&fs::read_to_string(path).unwrap_or_default());
        let is_apart = !line.only.is_empty();
        if !is_apart {
            page.begin_anew(head);
        }
        for section in &report.sections {
            let when = is_apart.then(|| format!("\nMeasured apart from the others. {taken}"));
            page.put(
                section.number,
                &format!("{section}{}", when.unwrap_or_default()),
            );
        }
        fs::write(path, page.to_string()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn measure(line: &CommandLine, effort: &Effort) -> anyhow::Result<Report> {
    let wanted = |number: u32| line.only.contains(&number) || (line.only.is_empty() && number != 6);
    let mut sections = Vec::new();
    if wanted(1) {
        progress("intake in process");
        sections.push(intake::measure(effort).await?);
    }
    if wanted(2) {
        progress("intake over HTTP");
        sections.push(http_intake::measure(effort).await?);
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
    if wanted(6) {
        progress("stats and lists over many orders");
        sections.push(million::measure(effort).await?);
    }
    Ok(Report { sections })
}

/// By what, when and where it was measured.
fn taken(line: &CommandLine, machine: &str, began: Instant) -> String {
    let command = match (line.quick, line.only.as_slice()) {
        (true, _) => "make bench QUICK=1",
        (false, [6]) => "make bench STATS=1",
        (false, _) => "make bench",
    };
    let date = Clock::system().now().format("%Y-%m-%d");
    let build = if cfg!(debug_assertions) {
        "**debug build: worth nothing**"
    } else {
        "release build"
    };
    let servers = match (environment::test_mysql_url(), environment::test_amqp_url()) {
        (Some(_), Some(_)) => "with private MariaDB and RabbitMQ servers on the same machine",
        (Some(_), None) => "with a MySQL server and no RabbitMQ",
        (None, _) => "without servers",
    };
    format!(
        "Written by `{command}` on {date}: {machine}; {build}, {servers}, {} s in all.",
        began.elapsed().as_secs(),
    )
}

fn head(taken: &str, effort: &Effort) -> String {
    format!(
        "# Benchmarks\n\n{taken}\n\n\
         Load generator, integrator, server, database and broker share these cores, and runs differ by up to 30 %: trust \
         the ratios, which compare what ran in turns in the same run. Rates are medians of {} rounds; delays are of all \
         rounds together. Every commit is durable (`innodb_flush_log_at_trx_commit = 1`, `synchronous = FULL`).",
        effort.rounds,
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
