//! Section 10: what the database writes for an order, whose processor time it takes, and how much memory.

use std::{fs, time::Duration};

use anyhow::Context;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    bare::Bare,
    effort::Effort,
    expediter::Expediter,
    ground::Ground,
    report::{Section, rate},
    scene::Scene,
    targets::{Figure, Target},
};

/// Time after the start until a process counts as idle.
const SETTLED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);
/// Counters of a MySQL server: statements, and bytes written to its log.
const COUNTERS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
     ('Questions', 'Innodb_os_log_written')";

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        rows.push(on(ground, effort, &mut figures).await?);
    }
    Ok(Section {
        number: 10,
        title: "Cost of an order, and memory of a process",
        about: "The saturating load of section 8, until the last order is handed over and accepted. MySQL counts statements \
                (those of sweeps, feed and gauges too, where section 4 counts an order's alone) and bytes of its redo log. \
                All bytes are those that the database wrote to storage, log and pages, as the kernel counts them for its process \
                (with SQLite, the program's; – where they cannot be read). Processor time is of all threads, in user and \
                kernel: of the standalone program, of MySQL's process, of RabbitMQ, and of this load generator with its \
                integrator and sockets. Memory is \
                resident: of the standalone process 3 s after its start, and the highest value during the load.",
        columns: vec![
            "ground",
            "orders",
            "statements an order",
            "redo log, bytes an order",
            "all files, bytes an order",
            "processor ms an order: program",
            "MySQL",
            "RabbitMQ",
            "load",
            "idle, MiB",
            "under the load, MiB",
        ],
        rows,
        figures,
        limiting_factor: "Processor time: with servers on two cores, 2000 ms a second divided by the sum is all that any \
                     rate can be. Bytes: rows of twelve tables with their indexes, most of all the order, its event and its handoff's \
                     body. Memory: the pools' prepared statements, caches, and the buffers of open connections.",
    })
}

/// Totals since the database was started.
#[derive(Clone, Copy, Default)]
struct Written {
    statements: u64,
    log_bytes: u64,
    /// Bytes written to storage by the process that writes the database's files.
    bytes: Option<u64>,
}

/// Processor time since the processes began.
#[derive(Clone, Copy)]
struct Busy {
    program: Option<u64>,
    database: Option<u64>,
    broker: Option<u64>,
    load: Option<u64>,
}

impl Busy {
    fn now(ground: Ground, program: u32, database: Option<u32>) -> Self {
        let on_servers = ground == Ground::Servers;
        Self {
            program: processor_ms(program),
            database: database.filter(|_| on_servers).and_then(processor_ms),
            broker: on_servers.then(|| {
                pids_of("beam.smp")
                    .into_iter()
                    .filter_map(processor_ms)
                    .sum()
            }),
            load: processor_ms(std::process::id()),
        }
    }

    fn since(self, before: Self, orders: usize) -> [String; 4] {
        let of = |after: Option<u64>, before: Option<u64>| match after.zip(before) {
            Some((after, before)) => format!("{:.2}", (after - before) as f64 / orders as f64),
            None => "–".to_owned(),
        };
        [
            of(self.program, before.program),
            of(self.database, before.database),
            of(self.broker, before.broker),
            of(self.load, before.load),
        ]
    }
}

async fn on(
    ground: Ground,
    effort: &Effort,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<String>> {
    let expediter = Expediter::start(ground).await?;
    let pid = expediter.pid();
    let mut database = Bare::connect(&expediter.database()?.url()).await?;
    sleep(SETTLED).await;
    let idle = resident_kib(pid)?;
    let scene = Scene::on(expediter).await?;
    let load = |length| scene.saturating(length, effort.patience);
    load(effort.warm_up).run(&scene.log).await?;

    let writer = writer(&mut database, pid).await;
    let before = written(&mut database, writer).await?;
    let highest = tokio::spawn(async move {
        let (began, mut highest) = (Instant::now(), 0);
        for look in 0.. {
            // Ends with the process.
            let Ok(now) = resident_kib(pid) else { break };
            highest = highest.max(now);
            sleep_until(began + LOOK * look).await;
        }
        highest
    });
    let busy_before = Busy::now(ground, pid, writer);
    let rush = load(effort.saturation).run(&scene.log).await?;
    let busy = Busy::now(ground, pid, writer).since(busy_before, rush.accepted());
    let after = written(&mut database, writer).await?;
    drop(database);
    scene.end().await?;
    let highest = highest.await?;

    let mib = |kib: u64| format!("{:.0}", kib as f64 / 1024.0);
    figures.push(Target::Idle.is(ground.name(), mib(idle)));
    figures.push(Target::Loaded.is(ground.name(), mib(highest)));
    let per_order = |count: u64| count as f64 / rush.accepted() as f64;
    let (statements, log) = match ground {
        Ground::Embedded => ("–".to_owned(), "–".to_owned()),
        Ground::Servers => (
            format!("{:.1}", per_order(after.statements - before.statements)),
            rate(per_order(after.log_bytes - before.log_bytes)),
        ),
    };
    let mut row = vec![
        ground.name().to_owned(),
        rush.accepted().to_string(),
        statements,
        log,
        (after.bytes.zip(before.bytes)).map_or_else(
            || "–".to_owned(),
            |(after, before)| rate(per_order(after - before)),
        ),
    ];
    row.extend(busy);
    row.extend([mib(idle), mib(highest)]);
    Ok(row)
}

/// Returns the process that writes the database's files, if it can be found.
async fn writer(database: &mut Bare, pid: u32) -> Option<u32> {
    let Bare::MySql(conn) = database else {
        return Some(pid);
    };
    let path: String = sqlx::query_scalar("SELECT CAST(@@pid_file AS CHAR)")
        .fetch_one(conn)
        .await
        .ok()?;
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

async fn written(database: &mut Bare, writer: Option<u32>) -> anyhow::Result<Written> {
    // Only root and the process's own user may read it.
    let bytes = writer.and_then(|pid| number_in(&format!("/proc/{pid}/io"), "write_bytes:").ok());
    let Bare::MySql(conn) = database else {
        return Ok(Written {
            bytes,
            ..Written::default()
        });
    };
    let counters: Vec<(String, String)> = sqlx::query_as(COUNTERS).fetch_all(conn).await?;
    let counter = |wanted: &str| {
        let found = counters.iter().find(|(name, _)| name == wanted);
        let (_, value) = found.with_context(|| format!("the server has no {wanted}"))?;
        anyhow::Ok(value.parse()?)
    };
    Ok(Written {
        statements: counter("Questions")?,
        log_bytes: counter("Innodb_os_log_written")?,
        bytes,
    })
}

/// Returns the processor time of a process, if it is there: proc(5) counts it in hundredths of a second.
pub(crate) fn processor_ms(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have spaces and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    Some(
        ticks
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum::<u64>()
            * 10,
    )
}

/// Returns the processes of this name.
fn pids_of(name: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_named = |pid: &u32| {
        let named = fs::read_to_string(format!("/proc/{pid}/comm"));
        named.is_ok_and(|found| found.trim() == name)
    };
    pids.filter(is_named).collect()
}

/// Returns the resident memory of a process.
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    number_in(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// Returns the number after a name in a file of lines.
fn number_in(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.with_context(|| format!("{path} has no {name}"))?;
    let digits = value.split_whitespace().next().unwrap_or_default();
    Ok(digits.parse()?)
}
