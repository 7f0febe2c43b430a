//! Section 9: orders that waited for an integrator are let go, while new orders go to another one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    effort::Effort,
    expediter::{Expediter, Shop},
    ground::Ground,
    integrator::Integrator,
    report::{Section, rate, spread},
    rush::{Load, Log, Requests},
    samples::{Spread, median},
    scene::Scene,
    targets::{Figure, Target},
};

/// Clients that place the orders which wait.
const FILLERS: usize = 256;
/// New orders a second at the other integrator.
const NEW_PER_S: f64 = 20.0;
/// The rate leaves out one order in so many, the last ones: they may wait for a retry.
const NOT_COUNTED: usize = 50;
const LOOK: Duration = Duration::from_millis(100);

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        on(ground, effort, &mut rows, &mut figures).await?;
    }
    Ok(Section {
        number: 9,
        title: "A backlog that is let go",
        about: "An integrator that takes one order a second (so that its orders wait) gets the given number of orders over HTTP. \
                Then its limit is lifted (concurrency 64, answers at once), and the rate is that of the first 98 % from the \
                first arrival on, measured for at most 90 s (the median, if it was let go several times). Meanwhile 20 new \
                orders a second come on a schedule at another store with an integrator of its own; their delays are \
                compared with the same load in the same process with nothing waiting.",
        columns: vec![
            "ground",
            "waiting",
            "times",
            "handed over",
            "rate/s",
            "÷ fastest",
            "new orders to their integrator: p50 ms",
            "p99 ms",
            "max ms",
            "with nothing waiting: p50 ms",
            "p99 ms",
            "max ms",
            "measured s",
        ],
        rows,
        figures,
        limiting_factor: "The database and the processor, which claims, outcomes, the integrator and the new orders share. A \
                     rate that falls with the number of waiting orders would mean that a claim reads what it does not take.",
    })
}

/// A backlog that was let go, once or several times.
#[derive(Default)]
struct Drained {
    waiting: usize,
    handed_over: usize,
    rates_per_s: Vec<f64>,
    /// Delays of the new orders at the other store.
    alone: Vec<Duration>,
    beside: Vec<Duration>,
    measured: Duration,
}

async fn on(
    ground: Ground,
    effort: &Effort,
    rows: &mut Vec<Vec<String>>,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for waiting in effort.backlogs {
        // Small ones are over so soon that one says little.
        let is_largest = Some(waiting) == effort.backlogs.last();
        let times = if is_largest { 1 } else { effort.rounds };
        let mut drained = Drained::default();
        for _ in 0..times {
            drain(ground, *waiting, effort, &mut drained).await?;
        }
        let per_s = median(drained.rates_per_s.iter().copied()).unwrap_or(0.0);
        all.push((per_s, drained));
    }
    let fastest = all.iter().map(|(per_s, _)| *per_s).fold(0.0, f64::max);
    let slowest = all.iter().map(|(per_s, _)| *per_s);
    let slowest = slowest.fold(f64::INFINITY, f64::min);
    figures.push(Target::Drain.is(ground.name(), format!("{:.2}", slowest / fastest)));
    for (per_s, one) in all {
        let mut row = vec![
            ground.name().to_owned(),
            one.waiting.to_string(),
            one.rates_per_s.len().to_string(),
            one.handed_over.to_string(),
            rate(per_s),
            format!("{:.2}", per_s / fastest),
        ];
        row.extend(spread(Spread::of(one.beside)));
        row.extend(spread(Spread::of(one.alone)));
        row.push(format!("{:.1}", one.measured.as_secs_f64()));
        rows.push(row);
    }
    Ok(())
}

async fn drain(
    ground: Ground,
    waiting: usize,
    effort: &Effort,
    drained: &mut Drained,
) -> anyhow::Result<()> {
    let scene = Scene::open(ground).await?;
    let back = Away::open(&scene.expediter).await?;
    let load = |length| scene.scheduled(NEW_PER_S, length, effort.patience);
    load(effort.warm_up).run(&scene.log).await?;
    let alone = load(effort.scheduled).run(&scene.log).await?;
    drained.alone.extend(alone.to_integrator());
    back.fill(waiting, effort).await?;
    // Fewer, if the program refused orders for too long.
    let waiting = back.log.accepted();
    drained.waiting = waiting;

    let new_orders = load(effort.drain);
    let is_over = new_orders.is_over.clone();
    let new_orders = tokio::spawn({
        let log = scene.log.clone();
        async move { new_orders.run(&log).await }
    });
    back.come_back().await?;
    let began = Instant::now();
    let before = back.log.arrivals();
    ensure!(
        before < waiting / 2,
        "{before} of {waiting} orders did not wait"
    );
    let enough = waiting - (waiting - before) / NOT_COUNTED;
    while back.log.arrivals() < enough && began.elapsed() < effort.drain {
        sleep(LOOK).await;
    }
    drained.measured += began.elapsed();
    is_over.store(true, Ordering::Relaxed);
    drained.beside.extend(new_orders.await??.to_integrator());
    let at = back.log.received_at();
    let counted = &at[before..at.len().min(enough)];
    let first = counted.first().context("nothing was handed over")?;
    let last = counted.last().context("nothing was handed over")?;
    let taken = (*last - *first).as_secs_f64();
    drained.handed_over += counted.len();
    drained.rates_per_s.push(counted.len() as f64 / taken);
    drop(back);
    scene.end().await
}

/// A store whose integrator takes one order a second until it comes back.
struct Away {
    shop: Arc<Shop>,
    log: Log,
    _integrator: Integrator,
}

impl Away {
    async fn open(expediter: &Expediter) -> anyhow::Result<Self> {
        let log = Log::default();
        let integrator = Integrator::start({
            let log = log.clone();
            move |order, at| log.received(order, at)
        })
        .await?;
        let url = format!("http://{}/orders", integrator.address);
        let wanted = json!({"url": url, "concurrency": 64, "rate_per_s": 1});
        Ok(Self {
            shop: Arc::new(Shop::open(expediter, wanted).await?),
            log,
            _integrator: integrator,
        })
    }

    /// Places `orders` orders.
    async fn fill(&self, orders: usize, effort: &Effort) -> anyhow::Result<()> {
        let shop = self.shop.clone();
        let requests: Requests = Arc::new({
            let shop = shop.clone();
            move |n| shop.any_order(n)
        });
        let (length, patience) = (effort.drain * 3, effort.patience);
        let load = Load {
            connections: FILLERS.min(orders),
            orders: Some(orders),
            ..Load::saturating(shop.address.clone(), requests, length, patience)
        };
        load.apply(&self.log).await?;
        Ok(())
    }

    async fn come_back(&self) -> anyhow::Result<()> {
        let unlimited = json!({"rate_per_s": Value::Null});
        self.shop.change_integrator(&unlimited).await
    }
}
