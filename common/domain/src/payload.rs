//! Request bodies for integrators: `order` (seed 001's shape, all values strings) and `delivery` (seed 004's).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    handoff::{Cause, Stage},
    integrator::{Format, HandoffEvent},
    order::{Order, rfc3339},
    store::{Contact, Store},
};

/// Input of a body.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub event: HandoffEvent,
    pub callback_url: &'a str,
    pub store: &'a Store,
    /// `None` only for a `test`.
    pub order: Option<&'a Order>,
    /// The change that the message is about; `None` for a `test`, and for a handoff that an older version made.
    pub cause: Option<&'a Cause>,
    /// Number of the order's newest event, so that a reader sees if the order is newer than the change.
    pub version: Option<i64>,
}

/// Returns the body's bytes, which are frozen at the first attempt.
#[must_use]
pub fn body(format: Format, subject: Subject<'_>) -> Vec<u8> {
    let mut value = match (format, subject.order) {
        (Format::Order, Some(order)) => order_body(subject, order),
        (Format::Delivery, Some(order)) => delivery_body(subject, order),
        (_, None) => json!({
            "event": subject.event,
            "callback_url": subject.callback_url,
            "store": {"id": subject.store.id.to_string(), "name": subject.store.name},
        }),
    };
    if let Some(cause) = subject.cause {
        value["change"] = json!({
            "number": cause.number.to_string(),
            "from": cause.from.map_or("", Stage::as_str),
            "to": cause.to,
            "reason": text(cause.reason.as_deref()),
            "at": rfc3339(cause.at),
        });
    }
    if let (Some(version), Some(_)) = (subject.version, subject.order) {
        value["order"]["version"] = version.to_string().into();
    }
    if subject.event == HandoffEvent::DeliveryMoved
        && let Some(delivery) = subject.order.and_then(|order| order.delivery.as_ref())
    {
        value["delivery"] = json!({
            "status": delivery.status,
            "tracking_number": text(delivery.tracking_number.as_deref()),
        });
    }
    value.to_string().into_bytes()
}

fn order_body(subject: Subject<'_>, order: &Order) -> Value {
    let customer = &order.customer;
    let reach = Contact {
        phone: customer.phone.clone(),
        email: customer.email.clone(),
        address: customer.address.clone(),
        lat: customer.lat,
        lng: customer.lng,
    };
    let items: Vec<Value> = order
        .items
        .iter()
        .map(|item| {
            json!({
                "id": item.id.to_string(),
                "product_id": item.product_id.to_string(),
                "sku": text(item.sku.as_deref()),
                "name": item.name,
                "quantity": item.quantity.to_string(),
                "note": text(item.note.as_deref()),
                "unit_price": item.unit_price.to_string(),
                "options": item.options.iter().map(|option| json!({
                    "id": option.id.to_string(),
                    "sku": text(option.sku.as_deref()),
                    "group": option.group,
                    "name": option.name,
                    "quantity": option.quantity.to_string(),
                    "price": option.price.to_string(),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "event": subject.event,
        "callback_url": subject.callback_url,
        "user": party(text(customer.id.as_deref()), customer.name.as_deref(), &reach),
        "seller": party(&subject.store.id.to_string(), Some(&subject.store.name), &subject.store.contact),
        "order": {
            "id": order.id.to_string(),
            "number": order.number.map_or_else(String::new, |number| number.to_string()),
            "reference": text(order.reference.as_deref()),
            "session": text(order.session.as_ref().map(|session| session.name.as_str())),
            "fulfilment": order.fulfilment,
            "datetime": rfc3339(order.placed_at.unwrap_or(order.created_at)),
            "wanted_at": time(order.timing.wanted_at),
            "ready_at": time(order.timing.ready_at),
            "timezone": subject.store.timezone,
            "user_note": text(order.user_note.as_deref()),
            "total": order.total.to_string(),
            "currency": order.total.currency,
            "device_token": text(customer.device_token.as_deref()),
            "status": order.status,
            "items": items,
        }
    })
}

fn delivery_body(subject: Subject<'_>, order: &Order) -> Value {
    let products: Vec<Value> = order
        .items
        .iter()
        .flat_map(|item| {
            let sku = item
                .sku
                .clone()
                .unwrap_or_else(|| item.product_id.to_string());
            let own = json!({"sku": sku, "name": item.name, "qty": item.quantity});
            // An option is a line of its own, because the format has no place for it inside one.
            let options = item.options.iter().map(move |option| {
                let sku = option.sku.clone().unwrap_or_else(|| option.id.to_string());
                json!({"sku": sku, "name": option.name, "qty": option.quantity_in(item.quantity)})
            });
            std::iter::once(own).chain(options)
        })
        .collect();
    json!({
        "event": subject.event,
        "callback_url": subject.callback_url,
        "order": {"foreign_order_id": order.id.to_string(), "products": products},
        "origin": {"address": text(subject.store.contact.address.as_deref())},
        "destination": {
            "name": text(order.customer.name.as_deref()),
            "address": text(order.customer.address.as_deref()),
        },
    })
}

fn party(id: &str, name: Option<&str>, reach: &Contact) -> Value {
    let coordinate =
        |degrees: Option<f64>| degrees.map_or_else(String::new, |degrees| degrees.to_string());
    let mut party = Map::new();
    for (key, value) in [
        ("id", id.to_owned()),
        ("phone", text(reach.phone.as_deref()).to_owned()),
        ("name", text(name).to_owned()),
        ("email", text(reach.email.as_deref()).to_owned()),
        ("lat", coordinate(reach.lat)),
        ("lng", coordinate(reach.lng)),
        ("address", text(reach.address.as_deref()).to_owned()),
    ] {
        party.insert(key.to_owned(), Value::String(value));
    }
    Value::Object(party)
}

/// Returns the time as text, or an empty string for none.
fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(rfc3339).unwrap_or_default()
}

/// Returns the text, or an empty string for an unknown one, as seed 001 writes it.
fn text(known: Option<&str>) -> &str {
    known.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        delivery::{Delivery, DeliveryStatus},
        ids::ItemId,
        money::Money,
        options::ChosenOption,
        order::{Customer, Fulfilment, Item},
        status::OrderStatus,
    };

    fn id<T: From<Uuid>>(n: u128) -> T {
        Uuid::from_u128(n).into()
    }

    fn store() -> Store {
        Store {
            id: id(1),
            name: "Bar".into(),
            timezone: "Europe/Berlin".into(),
            currency: "EUR".parse().unwrap(),
            contact: Contact {
                address: Some("Quay 1".into()),
                lat: Some(53.5),
                ..Contact::default()
            },
            external_location_id: None,
            auto_accept: true,
            accept_within_s: 600,
            deliver_accepted_after_h: None,
            timing: Default::default(),
            paused: false,
            language: crate::language::Language::default(),
            archived_at: None,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn order() -> Order {
        let eur = |amount| Money::new(amount, "EUR".parse().unwrap());
        Order {
            id: id(2),
            store_id: id(1),
            number: Some(17),
            session: None,
            account_id: None,
            guest_key_hash: None,
            reference: Some("R-1".into()),
            fulfilment: Fulfilment::Delivery,
            status: OrderStatus::Processing,
            reason: None,
            version: 1,
            stock_held: true,
            tallied: false,
            customer: Customer {
                name: Some("Ada".into()),
                ..Customer::default()
            },
            items: vec![Item {
                id: id::<ItemId>(3),
                product_id: id(4),
                sku: None,
                name: "Espresso".into(),
                quantity: 2,
                unit_price: eur(250),
                options: vec![ChosenOption {
                    id: id(5),
                    group: "Milk".into(),
                    name: "Oat".into(),
                    sku: None,
                    price: eur(-50),
                    quantity: 3,
                    product_id: None,
                    counted: false,
                }],
                note: None,
                counted: false,
            }],
            total: eur(500),
            user_note: None,
            accept_by: None,
            timing: Default::default(),
            delivery: None,
            replaces: None,
            trace: None,
            created_at: DateTime::UNIX_EPOCH,
            placed_at: None,
            accepted_at: None,
            ended_at: None,
            updated_at: None,
        }
    }

    fn cause() -> Cause {
        Cause {
            number: 7,
            from: Some(OrderStatus::Accepted.into()),
            to: OrderStatus::Cancelled.into(),
            reason: Some("burnt".into()),
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn written(format: Format, order: Option<&Order>) -> Value {
        let store = store();
        let event = if order.is_some() {
            HandoffEvent::OrderPlaced
        } else {
            HandoffEvent::Test
        };
        let cause = order.map(|_| cause());
        let subject = Subject {
            event,
            callback_url: "https://x.example/cb",
            store: &store,
            order,
            cause: cause.as_ref(),
            version: order.map(|_| 8),
        };
        serde_json::from_slice(&body(format, subject)).unwrap()
    }

    fn every_leaf_is_text(value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.values().all(every_leaf_is_text),
            Value::Array(items) => items.iter().all(every_leaf_is_text),
            leaf => leaf.is_string(),
        }
    }

    #[test]
    fn the_order_format_is_seed_001s_and_all_its_values_are_strings() {
        let body = written(Format::Order, Some(&order()));
        assert!(every_leaf_is_text(&body), "{body}");
        let item = &body["order"]["items"][0];
        assert_eq!(item["quantity"], "2");
        assert_eq!(
            item["product_id"],
            id::<crate::ids::ProductId>(4).to_string()
        );
        let option = id::<crate::ids::OptionId>(5).to_string();
        assert_eq!(
            item["options"],
            json!([{"id": option, "sku": "", "group": "Milk", "name": "Oat", "quantity": "3", "price": "-0.50"}])
        );
        assert_eq!(body["order"]["total"], "5.00");
        assert_eq!(body["seller"]["lat"], "53.5");
        assert_eq!(body["user"]["phone"], "");
    }

    #[test]
    fn the_delivery_format_is_seed_004s() {
        let body = written(Format::Delivery, Some(&order()));
        assert_eq!(
            body["order"]["foreign_order_id"],
            id::<crate::ids::OrderId>(2).to_string()
        );
        assert_eq!(body["order"]["products"][0]["qty"], 2);
        let option = id::<crate::ids::OptionId>(5).to_string();
        assert_eq!(
            body["order"]["products"][1],
            json!({"sku": option, "name": "Oat", "qty": 6})
        );
        assert_eq!(body["origin"]["address"], "Quay 1");
        assert_eq!(body["destination"]["name"], "Ada");
    }

    #[test]
    fn both_formats_tell_the_change_and_how_new_the_order_is() {
        for format in [Format::Order, Format::Delivery] {
            let body = written(format, Some(&order()));
            assert_eq!(
                body["change"],
                json!({
                    "number": "7", "from": "accepted", "to": "cancelled", "reason": "burnt",
                    "at": "1970-01-01T00:00:00.000000Z",
                })
            );
            assert_eq!(body["order"]["version"], "8");
        }
    }

    #[test]
    fn both_formats_tell_where_a_delivery_that_moved_is() {
        let store = store();
        let mut order = order();
        let mut told = |format, number: Option<&str>| {
            order.delivery = Some(Delivery {
                status: DeliveryStatus::EnRoute,
                tracking_number: number.map(str::to_owned),
                history: Vec::new(),
            });
            let cause = Cause {
                from: Some(DeliveryStatus::ReadyForPickUp.into()),
                to: DeliveryStatus::AtOrigin.into(),
                ..cause()
            };
            let subject = Subject {
                event: HandoffEvent::DeliveryMoved,
                callback_url: "https://x.example/cb",
                store: &store,
                order: Some(&order),
                cause: Some(&cause),
                version: Some(8),
            };
            let body: Value = serde_json::from_slice(&body(format, subject)).unwrap();
            assert_eq!(body["event"], "delivery.moved");
            assert_eq!(
                (&body["change"]["from"], &body["change"]["to"]),
                (&json!("READY_FOR_PICK_UP"), &json!("AT_ORIGIN"))
            );
            body
        };
        for format in [Format::Order, Format::Delivery] {
            let body = told(format, Some("T-1"));
            assert_eq!(
                body["delivery"],
                json!({"status": "EN_ROUTE_OF_DELIVERY", "tracking_number": "T-1"})
            );
        }
        let body = told(Format::Order, None);
        assert!(every_leaf_is_text(&body), "{body}");
        assert_eq!(body["delivery"]["tracking_number"], "");
    }

    #[test]
    fn a_handoff_of_an_older_version_has_no_change_to_tell() {
        let (store, order) = (store(), order());
        let subject = Subject {
            event: HandoffEvent::OrderPlaced,
            callback_url: "https://x.example/cb",
            store: &store,
            order: Some(&order),
            cause: None,
            version: Some(8),
        };
        for format in [Format::Order, Format::Delivery] {
            let body: Value = serde_json::from_slice(&body(format, subject)).unwrap();
            assert_eq!(body.get("change"), None);
            assert_eq!(body["order"]["version"], "8");
        }
    }

    #[test]
    fn a_test_carries_no_order() {
        assert_eq!(
            written(Format::Order, None),
            json!({
                "event": "test",
                "callback_url": "https://x.example/cb",
                "store": {"id": id::<crate::ids::StoreId>(1).to_string(), "name": "Bar"},
            })
        );
    }
}
