//! Section 11: very many sockets of one table: memory, one event to all of them, and all of them after a restart.

use std::{fs, time::Duration};

use anyhow::Context;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::{
    bare::Bare,
    crowd::{Crowded, now_us},
    effort::Effort,
    expediter::{Expediter, Shop},
    footprint::resident_kib,
    ground::Ground,
    process::Process,
    report::Section,
    samples::median,
    targets::{Figure, Target},
    wire::Wire,
};

/// Number of events in each round.
const EVENTS: usize = 3;
/// Time after opening until sockets count as idle.
const SETTLED: Duration = Duration::from_secs(3);
/// File descriptors of a process that are no sockets of the crowd.
const OTHER_FILES: usize = 1000;

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        rows.push(on(ground, effort, &mut figures).await?);
    }
    Ok(Section {
        number: 11,
        title: "Very many screens",
        about: "Sockets of one table (20 000, or as many as the limit of open files allows), whose clients are in a process \
                of their own. With servers they are served by a separate `notifier`, with SQLite by the standalone process. Memory: what the \
                process grew by, 3 s after the last one was opened. Fan-out: first to last socket that received one `order.placed`, \
                against the same bytes written to as many plain connections, whose clients are in such a process too \
                (medians). Storm: the process is killed, an order is placed (with servers), the process is started \
                again, and all clients come back with `?after=`, 128 at a time (a program on SQLite begins a new epoch, so that they \
                get a snapshot); seconds from its readiness until the last one has its \
                first frame. Reads: the SELECTs that the database counted meanwhile, less those of as much time before.",
        columns: vec![
            "ground",
            "process",
            "sockets",
            "KiB a socket",
            "first to last, ms",
            "limit, ms",
            "÷ limit",
            "all back after, s",
            "resumed",
            "reads for it",
        ],
        rows,
        figures,
        limiting_factor: "Memory: the connection's own state and buffers, in the HTTP server and the WebSocket. The storm: \
                     a handshake for each client, on the processor that clients and server share.",
    })
}

/// The process with the sockets: the standalone, or a notifier beside it.
struct Server<'a> {
    expediter: &'a mut Expediter,
    notifier: Option<Process>,
}

impl Server<'_> {
    fn process(&mut self) -> &mut Process {
        self.notifier
            .as_mut()
            .unwrap_or(&mut self.expediter.process)
    }
}

async fn on(
    ground: Ground,
    effort: &Effort,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<String>> {
    let mut expediter = Expediter::start(ground).await?;
    // Nothing listens on this port.
    let integrator = json!({"url": "http://127.0.0.1:9/orders", "concurrency": 1, "rate_per_s": 1});
    let shop = Shop::open(&expediter, integrator).await?;
    let mut database = Bare::connect(&expediter.database()?.url()).await?;
    let notifier = match ground {
        Ground::Embedded => None,
        Ground::Servers => Some(expediter.notifier().await?),
    };
    let program = if notifier.is_some() {
        "notifier"
    } else {
        "standalone"
    };
    let mut server = Server {
        expediter: &mut expediter,
        notifier,
    };
    let sockets = effort.crowd.min(open_files()?.saturating_sub(OTHER_FILES));
    let (address, pid) = (server.process().address.clone(), server.process().pid());
    let mut wire = Wire::connect(&shop.address).await?;
    // Fills what the process has only once.
    wire.expect(201, &shop.guest_order(1)).await?;
    sleep(SETTLED).await;

    let before = resident_kib(pid)?;
    let mut crowd = Crowded::at_table(&address, sockets, &shop.table_codes[0])?;
    crowd.open().await?;
    sleep(SETTLED).await;
    let grown = resident_kib(pid)?.saturating_sub(before) as f64 / sockets as f64;

    let (mut ours, mut length) = (Vec::new(), 0);
    for event in 0..=EVENTS * effort.rounds {
        wire.expect(201, &shop.guest_order(0)).await?;
        let (first, last, bytes) = crowd.event().await?;
        length = bytes;
        // The first event is a warm-up.
        if event > 0 {
            ours.push((last - first) as f64 / 1e3);
        }
    }
    let storm = storm(&mut server, &mut crowd, &mut database, &shop).await?;
    drop(crowd);
    let limit = bare_ms(sockets, length, EVENTS * effort.rounds).await?;
    drop(server);
    drop(database);
    expediter.end().await?;

    let ours = median(ours).context("there was an event")?;
    let of = format!("{}, {sockets} sockets", ground.name());
    let [kib, ratio] = [format!("{grown:.1}"), format!("{:.2}", ours / limit)];
    let back = format!("{:.1}", storm.back.as_secs_f64());
    figures.push(Target::Socket.is(&of, &kib));
    figures.push(Target::FanOut.is(&of, &ratio));
    figures.push(Target::Storm.is(&of, &back));
    Ok(vec![
        ground.name().to_owned(),
        program.to_owned(),
        sockets.to_string(),
        kib,
        format!("{ours:.0}"),
        format!("{limit:.0}"),
        ratio,
        back,
        storm.resumed.to_string(),
        storm
            .reads
            .map_or_else(|| "–".to_owned(), |reads| reads.to_string()),
    ])
}

struct Storm {
    back: Duration,
    resumed: usize,
    /// Number of reads in the database, where it counts them.
    reads: Option<i64>,
}

async fn storm(
    server: &mut Server<'_>,
    crowd: &mut Crowded,
    database: &mut Bare,
    shop: &Shop,
) -> anyhow::Result<Storm> {
    let idle = Instant::now();
    let reads_before = reads(database).await?;
    sleep(SETTLED).await;
    let idle_reads = reads(database).await? - reads_before;
    let idle = idle.elapsed().as_secs_f64();

    server.process().kill()?;
    let has_api = server.notifier.is_some();
    if has_api {
        let mut wire = Wire::connect(&shop.address).await?;
        wire.expect(201, &shop.guest_order(0)).await?;
    }
    let (began, reads_before) = (Instant::now(), reads(database).await?);
    server.process().start_again().await?;
    let ready = now_us();
    let (at, resumed) = crowd.open().await?;
    if has_api {
        // All of them are sent the order that they missed.
        crowd.event().await?;
    }
    let expected = (idle_reads as f64 * began.elapsed().as_secs_f64() / idle) as i64;
    let extra = reads(database).await? - reads_before - expected;
    Ok(Storm {
        back: Duration::from_micros(u64::try_from(at - ready).unwrap_or(0)),
        resumed,
        reads: matches!(database, Bare::MySql(_)).then_some(extra),
    })
}

/// Returns how many SELECTs the server has counted; 0 with SQLite.
async fn reads(database: &mut Bare) -> anyhow::Result<i64> {
    let Bare::MySql(conn) = database else {
        return Ok(0);
    };
    let (_, count): (String, String) =
        sqlx::query_as("SHOW GLOBAL STATUS WHERE Variable_name = 'Com_select'")
            .fetch_one(conn)
            .await?;
    Ok(count.parse()?)
}

/// Writes messages to as many bare connections; returns the median of milliseconds from the first arrival to the last.
async fn bare_ms(connections: usize, bytes: usize, times: usize) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut crowd = Crowded::bare(&address, connections, bytes)?;
    let mut streams: Vec<TcpStream> = Vec::with_capacity(connections);
    while streams.len() < connections {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    crowd.open().await?;
    let message = vec![b'x'; bytes];
    let mut took = Vec::new();
    for time in 0..=times {
        for stream in &mut streams {
            stream.write_all(&message).await?;
        }
        let (first, last, _) = crowd.event().await?;
        if time > 0 {
            took.push((last - first) as f64 / 1e3);
        }
    }
    drop(crowd);
    median(took).context("there was a message")
}

/// Returns how many files a process may have open.
fn open_files() -> anyhow::Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    let soft = soft.context("/proc/self/limits has no open files")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
