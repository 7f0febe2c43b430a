//! Frames and close codes of the live channel (docs/design.md section 8); the same on sockets and on event streams.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    actor::{Actor, Viewer},
    event::{Event, EventKind},
    ids::{EpochId, OrderId, StreamId},
    order::{Order, rfc3339},
    status::OrderStatus,
    trace::TraceContext,
};
use ledger::events::{SessionSnapshot, StoreSnapshot};
use runtime::traces::{self, EventFacts, Kind};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::frame::Frame;

/// Version of the event frame format.
pub const FRAME_VERSION: u32 = 1;

/// Reason why a connection ends.
pub(crate) enum End {
    /// The connection broke, or the client closed it.
    Gone,
    Close(Close),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// Defines [`Close`]: one table of names, close codes and reasons.
macro_rules! closes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)+) => {
        /// Reason why the server closes a channel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Close { $($(#[$doc])* $name),+ }

        impl Close {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code),+ }
            }

            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason),+ }
            }
        }
    };
}

closes! {
    /// The client has sent nothing for two ping intervals.
    Away = 1001, "no message or pong received";
    /// The client sent a message above the size limit.
    TooLong = 1009, "message too long";
    /// The process is stopping; the client should reconnect.
    Restart = 1012, "restart";
    /// The ledger cannot be read at the moment; the client should reconnect later.
    TryAgain = 1013, "try again later";
    /// The session's code was renewed, or the ticket is invalid or its account no longer allowed.
    Revoked = 4401, "revoked";
    NotFound = 4404, "not found";
    /// The client is too far behind; it should reconnect with its last number.
    TooSlow = 4408, "too slow, reconnect";
    /// The session was closed, and its code has expired.
    Ended = 4410, "ended";
    /// The client sent its guest key too often, or its table or account has too many channels.
    TooMany = 4429, "too many messages or channels";
}

/// Message from a client; anything else is ignored.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Answered with `{"type":"pong"}`; needed because browsers hide the protocol's own pings from pages.
    Ping,
    /// Key that the guest's orders are placed with (`Expediter-Guest`). Answered with a new snapshot; from then on
    /// orders and events carry `mine`. With `store`, it is also told when the store changes what it offers.
    Guest {
        key: String,
        #[serde(default)]
        store: bool,
    },
    /// Ticket from `POST /live-tickets`, as the first message if it was not in the URL.
    Ticket { ticket: String },
}

#[must_use]
pub fn pong() -> String {
    r#"{"type":"pong"}"#.to_owned()
}

/// Returns the frame that says that the store's menu, hours or pause have changed. It is no event: it has no number, and
/// whoever misses it learns the same by asking.
#[must_use]
pub fn store_changed() -> String {
    r#"{"type":"store.changed"}"#.to_owned()
}

/// Returns the first frame of a channel that resumes after number `after`.
#[must_use]
pub fn resumed(stream: StreamId, after: i64) -> String {
    json!({"type": "hello", "stream": stream, "seq": after, "resumed": true}).to_string()
}

/// Adds to a first frame the epoch in which its numbers count, from which on `?after=` needs it.
#[must_use]
pub fn with_epoch(hello: String, epoch: Option<EpochId>) -> String {
    match epoch {
        Some(epoch) => hello.replacen('{', &format!(r#"{{"epoch":"{epoch}","#), 1),
        None => hello,
    }
}

/// Tells by the hash of an order's guest key if the order is the client's.
pub type IsMine<'a> = &'a dyn Fn(Option<&[u8]>) -> bool;

/// Snapshot of a session, for all clients of its channel. It is the first frame; sent later too, it replaces all that
/// the client knows.
#[derive(Debug)]
pub struct SessionHello {
    pub seq: i64,
    /// Epoch in which the number counts.
    pub epoch: Option<EpochId>,
    /// The frame for clients without a guest key.
    text: Bytes,
    /// For each order the place in `text` where `mine` is inserted, and the hash of the key that placed it.
    orders: Vec<(usize, Option<Vec<u8>>)>,
}

impl SessionHello {
    #[must_use]
    pub fn new(snapshot: &SessionSnapshot) -> Self {
        let SessionSnapshot {
            epoch,
            session,
            orders,
            next,
        } = snapshot;
        let mut facts = session.public_facts()["session"].take();
        facts["store_id"] = json!(session.store_id);
        let next = next.map(|id| URL_SAFE_NO_PAD.encode(id.uuid().as_bytes()));
        let head = json!({
            "type": "hello",
            "stream": StreamId::from(session.id),
            "seq": session.seq,
            "epoch": epoch,
            "session": facts,
            "next_cursor": next,
        });
        let mut text = without_brace(head);
        text.push_str(r#","orders":["#);
        let mut places = Vec::with_capacity(orders.len());
        for (at, order) in orders.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&without_brace(order.public_facts()["order"].take()));
            places.push((text.len(), order.guest_key_hash.clone()));
            text.push('}');
        }
        text.push_str("]}");
        Self {
            seq: session.seq,
            epoch: *epoch,
            text: text.into(),
            orders: places,
        }
    }

    /// Returns the frame for one client. With `is_mine`, each order says if it is the client's.
    pub fn frame(self: &Arc<Self>, is_mine: Option<IsMine<'_>>) -> Frame {
        let Some(is_mine) = is_mine else {
            return Frame::of([self.text.clone()]).keeping(self.clone());
        };
        let mut parts = Vec::with_capacity(2 * self.orders.len() + 1);
        let mut from = 0;
        for (place, author) in &self.orders {
            parts.push(self.text.slice(from..*place));
            parts.push(Bytes::from_static(if is_mine(author.as_deref()) {
                br#","mine":true"#
            } else {
                br#","mine":false"#
            }));
            from = *place;
        }
        parts.push(self.text.slice(from..));
        Frame::of(parts).keeping(self.clone())
    }
}

/// Writes an object that is not empty, without its last brace.
fn without_brace(object: Value) -> String {
    let mut text = object.to_string();
    text.pop();
    text
}

/// Returns the first frame of an order's channel.
#[must_use]
pub fn order_snapshot(stream: StreamId, seq: i64, order: &Order) -> String {
    let facts = order.public_facts()["order"].take();
    json!({"type": "hello", "stream": stream, "seq": seq, "order": facts}).to_string()
}

/// Returns the first frame of a store's channel. `streams` has the last number of each stream; a stream that is not in
/// it begins with a `prev` of 0.
#[must_use]
pub fn store_snapshot(snapshot: &StoreSnapshot) -> String {
    let StoreSnapshot {
        store,
        sessions,
        orders,
        truncated,
        heads,
        ..
    } = snapshot;
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|session| {
            let mut facts = session.public_facts()["session"].take();
            facts["stream"] = json!(StreamId::from(session.id));
            facts
        })
        .collect();
    let orders: Vec<Value> = orders
        .iter()
        .map(|order| {
            let mut facts = order.public_facts()["order"].take();
            if let (Some(all), Value::Object(more)) =
                (facts.as_object_mut(), order.staff_facts(order.status))
            {
                all.extend(more);
            }
            facts["stream"] = json!(order.stream());
            facts
        })
        .collect();
    let streams: Map<String, Value> = heads
        .iter()
        .map(|(stream, seq)| (stream.to_string(), json!(seq)))
        .collect();
    json!({
        "type": "hello",
        "stream": StreamId::from(store.id),
        "seq": streams.get(&store.id.to_string()),
        "store": {"id": store.id, "name": store.name, "paused": store.paused},
        "sessions": sessions,
        "orders": orders,
        "truncated": truncated,
        "streams": streams,
    })
    .to_string()
}

/// Event frame without the fields that differ between channels; serialized once and sent to many.
#[derive(Debug)]
pub struct EventFrame {
    pub seq: i64,
    pub kind: EventKind,
    pub order_id: Option<OrderId>,
    /// Number of its order in the store, if it is an event of one.
    pub order_number: Option<i64>,
    pub at: DateTime<Utc>,
    /// Status that it tells of, if it has the facts of an order.
    pub order_status: Option<OrderStatus>,
    /// Id of the account or integrator that caused it.
    actor_id: Option<Uuid>,
    head: Bytes,
    /// Actor that caused it, for those who may know it.
    actor: Bytes,
    /// Kind of that actor, for everyone else.
    actor_kind: Bytes,
    tail: Bytes,
    /// Place in `tail` where an order's facts begin.
    order_at: usize,
    /// Place of its order in a trace that is recorded, until a client is sent it.
    awaited: Option<Awaited>,
}

/// A span that ends when the first client is sent an event.
#[derive(Debug)]
struct Awaited {
    within: TraceContext,
    began: SystemTime,
    is_over: AtomicBool,
}

/// Text with which an event's data begins if it has the facts of an order.
const ORDER_BEGINS: &str = r#"{"order":{"#;

impl EventFrame {
    #[must_use]
    pub fn new(event: &Event) -> Self {
        let data = event.data.to_string();
        let order = &event.data["order"];
        // Events of handoffs have a few facts only.
        let has_facts = order["items"].is_array() && data.starts_with(ORDER_BEGINS);
        let status = order["status"].as_str().filter(|_| has_facts);
        let kind_and_time = format!(
            r#","version":{FRAME_VERSION},"type":"{}","at":"{}","data":"#,
            event.kind,
            rfc3339(event.at),
        );
        Self {
            awaited: None,
            order_status: status.and_then(|status| status.parse().ok()),
            order_at: kind_and_time.len() + ORDER_BEGINS.len(),
            seq: event.seq,
            kind: event.kind,
            order_id: event.order_id,
            order_number: event.data["order"]["number"].as_i64(),
            at: event.at,
            actor_id: event.actor.as_ref().and_then(|actor| actor.id),
            actor: actor_field(event.actor.as_ref()),
            actor_kind: actor_field(
                event
                    .actor
                    .as_ref()
                    .map(|actor| actor.shown_to(Viewer::Guest))
                    .as_ref(),
            ),
            head: format!(
                r#"{{"stream":"{}","seq":{},"prev":"#,
                event.stream, event.seq
            )
            .into(),
            tail: format!("{kind_and_time}{data}}}").into(),
        }
    }

    /// Makes the frame of an event that has just happened: the first client that is sent it ends the event's way, which is
    /// reported if its trace is recorded. `now` is the ledger's time.
    #[must_use]
    pub(crate) fn live(event: &Event, now: DateTime<Utc>) -> Self {
        let awaited = traces::of_event(event).map(|within| Awaited {
            within,
            began: traces::local(now, event.at),
            is_over: AtomicBool::new(false),
        });
        Self {
            awaited,
            ..Self::new(event)
        }
    }

    /// Returns the bytes that it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + self.actor.len() + self.actor_kind.len() + self.tail.len()
    }

    /// Returns the frame for one channel. `prev` is the last number of the stream that was sent on it; `mine` is
    /// present only if the client gave its key.
    #[must_use]
    pub fn frame(&self, prev: i64, mine: Option<bool>, viewer: Viewer) -> Frame {
        let own = match mine {
            Some(mine) => format!(r#"{prev},"mine":{mine}"#),
            None => prev.to_string(),
        };
        let is_known = match viewer {
            Viewer::Staff => true,
            Viewer::Owner(account) => self.actor_id == Some(account.uuid()),
            Viewer::Guest => false,
        };
        let actor = if is_known {
            self.actor.clone()
        } else {
            self.actor_kind.clone()
        };
        self.report_first();
        Frame::of([self.head.clone(), own.into(), actor, self.tail.clone()])
    }

    /// Returns the frame for a store's screen: [`Order::staff_facts`], as [`staff_fields`] writes them, are added to its
    /// order.
    #[must_use]
    pub fn frame_for_staff(&self, prev: i64, staff_fields: Bytes) -> Frame {
        let (before, after) = match self.order_status {
            Some(_) => (
                self.tail.slice(..self.order_at),
                self.tail.slice(self.order_at..),
            ),
            None => return self.frame(prev, None, Viewer::Staff),
        };
        let (prev, actor) = (prev.to_string(), self.actor.clone());
        self.report_first();
        Frame::of([
            self.head.clone(),
            prev.into(),
            actor,
            before,
            staff_fields,
            after,
        ])
    }

    /// Reports that a client is sent it, once however many clients there are.
    fn report_first(&self) {
        if let Some(Awaited {
            within,
            began,
            is_over,
        }) = &self.awaited
            && !is_over.swap(true, Ordering::Relaxed)
        {
            let event = EventFacts {
                kind: self.kind,
                seq: self.seq,
                order: self.order_id,
            };
            traces::report("show", Kind::Consumer, *within, &event, *began);
        }
    }
}

/// Writes the field of a frame that says who caused the event.
fn actor_field(actor: Option<&Actor>) -> Bytes {
    format!(r#","actor":{}"#, json!(actor)).into()
}

/// Writes an order's facts for staff as the first fields of an object.
#[must_use]
pub fn staff_fields(order: &Order, status: OrderStatus) -> String {
    let facts = without_brace(order.staff_facts(status));
    format!("{},", facts.trim_start_matches('{'))
}

#[cfg(test)]
mod tests;
