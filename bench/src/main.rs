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

mod traces; // 17

mod peer; // 13 and 14

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use platform::clock::Clock;
use store::testing::environment;

use self::{
    crowd::Crowd,
    effort::Effort,
    page::Page,
    peer::Servers,
    report::{Report, Section},
};

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
    let Measuring { report, failed, .. } = measure(&line, &effort).await;
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
    ensure!(failed.is_empty(), "sections failed: {failed:?}");
    Ok(())
}

/// The sections of a run. One that fails is told and left out: the others took long.
struct Measuring<'a> {
    line: &'a CommandLine,
    report: Report,
    failed: Vec<u32>,
}

impl Measuring<'_> {
    /// Measures a section if it is wanted. `measured`: nothing, where it cannot be measured.
    async fn section<S: Into<Option<Section>>>(
        &mut self,
        number: u32,
        what: &str,
        measured: impl Future<Output = anyhow::Result<S>>,
    ) {
        if !self.line.wants(number) {
            return;
        }
        progress(&format!("{number}: {what}"));
        match measured.await.map(Into::into) {
            Ok(Some(section)) => self.report.sections.push(section),
            Ok(None) => progress(&format!(
                "SKIPPED: {number}: {what}: its servers are missing"
            )),
            Err(error) => {
                progress(&format!("FAILED: {number}: {what}: {error:#}"));
                self.failed.push(number);
            }
        }
    }
}

impl CommandLine {
    fn wants(&self, number: u32) -> bool {
        // Sections that need minutes, another program or other servers.
        let is_possible = match number {
            14 => self.today,
            16 => self.before.is_some(),
            _ => !self.today,
        };
        let is_usual = match number {
            6 => false,
            13 => self.peer.is_some(),
            _ => true,
        };
        is_possible && (self.only.contains(&number) || (self.only.is_empty() && is_usual))
    }
}

async fn measure<'a>(line: &'a CommandLine, effort: &Effort) -> Measuring<'a> {
    let mut run = Measuring {
        line,
        report: Report::default(),
        failed: Vec::new(),
    };
    let peer = line.peer.as_deref();
    run.section(1, "intake in process", intake::measure(effort))
        .await;
    run.section(2, "intake over HTTP", http_intake::measure(effort))
        .await;
    run.section(3, "end to end", whole_way::measure(effort))
        .await;
    let texts = line.statements;
    let count = async move { tokio::task::spawn_blocking(move || statements::count(texts)).await? };
    run.section(4, "statements", count).await;
    run.section(5, "fan-out", fan_out::measure(effort)).await;
    run.section(
        6,
        "stats and lists over many orders",
        million::measure(effort),
    )
    .await;
    run.section(7, "large statements over TLS", tls::measure(effort))
        .await;
    run.section(8, "saturated, and on a schedule", schedule::measure(effort))
        .await;
    run.section(9, "backlogs", backlog::measure(effort)).await;
    run.section(10, "bytes and memory", footprint::measure(effort))
        .await;
    run.section(11, "very many screens", screens::measure(effort))
        .await;
    run.section(12, "old orders", old_orders::measure(effort, line.old))
        .await;
    let private = peer::measure(effort, Servers::Private, peer);
    run.section(13, "beside a peer", private).await;
    let today = peer::measure(effort, Servers::Today, peer);
    run.section(14, "on today's servers", today).await;
    run.section(
        15,
        "claims and outcomes in plain SQL",
        plain_sql::measure(effort),
    )
    .await;
    if let Some(program) = &line.before {
        run.section(16, "an earlier build", before::measure(effort, program))
            .await;
    }
    run.section(17, "traces", traces::measure(effort)).await;
    run
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
