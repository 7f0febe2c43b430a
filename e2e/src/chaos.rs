//! Runs rounds of seeded failures under load, and compares the accepted orders with the stored ones after each.

pub mod servers; // MariaDB and RabbitMQ, which may be killed

mod cluster; // failures of their nodes

mod plan; // the orders and failures of a round

mod house; // the whole setup under test
mod process; // one of its processes
mod queue; // manual interventions in the work queue

mod trouble; // carries out a failure

mod follower; // screens
mod load; // guests and accounts
mod table; // a round's store and integrator

mod books; // the verification
mod report; // the printed results

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use serde_json::Value;
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

/// Number of events after which each screen reconnects; the last one stays connected.
const RECONNECT_AFTER: [u32; 3] = [7, 23, u32::MAX];
/// Number of rounds between two audits, which read the whole database.
const AUDIT_EVERY: u32 = 5;
/// Timeout of a round.
const ROUND_TIMEOUT: Duration = Duration::from_secs(240);

/// Parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    pub shape: Shape,
    pub seed: u64,
    /// Number of the first round.
    pub first_round: u32,
    pub rounds: u32,
}

impl Chaos {
    /// Runs rounds until the first violation. `tell` is called after each round.
    ///
    /// # Panics
    /// If a process does not start.
    pub async fn run(self, servers: Option<Servers>, mut tell: impl FnMut(&RoundReport)) -> Report {
        let house = Arc::new(House::open(self.shape, servers).await);
        let mut report = Report {
            shape: self.shape,
            seed: self.seed,
            rounds: Vec::new(),
            evidence: None,
        };
        // A request that arrives after the end of its round is noticed in the next one.
        let mut earlier: Option<(Arc<Table>, usize)> = None;
        for number in self.first_round..self.first_round + self.rounds {
            let plan = Round::of(self.seed, number, house.reach());
            let is_audited = (number + 1).is_multiple_of(AUDIT_EVERY)
                || number + 1 == self.first_round + self.rounds;
            let whole = AssertUnwindSafe(one_round(&house, number, plan.clone())).catch_unwind();
            let (mut round, table) = match timeout(ROUND_TIMEOUT, whole).await {
                Ok(Ok(done)) => done,
                Ok(Err(panic)) => (failed(number, plan, &panic_message(&*panic)), None),
                Err(_) => (failed(number, plan, "the round did not end in time"), None),
            };
            if is_audited {
                round.violations.extend(audited(&house).await);
            }
            if let Some((table, requests)) = earlier.take()
                && table.integrator.received().len() != requests
            {
                round.violations.push(Violation::new(
                    "a request of the previous round was sent after all its orders had ended",
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
    let table = match Table::set_up(house).await {
        Ok(table) => Arc::new(table),
        Err(error) => return (failed(number, plan, &error), None),
    };
    table.integrator.set_callback_copies(plan.copies);
    let url = house.channel_url(&table.shop.session_code);
    let goal = watch::Sender::new(None);
    let screens: Vec<_> = RECONNECT_AFTER
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
        load::run_customer(house, &table, format!("round-{number}-{n}"), *wanted, begin)
    }));
    let faults = join_all(
        plan.faults
            .iter()
            .map(|planned| trouble::carry_out(house, &table, planned, begin)),
    );
    let (answered, _) = tokio::join!(customers, faults);
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
        // Without a goal the screens would never stop.
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
    if followed.len() != RECONNECT_AFTER.len() {
        violations.push(Violation::new("a screen panicked"));
    }
    for process in &house.processes {
        if process.restart_if_dead().await {
            violations.push(Violation::new(format!(
                "{} exited unexpectedly",
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

async fn audited(house: &House) -> Vec<Violation> {
    let mut violations = Vec::new();
    let audit = house.audit().await;
    if audit.code != Some(0) {
        let what = format!("audit: {}\n{}", audit.stdout, audit.stderr);
        violations.push(Violation::new(what));
    }
    if let Some(servers) = &house.servers
        && servers.are_cluster()
    {
        violations.extend(servers.difference().await.map(Violation::new));
    }
    violations
}

/// Returns the message of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
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

/// Returns what the nodes have now, everything stored about the first wrong order, and the processes' warnings and errors.
async fn evidence(house: &House, round: &RoundReport) -> String {
    let mut told = format!("--- at {}\n", house.clock().now());
    if let Some(servers) = house.servers.as_ref().filter(|all| all.are_cluster()) {
        told.push_str(&servers.states().await);
    }
    let order_id = round
        .violations
        .iter()
        .find_map(|violation| violation.order_id.clone());
    if let Some(id) = order_id {
        for what in ["", "/events", "/handoffs", "/callbacks"] {
            let read = house.read(&format!("/api/v1/orders/{id}{what}")).await;
            let read = read.map_or_else(|error| error, |value| in_lines(&value));
            told.push_str(&format!("--- order {id}{what}\n{read}\n"));
        }
    }
    if let Ok(stuck) = house.read("/api/v1/stuck").await {
        told.push_str(&format!("--- stuck\n{stuck}\n"));
    }
    told.push_str(&format!(
        "--- the last warnings and errors of the processes\n{}",
        house.last_warnings(15)
    ));
    if let Some(servers) = &house.servers {
        told.push_str(&servers.log_tails());
    }
    told
}

/// Returns a list with a line for each of its entries.
fn in_lines(value: &Value) -> String {
    match value.as_array() {
        Some(entries) => {
            let lines: Vec<String> = entries.iter().map(Value::to_string).collect();
            lines.join("\n")
        }
        None => value.to_string(),
    }
}
