//! Counts the SQL statements of each step of an order, from sqlx's log.

use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, sync::Arc, thread, time::Duration};

use anyhow::{Context, anyhow};
use domain::{callback::Update, handoff::SendResult, ids::OrderId};
use futures_util::future::try_join_all;
use ledger::handoffs::Claimed;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

use crate::{
    ground::{self, Ground},
    report::Section,
    stall::Stall,
};

/// Size of a full intake batch.
const BATCH: usize = 256;
/// Size of a full claim.
const CLAIM: usize = 64;
const LEASE: Duration = Duration::from_secs(60);

/// Counts on its own single-threaded runtime, so that all orders of a batch are queued before intake takes the first.
/// Nothing else may use a database meanwhile. `texts`: also print the statements.
pub(crate) fn count(texts: bool) -> anyhow::Result<Section> {
    let counting = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counter = Counter::default();
        // Global, because SQLite's statements run on their own thread.
        tracing::subscriber::set_global_default(counter.clone())?;
        runtime.block_on(steps(&counter, texts))
    });
    let rows = counting
        .join()
        .map_err(|_| anyhow!("the count panicked"))??;
    Ok(Section {
        number: 4,
        title: "Statements an order takes",
        about: "SQL statements, including BEGIN and COMMIT, of one order with three items and one required integrator, counted \
                step by step without HTTP. Both databases run the same statements.",
        columns: vec!["step", "orders at once", "statements", "per order"],
        rows,
        figures: Vec::new(),
        limiting_factor: "Each statement is a round trip to MySQL under the order's lock. A batch of intake, a claim, and a batch of \
                     outcomes or of callbacks have a fixed number of statements, which their orders share (ADR 60 and \
                     71), so that almost none remain per order.",
    })
}

async fn steps(counter: &Counter, texts: bool) -> anyhow::Result<Vec<Vec<String>>> {
    let ground = Ground::all().pop().context("no backend")?;
    let database = ground.fresh().await?;
    let stall = Stall::open(&database.db).await?;
    let mut rows = Vec::new();
    // The first pass is not measured: it opens every connection and gives every session its events.
    for measured in [false, true] {
        let mut note = |step: &str, orders: usize| {
            let counted = counter.take();
            if measured {
                let statements: usize = counted.values().sum();
                rows.push(vec![
                    step.to_owned(),
                    orders.to_string(),
                    statements.to_string(),
                    format!("{:.1}", statements as f64 / orders as f64),
                ]);
                if texts {
                    rows.extend(counted.into_iter().map(|(text, times)| {
                        vec![
                            format!("· `{text}`"),
                            String::new(),
                            times.to_string(),
                            String::new(),
                        ]
                    }));
                }
            }
        };
        counter.take();
        place(&stall, 0..1).await?;
        note("intake, a guest's order", 1);
        place(&stall, 1..2).await?;
        note("intake, an account's order", 1);
        let one = claim(&stall, 1).await?;
        note("claim of a handoff", 1);
        conclude(&stall, &one).await?;
        note("outcome 2xx, which accepts the order", 1);
        let order = one[0]
            .handoff
            .order_id
            .context("the handoff has no order")?;
        call_back(&stall, order, measured).await?;
        note("storing a callback", 1);
        stall.ledger.apply_callbacks(order).await?;
        note("applying it: preparing", 1);
        let rest = claim(&stall, CLAIM).await?;
        counter.take();
        conclude(&stall, &rest).await?;
        counter.take();
        place(&stall, 0..BATCH).await?;
        note("intake, a full batch", BATCH);
        let many = claim(&stall, CLAIM).await?;
        note("claim of many handoffs", many.len());
        conclude(&stall, &many).await?;
        note("outcomes, all at once", many.len());
        let mut orders: Vec<OrderId> = Vec::new();
        for one in &many {
            let order = one.handoff.order_id.context("the handoff has no order")?;
            call_back(&stall, order, measured).await?;
            orders.push(order);
        }
        counter.take();
        let applied = orders
            .iter()
            .map(|order| stall.ledger.apply_callbacks(*order));
        try_join_all(applied).await?;
        note("applying callbacks, all at once", orders.len());
        loop {
            let rest = claim(&stall, CLAIM).await?;
            if rest.is_empty() {
                break;
            }
            conclude(&stall, &rest).await?;
        }
    }
    drop(stall);
    ground::end(database).await;
    Ok(rows)
}

async fn place(stall: &Stall, orders: std::ops::Range<usize>) -> anyhow::Result<()> {
    try_join_all(orders.map(|n| stall.ledger.place_order(stall.order(n)))).await?;
    Ok(())
}

async fn claim(stall: &Stall, most: usize) -> anyhow::Result<Vec<Claimed>> {
    Ok(stall
        .ledger
        .claim_handoffs(stall.kitchen.id, most, LEASE)
        .await?
        .claimed)
}

async fn conclude(stall: &Stall, claimed: &[Claimed]) -> anyhow::Result<()> {
    let heard = SendResult::Answer {
        status: 200,
        retry_after: None,
    };
    let all = claimed.iter().map(|one| {
        let ledger = &stall.ledger;
        ledger.conclude_attempt(one, &heard, Some(b"{}"), false)
    });
    try_join_all(all).await?;
    Ok(())
}

async fn call_back(stall: &Stall, order: OrderId, again: bool) -> anyhow::Result<()> {
    let update = Update {
        order_id: Some(order),
        reference: None,
        status: Some("preparing".to_owned()),
        reason: None,
        sequence: None,
        occurred_at: None,
        ready_at: None,
        delivery: None,
    };
    let webhook_id = format!("msg_{order}_{again}");
    stall
        .ledger
        .receive_callback(&stall.kitchen, &webhook_id, update)
        .await?;
    Ok(())
}

/// Counts the statements that sqlx logs, by text.
#[derive(Clone, Debug, Default)]
struct Counter(Arc<Mutex<BTreeMap<String, usize>>>);

impl Counter {
    fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Subscriber for Counter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let text = if text.statement.is_empty() {
            text.summary
        } else {
            text.statement
        };
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // SET configures a new connection and belongs to no order.
        if text.starts_with("SET ") {
            return;
        }
        let text = text.chars().take(110).collect();
        *self.0.lock().entry(text).or_default() += 1;
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text {
    summary: String,
    statement: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.statement = value.trim().to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
