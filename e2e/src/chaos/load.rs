//! Guests and accounts that each place one order, and retry until they get a response.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{house::House, plan::PlannedOrder, process::answer, table::Table};
use crate::text;

/// The guest key, which a browser would have generated.
const GUEST_KEY: &str = "a-guest-of-the-chaos-tests";
/// Time after which a missing response is a violation.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

/// Responses that one customer got.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    pub order_id: Option<String>,
    pub called_off: bool,
    /// Tries without a response; `unavailable`: with a 503.
    pub unanswered: u32,
    pub unavailable: u32,
    /// A response that must never occur.
    pub wrong: Option<String>,
}

/// Runs one customer to the end: places the order and, if wanted, cancels it.
pub(super) async fn run_customer(
    house: &House,
    table: &Table,
    key: String,
    wanted: PlannedOrder,
    begin: Instant,
) -> Answered {
    sleep_until(begin + wanted.at).await;
    let mut answered = Answered::default();
    let deadline = Instant::now() + RESPONSE_TIMEOUT;
    while answered.order_id.is_none() && answered.wrong.is_none() {
        match place(house, table, &key, wanted).await {
            Some((201, order)) => answered.order_id = Some(text(&order["id"])),
            other => answered.record_response(&key, other),
        }
        answered.pause_or_give_up(deadline, &key).await;
    }
    if let (Some(after), Some(id)) = (wanted.cancel_after, answered.order_id.clone()) {
        sleep(after).await;
        cancel_order(house, table, &id, wanted, &mut answered).await;
    }
    answered
}

async fn place(
    house: &House,
    table: &Table,
    key: &str,
    wanted: PlannedOrder,
) -> Option<(u16, Value)> {
    let items = match wanted.buns {
        0 => json!([{"product_id": table.shop.espresso}]),
        buns => json!([{"product_id": table.shop.bun, "quantity": buns}]),
    };
    let request = if wanted.by_guest {
        house
            .request(Method::POST, &table.shop.guests_path())
            .header("Expediter-Guest", GUEST_KEY)
            .json(&json!({"items": items}))
    } else {
        house
            .by_operator(Method::POST, "/api/v1/orders")
            .json(&json!({"store_id": table.shop.store_id, "items": items}))
    };
    answer(request.header("Idempotency-Key", key)).await
}

/// Cancels an order: as the guest until it is accepted, then as staff.
async fn cancel_order(
    house: &House,
    table: &Table,
    id: &str,
    wanted: PlannedOrder,
    answered: &mut Answered,
) {
    let deadline = Instant::now() + RESPONSE_TIMEOUT;
    let mut as_guest = wanted.by_guest;
    while !answered.called_off && answered.wrong.is_none() {
        let said = if as_guest {
            let path = format!("{}/{id}/cancel", table.shop.guests_path());
            answer(
                house
                    .request(Method::POST, &path)
                    .header("Expediter-Guest", GUEST_KEY),
            )
            .await
        } else {
            let body = json!({"status": "cancelled", "reason": "changed their mind"});
            let path = format!("/api/v1/orders/{id}/status");
            answer(house.by_operator(Method::PUT, &path).json(&body)).await
        };
        match said {
            Some((200, _)) => answered.called_off = true,
            Some((409, _)) if as_guest => as_guest = false,
            // Either an earlier try cancelled it and the response was lost, or the order failed meanwhile. The books
            // verify that it has ended.
            Some((409, problem)) if problem["reason"] == "invalid_transition" => {
                answered.called_off = true
            }
            other => answered.record_response(id, other),
        }
        answered.pause_or_give_up(deadline, id).await;
    }
}

impl Answered {
    fn record_response(&mut self, what: &str, said: Option<(u16, Value)>) {
        match said {
            None => self.unanswered += 1,
            Some((503, _)) => self.unavailable += 1,
            Some((409, problem)) if problem["reason"] == "idempotency_in_progress" => {
                self.unavailable += 1
            }
            Some((status, problem)) => {
                self.wrong = Some(format!("{what}: answered {status} {problem}"))
            }
        }
    }

    async fn pause_or_give_up(&mut self, deadline: Instant, what: &str) {
        if Instant::now() > deadline && self.wrong.is_none() {
            self.wrong = Some(format!(
                "{what}: no response within {} s",
                RESPONSE_TIMEOUT.as_secs()
            ));
        }
        sleep(PAUSE).await;
    }
}
