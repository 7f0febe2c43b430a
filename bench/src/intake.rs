//! Measures intake without HTTP: `Ledger::place_order` by many callers, compared with plain inserts of the same rows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use store::testing::FreshDb;

use crate::{
    bare::{Loader, Sample, per_order},
    effort::Effort,
    ground::{self, Ground},
    report::{Measured, Section, rate},
    samples::{Caller, Run, closed_loop},
    stall::Stall,
    targets::{Figure, Target},
};

const ORDERS_PER_BULK: usize = 50;

struct Guest {
    stall: Stall,
    next: Arc<AtomicUsize>,
}

impl Caller for Guest {
    type Took = Duration;

    async fn once(&mut self) -> anyhow::Result<Duration> {
        let order = self.stall.order(self.next.fetch_add(1, Ordering::Relaxed));
        let began = Instant::now();
        self.stall.ledger.place_order(order).await?;
        Ok(began.elapsed())
    }
}

/// A stall in a fresh database, and callers who place orders there through the ledger.
pub(crate) struct InProcess {
    database: FreshDb,
    stall: Stall,
    next: Arc<AtomicUsize>,
}

impl InProcess {
    pub(crate) async fn open(ground: Ground) -> anyhow::Result<Self> {
        let database = ground.fresh().await?;
        Ok(Self {
            stall: Stall::open(&database.db).await?,
            database,
            next: Arc::default(),
        })
    }

    pub(crate) async fn place(&self, callers: usize, length: Duration) -> anyhow::Result<Run> {
        let guests: Vec<Guest> = (0..callers)
            .map(|_| Guest {
                stall: self.stall.clone(),
                next: self.next.clone(),
            })
            .collect();
        closed_loop(guests, length).await
    }

    pub(crate) async fn end(self) {
        drop(self.stall);
        ground::end(self.database).await;
    }
}

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        rows.extend(on(ground, effort, &mut figures).await?);
    }
    Ok(Section {
        number: 1,
        title: "Intake in process",
        about: "`Ledger::place_order` with three items per order, half of them counted; half of the orders are placed by guests at 64 \
                tables, half by accounts; one required integrator. Every order locks its table, its store's counter and its \
                counted stock, and writes order, items, stock, event, handoff and outbox. The limits write the same rows of \
                orders, order_items, handoffs, events and outbox with plain sqlx and read nothing: 50 orders per transaction \
                over 2 connections (SQLite has one writer: 1), and one order per transaction over 16 (SQLite: 1).",
        columns: vec![
            "database",
            "callers",
            "orders/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "÷ bulk load",
            "÷ one per transaction",
        ],
        rows,
        figures,
        limiting_factor: "With 1 caller, the round trips of one transaction and its durable commit. From 16 callers on, the processor: \
                     encoding rows, JSON and statements in this process, and the database's work on eleven index entries per \
                     order. The bulk loader pays the same for rows, but nothing for locks, reads and stock.",
    })
}

async fn on(
    ground: Ground,
    effort: &Effort,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let (ours, beside) = (InProcess::open(ground).await?, ground.fresh().await?);
    let sample = Arc::new(sample(&ours.stall).await?);
    let (bulk_connections, single_connections) = match ground {
        Ground::Embedded => (1, 1),
        Ground::Servers => (2, 16),
    };

    let url = beside.url();
    let load = |connections: usize, orders: usize, length: Duration| {
        load(&url, &sample, connections, orders, length)
    };

    ours.place(256, effort.warm_up).await?;
    load(bulk_connections, ORDERS_PER_BULK, effort.warm_up).await?;
    let (mut bulk, mut single) = (Measured::default(), Measured::default());
    let mut placed: Vec<Measured> = effort.callers.iter().map(|_| Measured::default()).collect();
    for _ in 0..effort.rounds {
        bulk.add(load(bulk_connections, ORDERS_PER_BULK, effort.length).await?);
        for (measured, callers) in placed.iter_mut().zip(effort.callers) {
            measured.add(ours.place(*callers, effort.length).await?);
        }
        single.add(load(single_connections, 1, effort.length).await?);
    }
    ours.end().await;
    ground::end(beside).await;

    for (measured, callers) in placed.iter().zip(effort.callers) {
        if *callers == 256 {
            figures.push(Target::Intake.is(ground.database(), measured.ratio_to(&bulk)));
        }
    }
    let row = |what: String, measured: &Measured| {
        let [p50, p99, max] = measured.spread();
        vec![
            ground.database().to_owned(),
            what,
            rate(measured.rate_per_s()),
            p50,
            p99,
            max,
            measured.ratio_to(&bulk),
            measured.ratio_to(&single),
        ]
    };
    let mut rows: Vec<Vec<String>> = placed
        .iter()
        .zip(effort.callers)
        .map(|(measured, callers)| row(callers.to_string(), measured))
        .collect();
    rows.push(row(
        format!(
            "limit: bulk load, {ORDERS_PER_BULK} a transaction, {bulk_connections} connection(s)"
        ),
        &bulk,
    ));
    rows.push(row(
        format!("limit: one per transaction, {single_connections} connection(s)"),
        &single,
    ));
    Ok(rows)
}

async fn load(
    url: &str,
    sample: &Arc<Sample>,
    connections: usize,
    orders: usize,
    length: Duration,
) -> anyhow::Result<Run> {
    let mut loaders = Vec::new();
    for _ in 0..connections {
        let mut loader = Loader::connect(url, sample, orders).await?;
        // Prepares the statements.
        loader.load().await?;
        loaders.push(loader);
    }
    Ok(per_order(closed_loop(loaders, length).await?, orders))
}

/// Places one account's order through the ledger and returns its rows as a template.
pub(crate) async fn sample(stall: &Stall) -> anyhow::Result<Sample> {
    drop(stall.house.woken.take());
    let placed = stall.house.ledger.place_order(stall.order(1)).await?;
    let told = stall
        .house
        .woken
        .take()
        .pop()
        .context("the commit offered no outbox row")?;
    Sample::of(placed.order, stall.kitchen.id.uuid(), told.announcement)
}
