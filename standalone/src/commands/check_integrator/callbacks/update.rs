//! Parses the body of a callback as strictly as the api does.

use chrono::{DateTime, Utc};
use domain::callback::{DeliveryUpdate, Update};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    order_id: Option<Uuid>,
    reference: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    sequence: Option<i64>,
    occurred_at: Option<DateTime<Utc>>,
    ready_at: Option<DateTime<Utc>>,
    delivery: Option<Delivery>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    tracking_number: Option<String>,
    status: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Update, String> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| format!("The body is not as it must be: {error}."))?;
    if body.order_id.is_some() == body.reference.is_some() {
        return Err("Exactly one of order_id and reference names the order.".to_owned());
    }
    if body.status.is_none() && body.delivery.is_none() && body.ready_at.is_none() {
        return Err("A status, a delivery or ready_at is needed.".to_owned());
    }
    let delivery = body.delivery.map(|delivery| DeliveryUpdate {
        tracking_number: delivery.tracking_number,
        status: delivery.status,
    });
    let delivery_status = delivery.as_ref().and_then(|one| one.status.as_deref());
    let tracking_number = delivery
        .as_ref()
        .and_then(|one| one.tracking_number.as_deref());
    for (name, text, shortest, longest) in [
        ("reference", body.reference.as_deref(), 1, 200),
        ("status", body.status.as_deref(), 1, 100),
        ("reason", body.reason.as_deref(), 0, 200),
        ("delivery.status", delivery_status, 1, 100),
        ("delivery.tracking_number", tracking_number, 1, 200),
    ] {
        let length = text.map(|text| text.chars().count());
        if length.is_some_and(|length| length < shortest || length > longest) {
            return Err(format!(
                "{name} has more than {longest} characters, or none."
            ));
        }
    }
    Ok(Update {
        order_id: body.order_id.map(Into::into),
        reference: body.reference,
        status: body.status,
        reason: body.reason,
        sequence: body.sequence,
        occurred_at: body.occurred_at,
        ready_at: body.ready_at,
        delivery,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_name_one_order_and_one_change_and_nothing_unknown() {
        let id = Uuid::from_u128(7);
        for (body, is_good) in [
            (format!(r#"{{"order_id":"{id}","status":"ready"}}"#), true),
            (
                r#"{"reference":"K-1","delivery":{"status":"AT_ORIGIN"}}"#.to_owned(),
                true,
            ),
            (
                format!(r#"{{"order_id":"{id}","ready_at":"2026-11-25T12:00:00Z"}}"#),
                true,
            ),
            (r#"{"status":"ready"}"#.to_owned(), false),
            (format!(r#"{{"order_id":"{id}"}}"#), false),
            (
                format!(r#"{{"order_id":"{id}","reference":"K-1","status":"ready"}}"#),
                false,
            ),
            (
                format!(r#"{{"order_id":"{id}","status":"ready","state":"x"}}"#),
                false,
            ),
            (
                format!(r#"{{"order_id":"{id}","status":"ready","sequence":"1"}}"#),
                false,
            ),
            (
                format!(r#"{{"order_id":"{id}","status":"ready","occurred_at":"yesterday"}}"#),
                false,
            ),
            (format!(r#"{{"order_id":"{id}","status":""}}"#), false),
            (r#"{"order_id":"17","status":"ready"}"#.to_owned(), false),
            ("status=ready".to_owned(), false),
        ] {
            assert_eq!(parse(body.as_bytes()).is_ok(), is_good, "{body}");
        }
    }
}
