//! One example of each JSON response, matching the request examples; a test checks that each shows every field.

mod handoffs;
mod opening;
mod orders;
mod places;

use serde_json::{Value, json};

use super::{
    operations,
    request_examples::{capacity, hours},
};

pub(super) fn add_examples(document: &mut Value) {
    for (_, _, operation) in operations(document) {
        let Some(example) = operation["operationId"].as_str().and_then(example) else {
            continue;
        };
        let answers = operation["responses"].as_object_mut();
        let successes = answers
            .into_iter()
            .flatten()
            .filter(|(status, _)| status.starts_with('2'));
        for (_, answer) in successes {
            let contents = answer.get_mut("content").and_then(Value::as_object_mut);
            for (_, content) in contents.into_iter().flatten() {
                content["example"] = example.clone();
            }
        }
    }
}

/// Returns the example for an operation id; `None` if its response is not JSON.
fn example(operation: &str) -> Option<Value> {
    Some(match operation {
        "ping" => json!({"message": "success"}),

        "sign_in" | "refresh_token" | "exchange_session_key" => places::tokens(),
        "create_live_ticket" => places::live_ticket(),
        "me" | "create_user" => places::account(),
        "change_user" => with_fields(places::account(), json!({"disabled": true})),
        "list_users" => page([places::account()]),
        "create_api_key" => {
            json!({"api_key": places::api_key(), "key": "exk_b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM"})
        }
        "list_api_keys" => page([places::api_key()]),
        "give_external_identity" => places::external_identity(),

        "create_store" | "get_store" => places::store(),
        "edit_store" => with_fields(places::store(), json!({"paused": true, "version": 2})),
        "list_stores" => page([places::store()]),
        "get_hours" | "set_hours" => hours(),
        "get_capacity" | "set_capacity" => capacity(),
        "get_opening" | "set_opening" | "set_busy" | "get_session_opening" => opening::opening(),
        "list_slots" | "list_session_slots" => opening::slots(),
        "get_menu" | "get_session_menu" => places::menu(),

        "create_category" | "get_category" => places::category(),
        "edit_category" => with_fields(places::category(), json!({"position": 2, "version": 2})),
        "list_categories" => page([places::category()]),
        "create_product" | "get_product" => places::product(),
        "edit_product" => with_fields(
            places::product(),
            json!({"available": false, "available_from": at("06:00:00.000000"), "sold_out": true, "version": 2}),
        ),
        "change_stock" => with_fields(places::product(), json!({"stock": 52})),
        "put_product_image" => with_fields(places::product(), json!({"version": 2})),
        "delete_product_image" => {
            with_fields(places::product(), json!({"image_url": null, "version": 2}))
        }
        "list_products" => page([places::product()]),

        "create_option_group" | "get_option_group" => places::option_group(),
        "edit_option_group" => with_fields(places::option_group(), json!({"min": 1, "version": 2})),
        "list_option_groups" => page([places::option_group()]),

        "open_session" => orders::session(),
        "renew_session_code" => orders::session_with_fresh_code(),
        "list_sessions" => page([orders::session()]),
        "get_session" => orders::session_with_orders(),
        "list_session_orders" => page([orders::guest_order(true)]),
        "close_session" => orders::closed_session(),
        "list_session_events" => orders::session_events(),
        "place_guest_order" => orders::guest_order(true),
        "cancel_guest_order" => orders::cancelled(orders::guest_order(true)),

        "place_order" => orders::placed(),
        "get_order" => orders::ready(),
        "list_orders" => with_fields(
            page([orders::table_order(), orders::dispatched()]),
            json!({"synced_to": null}),
        ),
        "edit_order" => orders::edited(),
        "move_order" => orders::rejected(),
        "set_ready_time" => orders::expected_later(),
        "get_calendar" => page([orders::for_later()]),
        "remove_order" => orders::cancelled(orders::placed()),
        "add_order_item" => orders::with_one_more(),
        "edit_order_item" => orders::with_three_items(),
        "remove_order_item" => with_fields(orders::placed(), json!({"version": 3})),
        "replace_order" => orders::replacement(),
        "get_order_link" => orders::link(),
        "get_linked_order" => orders::linked(),
        "list_order_events" => json!([orders::placed_event()]),
        "list_changes" => page([places::change()]),
        "list_audit_trail" => page([places::audit_entry()]),
        "export_customer" => orders::export(),
        "erase_customer" | "get_erasure" => places::erasure(),
        "list_erasures" => page([places::erasure()]),

        "list_order_handoffs" => json!([handoffs::acknowledged()]),
        "get_handoff" => handoffs::acknowledged(),
        "list_handoffs" => page([handoffs::listed()]),
        "retry_handoff" => handoffs::due_again(),
        "retry_handoffs" => handoffs::retried(),
        "list_retries" => page([handoffs::retry()]),
        "test_integrator" => handoffs::test(),
        "list_stuck" => page([handoffs::stuck()]),
        "receive_callback" => json!({"result": "stored"}),
        "list_callbacks" => page([handoffs::callback()]),

        "create_integrator" => handoffs::connected(),
        "get_integrator" => handoffs::integrator_with_health(),
        "edit_integrator" => with_fields(handoffs::integrator(), json!({"version": 2})),
        "list_integrators" => page([handoffs::integrator_with_health()]),
        "rotate_secret" => handoffs::rotated_secret(),

        "listen" => handoffs::listener(),
        "claim_messages" => handoffs::claimed_messages(),
        "report_outcome" => handoffs::recorded_outcome(),
        "get_handoff_message" => handoffs::message(),

        "get_stats" => places::stats(),
        _ => return None,
    })
}

fn page<const N: usize>(items: [Value; N]) -> Value {
    json!({"items": items.as_slice(), "next_cursor": null})
}

/// Returns the object with these fields replaced or added.
fn with_fields(mut shape: Value, fields: Value) -> Value {
    if let (Some(shape), Value::Object(fields)) = (shape.as_object_mut(), fields) {
        shape.extend(fields);
    }
    shape
}

/// Returns a timestamp on the evening of all examples.
fn at(time: &str) -> Value {
    json!(format!("2026-11-20T{time}Z"))
}

fn euros(cents: u32) -> Value {
    json!({"amount": cents, "currency": "EUR"})
}
