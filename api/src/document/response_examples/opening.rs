//! Examples of opening and slots.

use serde_json::{Value, json};

use super::at;

pub(super) fn opening() -> Value {
    let open = json!({"open": true, "opens_at": null, "closes_at": at("21:00:00.000000")});
    let closed = json!({"open": false, "opens_at": at("20:00:00.000000"), "closes_at": null});
    json!({
        "now": at("19:20:00.000000"), "timezone": "Europe/Berlin",
        "fulfilments": {"table": open, "pickup": open, "delivery": closed},
        "by_hand": {"open": true, "until": at("20:00:00.000000")},
        "busy": {"adds_minutes": 15, "paused_until": at("19:30:00.000000")},
        "lead_time_min": 30, "order_ahead_days": 2,
    })
}

pub(super) fn slots() -> Value {
    let slot = |from: &str, to: &str, orders: i64| {
        let left = json!({"orders": orders, "items": 9, "weight": 12});
        json!({"from": at(from), "to": at(to), "left": left})
    };
    json!({"items": [
        slot("19:15:00.000000", "19:30:00.000000", 0),
        slot("19:30:00.000000", "19:45:00.000000", 4),
    ]})
}
