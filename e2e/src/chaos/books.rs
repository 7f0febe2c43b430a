//! Verifies a round: compares the responses, the stored orders and the integrator's requests.

#[cfg(test)]
mod tests;
mod violation;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    house::House,
    load::Answered,
    plan::PlannedOrder,
    table::{BUNS, Table},
};
use crate::{Received, one_to, text};

pub(super) use self::violation::Violation;

/// Time for all orders to end after the last failure: long enough for leases to expire and for four retries.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// Stands for an attempt without an outcome. It excuses no repeated request, and none may remain at the end.
const OPEN: &str = "open";

/// Totals of a round.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub orders: usize,
    /// Numbers of orders by final status.
    pub ends: BTreeMap<String, usize>,
    pub unanswered: u32,
    pub unavailable: u32,
    /// Attempts of all handoffs.
    pub attempts: usize,
    pub unknown: usize,
    pub requests: usize,
    /// Requests beyond the first of a handoff.
    pub repeated: usize,
    /// Maximum number of attempts of one handoff.
    pub max_attempts_seen: usize,
    pub callbacks: usize,
    pub buns_left: i64,
}

/// Data of one round to compare.
#[derive(Debug)]
pub(super) struct Books<'a> {
    pub house: &'a House,
    pub table: &'a Table,
    pub wanted: &'a [PlannedOrder],
    pub answered: &'a [Answered],
}

/// Result of the verification.
#[derive(Debug)]
pub(super) struct Closed {
    pub counts: Counts,
    pub violations: Vec<Violation>,
    /// Stored status of each of the table's orders, by id, which screens should show.
    pub at_table: BTreeMap<String, String>,
}

impl Books<'_> {
    /// Waits until every order has reached its expected status, then verifies everything. All failures must be over.
    pub(super) async fn close(&self) -> Closed {
        let mut counts = Counts::default();
        let mut violations = Vec::new();
        let mut at_table = BTreeMap::new();
        for answered in self.answered {
            counts.unanswered += answered.unanswered;
            counts.unavailable += answered.unavailable;
            violations.extend(answered.wrong.clone().map(|what| Violation {
                what,
                order_id: answered.order_id.clone(),
            }));
        }
        match self.until_settled(&mut counts).await {
            Ok((orders, handoffs)) => {
                violations.extend(self.check_stored_once(&orders));
                violations.extend(self.check_final_statuses(&orders, &handoffs));
                violations.extend(self.check_attempts(&handoffs, &mut counts));
                violations.extend(self.streams(&orders).await);
                violations.extend(self.stock(&orders, &mut counts).await);
                let by_guests = orders
                    .iter()
                    .filter(|(_, order)| !order["session"].is_null());
                at_table.extend(by_guests.map(|(id, order)| (id.clone(), text(&order["status"]))));
            }
            Err(violation) => violations.push(violation),
        }
        counts.callbacks = self.table.integrator.called().len();
        Closed {
            counts,
            violations,
            at_table,
        }
    }

    async fn until_settled(
        &self,
        counts: &mut Counts,
    ) -> Result<(HashMap<String, Value>, HashMap<String, Vec<Value>>), Violation> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let mut left;
        loop {
            let orders = self.orders().await.map_err(Violation::new)?;
            left = orders
                .iter()
                .find(|(_, order)| !is_settled(order))
                .map(|(id, order)| {
                    Violation::of(
                        id,
                        format!("did not reach a final status: {}", order["status"]),
                    )
                });
            if left.is_none() {
                let mut handoffs = HashMap::new();
                for id in orders.keys() {
                    let of_order = self
                        .house
                        .read(&format!("/api/v1/orders/{id}/handoffs"))
                        .await;
                    let of_order = of_order
                        .map_err(Violation::new)?
                        .as_array()
                        .cloned()
                        .unwrap_or_default();
                    if let Some(open) = of_order.iter().find_map(unfinished_reason) {
                        left = Some(Violation::of(id, open));
                    }
                    handoffs.insert(id.clone(), of_order);
                }
                if left.is_none() {
                    counts.orders = orders.len();
                    for order in orders.values() {
                        *counts.ends.entry(text(&order["status"])).or_default() += 1;
                    }
                    return Ok((orders, handoffs));
                }
            }
            if let (Some(left), true) = (left, Instant::now() > deadline) {
                return Err(left);
            }
            sleep(PAUSE).await;
        }
    }

    async fn orders(&self) -> Result<HashMap<String, Value>, String> {
        let mut orders = HashMap::new();
        let mut cursor = String::new();
        loop {
            let path = format!(
                "/api/v1/orders?store_id={}&limit=100{cursor}",
                self.table.shop.store_id
            );
            let page = self.house.read(&path).await?;
            for order in page["items"].as_array().into_iter().flatten() {
                orders.insert(text(&order["id"]), order.clone());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(orders),
            }
        }
    }

    /// Checks that every 201 has its own stored order, and that there are no other orders.
    fn check_stored_once(&self, orders: &HashMap<String, Value>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let answered: Vec<&str> = self
            .answered
            .iter()
            .filter_map(|one| one.order_id.as_deref())
            .collect();
        let distinct: BTreeSet<&str> = answered.iter().copied().collect();
        if distinct.len() != answered.len() {
            violations.push(Violation::new(
                "two idempotency keys were answered with the same order",
            ));
        }
        for lost in distinct.iter().filter(|id| !orders.contains_key(**id)) {
            violations.push(Violation::of(
                lost,
                "was answered with 201, but is not stored",
            ));
        }
        for extra in orders.keys().filter(|id| !distinct.contains(id.as_str())) {
            violations.push(Violation::of(
                extra,
                "is stored in addition to the one that its key was answered with",
            ));
        }
        let mut numbers: Vec<i64> = orders
            .values()
            .filter_map(|order| order["number"].as_i64())
            .collect();
        numbers.sort_unstable();
        if numbers != one_to(orders.len()) {
            violations.push(Violation::new(format!(
                "order numbers have gaps: {numbers:?}"
            )));
        }
        violations
    }

    fn check_final_statuses(
        &self,
        orders: &HashMap<String, Value>,
        handoffs: &HashMap<String, Vec<Value>>,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        let seen: BTreeSet<String> = self
            .table
            .integrator
            .received()
            .into_iter()
            .map(|one| one.webhook_id)
            .collect();
        for answered in self.answered {
            let Some(id) = &answered.order_id else {
                continue;
            };
            let (Some(order), Some(handoffs)) = (orders.get(id), handoffs.get(id)) else {
                continue;
            };
            let status = text(&order["status"]);
            let placed: Vec<&Value> = handoffs
                .iter()
                .filter(|one| one["event"] == "order.placed")
                .collect();
            let used_up = placed
                .iter()
                .any(|one| one["state"] == "failed" && counted_attempts(one) >= 5);
            let is_right = match status.as_str() {
                "ready" => !answered.called_off,
                "cancelled" => answered.called_off,
                // The integrator was down for all five attempts, and the cancellation may have come too late.
                "failed" => used_up,
                _ => false,
            };
            if !is_right {
                let wish = if answered.called_off {
                    "to be cancelled"
                } else {
                    "to be ready"
                };
                violations.push(Violation::of(id, format!("was {wish}, but is {status}")));
            }
            let was_seen = placed.iter().any(|one| seen.contains(&text(&one["id"])));
            let was_tried = placed.iter().any(|one| !attempts(one).is_empty());
            let may_be_unseen = status == "failed" || (status == "cancelled" && !was_seen);
            if !was_seen && !may_be_unseen {
                violations.push(Violation::of(id, "never arrived at the integrator"));
            }
            if was_seen && !was_tried {
                violations.push(Violation::of(id, "arrived without a recorded attempt"));
            }
        }
        violations
    }

    /// Checks that a handoff has at most five attempts and no request without one, and that each repeated request
    /// follows an attempt that may not have arrived, with the same id and the same bytes.
    fn check_attempts(
        &self,
        handoffs: &HashMap<String, Vec<Value>>,
        counts: &mut Counts,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        let by_webhook_id = self.table.integrator.by_webhook_id();
        counts.requests = by_webhook_id.values().map(Vec::len).sum();
        let mut known = BTreeSet::new();
        for (order_id, handoff) in handoffs
            .iter()
            .flat_map(|(id, of_order)| of_order.iter().map(move |one| (id, one)))
        {
            let id = text(&handoff["id"]);
            let requests = by_webhook_id.get(&id).map_or(&[][..], Vec::as_slice);
            let counted = counted_attempts(handoff);
            let outcomes: Vec<&str> = attempts(handoff)
                .iter()
                .map(|one| one["outcome"].as_str().unwrap_or(OPEN))
                .collect();
            counts.attempts += outcomes.len();
            counts.unknown += outcomes
                .iter()
                .filter(|outcome| **outcome == "unknown")
                .count();
            counts.repeated += requests.len().saturating_sub(1);
            counts.max_attempts_seen = counts.max_attempts_seen.max(counted);
            violations.extend(
                find_contradiction(&outcomes, counted, requests)
                    .map(|what| Violation::of(order_id, what)),
            );
            known.insert(id);
        }
        for stranger in by_webhook_id.keys().filter(|id| !known.contains(*id)) {
            violations.push(Violation::new(format!(
                "a request without a recorded handoff: {stranger}"
            )));
        }
        violations
    }

    /// Checks the streams of orders without a session for gaps; screens follow the table's stream.
    async fn streams(&self, orders: &HashMap<String, Value>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (id, _) in orders
            .iter()
            .filter(|(_, order)| order["session"].is_null())
        {
            match self
                .house
                .read(&format!("/api/v1/orders/{id}/events"))
                .await
            {
                Ok(events) => {
                    let events = events.as_array().cloned().unwrap_or_default();
                    let numbers: Vec<i64> = events
                        .iter()
                        .filter_map(|event| event["seq"].as_i64())
                        .collect();
                    if numbers != one_to(numbers.len()) || numbers.is_empty() {
                        violations.push(Violation::of(
                            id,
                            format!("its stream has gaps: {numbers:?}"),
                        ));
                    }
                }
                Err(error) => violations.push(Violation::of(id, error)),
            }
        }
        violations
    }

    async fn stock(&self, orders: &HashMap<String, Value>, counts: &mut Counts) -> Vec<Violation> {
        let mut should_be = i64::from(BUNS);
        for (answered, wanted) in self.answered.iter().zip(self.wanted) {
            let order = answered.order_id.as_ref().and_then(|id| orders.get(id));
            if order.is_some_and(|order| order["status"] == "ready") {
                should_be -= i64::from(wanted.buns);
            }
        }
        match self
            .house
            .read(&format!("/api/v1/products/{}", self.table.shop.bun))
            .await
        {
            Ok(bun) => counts.buns_left = bun["stock"].as_i64().unwrap_or(-1),
            Err(error) => return vec![Violation::new(error)],
        }
        let is_exact = counts.buns_left == should_be;
        let what = || {
            Violation::new(format!(
                "{} buns are left, expected {should_be}",
                counts.buns_left
            ))
        };
        if is_exact { Vec::new() } else { vec![what()] }
    }
}

/// Compares the attempts of one handoff with its requests; returns the first contradiction.
fn find_contradiction(outcomes: &[&str], counted: usize, requests: &[Received]) -> Option<String> {
    let may_not_have_arrived = outcomes
        .iter()
        .filter(|one| matches!(**one, "unknown" | "retry"))
        .count();
    let first = requests.first();
    let differs = |one: &&Received| {
        first.is_some_and(|first| first.body != one.body)
            || one.idempotency_key != one.webhook_id
            || !one.is_signed
    };
    if counted > 5 {
        Some(format!("{counted} attempts"))
    } else if requests.len() > outcomes.len() {
        Some(format!(
            "{} requests, but recorded attempts: {outcomes:?}",
            requests.len()
        ))
    } else if requests.len() > may_not_have_arrived + 1 {
        Some(format!(
            "{} requests, although the outcomes were {outcomes:?}",
            requests.len()
        ))
    } else {
        let other = requests.iter().find(differs)?;
        Some(format!(
            "not the same message, or not signed: {}",
            other.attempt
        ))
    }
}

/// Returns why a handoff is not finished. A closed one may still have an attempt under a lease if a callback overtook
/// the response: the worker's outcome or the sweep ends it.
fn unfinished_reason(handoff: &Value) -> Option<String> {
    if handoff["closed_at"].is_null() {
        return Some(format!("a handoff was not closed: {}", handoff["state"]));
    }
    attempts(handoff)
        .iter()
        .find(|attempt| attempt["outcome"].is_null())
        .map(|attempt| format!("an attempt has no outcome: {attempt}"))
}

fn is_settled(order: &Value) -> bool {
    matches!(
        order["status"].as_str(),
        Some("ready" | "cancelled" | "failed" | "rejected")
    )
}

/// Returns the number of attempts without those that the integrator answered with "slow down", which do not count.
fn counted_attempts(handoff: &Value) -> usize {
    let counted = attempts(handoff)
        .iter()
        .filter(|one| one["counted"] != false);
    counted.count()
}

fn attempts(handoff: &Value) -> &[Value] {
    handoff["attempts"].as_array().map_or(&[], Vec::as_slice)
}
