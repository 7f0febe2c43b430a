//! Measures how long one event takes to reach the first and the last of many sockets.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use crate::{
    effort::Effort,
    expediter::{Expediter, Shop},
    ground::Ground,
    report::{Section, milliseconds},
    samples::median,
    sockets::Sockets,
    wire::Wire,
};

const SOON: Duration = Duration::from_secs(30);
/// Number of events in each round.
const EVENTS: usize = 3;

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let mut rows = Vec::new();
    for ground in Ground::all() {
        rows.extend(on(ground, effort).await?);
    }
    Ok(Section {
        number: 5,
        title: "One event to many screens",
        about: "A guest orders at a table to which the given number of sockets listen. The time runs from the POST until the \
                first, and until the last, socket has received `order.placed`. The limit, in the same run: the same \
                bytes written to the same number of plain connections, one after the other. All times are medians.",
        columns: vec![
            "ground",
            "sockets",
            "to the first, ms",
            "to the last, ms",
            "first to last, ms",
            "limit, ms",
            "÷ limit",
        ],
        rows,
        figures: Vec::new(),
        limiting_factor: "One write and one woken reader per socket, on the processor that client and server share. The frame is \
                     encoded only once.",
    })
}

async fn on(ground: Ground, effort: &Effort) -> anyhow::Result<Vec<Vec<String>>> {
    let expediter = Expediter::start(ground).await?;
    // Nothing listens on this port.
    let integrator = json!({"url": "http://127.0.0.1:9/orders", "concurrency": 1, "rate_per_s": 1});
    let shop = Shop::open(&expediter, integrator).await?;
    let mut wire = Wire::connect(&shop.address).await?;
    let mut rows = Vec::new();
    for (table, sockets) in effort.sockets.iter().enumerate() {
        let code = shop.table_codes[table].clone();
        let (sender, mut told) = mpsc::unbounded_channel();
        let codes = std::iter::repeat_n(code, *sockets);
        let channels = Sockets::open(&shop.address, codes, move |text| {
            if text.contains(r#""order.placed""#) {
                let _ = sender.send((Instant::now(), text.len()));
            }
        })
        .await?;
        let request = shop.guest_order(table);
        let (mut firsts, mut lasts, mut betweens, mut limits) = (vec![], vec![], vec![], vec![]);
        let mut length = 0;
        for event in 0..=EVENTS * effort.rounds {
            let began = Instant::now();
            wire.expect(201, &request).await?;
            let mut at = Vec::with_capacity(*sockets);
            while at.len() < *sockets {
                let (when, bytes) = timeout(SOON, told.recv())
                    .await
                    .context("a socket did not receive the event in time")?
                    .context("the sockets are closed")?;
                at.push(when);
                length = bytes;
            }
            let first = *at.iter().min().context("there is a socket")?;
            let last = *at.iter().max().context("there is a socket")?;
            // The first event is a warm-up.
            if event > 0 {
                firsts.push((first - began).as_secs_f64());
                lasts.push((last - began).as_secs_f64());
                betweens.push((last - first).as_secs_f64());
            }
        }
        channels.close().await;
        for round in 0..=EVENTS * effort.rounds {
            let limit = plain(*sockets, length).await?;
            if round > 0 {
                limits.push(limit.as_secs_f64());
            }
        }
        let of = |all: Vec<f64>| median(all).map_or(Duration::ZERO, Duration::from_secs_f64);
        let (between, limit) = (of(betweens), of(limits));
        rows.push(vec![
            ground.name().to_owned(),
            sockets.to_string(),
            milliseconds(of(firsts)),
            milliseconds(of(lasts)),
            milliseconds(between),
            milliseconds(limit),
            format!("{:.2}", between.as_secs_f64() / limit.as_secs_f64()),
        ]);
    }
    expediter.end().await?;
    Ok(rows)
}

/// Writes `bytes` to each of `connections` plain connections; returns the time between the first and the last arrival.
async fn plain(connections: usize, bytes: usize) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut writers = Vec::with_capacity(connections);
    let mut readers = JoinSet::new();
    for _ in 0..connections {
        let mut reader = TcpStream::connect(address).await?;
        writers.push(listener.accept().await?.0);
        readers.spawn(async move {
            let mut read = vec![0; bytes];
            reader.read_exact(&mut read).await?;
            anyhow::Ok((Instant::now(), reader))
        });
    }
    // Lets every reader start waiting before the first write.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let frame = vec![b'x'; bytes];
    let writing = tokio::spawn(async move {
        for writer in &mut writers {
            writer.write_all(&frame).await?;
        }
        anyhow::Ok(writers)
    });
    let mut at = Vec::with_capacity(connections);
    while let Some(read) = readers.join_next().await {
        at.push(read??.0);
    }
    drop(writing.await??);
    let first = at.iter().min().context("there is a connection")?;
    let last = at.iter().max().context("there is a connection")?;
    Ok(*last - *first)
}
