//! Intake as clients meet it: requests over kept-alive connections to the real binary.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::json;

use crate::{
    effort::Effort,
    expediter::{Expediter, Shop},
    ground::Ground,
    intake::InProcess,
    report::{Measured, Section, rate},
    samples::{Caller, closed_loop},
    wire::Wire,
};

/// One client with its connection.
struct Client {
    wire: Wire,
    shop: Arc<Shop>,
    next: usize,
}

impl Caller for Client {
    type Took = Duration;

    async fn once(&mut self) -> anyhow::Result<Duration> {
        let n = self.next;
        self.next += 1;
        let request = if n.is_multiple_of(2) {
            self.shop.guests_order(n / 2)
        } else {
            self.shop.accounts_order(n / 2)
        };
        let began = Instant::now();
        let (status, body) = self.wire.send(&request).await?;
        let took = began.elapsed();
        ensure!(
            status == 201,
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(took)
    }
}

pub(crate) async fn measure(effort: &Effort, in_process: &[InProcess]) -> anyhow::Result<Section> {
    let mut rows = Vec::new();
    for ground in Ground::all() {
        let beside = in_process.iter().find(|one| one.ground == ground);
        rows.extend(on(ground, effort, beside).await?);
    }
    Ok(Section {
        number: 2,
        title: "Intake over HTTP",
        about: "The same orders as requests to the binary `expediter` (api, worker and notifier in it, publishing what \
                intake commits), each client on its own kept-alive connection; 201 is the commit. Its integrator is \
                held to one request a second, so that what is measured is intake. The ratio is to section 1 at the same \
                number of callers.",
        columns: vec![
            "ground",
            "clients",
            "orders/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "÷ in process",
        ],
        rows,
        limited_by: "The processor, which client, server, database and broker share: parsing and checking a request, \
                     rendering its answer, and publishing its event cost more than its share of a batch's commit.",
    })
}

async fn on(
    ground: Ground,
    effort: &Effort,
    beside: Option<&InProcess>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let expediter = Expediter::start(ground).await?;
    // Nobody listens there: a handoff that is tried fails at once.
    let integrator = json!({"url": "http://127.0.0.1:9/orders", "concurrency": 1, "rate_per_s": 1});
    let shop = Arc::new(Shop::open(&expediter, integrator).await?);
    let place = async |clients: usize, length: Duration| {
        let mut all = Vec::new();
        for number in 0..clients {
            let wire = Wire::connect(&shop.address).await?;
            // Apart from each other, so that at any time they are at different tables.
            all.push(Client {
                wire,
                shop: shop.clone(),
                next: number * 7,
            });
        }
        closed_loop(all, length).await
    };
    place(64, effort.warm_up).await?;
    let mut measured: Vec<Measured> = effort.callers.iter().map(|_| Measured::default()).collect();
    for _ in 0..effort.rounds {
        for (measured, clients) in measured.iter_mut().zip(effort.callers) {
            measured.add(place(*clients, effort.length).await?);
        }
    }
    expediter.end().await?;
    let rows = measured
        .iter()
        .zip(effort.callers)
        .enumerate()
        .map(|(at, (measured, clients))| {
            let [p50, p99, max] = measured.spread();
            let ratio = beside.map_or_else(
                || "–".to_owned(),
                |beside| measured.ratio_to(&beside.ours[at]),
            );
            vec![
                ground.name().to_owned(),
                clients.to_string(),
                rate(measured.rate_per_s()),
                p50,
                p99,
                max,
                ratio,
            ]
        });
    Ok(rows.collect())
}
