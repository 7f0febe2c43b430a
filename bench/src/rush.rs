//! Load on a program that takes orders: as fast as they are answered, or on a schedule. It notes when each order was
//! answered, reached its integrator, and was shown as accepted.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use futures_util::future::try_join_all;
use serde::Deserialize;
use tokio::time::sleep;

use crate::wire::Wire;

/// Time that a client without a schedule waits after a refusal.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(50);

/// Moments of one order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// The scheduled moment, or that of the request.
    due: Option<Instant>,
    /// The moment of the 201.
    placed: Option<Instant>,
    received: Option<Instant>,
    shown: Option<Instant>,
}

/// Moments of all orders of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    orders: HashMap<String, Times>,
    placed: usize,
    received: usize,
    handed_over: usize,
}

impl Log {
    /// Notes that an integrator received an order. A repeated attempt changes nothing.
    pub(crate) fn received(&self, order: String, at: Instant) {
        self.note(order, |times| times.received = times.received.or(Some(at)));
    }

    /// Notes that a socket showed an order as accepted.
    pub(crate) fn shown(&self, order: String, at: Instant) {
        self.note(order, |times| times.shown = times.shown.or(Some(at)));
    }

    /// Returns how many orders reached their integrator, whoever placed them.
    pub(crate) fn arrivals(&self) -> usize {
        self.0.lock().received
    }

    /// Returns how many orders were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.0.lock().placed
    }

    /// Returns the moments in which orders reached their integrator, in ascending order.
    pub(crate) fn received_at(&self) -> Vec<Instant> {
        let noted = self.0.lock();
        let mut at: Vec<Instant> = noted
            .orders
            .values()
            .filter_map(|times| times.received)
            .collect();
        at.sort_unstable();
        at
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Noted::default();
    }

    fn placed(&self, order: String, due: Instant, at: Instant) {
        self.note(order, |times| {
            (times.due, times.placed) = (Some(due), Some(at));
        });
    }

    fn note(&self, order: String, change: impl FnOnce(&mut Times)) {
        let mut noted = self.0.lock();
        let times = noted.orders.entry(order).or_default();
        let before = *times;
        change(times);
        let after = *times;
        let is_over = |times: Times| times.placed.is_some() && times.received.is_some();
        noted.placed += usize::from(before.placed.is_none() && after.placed.is_some());
        noted.received += usize::from(before.received.is_none() && after.received.is_some());
        noted.handed_over += usize::from(!is_over(before) && is_over(after));
    }

    fn is_handed_over(&self) -> bool {
        let noted = self.0.lock();
        noted.placed == noted.handed_over
    }

    fn take(&self) -> Vec<Times> {
        let noted = std::mem::take(&mut *self.0.lock());
        let ours = noted.orders.into_values();
        ours.filter(|times| times.placed.is_some()).collect()
    }
}

/// Encodes the request for an order by its number.
pub(crate) type Requests = Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>;

/// Number of clients that saturate the machine.
pub(crate) const CLIENTS: usize = 64;

#[derive(Clone)]
pub(crate) struct Load {
    /// Host and port.
    pub(crate) address: String,
    pub(crate) requests: Requests,
    pub(crate) connections: usize,
    pub(crate) length: Duration,
    /// Maximum number of requests.
    pub(crate) orders: Option<usize>,
    /// Ends the load early.
    pub(crate) is_over: Arc<AtomicBool>,
    /// Scheduled orders a second. Without it, each connection places its next order when the last one was answered.
    pub(crate) per_s: Option<f64>,
    /// Maximum time to wait, after the load, for orders to reach their integrator.
    pub(crate) patience: Duration,
}

/// A finished load.
#[derive(Debug)]
pub(crate) struct Rush {
    began: Instant,
    length: Duration,
    /// Elapsed time until the last order reached its integrator.
    pub(crate) whole: Duration,
    orders: Vec<Times>,
    /// Number of orders that were answered with 503.
    pub(crate) refused: usize,
}

#[derive(Deserialize)]
struct Placed {
    id: String,
}

impl Load {
    /// Returns a load by [`CLIENTS`] that place orders as fast as they are answered, for `length`.
    pub(crate) fn saturating(
        address: String,
        requests: Requests,
        length: Duration,
        patience: Duration,
    ) -> Self {
        Self {
            address,
            requests,
            connections: CLIENTS,
            length,
            orders: None,
            is_over: Arc::default(),
            per_s: None,
            patience,
        }
    }

    /// Applies the load and waits until every order has reached its integrator.
    pub(crate) async fn run(&self, log: &Log) -> anyhow::Result<Rush> {
        log.clear();
        let (began, refused) = self.apply(log).await?;
        let over = Instant::now();
        while !log.is_handed_over() && over.elapsed() < self.patience {
            sleep(LOOK).await;
        }
        let gave_up = (!log.is_handed_over()).then(Instant::now);
        let orders = log.take();
        let last = orders.iter().filter_map(|times| times.received).max();
        let end = gave_up.or(last).unwrap_or(over);
        Ok(Rush {
            began,
            length: self.length,
            whole: end - began,
            orders,
            refused,
        })
    }

    /// Applies the load without waiting for what it leaves; returns when it began and how many orders were refused.
    pub(crate) async fn apply(&self, log: &Log) -> anyhow::Result<(Instant, usize)> {
        let mut wires = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            wires.push(Wire::connect(&self.address).await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let clients = wires.into_iter().map(|wire| {
            let client = Client {
                load: self.clone(),
                log: log.clone(),
                next: next.clone(),
                began,
                wire,
            };
            tokio::spawn(client.run())
        });
        let mut refused = 0;
        for one in try_join_all(clients).await? {
            refused += one?;
        }
        Ok((began, refused))
    }
}

struct Client {
    load: Load,
    log: Log,
    next: Arc<AtomicUsize>,
    began: Instant,
    wire: Wire,
}

impl Client {
    async fn run(mut self) -> anyhow::Result<usize> {
        let mut refused = 0;
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let due = match self.load.per_s {
                Some(per_s) => self.began + Duration::from_secs_f64(n as f64 / per_s),
                None => Instant::now(),
            };
            let is_enough = self.load.orders.is_some_and(|orders| n >= orders)
                || self.load.is_over.load(Ordering::Relaxed);
            if is_enough || due.saturating_duration_since(self.began) >= self.load.length {
                return Ok(refused);
            }
            tokio::time::sleep_until(due.into()).await;
            refused += self.place(n, due).await?;
        }
    }

    /// Places one order; without a schedule, again after a refusal. Returns the number of refusals.
    async fn place(&mut self, n: usize, due: Instant) -> anyhow::Result<usize> {
        let request = (self.load.requests)(n);
        let mut refused = 0;
        loop {
            let (status, body) = self.wire.send(&request).await?;
            match status {
                201 => {
                    let Placed { id } = serde_json::from_slice(&body)?;
                    self.log.placed(id, due, Instant::now());
                    return Ok(refused);
                }
                503 => refused += 1,
                _ => bail!("{status}: {}", String::from_utf8_lossy(&body)),
            }
            if self.load.per_s.is_some() || self.began.elapsed() >= self.load.length {
                return Ok(refused);
            }
            sleep(AFTER_REFUSAL).await;
        }
    }
}

impl Rush {
    /// Returns the number of accepted orders.
    pub(crate) fn accepted(&self) -> usize {
        self.orders.len()
    }

    pub(crate) fn accepted_per_s(&self) -> f64 {
        self.accepted() as f64 / self.length.as_secs_f64()
    }

    /// Returns the rate at which orders reached their integrator while the load lasted.
    pub(crate) fn handed_over_meanwhile_per_s(&self) -> f64 {
        let end = self.began + self.length;
        let meanwhile = self.received().filter(|at| *at < end).count();
        meanwhile as f64 / self.length.as_secs_f64()
    }

    /// Returns the rate of orders that reached their integrator, until the last one of them.
    pub(crate) fn end_to_end_per_s(&self) -> f64 {
        self.received().count() as f64 / self.whole.as_secs_f64()
    }

    /// Returns the number of accepted orders that did not reach their integrator in time.
    pub(crate) fn left(&self) -> usize {
        self.accepted() - self.received().count()
    }

    pub(crate) fn to_integrator(&self) -> Vec<Duration> {
        self.delays(|times| times.received)
    }

    /// Returns delays of those orders that a socket showed.
    pub(crate) fn to_socket(&self) -> Vec<Duration> {
        self.delays(|times| times.shown)
    }

    /// Returns the lowest ratio of handed over to accepted orders in a whole second, from the second one on.
    pub(crate) fn worst_second(&self) -> Option<f64> {
        let seconds = usize::try_from(self.length.as_secs()).ok()?;
        let mut counts = vec![(0_usize, 0_usize); seconds];
        let second = |at: Instant| {
            let second = at.saturating_duration_since(self.began).as_secs();
            usize::try_from(second).unwrap_or(usize::MAX)
        };
        for times in &self.orders {
            if let Some(count) = times.placed.and_then(|at| counts.get_mut(second(at))) {
                count.0 += 1;
            }
            if let Some(count) = times.received.and_then(|at| counts.get_mut(second(at))) {
                count.1 += 1;
            }
        }
        let ratios = counts
            .into_iter()
            .skip(1)
            .filter(|(accepted, _)| *accepted > 0)
            .map(|(accepted, handed_over)| handed_over as f64 / accepted as f64);
        ratios.min_by(f64::total_cmp)
    }

    fn received(&self) -> impl Iterator<Item = Instant> {
        self.orders.iter().filter_map(|times| times.received)
    }

    fn delays(&self, until: impl Fn(&Times) -> Option<Instant>) -> Vec<Duration> {
        let delay = |times: &Times| Some(until(times)?.saturating_duration_since(times.due?));
        self.orders.iter().filter_map(delay).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a load of three seconds with 10 orders in each, of which each second hands over so many.
    fn rush(handed_over: [usize; 3]) -> Rush {
        let began = Instant::now();
        let mut orders = Vec::new();
        for (second, count) in (0..).map(Duration::from_secs).zip(handed_over) {
            for n in 0..10 {
                let at = began + second + Duration::from_millis(10 * n);
                let is_over = usize::try_from(n).unwrap() < count;
                orders.push(Times {
                    due: Some(at),
                    placed: Some(at + Duration::from_millis(1)),
                    received: is_over.then_some(at + Duration::from_millis(3)),
                    shown: None,
                });
            }
        }
        Rush {
            began,
            length: Duration::from_secs(3),
            whole: Duration::from_secs(3),
            orders,
            refused: 0,
        }
    }

    #[test]
    fn the_worst_second_is_found_from_the_second_one_on() {
        assert_eq!(rush([0, 9, 7]).worst_second(), Some(0.7));
        assert_eq!(rush([5, 10, 10]).worst_second(), Some(1.0));
    }

    #[test]
    fn delays_count_from_the_scheduled_moment_and_leave_out_orders_that_never_came() {
        let rush = rush([1, 0, 0]);
        assert_eq!(rush.to_integrator(), [Duration::from_millis(3)]);
        assert_eq!((rush.accepted(), rush.left()), (30, 29));
        assert!(rush.to_socket().is_empty());
    }

    #[test]
    fn an_order_counts_as_handed_over_whichever_moment_is_noted_first() {
        let (log, now) = (Log::default(), Instant::now());
        log.received("early".to_owned(), now);
        assert!(log.is_handed_over());
        log.placed("early".to_owned(), now, now);
        assert!(log.is_handed_over());
        log.placed("late".to_owned(), now, now);
        assert!(!log.is_handed_over());
        log.received("late".to_owned(), now);
        log.received("another program's".to_owned(), now);
        assert!(log.is_handed_over());
        assert_eq!(log.take().len(), 2);
    }
}
