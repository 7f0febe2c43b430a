//! Rounds of seeded trouble under load, each with a reckoning of what was accepted against what became of it.

pub mod line; // a connection that can be cut, frozen and slowed
pub mod servers; // MariaDB and RabbitMQ that may be killed

mod plan; // what a round does

mod house; // all of it that is under test
mod process; // one process of it
mod queue; // what somebody does to the queues by hand

mod trouble; // what goes wrong, done

mod follower; // screens
mod load; // guests and accounts
mod table; // a round's store and integrator

mod books; // the reckoning
mod report; // what is told of it

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

pub use house::{House, RATE, Shape};
pub use plan::Wire;
pub use process::{Process, answer};
pub use report::{Report, RoundReport};
pub use table::Table;

use books::{Books, Closed, Counts, Violation};
use follower::Followed;
use plan::Round;
use servers::Servers;

/// Of one screen, after so many events, and of another that stays.
const LEAVES_AFTER: [u32; 3] = [7, 23, u32::MAX];
/// Rounds between two audits: they read all that was ever stored.
const AUDIT_EVERY: u32 = 5;
/// However bad it is, a round is over then.
const ROUND_AT_MOST: Duration = Duration::from_secs(240);

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    pub shape: Shape,
    pub seed: u64,
    /// Its number.
    pub first_round: u32,
    pub rounds: u32,
}

impl Chaos {
    /// Until the first violation; `tell` hears of each round when it is over.
    ///
    /// # Panics
    /// When a process does not come up.
    pub async fn run(self, servers: Option<Servers>, mut tell: impl FnMut(&RoundReport)) -> Report {
        let house = Arc::new(House::open(self.shape, servers).await);
        let mut report = Report {
            shape: self.shape,
            seed: self.seed,
            rounds: Vec::new(),
            evidence: None,
        };
        // What comes after its round was closed is noticed in one of the next.
        let mut earlier: Option<(Arc<Table>, usize)> = None;
        for number in self.first_round..self.first_round + self.rounds {
            let plan = Round::of(self.seed, number, house.reach());
            let is_audited = (number + 1).is_multiple_of(AUDIT_EVERY)
                || number + 1 == self.first_round + self.rounds;
            let whole = AssertUnwindSafe(one_round(&house, number, plan.clone())).catch_unwind();
            let (mut round, table) = match timeout(ROUND_AT_MOST, whole).await {
                Ok(Ok(done)) => done,
                Ok(Err(panic)) => (failed(number, plan, &words(&*panic)), None),
                Err(_) => (failed(number, plan, "the round does not end"), None),
            };
            if is_audited {
                round.violations.extend(audited(&house).await);
            }
            if let Some((table, requests)) = earlier.take()
                && table.integrator.received().len() != requests
            {
                round.violations.push(Violation::new(
                    "something was sent of a round before, after all of it had ended",
                ));
            }
            tell(&round);
            if !round.violations.is_empty() {
                report.evidence = Some(evidence(&house, &round).await);
            }
            let is_clean = round.violations.is_empty();
            report.rounds.push(round);
            if !is_clean {
                break;
            }
            earlier = table.map(|table| {
                let requests = table.integrator.received().len();
                (table, requests)
            });
        }
        if let Some(servers) = &house.servers {
            let _ = servers.end().await;
        }
        report
    }
}

async fn one_round(
    house: &Arc<House>,
    number: u32,
    plan: Round,
) -> (RoundReport, Option<Arc<Table>>) {
    let began = Instant::now();
    let table = match Table::lay(house).await {
        Ok(table) => Arc::new(table),
        Err(error) => return (failed(number, plan, &error), None),
    };
    table.integrator.calls_back_times(plan.copies);
    let url = house.channel_url(&table.session_code);
    let goal = watch::Sender::new(None);
    let screens: Vec<_> = LEAVES_AFTER
        .iter()
        .map(|leaves_after| {
            tokio::spawn(follower::follow(
                url.clone(),
                *leaves_after,
                goal.subscribe(),
            ))
        })
        .collect();
    let begin = Instant::now();
    let customers = join_all(plan.orders.iter().enumerate().map(|(n, wanted)| {
        load::insist(house, &table, format!("round-{number}-{n}"), *wanted, begin)
    }));
    let troubles = join_all(
        plan.troubles
            .iter()
            .map(|planned| trouble::happens(house, &table, planned, begin)),
    );
    let (answered, _) = tokio::join!(customers, troubles);
    let trouble_took = began.elapsed();

    let quiet_since = Instant::now();
    let books = Books {
        house,
        table: &table,
        wanted: &plan.orders,
        answered: &answered,
    };
    let Closed {
        counts,
        mut violations,
        at_table,
    } = books.close().await;
    let is_settled = violations.is_empty();
    let last = last_number(&url).await;
    goal.send_replace(last);
    if last.is_none() {
        // They would wait for ever.
        goal.send_replace(Some(0));
        violations.push(Violation::new("no snapshot of the table's stream"));
    }
    let followed: Vec<Followed> = join_all(screens)
        .await
        .into_iter()
        .filter_map(Result::ok)
        .collect();
    for screen in &followed {
        violations.extend(
            screen
                .breaks
                .iter()
                .map(|what| Violation::new(format!("a screen: {what}"))),
        );
        if is_settled {
            violations.extend(screen.against(&at_table));
        }
    }
    if followed.len() != LEAVES_AFTER.len() {
        violations.push(Violation::new("a screen panicked"));
    }
    for process in &house.processes {
        if process.has_died().await {
            violations.push(Violation::new(format!(
                "{} has ended by itself",
                process.name
            )));
        }
    }
    let took = (trouble_took, quiet_since.elapsed());
    let report = RoundReport {
        number,
        plan,
        counts,
        screens: followed,
        violations,
        took,
    };
    (report, Some(table))
}

async fn last_number(url: &str) -> Option<i64> {
    for _ in 0..20 {
        let last = follower::last_number(url).await;
        if last.is_some() {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    None
}

async fn audited(house: &House) -> Option<Violation> {
    let audit = house.audit().await;
    (audit.code != Some(0))
        .then(|| Violation::new(format!("audit: {}\n{}", audit.stdout, audit.stderr)))
}

/// Of something that did not come up, or not to an end.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

fn failed(number: u32, plan: Round, what: &str) -> RoundReport {
    RoundReport {
        number,
        plan,
        counts: Counts::default(),
        screens: Vec::new(),
        violations: vec![Violation::new(what)],
        took: (Duration::ZERO, Duration::ZERO),
    }
}

/// All that is stored of the first order that something is wrong with, and what the processes complained of.
async fn evidence(house: &House, round: &RoundReport) -> String {
    let mut told = String::new();
    let order_id = round
        .violations
        .iter()
        .find_map(|violation| violation.order_id.clone());
    if let Some(id) = order_id {
        for what in ["", "/events", "/handoffs", "/callbacks"] {
            let read = house.read(&format!("/api/v1/orders/{id}{what}")).await;
            let read = read.map_or_else(|error| error, |value| format!("{value:#}"));
            told.push_str(&format!("--- order {id}{what}\n{read}\n"));
        }
    }
    if let Ok(stuck) = house.read("/api/v1/stuck").await {
        told.push_str(&format!("--- stuck\n{stuck:#}\n"));
    }
    told.push_str(&format!(
        "--- the processes' last complaints\n{}",
        house.complaints(15)
    ));
    if let Some(servers) = &house.servers {
        told.push_str(&servers.last_words());
    }
    told
}
