//! One example of each request body; a test checks each against its schema.

use serde_json::{Value, json};

use super::operations;

pub(super) fn add_examples(document: &mut Value) {
    for (_, _, operation) in operations(document) {
        let contents = operation
            .get_mut("requestBody")
            .and_then(|body| body["content"].as_object_mut());
        for content in contents.into_iter().flat_map(|all| all.values_mut()) {
            let reference = content["schema"]["$ref"].as_str().unwrap_or_default();
            let schema = reference.rsplit('/').next().unwrap_or_default();
            if let Some(example) = example(schema) {
                content["example"] = example;
            }
        }
    }
}

pub(super) const STORE: &str = "01980000-0000-7000-8000-000000000001";
pub(super) const CATEGORY: &str = "01980000-0000-7000-8000-000000000012";
pub(super) const PRODUCT: &str = "01980000-0000-7000-8000-000000000002";
pub(super) const OPTION_GROUP: &str = "01980000-0000-7000-8000-000000000042";
pub(super) const OPTION: &str = "01980000-0000-7000-8000-000000000043";
pub(super) const ORDER: &str = "01980000-0000-7000-8000-000000000003";
pub(super) const LISTENED_HANDOFF: &str = "01980000-0000-7000-8000-000000000037";
pub(super) const FENCE: &str = "4611686018427387904";

fn example(schema: &str) -> Option<Value> {
    Some(match schema {
        "SignIn" => json!({"username": "staff", "password": "open sesame"}),
        "RefreshToken" => json!({"refresh": "b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM"}),
        "ExternalSignIn" => json!({"user_id": "17", "session_key": "open sesame"}),
        "NewIdentity" => json!({"user_id": "17"}),
        "TicketWish" => json!({"store_id": STORE}),
        "NewUser" => json!({
            "username": "ada", "password": "open sesame", "role": "staff", "stores": [STORE],
        }),
        "NewApiKey" => json!({
            "name": "Till at the window", "store_ids": [STORE], "actions": ["orders:read", "orders:write"],
        }),
        "UserChange" => json!({"disabled": true}),
        "PasswordChange" => json!({"password": "open sesame", "new_password": "close sesame"}),
        "NewStore" => json!({
            "name": "Café Berta", "timezone": "Europe/Berlin", "currency": "EUR", "address": "Hauptstraße 1, Berlin",
        }),
        "Hours" => hours(),
        "ByHandBody" => json!({"open": false, "until": "2026-11-20T21:00:00Z"}),
        "Capacity" => capacity(),
        "BusyBody" => json!({"adds_minutes": 15, "paused_until": null}),
        "StorePatch" => json!({"paused": true}),
        "NewProduct" => json!({
            "store_id": STORE, "sku": "ESP", "name": "Espresso",
            "price": {"amount": 250, "currency": "EUR"}, "stock": 40,
            "option_group_ids": [OPTION_GROUP], "categories": [{"category_id": CATEGORY, "position": 1}], "diets": ["vegan"],
        }),
        "ProductPatch" => json!({"available": false, "until": "2026-11-21T06:00:00Z"}),
        "NewCategory" => json!({
            "store_id": STORE, "name": "Coffee", "position": 1, "translations": {"de": {"name": "Kaffee"}},
        }),
        "CategoryPatch" => json!({"position": 2}),
        "NewOptionGroup" => json!({
            "store_id": STORE, "name": "Milk", "max": 1, "position": 1,
            "options": [{"name": "Oat milk", "sku": "OAT", "translations": {"de": {"name": "Hafermilch"}}}],
            "translations": {"de": {"name": "Milch"}},
        }),
        "OptionGroupPatch" => json!({"min": 1}),
        "EraseCustomer" | "ExportCustomer" => json!({"phone": "+49 30 123456"}),
        "StockDelta" => json!({"delta": 12, "reason": "delivered"}),
        "NewSession" => json!({"store_id": STORE, "name": "Table 1"}),
        "CloseSession" => json!({"finish": true}),
        "NewOrder" => json!({
            "store_id": STORE, "fulfilment": "pickup", "reference": "web-4711",
            "items": [{"product_id": PRODUCT, "quantity": 2, "note": "without sugar"}],
            "customer": {"name": "Ada", "phone": "+49 30 123456"},
            "expected_total": {"amount": 500, "currency": "EUR"},
        }),
        "GuestsOrder" => json!({"items": [{"product_id": PRODUCT, "quantity": 2}]}),
        "OrderPatch" => json!({"user_note": "The bell is broken.", "customer": {"phone": null}}),
        "NewItem" => json!({"sku": "ESP", "quantity": 1}),
        "ItemPatch" => json!({"quantity": 3}),
        "ReadyTime" => json!({"ready_at": "2026-11-20T19:45:00Z"}),
        "StatusChange" => json!({"status": "rejected", "reason": "The kitchen is closed."}),
        "Replacement" => json!({"reference": "web-4711-again"}),
        "NewIntegrator" => json!({
            "store_id": STORE, "name": "Kitchen display", "kind": "kitchen", "url": "https://kitchen.example/orders",
            "confirms": "callback",
        }),
        "IntegratorPatch" => json!({"enabled": true}),
        "SecretRotation" => json!({"secret": "signing"}),
        "NewListener" => {
            json!({"store_id": STORE, "name": "ada's laptop", "events": ["order.placed"]})
        }
        "ClaimMessages" => json!({"max": 4, "wait_s": 10}),
        "AttemptOutcomeReport" => json!({
            "handoff_id": LISTENED_HANDOFF, "round": 1, "n": 1, "fence": FENCE, "status": 200,
            "response": "{\"reference\":\"K-88\"}",
        }),
        "RetryHandoffs" => json!({"store_id": STORE, "state": ["failed"], "dry_run": true}),
        "Callback" => json!({
            "order_id": ORDER, "status": "ready", "sequence": 3, "occurred_at": "2026-11-20T19:30:00Z",
        }),
        _ => return None,
    })
}

pub(super) fn hours() -> Value {
    json!({
        "weekly": [
            {"days": ["mon", "tue", "wed", "thu"], "from": "11:00", "to": "22:00", "fulfilments": null},
            {"days": ["fri", "sat"], "from": "11:00", "to": "02:00", "fulfilments": ["table", "pickup"]},
        ],
        "exceptions": [
            {"date": "2026-12-24", "closed": true, "spans": [], "fulfilments": null},
            {"date": "2026-12-31", "closed": false, "spans": [{"from": "11:00", "to": "15:00"}], "fulfilments": ["table"]},
        ],
    })
}

pub(super) fn capacity() -> Value {
    json!({
        "rules": [{"fulfilments": ["pickup"], "minutes": 15, "orders": 7, "items": 20, "weight": 30}],
        "busy": {"open_orders": 30, "adds_minutes": 15},
    })
}
