//! Measures end to end: from a guest's POST to the integrator's 2xx and to "accepted" on the table's socket.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    bare::{Loader, Sample},
    effort::Effort,
    expediter::{Expediter, Shop},
    ground::{self, Ground},
    intake::sample,
    integrator::Integrator,
    report::{Measured, Section, rate, spread},
    samples::{Caller, Run, Spread, closed_loop},
    sockets::Sockets,
    stall::Stall,
    targets::{Figure, Target},
    wire::{Wire, post},
};

const SOON: Duration = Duration::from_secs(30);

/// Arrival times of the orders in flight, at the integrator and on the socket.
#[derive(Clone, Debug, Default)]
struct Board(Arc<Mutex<HashMap<String, Seen>>>);

#[derive(Debug, Default)]
struct Seen {
    received: Option<Instant>,
    accepted: Option<Instant>,
    waiter: Option<oneshot::Sender<(Instant, Instant)>>,
}

impl Board {
    fn note(&self, order: String, what: impl FnOnce(&mut Seen)) {
        let mut board = self.0.lock();
        let seen = board.entry(order.clone()).or_default();
        what(seen);
        if let (Some(received), Some(accepted), Some(_)) =
            (seen.received, seen.accepted, &seen.waiter)
            && let Some(waiter) = board.remove(&order).and_then(|seen| seen.waiter)
        {
            let _ = waiter.send((received, accepted));
        }
    }

    /// Waits for an order; returns when the integrator received it and when the socket showed it as accepted.
    async fn way(&self, order: String) -> anyhow::Result<(Instant, Instant)> {
        let (waiter, over) = oneshot::channel();
        self.note(order.clone(), |seen| seen.waiter = Some(waiter));
        let over = timeout(SOON, over).await;
        Ok(over.with_context(|| format!("order {order} was not accepted in time"))??)
    }
}

/// Delays of one order, from the POST on.
#[derive(Clone, Copy, Debug)]
struct Way {
    to_integrator: Duration,
    to_socket: Duration,
}

struct Guest {
    wire: Wire,
    shop: Arc<Shop>,
    board: Board,
    next: usize,
}

#[derive(Deserialize)]
struct Placed {
    id: String,
}

impl Caller for Guest {
    type Took = Way;

    async fn once(&mut self) -> anyhow::Result<Way> {
        let request = self.shop.guest_order(self.next);
        self.next += 1;
        let began = Instant::now();
        let (status, body) = self.wire.send(&request).await?;
        let placed: Placed = serde_json::from_slice(&body)
            .with_context(|| format!("{status}: {}", String::from_utf8_lossy(&body)))?;
        let (received, accepted) = self.board.way(placed.id).await?;
        Ok(Way {
            to_integrator: received - began,
            to_socket: accepted - began,
        })
    }
}

/// The limit: inserts an order's rows in one transaction, then POSTs to the same integrator.
struct Bare {
    loader: Arc<tokio::sync::Mutex<Loader>>,
    wire: Wire,
    request: Arc<[u8]>,
}

impl Caller for Bare {
    type Took = Duration;

    async fn once(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.loader.lock().await.load().await?;
        self.wire.expect(200, &self.request).await?;
        Ok(began.elapsed())
    }
}

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        rows.extend(on(ground, effort, &mut figures).await?);
    }
    Ok(Section {
        number: 3,
        title: "End to end",
        about: "From a guest's POST to the integrator's receipt of the handoff, and on to its 2xx and `accepted` on the table's \
                WebSocket, with the given number of orders in flight; the next order is placed when the previous one is \
                accepted. The limit, in the same run: an insert of the order's rows in one transaction and then a POST to \
                the same integrator, with the same number in flight (SQLite: one writer).",
        columns: vec![
            "ground",
            "in flight",
            "orders/s",
            "to integrator: p50 ms",
            "p99 ms",
            "max ms",
            "to socket: p50 ms",
            "p99 ms",
            "max ms",
            "limit orders/s",
            "÷ limit",
        ],
        rows,
        figures,
        limiting_factor: "Three consecutive commits (intake, claim with the attempt's row, outcome) where the limit has one, and the \
                     statements of a handoff and its outcome (section 4). Each claim and each outcome is a durable commit, \
                     which SQLite takes one at a time.",
    })
}

#[derive(Debug, Default)]
struct Ways {
    whole: Measured,
    to_integrator: Vec<Duration>,
    bare: Measured,
}

async fn on(
    ground: Ground,
    effort: &Effort,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let board = Board::default();
    let integrator = Integrator::start({
        let board = board.clone();
        move |order, at| board.note(order, |seen| seen.received = seen.received.or(Some(at)))
    })
    .await?;
    let expediter = Expediter::start(ground).await?;
    let wanted = json!({"url": format!("http://{}/orders", integrator.address), "concurrency": 64});
    let shop = Arc::new(Shop::open(&expediter, wanted).await?);
    let sockets = Sockets::open(&shop.address, shop.table_codes.clone(), {
        let board = board.clone();
        move |text| {
            if let Some((order, at)) = accepted_order(text) {
                board.note(order, |seen| seen.accepted = Some(at));
            }
        }
    })
    .await?;
    let place = async |in_flight: usize, length: Duration| {
        let mut guests = Vec::new();
        for number in 0..in_flight {
            let wire = Wire::connect(&shop.address).await?;
            guests.push(Guest {
                wire,
                shop: shop.clone(),
                board: board.clone(),
                next: number * 7,
            });
        }
        closed_loop(guests, length).await
    };

    let beside = ground.fresh().await?;
    let stall = Stall::open(&beside.db).await?;
    let sample = Arc::new(sample(&stall).await?);
    drop(stall);
    let url = beside.url();
    let bare = |in_flight: usize, length: Duration| {
        bare(
            ground,
            &url,
            &sample,
            &integrator.address,
            in_flight,
            length,
        )
    };

    // Each number separately: a connection prepares a batch's statements when it first sees a batch of that size.
    for in_flight in effort.in_flight {
        place(*in_flight, effort.warm_up).await?;
    }
    bare(16, effort.warm_up).await?;
    let mut all: Vec<Ways> = effort.in_flight.iter().map(|_| Ways::default()).collect();
    for _ in 0..effort.rounds {
        for (ways, in_flight) in all.iter_mut().zip(effort.in_flight) {
            let run = place(*in_flight, effort.length).await?;
            ways.to_integrator
                .extend(run.took.iter().map(|way| way.to_integrator));
            let took = run.took.iter().map(|way| way.to_socket).collect();
            ways.whole.add(Run {
                elapsed: run.elapsed,
                took,
            });
            ways.bare.add(bare(*in_flight, effort.length).await?);
        }
    }
    sockets.close().await;
    expediter.end().await?;
    ground::end(beside).await;

    let rows = all
        .into_iter()
        .zip(effort.in_flight)
        .map(|(ways, in_flight)| {
            if *in_flight == 1 {
                let [handoff, ..] = spread(Spread::of(ways.to_integrator.iter().copied()));
                let [screen, ..] = ways.whole.spread();
                figures.push(Target::FirstHandoff.is(ground.name(), handoff));
                figures.push(Target::FirstScreen.is(ground.name(), screen));
            }
            let mut row = vec![
                ground.name().to_owned(),
                in_flight.to_string(),
                rate(ways.whole.rate_per_s()),
            ];
            row.extend(spread(Spread::of(ways.to_integrator)));
            row.extend(ways.whole.spread());
            row.extend([
                rate(ways.bare.rate_per_s()),
                ways.whole.ratio_to(&ways.bare),
            ]);
            row
        });
    Ok(rows.collect())
}

async fn bare(
    ground: Ground,
    url: &str,
    sample: &Arc<Sample>,
    integrator: &str,
    in_flight: usize,
    length: Duration,
) -> anyhow::Result<Run> {
    let connect = async || {
        anyhow::Ok(Arc::new(tokio::sync::Mutex::new(
            Loader::connect(url, sample, 1).await?,
        )))
    };
    let shared = connect().await?;
    // As long as a real handoff's body.
    let body =
        json!({"event": "order.placed", "order": sample.announcement.events[0].data["order"]});
    let request: Arc<[u8]> = post("/orders", None, &body).into();
    let mut all = Vec::new();
    for _ in 0..in_flight {
        let loader = match ground {
            Ground::Embedded => shared.clone(),
            Ground::Servers => connect().await?,
        };
        let wire = Wire::connect(integrator).await?;
        all.push(Bare {
            loader,
            wire,
            request: request.clone(),
        });
    }
    closed_loop(all, length).await
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    order: Option<OrderFacts>,
}

#[derive(Deserialize)]
struct OrderFacts {
    id: String,
    status: String,
}

/// Returns the order that a frame shows as accepted, and the time now.
pub(crate) fn accepted_order(text: &str) -> Option<(String, Instant)> {
    let at = Instant::now();
    let Ok(Frame {
        kind,
        data: Some(Data { order: Some(order) }),
    }) = serde_json::from_str(text)
    else {
        return None;
    };
    (kind == "order.status_changed" && order.status == "accepted").then_some((order.id, at))
}
