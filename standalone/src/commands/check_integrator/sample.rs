//! The messages of a check: orders of an invented store, with the bodies that a worker would freeze.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    callback::Update,
    handoff::Cause,
    ids::{HandoffId, OrderId},
    integrator::{Format, HandoffEvent},
    language::Language,
    money::Money,
    options::ChosenOption,
    order::{Customer, Fulfilment, Item, MAX_ITEMS, Order},
    payload::{self, Subject},
    status::OrderStatus,
    store::{Contact, Store},
};
use parking_lot::Mutex;
use platform::{chance::Chance, clock::Clock};
use serde_json::Value;
use tokio::time::Instant;

use super::catalogue::Check;

/// A message with its id.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: HandoffId,
    pub(super) body: Bytes,
}

/// Order that the integrator may know.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: OrderId,
    pub(super) fate: Fate,
    /// The integrator's own ids of it.
    pub(super) references: Vec<String>,
}

/// Content of the messages about an order, and thus of the callbacks that may come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Placed,
    /// Told of only in messages that must be refused.
    Forged(&'static Check),
    /// Cancelled, since then if the cancellation was taken.
    Cancelled(&'static Check, Option<(Instant, DateTime<Utc>)>),
}

impl Known {
    /// Returns true if the update names this order.
    pub(super) fn is_meant_by(&self, update: &Update) -> bool {
        let reference = update.reference.as_ref();
        update.order_id == Some(self.id)
            || reference.is_some_and(|reference| self.references.contains(reference))
    }
}

pub(super) type Orders = Arc<Mutex<Vec<Known>>>;

#[derive(Debug)]
pub(super) struct Shop {
    format: Format,
    store: Store,
    callback_url: String,
    clock: Clock,
    chance: Chance,
    orders: Orders,
}

impl Shop {
    pub(super) fn new(
        format: Format,
        callback_url: String,
        orders: Orders,
        clock: Clock,
        chance: Chance,
    ) -> Self {
        let now = clock.now();
        let store = Store {
            id: chance.id(now),
            name: "Café „Prüfstand“".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            currency: "EUR".parse().expect("EUR is a currency"),
            contact: Contact {
                phone: Some("+49 40 123456".to_owned()),
                address: Some("Hafenstraße 12, 20457 Hamburg".to_owned()),
                lat: Some(53.5),
                lng: Some(9.99),
                ..Contact::default()
            },
            external_location_id: None,
            auto_accept: true,
            accept_within_s: 600,
            deliver_accepted_after_h: None,
            timing: Default::default(),
            paused: false,
            language: Language::default(),
            archived_at: None,
            version: 1,
            created_at: now,
        };
        Self {
            format,
            store,
            callback_url,
            clock,
            chance,
            orders,
        }
    }

    /// Returns the event that makes work for an integrator with this format.
    pub(super) const fn work(&self) -> HandoffEvent {
        match self.format {
            Format::Order => HandoffEvent::OrderPlaced,
            Format::Delivery => HandoffEvent::OrderDispatched,
        }
    }

    /// Makes an order and records it before anything is sent, because a callback may be faster than the answer.
    pub(super) fn order(&self, items: usize, fate: Fate) -> Order {
        let now = self.clock.now();
        let eur = |amount| Money::new(amount, self.store.currency);
        let items: Vec<Item> = (0..items.min(MAX_ITEMS))
            .map(|n| Item {
                id: self.chance.id(now),
                product_id: self.chance.id(now),
                sku: Some(format!("CHECK-{n}")),
                name: format!("Crème brûlée no. {n} ☕"),
                quantity: 2,
                unit_price: eur(250),
                options: vec![ChosenOption {
                    id: self.chance.id(now),
                    group: "Topping".to_owned(),
                    name: "Crème légère ☕".to_owned(),
                    sku: None,
                    price: eur(0),
                    quantity: 2,
                    product_id: None,
                    counted: false,
                }],
                note: Some(
                    "only a check: \"don't prepare\" <this> & 'that' 😀\nthank you".to_owned(),
                ),
                counted: false,
            })
            .collect();
        let mut orders = self.orders.lock();
        let number = orders.len() as i64 + 1;
        let total = eur(500 * items.len() as i64);
        let order = Order {
            id: self.chance.id(now),
            store_id: self.store.id,
            number: Some(number),
            session: None,
            account_id: None,
            guest_key_hash: None,
            reference: Some(format!("check-{number}")),
            fulfilment: Fulfilment::Delivery,
            status: OrderStatus::Processing,
            reason: None,
            version: 1,
            stock_held: true,
            tallied: false,
            customer: Customer {
                name: Some("Zoë O'Connor".to_owned()),
                phone: Some("+49 40 654321".to_owned()),
                address: Some("Große Elbstraße 1, 22767 Hamburg".to_owned()),
                ..Customer::default()
            },
            items,
            total,
            user_note: Some("check of an integrator".to_owned()),
            accept_by: None,
            timing: Default::default(),
            delivery: None,
            replaces: None,
            trace: None,
            created_at: now,
            placed_at: Some(now),
            accepted_at: None,
            ended_at: None,
            updated_at: Some(now),
        };
        orders.push(Known {
            id: order.id,
            fate,
            references: Vec::new(),
        });
        order
    }

    /// Returns the message that makes work.
    pub(super) fn placed(&self, order: &Order) -> Message {
        let (number, from, to) = match self.format {
            Format::Order => (1, None, OrderStatus::Pending),
            Format::Delivery => (5, Some(OrderStatus::Ready), OrderStatus::Dispatched),
        };
        self.message(self.work(), order, number, from, to)
    }

    /// Returns the message that ends the work.
    pub(super) fn cancelled(&self, order: &Order) -> Message {
        let (number, from, to) = match self.format {
            Format::Order => (3, OrderStatus::Accepted, OrderStatus::Cancelled),
            Format::Delivery => (7, OrderStatus::Dispatched, OrderStatus::Failed),
        };
        self.message(HandoffEvent::OrderCancelled, order, number, Some(from), to)
    }

    pub(super) fn message(
        &self,
        event: HandoffEvent,
        order: &Order,
        number: i64,
        from: Option<OrderStatus>,
        to: OrderStatus,
    ) -> Message {
        let now = self.clock.now();
        let is_end = to.is_unsuccessful();
        let mut order = order.clone();
        order.status = match to {
            OrderStatus::Pending => OrderStatus::Processing,
            other => other,
        };
        let cause = Cause {
            number,
            from: from.map(Into::into),
            to: to.into(),
            reason: is_end.then(|| "returned".to_owned()),
            at: now,
        };
        self.write(Subject {
            event,
            callback_url: &self.callback_url,
            store: &self.store,
            order: Some(&order),
            cause: Some(&cause),
            version: Some(number + 1),
        })
    }

    /// Returns the message of `POST /integrators/{id}/test`, which carries no order.
    pub(super) fn test(&self) -> Message {
        self.write(Subject {
            event: HandoffEvent::Test,
            callback_url: &self.callback_url,
            store: &self.store,
            order: None,
            cause: None,
            version: None,
        })
    }

    /// Returns another message whose body was changed.
    pub(super) fn changed(&self, message: &Message, change: impl FnOnce(&mut Value)) -> Message {
        let mut body: Value =
            serde_json::from_slice(&message.body).expect("a message's body is JSON");
        change(&mut body);
        Message {
            id: self.chance.id(self.clock.now()),
            body: body.to_string().into(),
        }
    }

    /// Records that the integrator has taken the order's cancellation.
    pub(super) fn is_cancelled(&self, order: &Order) {
        let mut orders = self.orders.lock();
        let known = orders.iter_mut().find(|known| known.id == order.id);
        if let Some(Known {
            fate: Fate::Cancelled(_, since),
            ..
        }) = known
        {
            *since = Some((Instant::now(), self.clock.now()));
        }
    }

    /// Records the integrator's own id of the order.
    pub(super) fn refers(&self, order: &Order, reference: Option<String>) {
        let mut orders = self.orders.lock();
        let known = orders.iter_mut().find(|known| known.id == order.id);
        if let (Some(known), Some(reference)) = (known, reference) {
            known.references.push(reference);
        }
    }

    fn write(&self, subject: Subject<'_>) -> Message {
        Message {
            id: self.chance.id(self.clock.now()),
            body: payload::body(self.format, subject).into(),
        }
    }
}
