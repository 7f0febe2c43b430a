//! Orders that clients retry until they are answered, and the invariants that hold when all have ended.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Expediter, Integrator, Shop, text, until_within};

/// The guest key, which a browser would have generated.
const GUEST_KEY: &str = "a-guest-of-the-end-to-end-tests";
/// Time for all orders to end after the last crash: long enough for leases to expire.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// An order that a client wants to place exactly once, despite crashes.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its `Idempotency-Key`.
    pub key: String,
    /// True: by a guest at the table. False: by an account, without a session.
    pub by_guest: bool,
    /// Number of buns; 0 means one espresso.
    pub buns: u32,
    /// True if the client cancels it after placing it.
    pub is_cancelled: bool,
    /// Id from the API's response.
    pub order_id: Option<String>,
    was_cancelled: bool,
}

impl Wish {
    /// Returns number `n` of a series: guests and accounts alternate, every third has buns, every eighth is cancelled.
    #[must_use]
    pub fn new(series: &str, n: u32) -> Self {
        Self {
            key: format!("{series}-{n}"),
            by_guest: n.is_multiple_of(2),
            buns: if n % 3 == 1 { 1 + n % 2 } else { 0 },
            is_cancelled: n % 8 == 4,
            order_id: None,
            was_cancelled: false,
        }
    }

    /// Sends each request that has not been answered yet, once. Without a response nothing changes.
    ///
    /// # Panics
    /// If it is refused permanently.
    pub async fn advance(&mut self, expediter: &Expediter, shop: &Shop) {
        if self.order_id.is_none() {
            self.order_id = self.place(expediter, shop).await;
        }
        if let Some(id) = &self.order_id
            && self.is_cancelled
            && !self.was_cancelled
        {
            self.was_cancelled = self.cancel_order(expediter, shop, id).await;
        }
    }

    #[must_use]
    pub fn is_done(&self) -> bool {
        self.order_id.is_some() && self.is_cancelled == self.was_cancelled
    }

    async fn place(&self, expediter: &Expediter, shop: &Shop) -> Option<String> {
        let items = match self.buns {
            0 => json!([{"product_id": shop.espresso}]),
            buns => json!([{"product_id": shop.bun, "quantity": buns}]),
        };
        let request = if self.by_guest {
            let request = expediter.request(Method::POST, &shop.guests_path());
            request
                .header("Expediter-Guest", GUEST_KEY)
                .json(&json!({"items": items}))
        } else {
            let body = json!({"store_id": shop.store_id, "items": items});
            expediter
                .by_operator(Method::POST, "/api/v1/orders")
                .json(&body)
        };
        let request = request.header("Idempotency-Key", &self.key);
        match expediter.try_answer(request).await? {
            (201, order) => Some(text(&order["id"])),
            (503, _) => None,
            (409, problem) if problem["reason"] == "idempotency_in_progress" => None,
            (status, problem) => panic!("{}: {status} {problem}", self.key),
        }
    }

    /// Cancels the order, as the guest until it is accepted, then as staff. Returns true if the response confirms it.
    async fn cancel_order(&self, expediter: &Expediter, shop: &Shop, id: &str) -> bool {
        if self.by_guest {
            let path = format!("{}/{id}/cancel", shop.guests_path());
            let request = expediter.request(Method::POST, &path);
            match expediter
                .try_answer(request.header("Expediter-Guest", GUEST_KEY))
                .await
            {
                Some((200, _)) => return true,
                Some((409 | 503, _)) => {}
                None => return false,
                Some((status, problem)) => panic!("{}: {status} {problem}", self.key),
            }
        }
        let body = json!({"status": "cancelled", "reason": "changed their mind"});
        let path = format!("/api/v1/orders/{id}/status");
        let request = expediter.by_operator(Method::PUT, &path).json(&body);
        match expediter.try_answer(request).await {
            Some((200, _)) => true,
            None | Some((503, _)) => false,
            Some((status, problem)) => panic!("{}: {status} {problem}", self.key),
        }
    }
}

/// Advances all wishes concurrently, each as far as possible.
pub async fn advance_all(wishes: &mut [Wish], expediter: &Expediter, shop: &Shop) {
    join_all(wishes.iter_mut().map(|wish| wish.advance(expediter, shop))).await;
}

/// Verifies a shop whose integrator answers normally.
#[derive(Clone, Copy, Debug)]
pub struct Verification<'a> {
    pub expediter: &'a Expediter,
    pub shop: &'a Shop,
    pub integrator: &'a Integrator,
    /// Initial stock.
    pub buns: i64,
}

impl Verification<'_> {
    /// Waits until every order has reached its expected status, then verifies everything.
    ///
    /// # Panics
    /// With the first broken promise.
    pub async fn verify_all(&self, wishes: &[Wish]) {
        let orders = self.until_settled().await;
        assert_all_are_kept_once(&orders, wishes);
        let mut left = self.buns;
        for wish in wishes {
            let order = &orders[wish.order_id.as_deref().expect("it was answered")];
            let wanted = if wish.is_cancelled {
                "cancelled"
            } else {
                "ready"
            };
            assert_eq!(order["status"], wanted, "{}: {order}", wish.key);
            left -= if wish.is_cancelled {
                0
            } else {
                i64::from(wish.buns)
            };
        }
        assert_eq!(self.shop.buns(self.expediter).await, left, "buns");
        self.assert_handoffs_are_on_record(&orders).await;
        self.assert_streams_have_no_gaps(&orders).await;
        self.assert_audit_is_clean().await;
    }

    /// Waits until all orders of the shop are settled; returns them by id.
    pub async fn until_settled(&self) -> HashMap<String, Value> {
        let seen = std::cell::RefCell::new(Vec::new());
        let asked = until_within(SETTLE_TIMEOUT, "every order to end", || async {
            let orders = self.shop.orders(self.expediter).await;
            let is_settled = |order: &Value| {
                matches!(
                    order["status"].as_str(),
                    Some("ready" | "cancelled" | "failed" | "rejected")
                )
            };
            let all = orders.iter().all(is_settled);
            seen.replace(orders.clone());
            all.then_some(orders)
        });
        let asked = std::panic::AssertUnwindSafe(asked);
        let orders = match futures_util::FutureExt::catch_unwind(asked).await {
            Ok(orders) => orders,
            Err(_) => panic!(
                "not all orders ended:\n{}\n{}",
                lines(&seen.borrow()),
                self.expediter.launch().log()
            ),
        };
        for order in &orders {
            self.wait_for_closed_handoffs(&text(&order["id"])).await;
        }
        orders
            .into_iter()
            .map(|order| (text(&order["id"]), order))
            .collect()
    }

    /// Asserts that `expediter audit` finds nothing.
    ///
    /// # Panics
    /// With its findings.
    pub async fn assert_audit_is_clean(&self) {
        let audit = self.expediter.audit().await;
        assert_eq!(audit.code, Some(0), "{}\n{}", audit.stdout, audit.stderr);
    }

    async fn wait_for_closed_handoffs(&self, order_id: &str) {
        until_within(
            SETTLE_TIMEOUT,
            &format!("the handoffs of {order_id} to be closed"),
            || async {
                let handoffs = self.expediter.handoffs(order_id).await;
                handoffs
                    .iter()
                    .all(|handoff| !handoff["closed_at"].is_null())
                    .then_some(())
            },
        )
        .await;
    }

    /// Asserts that each order reached the integrator, and that each repeated request follows an attempt with an
    /// unknown outcome.
    async fn assert_handoffs_are_on_record(&self, orders: &HashMap<String, Value>) {
        let by_webhook_id = self.integrator.by_webhook_id();
        for (order_id, order) in orders {
            let mut was_placed = false;
            for handoff in self.expediter.handoffs(order_id).await {
                let requests = by_webhook_id
                    .get(&text(&handoff["id"]))
                    .map_or(&[][..], Vec::as_slice);
                was_placed |= handoff["event"] == "order.placed" && !requests.is_empty();
                let attempts = handoff["attempts"].as_array().expect("a list of attempts");
                assert!(
                    requests.len() <= attempts.len(),
                    "more requests than attempts: {handoff}"
                );
                let unknown = attempts
                    .iter()
                    .filter(|attempt| attempt["outcome"] == "unknown")
                    .count();
                assert!(
                    requests.len() <= unknown + 1,
                    "{} requests, but only {unknown} attempts with an unknown outcome: {handoff}",
                    requests.len()
                );
                for request in requests {
                    assert!(request.is_signed, "{handoff}");
                    assert_eq!(request.idempotency_key, request.webhook_id);
                    assert_eq!(request.body, requests[0].body, "{handoff}");
                }
            }
            assert!(
                was_placed || order["status"] == "cancelled",
                "never arrived: {order}"
            );
        }
    }

    async fn assert_streams_have_no_gaps(&self, orders: &HashMap<String, Value>) {
        for (order_id, _) in orders
            .iter()
            .filter(|(_, order)| order["session"].is_null())
        {
            let events = self
                .expediter
                .read(&format!("/api/v1/orders/{order_id}/events"))
                .await;
            let numbers = events
                .as_array()
                .expect("a list of events")
                .iter()
                .map(|event| event["seq"].as_i64());
            let numbers: Vec<i64> = numbers.flatten().collect();
            assert_eq!(numbers, one_to(numbers.len()), "{order_id}");
        }
        let code = &self.shop.session_code;
        let greeted = self.expediter.channel(code, None).await;
        let last = greeted.seen[0]["seq"]
            .as_i64()
            .expect("a snapshot has its number");
        let mut channel = self.expediter.channel(code, Some("after=0")).await;
        channel
            .until("the stream's last event", |event| {
                event["seq"] == last && event["type"] != "hello"
            })
            .await;
        assert_eq!(
            channel.numbers(),
            one_to(usize::try_from(last).expect("numbers count up"))
        );
    }
}

fn assert_all_are_kept_once(orders: &HashMap<String, Value>, wishes: &[Wish]) {
    let kept: BTreeSet<&str> = orders.keys().map(String::as_str).collect();
    let answered: BTreeSet<&str> = wishes
        .iter()
        .filter_map(|wish| wish.order_id.as_deref())
        .collect();
    assert_eq!(answered.len(), wishes.len(), "each key has its own order");
    assert_eq!(
        kept, answered,
        "the stored orders are exactly those that were answered"
    );
    let mut numbers: Vec<i64> = orders
        .values()
        .filter_map(|order| order["number"].as_i64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, one_to(wishes.len()));
}

/// Returns 1, 2, 3, … up to `last`.
#[must_use]
pub fn one_to(last: usize) -> Vec<i64> {
    (1..).take(last).collect()
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}
