//! Measures intake over HTTP: requests over keep-alive connections to the real binary.

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
    targets::{Figure, Target},
    wire::Wire,
};

/// A client with one connection.
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
        let request = self.shop.any_order(n);
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

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        rows.extend(on(ground, effort, &mut figures).await?);
    }
    Ok(Section {
        number: 2,
        title: "Intake over HTTP",
        about: "The same orders, sent as HTTP requests to the binary `expediter` (with api, worker and notifier, which publish \
                the events), each client on its own keep-alive connection; a 201 means committed. The integrator is \
                limited to one request a second, so that intake dominates. The limit, measured alternately: orders placed \
                as in section 1 by the same number of callers.",
        columns: vec![
            "ground",
            "clients",
            "orders/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "in process, orders/s",
            "÷ in process",
        ],
        rows,
        figures,
        limiting_factor: "The processor, which client, server, database and broker share. Parsing and validating a request, \
                     rendering its response and publishing its event cost more than its share of a batch's commit.",
    })
}

async fn on(
    ground: Ground,
    effort: &Effort,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let expediter = Expediter::start(ground).await?;
    // Nothing listens on this port: every attempt fails immediately.
    let integrator = json!({"url": "http://127.0.0.1:9/orders", "concurrency": 1, "rate_per_s": 1});
    let shop = Arc::new(Shop::open(&expediter, integrator).await?);
    let place = async |clients: usize, length: Duration| {
        let mut all = Vec::new();
        for number in 0..clients {
            let wire = Wire::connect(&shop.address).await?;
            // Different starting points, so that concurrent clients use different tables.
            all.push(Client {
                wire,
                shop: shop.clone(),
                next: number * 7,
            });
        }
        closed_loop(all, length).await
    };
    let in_process = InProcess::open(ground).await?;
    place(64, effort.warm_up).await?;
    in_process.place(64, effort.warm_up).await?;
    let mut all: Vec<[Measured; 2]> = effort.callers.iter().map(|_| Default::default()).collect();
    for _ in 0..effort.rounds {
        for ([over_http, beside], clients) in all.iter_mut().zip(effort.callers) {
            over_http.add(place(*clients, effort.length).await?);
            beside.add(in_process.place(*clients, effort.length).await?);
        }
    }
    expediter.end().await?;
    in_process.end().await;
    for ([over_http, beside], clients) in all.iter().zip(effort.callers) {
        if *clients == 64 {
            figures.push(Target::Http.is(ground.name(), over_http.ratio_to(beside)));
        }
    }
    let rows = all
        .iter()
        .zip(effort.callers)
        .map(|([over_http, beside], clients)| {
            let [p50, p99, max] = over_http.spread();
            vec![
                ground.name().to_owned(),
                clients.to_string(),
                rate(over_http.rate_per_s()),
                p50,
                p99,
                max,
                rate(beside.rate_per_s()),
                over_http.ratio_to(beside),
            ]
        });
    Ok(rows.collect())
}
