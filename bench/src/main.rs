//! `make bench`: measures rates and delays and compares each with its upper limit.

mod effort; // how long and how often
mod machine;
mod page; // docs/benchmarks.md
mod report; // the tables
mod samples; // the measurements of a run
mod target_table; // the page's first table
mod targets; // what it has a row for

mod bare; // the limit: plain inserts
mod ground; // SQLite alone, or servers
mod intake; // 1
mod stall; // a store in this process
mod statements; // 4

mod expediter; // the real binary, and a store in it
mod fan_out; // 5
mod http_intake; // 2
mod integrator; // answers 200 at once
mod process; // any binary of the build
mod sockets; // live channels
mod whole_way; // 3
mod wire; // a minimal HTTP client

mod history; // a year's orders
mod million; // 6

mod tls; // 7

mod rush; // load as fast as possible, or on a schedule
mod scene; // a program under load
mod schedule; // 8

mod backlog; // 9

mod footprint; // 10

mod crowd; // very many sockets in a process of their own
mod screens; // 11

mod old_orders; // 12

mod batches; // claims and outcomes in plain SQL
mod plain_sql; // 15

mod before; // 16

mod peer; // 13 and 14

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Context;
use clap::Parser;
use platform::clock::Clock;
use store::testing::environment;

use self::{crowd::Crowd, effort::Effort, page::Page, peer::Servers, report::Report};

/// Measures rates and delays. Uses the servers of EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL if set.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    part: Option<Part>,
    /// Take less than a minute, with rougher numbers.
    #[arg(long)]
    quick: bool,
    /// Write the page to this file.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Measure only these sections, by number; a written page keeps its other sections. The sixth takes minutes and
    /// runs only if named here.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u32>,
    /// Run the peer of bench/peers with the Python packages in this folder (section 13).
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Say that the servers are today's MySQL and RabbitMQ: measures only section 14.
    #[arg(long)]
    today: bool,
    /// Measure section 12 with this number of old orders too.
    #[arg(long)]
    old: Option<i64>,
    /// Measure in turns with this earlier build of `expediter` (section 16).
    #[arg(long)]
    before: Option<PathBuf>,
    /// Also print the statements that section 4 counts.
    #[arg(long)]
    statements: bool,
}

/// Parts of a measurement that run in a process of their own, which the measurement starts.
#[derive(Debug, clap::Subcommand)]
enum Part {
    #[command(hide = true)]
    Crowd(Crowd),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut line = CommandLine::parse();
    if let Some(Part::Crowd(crowd)) = line.part.take() {
        return crowd.run().await;
    }
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
    say(&format!(
        "{head}\n\n{}\n\n{report}",
        target_table::table(&report, None)
    ));
    if let Some(path) = &line.write {
        let mut page = Page::read(&fs::read_to_string(path).unwrap_or_default());
        let is_apart = line.today || !line.only.is_empty();
        if !is_apart {
            page.start_over(head);
        }
        let old = page.section(target_table::NUMBER).filter(|_| is_apart);
        let table = target_table::table(&report, old);
        page.put(target_table::NUMBER, &table);
        for section in &report.sections {
            let when =
                is_apart.then(|| format!("\nMeasured separately from the other sections. {taken}"));
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
    if line.today {
        progress("the whole way on today's servers");
        let section = peer::measure(effort, Servers::Today, line.peer.as_deref()).await?;
        return Ok(Report {
            sections: section.into_iter().collect(),
        });
    }
    let is_apart = |number: u32| number == 6 || (number == 13 && line.peer.is_none());
    let wanted =
        |number: u32| line.only.contains(&number) || (line.only.is_empty() && !is_apart(number));
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
        progress("end to end");
        sections.push(whole_way::measure(effort).await?);
    }
    if wanted(4) {
        progress("statements");
        let texts = line.statements;
        sections.push(tokio::task::spawn_blocking(move || statements::count(texts)).await??);
    }
    if wanted(5) {
        progress("fan-out");
        sections.push(fan_out::measure(effort).await?);
    }
    if wanted(6) {
        progress("stats and lists over many orders");
        sections.push(million::measure(effort).await?);
    }
    if wanted(7) {
        progress("large statements over TLS");
        let section = tls::measure(effort).await?;
        if section.is_none() {
            progress("no MySQL server that offers TLS");
        }
        sections.extend(section);
    }
    if wanted(8) {
        progress("saturated, and on a schedule");
        sections.push(schedule::measure(effort).await?);
    }
    if wanted(9) {
        progress("backlogs");
        sections.push(backlog::measure(effort).await?);
    }
    if wanted(10) {
        progress("bytes and memory");
        sections.push(footprint::measure(effort).await?);
    }
    if wanted(11) {
        progress("very many screens");
        sections.push(screens::measure(effort).await?);
    }
    if wanted(12) {
        progress("old orders");
        sections.push(old_orders::measure(effort, line.old).await?);
    }
    if wanted(13) {
        progress("beside a peer");
        let section = peer::measure(effort, Servers::Private, line.peer.as_deref()).await?;
        if section.is_none() {
            progress("no MySQL server or no RabbitMQ");
        }
        sections.extend(section);
    }
    if wanted(15) {
        progress("claims and outcomes in plain SQL");
        sections.push(plain_sql::measure(effort).await?);
    }
    if let Some(program) = line.before.as_deref().filter(|_| wanted(16)) {
        progress("an earlier build");
        sections.push(before::measure(effort, program).await?);
    }
    Ok(Report { sections })
}

/// Returns the command, date, machine and duration of the measurement, as one line.
fn taken(line: &CommandLine, machine: &str, began: Instant) -> String {
    let only: Vec<String> = line.only.iter().map(u32::to_string).collect();
    let options = [
        line.quick.then(|| " QUICK=1".to_owned()),
        (!only.is_empty()).then(|| format!(" ONLY={}", only.join(","))),
        line.peer.is_some().then(|| " PEERS=1".to_owned()),
        line.old.map(|orders| format!(" OLD={orders}")),
        line.before
            .is_some()
            .then(|| " BEFORE=path/to/expediter".to_owned()),
        line.today.then(|| " REAL=1".to_owned()),
    ];
    let command = format!(
        "make bench{}",
        options.into_iter().flatten().collect::<String>()
    );
    let date = Clock::system().now().format("%Y-%m-%d");
    let build = if cfg!(debug_assertions) {
        "**debug build: numbers are meaningless**"
    } else {
        "release build"
    };
    let servers = match (environment::test_mysql_url(), environment::test_amqp_url()) {
        (Some(_), Some(_)) if line.today => {
            "with today's MySQL and RabbitMQ servers on the same machine"
        }
        (Some(_), Some(_)) => "with private MariaDB and RabbitMQ servers on the same machine",
        (Some(_), None) => "with a MySQL server and no RabbitMQ",
        (None, _) => "without servers",
    };
    format!(
        "Written by `{command}` on {date}: {machine}; {build}, {servers}, {} s in total.",
        began.elapsed().as_secs(),
    )
}

fn head(taken: &str, effort: &Effort) -> String {
    format!(
        "# Benchmarks\n\n{taken}\n\n\
         Load generator, integrator, server, database and broker share these cores, and runs differ by up to 30 %: trust \
         the ratios, which compare alternate measurements of the same run. Rates are medians of {} rounds; delays cover \
         all rounds. Every commit is durable (`innodb_flush_log_at_trx_commit = 1`, `synchronous = FULL`).",
        effort.rounds,
    )
}

#[expect(clippy::print_stdout, reason = "the page is the output of the command")]
fn say(page: &str) {
    println!("{page}");
}

#[expect(clippy::print_stderr, reason = "progress, for the person who waits")]
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
