//! Examples of orders, as staff and as guests see them, and of sessions.

use serde_json::{Value, json};

use super::{
    super::request_examples::{OPTION, ORDER, PRODUCT, STORE},
    at, euros,
    handoffs::INTEGRATOR,
    places::ACCOUNT,
    with_fields,
};

const ITEM: &str = "01980000-0000-7000-8000-000000000004";
const OTHER_ITEM: &str = "01980000-0000-7000-8000-000000000014";
const REPLACEMENT_ORDER: &str = "01980000-0000-7000-8000-000000000013";
const DELIVERY_ORDER: &str = "01980000-0000-7000-8000-000000000043";
const GUESTS_ORDER: &str = "01980000-0000-7000-8000-000000000023";
const SESSION: &str = "01980000-0000-7000-8000-000000000005";
const EPOCH: &str = "01980000-0000-7000-8000-000000000006";
const CODE: &str = "0123456789abcdef0123456789abcdef01234567";
const FRESH_CODE: &str = "89abcdef0123456789abcdef0123456789abcdef";
const TOKEN: &str = "AZgAAAAAcACAAAAAAAAAAgAAAABqN2sAyZ8vX0d6uQ1m2p3rT4s5dg";
const LINK_ENDS: &str = "2026-12-20T19:20:00.000000Z";
/// The example of W3C Trace Context.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PLACED: &str = "19:20:00.000000";
const ENDED: &str = "19:25:00.000000";

pub(super) fn placed() -> Value {
    json!({
        "id": ORDER, "number": 17, "store_id": STORE, "session": null, "reference": "web-4711",
        "fulfilment": "pickup", "status": "pending", "reason": null, "version": 1,
        "next": ["accepted", "rejected", "cancelled"],
        "customer": customer("+49 30 123456".into()),
        "items": [item(2)], "total": euros(500), "user_note": null,
        "accept_by": at("19:30:00.000000"), "wanted_at": null, "ready_at": at("19:35:00.000000"), "hand_over_at": null,
        "delivery": null, "replaces": null,
        "created_at": at(PLACED), "placed_at": at(PLACED), "accepted_at": null, "ended_at": null,
        "updated_at": at(PLACED), "traceparent": TRACEPARENT,
    })
}

pub(super) fn export() -> Value {
    json!({
        "account": {"id": ACCOUNT, "username": "ada", "created_at": at("08:00:00.000000"), "disabled": false},
        "orders": [{"order": placed(), "recipients": [INTEGRATOR]}],
        "examined": 48_211, "next_cursor": null,
    })
}

fn customer(phone: Value) -> Value {
    json!({
        "id": null, "name": "Ada", "phone": phone, "email": null, "address": null, "lat": null, "lng": null,
        "device_token": null,
    })
}

fn item(quantity: u32) -> Value {
    json!({
        "id": ITEM, "product_id": PRODUCT, "sku": "ESP", "name": "Espresso", "quantity": quantity,
        "unit_price": euros(250), "options": [option()], "total": euros(250 * quantity), "note": "without sugar",
    })
}

fn option() -> Value {
    json!({
        "option_id": OPTION, "group": "Milk", "name": "Oat milk", "sku": "OAT", "price": euros(0), "quantity": 1,
    })
}

pub(super) fn ready() -> Value {
    let fields = json!({
        "status": "ready", "next": ["dispatched", "delivered", "cancelled"],
        "accepted_at": at("19:21:00.000000"),
    });
    with_fields(placed(), fields)
}

/// Another order, for delivery.
pub(super) fn dispatched() -> Value {
    let address = json!({"address": "Nebenstraße 2, Berlin"});
    let fields = json!({
        "id": DELIVERY_ORDER, "number": 16, "reference": "web-4710",
        "fulfilment": "delivery", "status": "dispatched", "next": ["failed"],
        "customer": with_fields(customer("+49 30 123456".into()), address),
        "delivery": {
            "status": "AT_ORIGIN", "tracking_number": "T-88",
            "history": [
                {"status": "READY_FOR_PICK_UP", "at": at("19:31:00.000000")},
                {"status": "AT_ORIGIN", "at": at("19:33:00.000000")},
            ],
        },
    });
    with_fields(ready(), fields)
}

/// An order for later that waits for its hand-over.
pub(super) fn for_later() -> Value {
    let wanted = at("21:00:00.000000");
    let fields = json!({
        "wanted_at": wanted, "ready_at": wanted, "hand_over_at": at("20:30:00.000000"),
        "accept_by": at("20:40:00.000000"),
    });
    with_fields(placed(), fields)
}

pub(super) fn expected_later() -> Value {
    let fields = json!({
        "status": "preparing", "next": ["ready", "dispatched", "delivered", "cancelled"],
        "accepted_at": at("19:21:00.000000"), "ready_at": at("19:45:00.000000"),
    });
    with_fields(placed(), fields)
}

pub(super) fn edited() -> Value {
    let fields = json!({
        "user_note": "The bell is broken.", "customer": customer(Value::Null), "version": 2,
    });
    with_fields(placed(), fields)
}

pub(super) fn with_one_more() -> Value {
    let more = with_fields(item(1), json!({"id": OTHER_ITEM, "note": null}));
    let fields = json!({"items": [item(2), more], "total": euros(750), "version": 2});
    with_fields(placed(), fields)
}

pub(super) fn with_three_items() -> Value {
    let fields = json!({"items": [item(3)], "total": euros(750), "version": 2});
    with_fields(placed(), fields)
}

pub(super) fn rejected() -> Value {
    let fields = json!({
        "status": "rejected", "reason": "The kitchen is closed.", "next": [], "ended_at": at(ENDED),
        "updated_at": at(ENDED),
    });
    with_fields(placed(), fields)
}

pub(super) fn cancelled(order: Value) -> Value {
    let mut fields = json!({"status": "cancelled", "next": [], "ended_at": at(ENDED)});
    // Guests are not shown it.
    if order.get("updated_at").is_some() {
        fields["updated_at"] = at(ENDED);
    }
    with_fields(order, fields)
}

pub(super) fn replacement() -> Value {
    let again = "19:26:00.000000";
    let fields = json!({
        "id": REPLACEMENT_ORDER, "number": 18, "reference": "web-4711-again", "replaces": ORDER,
        "accept_by": at("19:36:00.000000"), "ready_at": at("19:41:00.000000"), "created_at": at(again), "placed_at": at(again),
        "updated_at": at(again),
    });
    with_fields(placed(), fields)
}

pub(super) fn placed_event() -> Value {
    event(ORDER, 1, "order.placed", json!({"order": told(&placed())}))
}

fn event(stream: &str, seq: i64, kind: &str, data: Value) -> Value {
    let actor = json!({"kind": "guest", "id": null, "name": null, "role": null});
    json!({"stream": stream, "seq": seq, "type": kind, "at": at(PLACED), "actor": actor, "data": data})
}

/// Removes the fields that events and guests do not see: customer data and the store's internal data.
fn told(order: &Value) -> Value {
    let mut told = order.clone();
    let own = [
        "store_id",
        "session",
        "reference",
        "version",
        "next",
        "customer",
        "user_note",
        "updated_at",
        "replaces",
    ];
    for field in own {
        without(&mut told, field);
    }
    for item in told["items"].as_array_mut().into_iter().flatten() {
        without(item, "sku");
        for option in item["options"].as_array_mut().into_iter().flatten() {
            without(option, "sku");
        }
    }
    told
}

fn without(shape: &mut Value, field: &str) {
    shape.as_object_mut().and_then(|shape| shape.remove(field));
}

/// The order as a guest sees it; `is_mine` is true for the guest who placed it.
pub(super) fn guest_order(is_mine: bool) -> Value {
    let next = if is_mine {
        json!(["cancelled"])
    } else {
        json!([])
    };
    with_fields(guests(), json!({"mine": is_mine, "next": next}))
}

fn guests() -> Value {
    told(&table_order())
}

/// An order placed by a guest at a table.
pub(super) fn table_order() -> Value {
    let item = with_fields(item(2), json!({"note": null}));
    let order = json!({
        "id": GUESTS_ORDER, "number": 19, "session": {"name": "Table 1"}, "reference": null,
        "fulfilment": "table", "items": [item],
        "customer": with_fields(customer(Value::Null), json!({"name": null})),
    });
    with_fields(placed(), order)
}

pub(super) fn link() -> Value {
    json!({"url": format!("https://berta.example/o/{TOKEN}"), "token": TOKEN, "expires_at": LINK_ENDS})
}

/// An order as its status page shows it.
pub(super) fn linked() -> Value {
    json!({
        "store_name": "Café Berta", "timezone": "Europe/Berlin", "expires_at": LINK_ENDS,
        "order": guest_order(false),
    })
}

pub(super) fn session() -> Value {
    json!({
        "store_id": STORE, "name": "Table 1", "state": "OPEN", "code": CODE, "url": page_of(CODE),
        "opened_at": at("19:00:00.000000"), "closed_at": null,
    })
}

pub(super) fn session_with_fresh_code() -> Value {
    with_fields(
        session(),
        json!({"code": FRESH_CODE, "url": page_of(FRESH_CODE)}),
    )
}

fn page_of(code: &str) -> String {
    format!("https://berta.example/s/{code}")
}

pub(super) fn session_with_orders() -> Value {
    json!({
        "store_id": STORE, "name": "Table 1", "state": "OPEN", "opened_at": at("19:00:00.000000"),
        "closed_at": null, "stream": SESSION, "seq": 2, "epoch": EPOCH, "orders": [guest_order(true)],
        "next_cursor": null,
    })
}

pub(super) fn closed_session() -> Value {
    let closed = json!({"state": "CLOSED", "closed_at": at(ENDED)});
    json!({"session": with_fields(session(), closed), "unfinished": [guest_order(false)], "unfinished_count": 1})
}

pub(super) fn session_events() -> Value {
    let opened = at("19:00:00.000000");
    let facts = json!({"name": "Table 1", "state": "OPEN", "opened_at": opened, "closed_at": null});
    let begin = event(SESSION, 1, "session.opened", json!({"session": facts}));
    json!({
        "stream": SESSION,
        "items": [
            with_fields(begin, json!({"at": opened})),
            event(SESSION, 2, "order.placed", json!({"order": guests()})),
        ],
        "last": 2, "epoch": EPOCH, "has_more": false,
    })
}
