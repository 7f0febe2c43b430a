//! The checks that send something: each sends its messages, one check after the other, and judges the answers.

mod expect; // judges the answers of one check

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    integrator::HandoffEvent, order::MAX_ITEMS, signature::SigningSecret, status::OrderStatus,
};
use futures_util::future::join_all;
use platform::chance::Chance;
use poem::http::HeaderMap;
use serde_json::json;

use super::{
    catalogue::{
        AT_ONCE, BAD_SIGNATURE, CANCELLED, DUPLICATE, EXTRA_FIELDS, GOOD_SIGNATURE, KEEP_ALIVE,
        LARGE_ORDER, MISSING_SIGNATURE, OLD_TIMESTAMP, OUT_OF_ORDER, RETRY, ROTATION,
        UNKNOWN_EVENT,
    },
    report::Findings,
    sample::{Fate, Message, Shop},
    sender::{Exchange, Sender, set, sign_anew},
    unreachable::Unreachable,
};

/// Number of equal messages that are sent at the same time.
const AT_ONCE_COPIES: usize = 10;
/// Headers that carry the signature.
const SIGNED: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) sender: &'a Sender,
    pub(super) shop: &'a Shop,
    pub(super) chance: &'a Chance,
    pub(super) findings: &'a mut Findings,
}

#[derive(Clone, Copy)]
enum Step {
    Forged,
    Unsigned,
    Old,
    Rotation,
    AtOnce,
    Abandoned,
    Cancelled,
    OutOfOrder,
    UnknownEvent,
    ExtraFields,
    LargeOrder,
    KeptConnection,
}

const STEPS: &[Step] = &[
    Step::Forged,
    Step::Unsigned,
    Step::Old,
    Step::Rotation,
    Step::AtOnce,
    Step::Abandoned,
    Step::Cancelled,
    Step::OutOfOrder,
    Step::UnknownEvent,
    Step::ExtraFields,
    Step::LargeOrder,
    Step::KeptConnection,
];

impl Plan<'_> {
    /// Makes all checks; returns false if not even the first message was taken, so that only that was found.
    pub(super) async fn run(mut self) -> Result<bool, Unreachable> {
        let order = self.shop.order(2, Fate::Placed);
        let message = self.shop.placed(&order);
        let first = self.sender.deliver("a signed order", &message).await;
        Unreachable::check(&self.sender.url, &first)?;
        self.shop.refers(&order, first.reference());
        if !self.expect_taken(GOOD_SIGNATURE, &first) {
            self.findings
                .note("the other checks need a message that is taken first, and were skipped");
            return Ok(false);
        }
        self.duplicate(&message, &first).await;
        for step in STEPS {
            if self.sender.has_given_up() {
                self.findings
                    .note("the rest was skipped, because too many answers did not come");
                break;
            }
            match step {
                Step::Forged => self.forged().await,
                Step::Unsigned => self.unsigned().await,
                Step::Old => self.old().await,
                Step::Rotation => self.rotation().await,
                Step::AtOnce => self.at_once().await,
                Step::Abandoned => self.abandoned(first.took).await,
                Step::Cancelled => self.cancelled().await,
                Step::OutOfOrder => self.out_of_order().await,
                Step::UnknownEvent => self.unknown_event().await,
                Step::ExtraFields => self.extra_fields().await,
                Step::LargeOrder => self.large_order().await,
                Step::KeptConnection => self.kept_connection().await,
            }
        }
        Ok(true)
    }

    async fn duplicate(&mut self, message: &Message, first: &Exchange) {
        let sent = "the same message again, as attempt 2/5";
        let again = self.send(sent, message, 2).await;
        if self.expect_taken(DUPLICATE, &again) {
            self.expect_same_reference(DUPLICATE, &[first, &again]);
        }
    }

    async fn forged(&mut self) {
        let order = self.shop.order(1, Fate::Forged(BAD_SIGNATURE));
        let message = self.shop.placed(&order);
        let other = self.other_secret();
        let now = self.sender.clock.now();
        let id = message.id.to_string();
        let other_id: uuid::Uuid = self.chance.id(now);
        let changed = self
            .shop
            .changed(&message, |body| body["order"]["user_note"] = "free".into());
        type Change<'c> = Box<dyn Fn(&mut HeaderMap) + Send + Sync + 'c>;
        let secret = &self.sender.secret;
        let changes: [(&str, Change<'_>); 5] = [
            (
                "an order signed with another secret",
                Box::new(|headers| sign_anew(headers, &other, &id, now, &message.body)),
            ),
            (
                "an order that was changed after it was signed",
                Box::new(|headers| sign_anew(headers, secret, &id, now, &changed.body)),
            ),
            (
                "an order with the signature of another webhook-id",
                Box::new(|headers| {
                    sign_anew(headers, secret, &other_id.to_string(), now, &message.body);
                }),
            ),
            (
                "an order with the signature of another webhook-timestamp",
                Box::new(|headers| {
                    sign_anew(headers, secret, &id, now, &message.body);
                    let later_s = now.timestamp() + 1;
                    set(headers, "webhook-timestamp", &later_s.to_string());
                }),
            ),
            (
                "an order whose signature is not base64",
                Box::new(|headers| set(headers, "webhook-signature", "v1,not base64!")),
            ),
        ];
        let mut answers = Vec::new();
        for (sent, change) in changes {
            let signing = std::slice::from_ref(secret);
            let answer = self.sender.send(sent, &message, signing, 1, change);
            answers.push(answer.await);
        }
        self.expect_refused(BAD_SIGNATURE, &answers);
    }

    async fn unsigned(&mut self) {
        let order = self.shop.order(1, Fate::Forged(MISSING_SIGNATURE));
        let message = self.shop.placed(&order);
        let mut answers = Vec::new();
        let missing: [(&str, &[&str]); 3] = [
            ("an order without webhook-signature", &SIGNED[2..]),
            ("an order without webhook-timestamp", &SIGNED[1..2]),
            ("an order without any webhook- header", &SIGNED),
        ];
        for (sent, names) in missing {
            let signing = std::slice::from_ref(&self.sender.secret);
            let answer = self.sender.send(sent, &message, signing, 1, |headers| {
                for name in names {
                    headers.remove(*name);
                }
            });
            answers.push(answer.await);
        }
        self.expect_refused(MISSING_SIGNATURE, &answers);
    }

    async fn old(&mut self) {
        let order = self.shop.order(1, Fate::Forged(OLD_TIMESTAMP));
        let message = self.shop.placed(&order);
        let mut answers = Vec::new();
        for (sent, minutes) in [
            ("an order signed ten minutes ago", -10),
            ("an order signed ten minutes in the future", 10),
        ] {
            let secret = &self.sender.secret;
            let at = self.sender.clock.now() + TimeDelta::minutes(minutes);
            let id = message.id.to_string();
            let signing = std::slice::from_ref(secret);
            let answer = self.sender.send(sent, &message, signing, 1, |headers| {
                sign_anew(headers, secret, &id, at, &message.body);
            });
            answers.push(answer.await);
        }
        self.expect_refused(OLD_TIMESTAMP, &answers);
    }

    async fn rotation(&mut self) {
        let (known, other) = (self.sender.secret.clone(), self.other_secret());
        for (sent, signing) in [
            (
                "an order with two signatures, the second with your secret",
                [other.clone(), known.clone()],
            ),
            (
                "an order with two signatures, the first with your secret",
                [known, other],
            ),
        ] {
            let order = self.shop.order(1, Fate::Placed);
            let message = self.shop.placed(&order);
            let answer = self.sender.deliver_signed(sent, &message, &signing).await;
            self.shop.refers(&order, answer.reference());
            self.expect_taken(ROTATION, &answer);
        }
    }

    async fn at_once(&mut self) {
        let order = self.shop.order(2, Fate::Placed);
        let message = self.shop.placed(&order);
        let copies =
            (0..AT_ONCE_COPIES).map(|_| self.send("one of ten equal messages", &message, 1));
        let answers = join_all(copies).await;
        let mut references = Vec::new();
        for answer in &answers {
            self.shop.refers(&order, answer.reference());
            // A worker sends again what was not answered otherwise.
            if answer.asks_for_another() {
                if answer.status().is_none() {
                    self.findings.warning(
                        AT_ONCE,
                        answer,
                        "One of ten connections at once was not accepted. Is the backlog of your listening socket small?",
                    );
                }
            } else if self.expect_taken(AT_ONCE, answer) {
                references.push(answer);
            }
        }
        if references.is_empty() {
            let again = self.sender.deliver("the same message once more", &message);
            let again = again.await;
            self.expect_taken(AT_ONCE, &again);
        }
        self.expect_same_reference(AT_ONCE, &references);
    }

    async fn abandoned(&mut self, usual: Duration) {
        let order = self.shop.order(1, Fate::Placed);
        let message = self.shop.placed(&order);
        self.sender.abandon(&message, usual / 2).await;
        let sent = "a message whose first answer was lost, as attempt 2/5";
        let again = self.sender.deliver(sent, &message).await;
        self.shop.refers(&order, again.reference());
        self.expect_taken(RETRY, &again);
    }

    async fn cancelled(&mut self) {
        let order = self.shop.order(1, Fate::Cancelled(CANCELLED, None));
        let placed = self.shop.placed(&order);
        let answer = self.sender.deliver("an order", &placed).await;
        self.shop.refers(&order, answer.reference());
        self.expect_taken(CANCELLED, &answer);
        let cancelled = self.shop.cancelled(&order);
        let answer = self.sender.deliver("its cancellation", &cancelled).await;
        if self.expect_taken(CANCELLED, &answer) {
            self.shop.is_cancelled(&order);
        }
        let again = self.send("its cancellation again", &cancelled, 2).await;
        self.expect_taken(CANCELLED, &again);
        let late = self.send("the order itself again, held up until now", &placed, 2);
        let late = late.await;
        self.expect_taken(OUT_OF_ORDER, &late);
    }

    async fn out_of_order(&mut self) {
        let order = self.shop.order(1, Fate::Cancelled(OUT_OF_ORDER, None));
        let (placed, cancelled) = (self.shop.placed(&order), self.shop.cancelled(&order));
        let sent = "the cancellation of an order that was not sent yet";
        let answer = self.sender.deliver(sent, &cancelled).await;
        if self.expect_taken(OUT_OF_ORDER, &answer) {
            self.shop.is_cancelled(&order);
        }
        let sent = "the order of that cancellation, with an older change.number";
        let answer = self.sender.deliver(sent, &placed).await;
        self.shop.refers(&order, answer.reference());
        self.expect_taken(OUT_OF_ORDER, &answer);
        let order = self.shop.order(1, Fate::Placed);
        let placed = self.shop.placed(&order);
        let answer = self.sender.deliver("an order", &placed).await;
        self.shop.refers(&order, answer.reference());
        for (sent, number, from, to) in [
            (
                "a newer change",
                9,
                OrderStatus::Accepted,
                OrderStatus::Preparing,
            ),
            (
                "an older change",
                8,
                OrderStatus::Processing,
                OrderStatus::Accepted,
            ),
        ] {
            let event = HandoffEvent::OrderStatusChanged;
            let message = self.shop.message(event, &order, number, Some(from), to);
            let sent = format!("{sent} of the same order (change.number {number})");
            let answer = self.sender.deliver(&sent, &message).await;
            self.expect_taken(OUT_OF_ORDER, &answer);
        }
    }

    async fn unknown_event(&mut self) {
        let order = self.shop.order(1, Fate::Forged(UNKNOWN_EVENT));
        let placed = self.shop.placed(&order);
        let unknown = self
            .shop
            .changed(&placed, |body| body["event"] = "order.something_new".into());
        let sent = "an order with the event order.something_new";
        let answer = self.sender.deliver(sent, &unknown).await;
        self.expect_taken(UNKNOWN_EVENT, &answer);
        let test = self.shop.test();
        let answer = self.sender.deliver("a test message", &test).await;
        self.expect_taken(UNKNOWN_EVENT, &answer);
    }

    async fn extra_fields(&mut self) {
        let order = self.shop.order(1, Fate::Placed);
        let message = self.shop.changed(&self.shop.placed(&order), |body| {
            let news = json!({"text": "new", "list": [1, null, {"deep": true}]});
            for pointer in [
                "",
                "/change",
                "/order",
                "/order/items/0",
                "/order/products/0",
            ] {
                if let Some(object) = body.pointer_mut(pointer) {
                    object["something_new"] = news.clone();
                }
            }
        });
        let sent = "an order with fields that don't exist yet";
        let answer = self.sender.deliver(sent, &message).await;
        self.shop.refers(&order, answer.reference());
        self.expect_taken(EXTRA_FIELDS, &answer);
    }

    async fn large_order(&mut self) {
        let order = self.shop.order(MAX_ITEMS, Fate::Placed);
        let message = self.shop.placed(&order);
        let sent = format!("an order of {} bytes", message.body.len());
        let answer = self.sender.deliver(&sent, &message).await;
        self.shop.refers(&order, answer.reference());
        self.expect_taken(LARGE_ORDER, &answer);
    }

    async fn kept_connection(&mut self) {
        for n in 1..=3 {
            let sent = format!("test message {n} of 3, over the same connection");
            let answer = self.sender.deliver(&sent, &self.shop.test()).await;
            // Any answer is good enough for a connection.
            if answer.status().is_some() {
                self.findings.ran(KEEP_ALIVE);
            }
        }
    }

    async fn send(&self, sent: &str, message: &Message, n: u32) -> Exchange {
        let signing = std::slice::from_ref(&self.sender.secret);
        self.sender.send(sent, message, signing, n, |_| {}).await
    }

    fn other_secret(&self) -> SigningSecret {
        let bytes: [u8; 32] = self.chance.bytes();
        SigningSecret::new(bytes).expect("32 bytes are a secret")
    }
}
