//! Measures the queries behind `GET /stats` and lists over many old orders, compared with counting all by status.

use std::time::{Duration, Instant};

use anyhow::ensure;
use domain::{ids::OrderId, order::Fulfilment, status::OrderStatus};
use ledger::{Ledger, orders::OrderFilter, testing::TestLedger};

use crate::{
    bare::{Bare, bare},
    effort::Effort,
    ground::{self, Ground},
    history::History,
    report::{Section, spread},
    samples::Spread,
};

const STORES: usize = 20;
const PAGE: u32 = 50;
/// Number of stores per sweep, as in the worker's default settings.
const SWEEP_BATCH: u32 = 512;

/// A measured query, with its name in the table.
struct Question {
    what: &'static str,
    asked: Query,
    took: Vec<Duration>,
}

enum Query {
    /// The limit.
    CountAll,
    Stats,
    StatsOfStore,
    Page(Box<OrderFilter>, Option<OrderId>),
}

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let mut rows = Vec::new();
    for ground in Ground::all() {
        rows.extend(on(ground, effort).await?);
    }
    Ok(Section {
        number: 6,
        title: "Stats and lists over many orders",
        about: "One year of orders of 20 stores, with one item each; one store has half of them. All have ended except 400 of the \
                last minutes. The ledger's queries behind `GET /stats` and `GET /orders` (50 per page) are measured \
                without HTTP, alternately with `SELECT status, COUNT(*) FROM orders GROUP BY status` on a separate \
                connection. At first all orders are untallied, as after an upgrade, and the sweep catches up, a limited \
                number of each store's orders per sweep (ADR 11).",
        columns: vec![
            "database",
            "orders",
            "query",
            "times",
            "p50 ms",
            "p99 ms",
            "max ms",
            "÷ counting all",
        ],
        rows,
        figures: Vec::new(),
        limiting_factor: "Stats read one row of sums per store and count the newer orders: their time grows with the open orders, not \
                     with the old ones. A page is found through one index and then read by id; a search without matches \
                     ends after some thousand rows. Catching up takes one transaction per 256 orders, several per sweep.",
    })
}

async fn on(ground: Ground, effort: &Effort) -> anyhow::Result<Vec<Vec<String>>> {
    let database = ground.fresh().await?;
    let house = TestLedger::with_clock(database.db.clone(), platform::clock::Clock::system());
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(house.create_store().await);
    }
    let mut connection = Bare::connect(&database.url()).await?;
    let now = house.clock.now();
    let history = History::write(&mut connection, &stores, effort.history, None, now).await?;

    let ledger = &house.ledger;
    let untallied = ask(&Query::Stats, ledger, &mut connection, &history).await?;
    let sweeps = catch_up(ledger).await?;
    let mut questions = questions(&history);
    for round in 0..=effort.readings {
        for question in &mut questions {
            let took = ask(&question.asked, ledger, &mut connection, &history).await?;
            // The first round prepares statements and reads from disk: it is not counted.
            if round > 0 {
                question.took.push(took);
            }
        }
    }
    drop(connection);
    drop(house);
    ground::end(database).await;

    let middle =
        |took: &[Duration]| Spread::of(took.iter().copied()).map(|spread| spread.p50.as_secs_f64());
    let count_all = middle(&questions[0].took);
    let row = |what: String, took: &[Duration]| {
        let [p50, p99, max] = spread(Spread::of(took.iter().copied()));
        let ratio = middle(took)
            .zip(count_all)
            .map(|(took, count_all)| took / count_all);
        vec![
            ground.database().to_owned(),
            history.orders.to_string(),
            what,
            took.len().to_string(),
            p50,
            p99,
            max,
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")),
        ]
    };
    let per_s = history.orders as f64 / sweeps.iter().sum::<Duration>().as_secs_f64();
    let mut rows = vec![
        row("stats, nothing tallied yet".to_owned(), &[untallied]),
        row(
            format!("a sweep that catches up: {per_s:.0} orders/s"),
            &sweeps,
        ),
    ];
    rows.extend(
        questions
            .iter()
            .map(|question| row(question.what.to_owned(), &question.took)),
    );
    Ok(rows)
}

/// Runs sweeps like the worker until all orders are tallied; returns the duration of each.
pub(crate) async fn catch_up(ledger: &Ledger) -> anyhow::Result<Vec<Duration>> {
    let (mut sweeps, mut after, mut is_behind) = (Vec::new(), None, false);
    loop {
        let began = Instant::now();
        let walk = ledger.tally_orders(after, SWEEP_BATCH).await?;
        sweeps.push(began.elapsed());
        after = walk.last;
        is_behind |= walk.is_behind;
        if after.is_none() && !std::mem::take(&mut is_behind) {
            return Ok(sweeps);
        }
    }
}

fn questions(history: &History) -> Vec<Question> {
    let all = OrderFilter::default;
    let store = || OrderFilter {
        stores: Some(vec![history.busiest]),
        ..all()
    };
    let failed = || vec![OrderStatus::Failed];
    let page = |filter| Query::Page(Box::new(filter), None);
    let question = |what, asked| Question {
        what,
        asked,
        took: Vec::new(),
    };
    vec![
        question("limit: counting all by status", Query::CountAll),
        question("stats of all stores", Query::Stats),
        question("stats of the busiest store", Query::StatsOfStore),
        question("orders, the first page", page(all())),
        question(
            "orders, a page after 95 % of all",
            Query::Page(Box::new(all()), Some(history.early)),
        ),
        question(
            "failed orders",
            page(OrderFilter {
                statuses: failed(),
                ..all()
            }),
        ),
        question(
            "orders placed before a given day",
            page(OrderFilter {
                placed_before: Some(history.early_at),
                ..all()
            }),
        ),
        question(
            "orders for delivery (no match)",
            page(OrderFilter {
                fulfilment: Some(Fulfilment::Delivery),
                ..all()
            }),
        ),
        question("orders of the busiest store, the first page", page(store())),
        question(
            "failed orders of the busiest store, after 95 % of all",
            Query::Page(
                Box::new(OrderFilter {
                    statuses: failed(),
                    ..store()
                }),
                Some(history.early),
            ),
        ),
        question(
            "order of the busiest store by reference",
            page(OrderFilter {
                reference: Some(history.reference.clone()),
                ..store()
            }),
        ),
        question(
            "order of an account by reference",
            page(OrderFilter {
                account: Some(history.account),
                reference: Some(history.reference.clone()),
                ..all()
            }),
        ),
    ]
}

async fn ask(
    asked: &Query,
    ledger: &Ledger,
    connection: &mut Bare,
    history: &History,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    match asked {
        Query::CountAll => ensure!(counted(connection).await? == history.orders),
        Query::Stats => ensure!(ledger.stats(None).await?.orders() == history.orders),
        Query::StatsOfStore => {
            let tally = ledger.stats(Some(&[history.busiest])).await?;
            ensure!(tally.orders() == (history.orders + 1) / 2);
        }
        Query::Page(filter, after) => {
            let page = ledger.orders(filter, *after, PAGE).await?;
            let expected = match filter.as_ref() {
                OrderFilter {
                    reference: Some(_), ..
                } => 1,
                OrderFilter {
                    fulfilment: Some(_),
                    ..
                } => 0,
                _ => PAGE as usize,
            };
            ensure!(
                page.orders.len() == expected,
                "{} orders: {filter:?}",
                page.orders.len()
            );
        }
    }
    Ok(began.elapsed())
}

async fn counted(connection: &mut Bare) -> anyhow::Result<i64> {
    let rows: Vec<(String, i64)> = bare!(connection, |conn| {
        sqlx::query_as("SELECT status, COUNT(*) FROM orders GROUP BY status")
            .fetch_all(conn)
            .await?
    });
    Ok(rows.iter().map(|(_, orders)| orders).sum())
}
